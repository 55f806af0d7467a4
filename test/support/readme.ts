/** Reads a page that people follow (README.md, docs/turso.md), and runs what it says as a reader would: in a clone, by a shell. */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { type Document, parse, parseDocument } from "yaml";
import type { LocalCloud } from "../../local/cloud";
import { supervisor } from "../../local/cloud/supervise";
import type { Engine } from "../../local/engine";
import { asOf, machineNow, shiftDays } from "../../local/engine/as-of";

const checkout = path.resolve(__dirname, "..", "..");

interface Block {
  language: string;
  text: string;
  taken: boolean;
}

export class Readme {
  readonly text: string;
  private readonly blocks: Block[];

  constructor(readonly file = "README.md") {
    this.text = fs.readFileSync(path.join(checkout, file), "utf8");
    this.blocks = [...this.text.matchAll(/^( *)```(\w+)\n([^]*?)^ *```$/gm)].map(
      ([, indent = "", language = "", text = ""]) => ({
        language,
        text: text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
        taken: false,
      }),
    );
  }

  /** The one block of this language that matches; it counts as run from now on. */
  take(language: string, pattern: RegExp): string {
    const found = this.blocks.filter((block) => block.language === language && pattern.test(block.text));
    const [block] = found;
    if (!block || found.length > 1)
      throw new Error(`${this.file} has ${found.length} blocks of ${language} that match ${pattern.source}, not one`);
    block.taken = true;
    return block.text;
  }

  /** The commands of a `sh` block, one a line. */
  commands(pattern: RegExp): string[] {
    return this.take("sh", pattern).trim().split("\n");
  }

  /** Messages in the table "You see" that neither the sources have nor `printed`: words in code, with a space between them. */
  unknownMessages(printed: string): { quoted: number; unknown: string[] } {
    const [, table = ""] = this.text.split("| You see");
    const quoted = (table.split("\n\n")[0] ?? "")
      .split("\n")
      .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`([^`]+ [^`]+)`/g)].map(([, text = ""]) => text));
    const sources = ["components", "operations", "local"].flatMap((folder) =>
      fs
        .readdirSync(path.join(checkout, folder), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts"))
        .map((name) => fs.readFileSync(path.join(checkout, folder, name), "utf8")),
    );
    const texts = [printed, fs.readFileSync(path.join(checkout, "index.ts"), "utf8"), ...sources];
    return { quoted: quoted.length, unknown: quoted.filter((text) => !texts.some((one) => one.includes(text))) };
  }

  /** Blocks that nothing has run; `text` is what something printed. */
  untaken(): string[] {
    return this.blocks.filter(({ taken, language }) => !taken && language !== "text").map(({ text }) => text);
  }
}

/** Applies a diff of one place that has no line numbers: what it takes out and keeps must be there once. */
export function patch(text: string, diff: string): string {
  const side = (sign: string) =>
    diff
      .split("\n")
      .filter((line) => line.startsWith(sign) || line.startsWith(" "))
      .map((line) => `${line.slice(1)}\n`)
      .join("");
  const parts = text.split(side("-"));
  if (parts.length !== 2) throw new Error(`the lines to change stand ${parts.length - 1} times in the file:\n${diff}`);
  return parts.join(side("+"));
}

/** What a clone has, as far as Pulumi and the commands look at it: what they may write to is copied, the rest linked. */
export function cloneInto(dir: string): void {
  for (const name of [
    "Pulumi.yaml",
    "Pulumi.prod.yaml",
    "Pulumi.staging.yaml",
    "Pulumi.dev.yaml",
    "package.json",
    "tsconfig.json",
    "index.ts",
    "components",
  ])
    fs.cpSync(path.join(checkout, name), path.join(dir, name), { recursive: true });
  for (const name of ["node_modules", "operations", "local", "test"])
    fs.symlinkSync(path.join(checkout, name), path.join(dir, name));
}

export interface Ran {
  /** -1 when a signal ended it. */
  code: number;
  /** Standard output. */
  out: string;
  /** Both, in the order that they came. */
  all: string;
}

/** Runs a command line by bash, to the end. `started` gets a function that kills it and its children at once. */
export function shell(
  command: string,
  { cwd, env, input = "" }: { cwd: string; env: NodeJS.ProcessEnv; input?: string },
  started?: (kill: () => void) => void,
): Promise<Ran> {
  const child = spawn(supervisor().launcher("bash"), ["-c", command], { cwd, env, detached: true });
  started?.(() => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  });
  let out = "";
  let all = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    all += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (all += text));
  child.stdin.on("error", () => undefined); // not every command reads it
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ code: code ?? -1, out, all });
    });
  });
}

/** The stamps that the pages begin with are of this day, and `npm run rotate` adds today's. */
const PAGES_DAY = "2026-11-20";

/** What a stack file says of a credential's stamps, in either form. */
interface Listed {
  generations?: unknown[];
  generation?: unknown;
}

/** A clock on which what is added is told from what was there: TEST_TODAY may be the pages' own day. */
function laterThanThePages(): NodeJS.ProcessEnv {
  const today = new Date(machineNow() + shiftDays() * 86_400_000).toISOString().slice(0, 10);
  return today > PAGES_DAY ? {} : asOf("2026-11-21");
}

/** A reader with a clone in a temp folder, the engine and a local cloud in place of the vendors. */
export class Reader {
  /** All that the commands printed. */
  printed = "";

  constructor(
    readonly dir: string,
    private readonly engine: Engine,
    private readonly cloud: LocalCloud,
  ) {
    fs.mkdirSync(path.join(dir, "backend"), { recursive: true });
  }

  async run(command = "", input = "", started?: (kill: () => void) => void): Promise<Ran> {
    const env = {
      ...this.engine.env(),
      ...laterThanThePages(),
      PULUMI_BACKEND_URL: `file://${path.join(this.dir, "backend")}`,
      PULUMI_CONFIG_PASSPHRASE: "of a test, protects nothing",
      PULUMI_SKIP_CONFIRMATIONS: "true", // the reader's `yes`
      PULUMI_OPTION_SKIP_PREVIEW: "true", // which nobody reads here, and which would make each update two runs
    };
    const result = await shell(command, { cwd: this.dir, env, input }, started);
    this.printed += result.all;
    return result;
  }

  /** Standard output of a command that must succeed. */
  async ok(command = "", input = ""): Promise<string> {
    const { code, out, all } = await this.run(command, input);
    if (code !== 0 || command === "") throw new Error(`\`${command}\` ended with ${code}:\n${all}`);
    return out;
  }

  /** All that a command printed that must fail. */
  async fails(command = ""): Promise<string> {
    const { code, all } = await this.run(command);
    if (code === 0) throw new Error(`\`${command}\` succeeded:\n${all}`);
    return all;
  }

  read(name: string): string {
    return fs.readFileSync(path.join(this.dir, name), "utf8");
  }

  write(name: string, text: string): void {
    fs.writeFileSync(path.join(this.dir, name), text);
  }

  /** Applies a diff of the page to a file. */
  patch(name: string, diff: string): void {
    this.write(name, patch(this.read(name), diff));
  }

  edit(name: string, change: (document: Document) => void): void {
    const document = parseDocument(this.read(name));
    change(document);
    this.write(name, document.toString());
  }

  /** Addresses for the example's in a stack file, and no wait that is there for the edge. */
  fillIn(name: string): void {
    const { postgres, cloudflare, turso, vault, workers } = this.cloud.config();
    this.edit(name, (document) => {
      const script = document.getIn(["config", "rollover:workers", "rounds-api", "script"]);
      const fill = (at: string[], values: Record<string, unknown>) => {
        for (const [key, value] of Object.entries(values))
          if (document.hasIn(["config", ...at])) document.setIn(["config", ...at, key], value);
      };
      fill(["rollover:postgres"], { host: postgres?.host, port: postgres?.port, sslmode: postgres?.sslmode });
      fill(["rollover:cloudflare"], { ...cloudflare });
      fill(["rollover:turso"], { organization: turso?.organization, apiUrl: turso?.apiUrl });
      fill(["rollover:vault"], { ...vault });
      fill(["rollover:workers", "rounds-api"], {
        probe: workers[typeof script === "string" ? script : "rounds-api"]?.probe,
        answers: 5,
        settle: "0s",
      });
    });
  }

  /** The day that `npm run rotate` has added to the file; that of the clock may have changed since. */
  today(name: string): string {
    const { config } = parse(this.read(name)) as { config: Record<string, Record<string, Listed>> };
    const stamps = Object.values(config["rollover:credentials"] ?? {}).flatMap(
      ({ generations = [], generation = [] }) => [generations, generation].flat(),
    );
    const days = stamps.map((stamp) => String(stamp).slice(0, PAGES_DAY.length));
    return days.filter((day) => day > PAGES_DAY).sort()[0] ?? "";
  }

  /** The changed lines of a printed diff, with the page's day for today. */
  changed(name: string, output: string): string {
    const lines = output.split("\n").filter((line) => /^[-+] /.test(line));
    return `${lines.join("\n")}\n`.replaceAll(this.today(name), "2026-12-01");
  }
}
