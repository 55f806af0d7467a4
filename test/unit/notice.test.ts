// Proves what `npm run notice` announces and when, to a real webhook, that it says so where nobody was told, and that a failure is
// told by the same channel. The CLI that reads the secret is a stand-in; mail is proven in test/provider/smtp.test.ts.
import * as fs from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { addDays } from "../../components/rotation/calendar";
import { announcedOn, main } from "../../operations/notice";
import { editDue } from "../../operations/rotate/due";
import { readStackFile } from "../../operations/stack-file/read";

const FILE = `config:
  rollover:policy: { maxAge: { default: 60d }, freeze: [{ from: 2026-02-01, to: 2026-02-03 }] }
  rollover:notify: { notice: 1d }
  rollover:alertWebhook: { secure: "v1:ciphertext" }
  rollover:postgres: { host: db.example.com, username: rollover_admin }
  rollover:credentials:
    key: { kind: random, generations: ["2026-01-01", "2025-12-01"] }
    single: { kind: random, generation: "2026-01-01" }
    signing: { kind: encryption-keyset, maxTokenAge: 2m, generation: "2026-01-01" }
    role: { kind: postgres, inPlace: true, generations: ["2026-01-01"] }
`;

it("announces each roll once, on the day before --due makes it, with the stamps that it makes", () => {
  const announced: string[] = [];
  for (let day = "2026-01-01"; day < "2026-03-10"; day = addDays(day, 1)) {
    const { on, changes } = announcedOn(readStackFile(FILE), day);
    for (const { credential, to } of changes) {
      expect(on).toBe(addDays(day, 1));
      announced.push(credential);
      const retired = editDue(FILE, [credential], on).text;
      const { changes: made, text } = editDue(retired, [credential], on);
      const rolled = made.length > 0 ? text : retired;
      expect(readStackFile(rolled).credentials.find(({ name }) => name === credential)?.generations).toEqual(to);
      expect(to).toEqual(credential === "single" || credential === "role" ? [on] : [on, "2026-01-01"]);
    }
  }
  expect(announced.sort()).toEqual(["key", "role", "signing", "single"]);
});

describe("npm run notice", () => {
  let dir = "";
  let status = 200;
  let posted: string[] = [];
  const said = { out: "", err: "" };
  const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += String(part)));
    request.on("end", () => {
      posted.push((JSON.parse(body) as { text: string }).text);
      response.writeHead(status).end("ok");
    });
  });
  const dayBefore = () => {
    for (let day = "2026-01-01"; day < "2026-03-10"; day = addDays(day, 1))
      if (announcedOn(readStackFile(FILE), day).changes.some(({ credential }) => credential === "key")) return day;
    throw new Error("nothing is announced");
  };
  const run = (day: string, ...args: string[]) =>
    main(["--stack", "acme/rollover/prod", "--cwd", dir, ...args], new Date(`${day}T10:00:00Z`));
  beforeEach(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), "notice-"));
    [status, posted, said.out, said.err] = [200, [], "", ""];
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook-secret`;
    const cli = `#!/bin/sh\nif [ "$1" = version ]; then echo v3.300.0; else echo '${url}'; fi\n`;
    fs.writeFileSync(path.join(dir, "pulumi"), cli, { mode: 0o755 });
    fs.writeFileSync(path.join(dir, "Pulumi.prod.yaml"), FILE);
    vi.stubEnv("PATH", `${dir}${path.delimiter}${process.env["PATH"] ?? ""}`);
    vi.spyOn(process.stdout, "write").mockImplementation((text) => ((said.out += String(text)), true));
    vi.spyOn(process.stderr, "write").mockImplementation((text) => ((said.err += String(text)), true));
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    fs.rmSync(dir, { recursive: true });
  });

  it("announces, and says when", async () => {
    const day = dayBefore();
    expect(await run(day, "--json"), said.err).toBe(0);
    expect(posted).toEqual([expect.stringContaining(`- key: 2026-01-01 -&gt; ${addDays(day, 1)}, 2026-01-01`)]);
    expect(JSON.parse(said.out)).toMatchObject({ announced: true, on: addDays(day, 1) });
    expect(said.err).toContain(`announced for ${addDays(day, 1)}: `);
    expect(said.out + said.err).not.toContain("hook-secret");
  });

  it("ends with 1 and claims nothing where nobody was told", async () => {
    status = 403;
    const day = dayBefore();
    expect(await run(day, "--json")).toBe(1);
    expect(said.err).not.toContain("announced for");
    expect(said.err).toContain(`nobody was told what is rolled on ${addDays(day, 1)}: `);
    expect(JSON.parse(said.out)).toMatchObject({ announced: false });
    expect(said.out + said.err).not.toContain("hook-secret");
  });

  it("tells a failure, whatever is due", async () => {
    const url = "https://ci.example.com/runs/7";
    expect(await run("2026-01-02", "--failed", "--text", url), said.err).toBe(0);
    expect(posted).toEqual([
      expect.stringMatching(/^Rollover prod: an update failed\n[^]*\nhttps:\/\/ci\.example\.com\/runs\/7\n/),
    ]);
    expect(said.err).toContain("told that an update failed\n");
    status = 403;
    expect(await run("2026-01-02", "--failed")).toBe(1);
    expect(said.err).toContain("nobody was told that an update failed\n");
  });

  it("tells nobody of a failure where config names nobody, and fails nothing by it", async () => {
    fs.writeFileSync(path.join(dir, "Pulumi.prod.yaml"), FILE.replace(/.*rollover:notify.*\n/, ""));
    expect(await run("2026-01-02", "--failed")).toBe(0);
    expect(said.err).toBe("nobody to tell: rollover:notify is not set\n");
    expect(posted).toEqual([]);
  });

  it.each([
    ["a text without a failure", ["--text", "x"], "--text goes with --failed"],
    ["a text of two lines", ["--failed", "--text", "x\ny"], "--text is no text of one line"],
    ["a secret", ["--failed", "--text", "postgres://a:hunter2@db"], "--text holds an address with a password"],
    [
      "one with a slash",
      ["--failed", "--text", "postgres://a:hun/hunter2@db"],
      "--text holds an address with a password",
    ],
  ])("refuses %s", async (_what, args, why) => {
    expect(await run("2026-01-02", ...args)).toBe(2);
    expect(said.err).toContain(why);
    expect(said.err).not.toContain("hunter2");
    expect(posted).toEqual([]);
  });
});
