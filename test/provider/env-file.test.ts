// Proves on real files what a delivery into an env file leaves there: its lines as a real `sh` and Node's loader read them, all
// other bytes as they were, mode 0600, and what becomes of them later. It does not prove what it refuses and what a kill leaves
// (env-file-refusals.test.ts), the engine's order, or other loaders than those two.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { parseEnv } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Inputs, Outputs } from "../../components/file/env-file.provider";
import {
  at,
  create,
  failuresOf,
  FILE,
  LEFTOVER,
  lines,
  mode,
  provider,
  refresh,
  remove,
  root,
  text,
  update,
  useFolder,
  warnings,
  write,
} from "./env-files";

useFolder();

const changes = async (olds: Outputs, news: Inputs) => (await provider().diff?.(olds.file, olds, news))?.changes;

/** What a shell has after reading the file, by name. */
function readBySh(names: string[], name = FILE): Record<string, string> {
  const shown = names.map((variable) => `"\${${variable}-unset}"`).join(" ");
  const out = execFileSync("sh", ["-c", `. ./${name}; printf '%s\\0' ${shown}`], { cwd: root, encoding: "utf8" });
  return Object.fromEntries(names.map((variable, index) => [variable, out.split("\0")[index] ?? ""]));
}

describe("what is written", () => {
  it("makes a file of its own, mode 0600, that sh and Node read alike, and takes it away again", async () => {
    const made = await create({ file: FILE, lines });
    expect(made).toEqual({ file: FILE, lines, made: true, drift: [] });
    expect(mode()).toBe("600");
    expect(readBySh(Object.keys(lines))).toEqual(lines);
    expect(parseEnv(text())).toEqual(lines);
    expect(fs.readdirSync(root)).toEqual([FILE]);
    await remove(made);
    expect(fs.readdirSync(root)).toEqual([]);
  });

  it("keeps every other byte, and gives back the file that there was", async () => {
    for (const others of [
      "# mine\n\nA=1\n  B = 'two # not a comment' # c\nexport C=\"x\n TURSO_AUTH_TOKEN=inside a text\ny\"\n",
      "A=1\r\n# no newline at the end\r\nB=2",
      "A=1",
      "\n",
      "",
      Buffer.from([0x23, 0xff, 0xfe, 0x0a, 0x41, 0x3d, 0xc3, 0xa4]),
    ]) {
      write(others);
      const made = await create({ file: FILE, lines });
      expect(made.made).toBe(false);
      expect(mode()).toBe("600");
      expect(parseEnv(text())).toMatchObject(lines);
      const bytes = Buffer.from(others);
      expect(fs.readFileSync(at()).subarray(0, bytes.length)).toEqual(bytes);
      await remove(made);
      expect(fs.readFileSync(at())).toEqual(bytes);
    }
  });

  it("ends lines as the file does", async () => {
    write("A=1\r\nB=2");
    await create({ file: FILE, lines: { N: "v" } });
    expect(text()).toBe("A=1\r\nB=2\r\nN=v");
  });

  it("replaces a line in its place, with its export and its comment", async () => {
    write("A=1\nexport N=old # the token\nB=2\n");
    await create({ file: FILE, lines: { N: "new" } });
    expect(text()).toBe("A=1\nexport N=new # the token\nB=2\n");
  });

  it.each(["N=old", 'N="old"', "N='o l d'", "N = old", "N= # empty", "N=", 'N="o\nl\nd"', "N=`o`", 'N="o\\"ld"'])(
    "replaces %j",
    async (line) => {
      write(`A=1\n${line}\nB=2\n`);
      await create({ file: FILE, lines: { N: "new" } });
      expect(text()).toBe(`A=1\nN=new${line.includes("#") ? " # empty" : ""}\nB=2\n`);
    },
  );

  it("makes one line of a repeated one, at the first place, so that no later one wins", async () => {
    write('N=a\nURL="x/$N"\nexport N=b\nA=1\nN=c');
    const made = await create({ file: FILE, lines: { N: "new" } });
    expect(text()).toBe('N=new\nURL="x/$N"\nA=1');
    expect(readBySh(["N", "URL"])).toEqual({ N: "new", URL: "x/new" });
    expect((await refresh(made))?.drift).toEqual([]);
  });

  it("leaves names that are only alike", async () => {
    const others = "# N=1\nNN=1\nN.X=1\nMY_N=1\nA=N=1\ntoString=theirs\nconstructor=theirs\n";
    write(others);
    await create({ file: FILE, lines: { N: "v" } });
    expect(text()).toBe(`${others}N=v\n`);
  });

  it("gives any value that it takes to sh and to Node unchanged, between lines of others", async () => {
    const taken: Record<string, string> = {};
    let refused = 0;
    const odd = fc.string({
      unit: fc.constantFrom(...Array.from("aZ9_-~:/?#&$=% '\"`\\!*(){}|<>;,.@äß\t\n")),
      maxLength: 20,
    });
    for (const value of fc.sample(fc.oneof(odd, fc.string({ unit: "grapheme" })), { numRuns: 300, seed: 4 })) {
      const name = `V${Object.keys(taken).length}`;
      if ((await failuresOf({ file: FILE, lines: { [name]: value } })).length === 0) taken[name] = value;
      else refused++;
    }
    expect(Object.keys(taken).length).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(10);
    write("FIRST='one'\n");
    await create({ file: FILE, lines: taken });
    fs.appendFileSync(at(), "LAST='two'\n");
    const expected = { FIRST: "one", ...taken, LAST: "two" };
    expect(parseEnv(text())).toEqual(expected);
    expect(readBySh(Object.keys(expected))).toEqual(expected);
  });

  it("refuses a value or name that no line can hold, by name", async () => {
    const failures = (given: Record<string, string>) => failuresOf({ file: FILE, lines: given });
    for (const value of ["secret\nB=2", "secret\0", 'it\'s "secret"', "it's $secret", "secret\\"]) {
      const said = await failures({ N: value });
      expect(said).toEqual([
        expect.stringMatching(/^the value of N for \.env\.local has control characters, or quotes/),
      ]);
      expect(said.join()).not.toContain("secret");
      await expect(create({ file: FILE, lines: { N: value } })).rejects.toThrow(/^N has characters that no line/);
    }
    expect(await failures({ "1N": "v", "N M": "v" })).toEqual([
      expect.stringContaining("1N is no name"),
      expect.stringContaining("N M is no name"),
    ]);
    expect(fs.readdirSync(root)).toEqual([]);
  });
});

describe("what changes later", () => {
  it("rolls in place and takes out what is no longer delivered, once", async () => {
    write("A=1\n");
    const first = await create({ file: FILE, lines: { N: "v1", OLD: "o" } });
    fs.appendFileSync(at(), "Z=9\n");
    const news = { file: FILE, lines: { N: "v2", NEW: "n" } };
    expect(await changes(first, news)).toBe(true);
    const second = await update(first, news);
    expect(text()).toBe("A=1\nN=v2\nZ=9\nNEW=n\n");
    expect(await changes(second, news)).toBe(false);
    expect(warnings).toEqual([]);
  });

  it("records whose generations it holds and for which stack, and an old state without that is not changed", async () => {
    const news = { file: FILE, lines: { N: "v" }, generations: '{"a":["2026-11-20"]}', stack: "prod" };
    const made = await create(news);
    expect(made).toMatchObject({ generations: '{"a":["2026-11-20"]}', stack: "prod" });
    const { generations, ...old } = made;
    expect(await changes(old, news)).toBe(false);
    expect(await update(old, { ...news, lines: { N: "w" } })).toMatchObject({ generations, stack: "prod" });
  });

  it("sees on refresh what is missing, changed or too open, and repairs it", async () => {
    const news = { file: FILE, lines: { A: "a-value", B: "b-value", C: "c-value" } };
    const made = await create(news);
    expect((await refresh(made))?.drift).toEqual([]);
    write("A=a-value\nB=b-value\nB=later\n");
    fs.chmodSync(at(), 0o640);
    fs.writeFileSync(at(LEFTOVER), "C=c-value\n");
    const seen = await refresh(made);
    expect(seen?.drift).toEqual([
      "B has another value",
      "C is missing",
      "its mode is 640",
      "a killed run left its temporary file",
    ]);
    expect(seen?.lines).toEqual(news.lines);
    expect(await changes(seen ?? made, news)).toBe(true);
    const repaired = await update(seen ?? made, news);
    expect(repaired.drift).toEqual([]);
    expect(parseEnv(text())).toEqual(news.lines);
    expect(mode()).toBe("600");
    expect(fs.readdirSync(root)).toEqual([FILE]);
  });

  it("takes a file that is gone for gone, and deletes no more of it", async () => {
    fs.mkdirSync(at("web"));
    const made = await create({ file: "web/.env", lines });
    for (const gone of ["web/.env", "web"]) {
      fs.rmSync(at(gone), { recursive: true });
      expect(await provider().read?.("web/.env", made)).toEqual({});
      await remove(made);
    }
    expect(fs.readdirSync(root)).toEqual([]);
  });

  it("leaves a value that is not its own, and says so", async () => {
    const made = await create({ file: FILE, lines: { A: "mine", B: "mine-too" } });
    write("A=somebody-else's\nB=mine-too\n");
    const rest = await update(made, { file: FILE, lines: { B: "mine-too" } });
    expect(text()).toBe("A=somebody-else's\nB=mine-too\n");
    expect(warnings).toEqual([expect.stringMatching(/^A in \.env\.local no longer has the value that was written/)]);
    await remove(rest);
    expect(text()).toBe("A=somebody-else's\n");
    expect(mode()).toBe("600");
    expect(warnings).toHaveLength(1);
  });

  it("is replaced for another file, and has nothing to compare while values are unknown", async () => {
    const made = await create({ file: FILE, lines });
    expect(await provider().diff?.(FILE, made, { file: ".env", lines })).toEqual({ changes: true, replaces: ["file"] });
    const unknown = { file: FILE, lines: "04da6b54-80e4-46f7-96ec-b56ff0331ba9" } as unknown as Inputs;
    expect(await failuresOf(unknown)).toEqual([]);
  });
});
