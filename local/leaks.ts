/**
 * Looks for secrets in all that a run leaves behind: files, printed text, and the arguments of processes. It says where
 * and in which form, never what.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import * as zlib from "node:zlib";
import type { Scene } from "./scene";
import { Needles } from "./search";
import { SECRET_MARK } from "./stack";

export interface Secret {
  /** What it is, for the report. */
  name: string;
  value: string;
}

/** Somewhere that a secret could have got to. */
export interface Place {
  name: string;
  /** Files, and folders with all that is in them; one that does not exist holds nothing. */
  files?: string[];
  text?: string;
  /** Secrets that may stand there: these are not leaks. */
  mayHold?: RegExp;
}

export interface Leak {
  /** The place, and the file in it. */
  place: string;
  secret: string;
  form: string;
}

/** Shorter texts would be found by chance. */
const SHORTEST = 8;

/** Every secret, in every form, in every place where it stands; one leak a place and secret, in its plainest form. */
export function scanForLeaks({ secrets, places }: { secrets: Secret[]; places: Place[] }): Leak[] {
  const sought = secrets.flatMap(({ name, value }) =>
    Object.entries(formsOf(name, value)).map(([form, texts]) => ({ secret: name, value, form, texts })),
  );
  const needles = new Needles(
    sought.flatMap((of, order) => [...new Set(of.texts)].map((text) => ({ text, of: { ...of, order } }))),
  );
  return places.flatMap((place) =>
    textsOf(place).flatMap(({ where, text }) => {
      const held = [...needles.in(text)].filter(({ value }) => place.mayHold?.test(value) !== true);
      const found = held.sort((one, other) => other.order - one.order);
      const plainest = new Map(found.map(({ secret, form }) => [secret, form]));
      return [...plainest].map(([secret, form]) => ({ place: where, secret, form })).reverse();
    }),
  );
}

/** The forms that a text takes on its way into a log; a plain one comes first. */
function formsOf(name: string, value: string): Record<string, string[]> {
  if (value.length < SHORTEST) throw new Error(`${name} has ${value.length} characters: too few to be looked for`);
  const escaped = JSON.stringify(value).slice(1, -1);
  const base64 = [value, escaped].flatMap((text) => [0, 1, 2].map((offset) => withinBase64(text, offset)));
  return {
    plain: [value],
    json: [escaped, JSON.stringify(escaped).slice(1, -1), escapedByGo(escaped)],
    url: [encodeURIComponent(value), encodeURI(value), new URLSearchParams({ v: value }).toString().slice(2)],
    base64,
    base64url: base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")),
    hex: [Buffer.from(value).toString("hex")],
  };
}

/** Go's encoder escapes these three, since JSON may stand in HTML. */
function escapedByGo(text: string): string {
  return text.replace(/[&<>]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

/** What stays the same of a text's base64 when `offset` bytes stand before it and anything behind it. */
function withinBase64(value: string, offset: number): string {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)]);
  const whole = bytes.subarray(0, bytes.length - (bytes.length % 3));
  // The first group of four holds the bytes before it.
  return whole.toString("base64").slice(offset === 0 ? 0 : 4);
}

function textsOf({ name, files = [], text }: Place): { where: string; text: Buffer }[] {
  const read = files
    .flatMap(filesBelow)
    .map((file) => ({ where: `${name}: ${path.basename(file)}`, text: bytesOf(file) }));
  return text === undefined ? read : [...read, { where: name, text: Buffer.from(text) }];
}

function filesBelow(file: string): string[] {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  // What a link leads to is not written by a run.
  if (stat === undefined || stat.isSymbolicLink()) return [];
  if (!stat.isDirectory()) return [file];
  return fs.readdirSync(file).flatMap((entry) => filesBelow(path.join(file, entry)));
}

function bytesOf(file: string): Buffer {
  try {
    const bytes = fs.readFileSync(file);
    return file.endsWith(".gz") ? zlib.gunzipSync(bytes) : bytes;
  } catch (error) {
    // A file that somebody else's run has taken away meanwhile.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}

/** Everywhere that the engine's runs of a scene write to, and `arguments`, what they showed to the machine. */
export function placesOf({ dir, stack, configFile }: Scene, seen: ReadonlySet<string>): Place[] {
  const inDir = (pattern: RegExp): string[] =>
    fs.readdirSync(dir).flatMap((name) => (pattern.test(name) ? [path.join(dir, name)] : []));
  return [
    { name: "state", files: [stack.backend] },
    { name: "stack file", files: [configFile, path.join(dir, "project")] },
    { name: "plan", files: inDir(/^plan-/) },
    { name: "previews", files: inDir(/^preview-/) },
    { name: "events", files: inDir(/^events-/) },
    { name: "transcript", files: [stack.transcript] },
    { name: "arguments", text: [...seen].join("\n") },
  ];
}

/** Secret only because they stand beside a secret. */
const PUBLIC_KEYS = new Set(["worker", "script", "url", "ROLLOVER_GENERATIONS"]);

/** Every secret that the stack's state holds, and every one that a Worker holds. */
export async function secretsOf(scene: Scene, scripts: string[]): Promise<Secret[]> {
  const found = new Map<string, string>();
  const add = (name: string, value: unknown): void => {
    if (typeof value === "string" && value !== "") found.set(value, name);
    if (typeof value !== "object" || value === null) return;
    for (const [key, part] of Object.entries(value)) if (!PUBLIC_KEYS.has(key)) add(`${name}.${key}`, part);
  };
  const walk = (name: string, value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if (SECRET_MARK in value && "plaintext" in value) add(name, JSON.parse(String(value.plaintext)));
    else for (const [key, part] of Object.entries(value)) walk(`${name}.${key}`, part);
  };
  const { deployment } = await scene.stack.revealState();
  for (const resource of deployment.resources ?? []) walk(resource.urn.split("::").slice(2).join("::"), resource);
  for (const script of scripts) add(script, scene.cloud.cloudflare.state(script).secrets);
  // A URL is found by its password too.
  for (const [value, name] of [...found]) {
    const password = URL.canParse(value) ? new URL(value).password : "";
    if (password !== "") found.set(decodeURIComponent(password), `${name}, its password`);
  }
  return [...found].map(([value, name]) => ({ name, value }));
}

/** The argument lists of all processes below this one, looked at every 50 ms until `stop`. Linux. */
export function sampleArguments(): { seen: Set<string>; stop(): void } {
  const seen = new Set<string>();
  const timer = setInterval(() => {
    for (const line of argumentsBelow(process.pid)) seen.add(line);
  }, 50);
  return {
    seen,
    stop: () => {
      clearInterval(timer);
    },
  };
}

function argumentsBelow(root: number): string[] {
  const parents = new Map<number, number>();
  for (const entry of fs.readdirSync("/proc")) {
    // `pid (name) state parent …`; the name may hold spaces and brackets.
    const stat = /^\d+$/.test(entry) ? readProc(`/proc/${entry}/stat`) : "";
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    if (stat !== "") parents.set(Number(entry), parent);
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === root || isBelow(parents.get(pid)));
  return [...parents.keys()]
    .filter((pid) => pid !== root && isBelow(pid))
    .map((pid) => readProc(`/proc/${pid}/cmdline`).replaceAll("\0", " "))
    .filter((line) => line !== "");
}

/** Empty for a process that has ended meanwhile. */
function readProc(file: string): string {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
