// Proves that an engine is had in each of the ways (PATH, npm package, Go module), at once by two, and after an
// interruption, for real. Not proven: the download of the official release where there is a network, and Go's fetch of
// the modules, since the build shares the user's Go caches.
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prepareEngine, type Engine, type EngineOptions } from "../../local/engine";
import { NPM_VERSION } from "../../local/engine/acquire";
import { ownClock } from "../../local/engine/as-of";
import { temporaryFolder } from "../../local/engine/temporary";

/** With empty Go caches a build takes some minutes. */
const BUILD_MS = 15 * 60_000;
const CLI = path.join(__dirname, "..", "..", "local", "engine", "cli.ts");

const folder = temporaryFolder("engine-test");
afterAll(() => {
  folder.remove();
});

function quiet(name: string, options: EngineOptions = {}): { options: EngineOptions; lines: string[]; cache: string } {
  const lines: string[] = [];
  const cache = folder.make(name);
  return { options: { cache, downloadPlugins: false, log: (line) => lines.push(line), ...options }, lines, cache };
}

/** `prepareEngine` in a process group of its own; `said` settles when its stderr holds the text. */
function prepareElsewhere(options: EngineOptions) {
  const child = spawn(process.execPath, ["--require", "tsx/cjs", CLI, JSON.stringify(options)], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  const closed = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once("close", (code) => {
      resolve({ code, stdout, stderr });
    });
  });
  const said = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (stderr.includes(text)) resolve();
      };
      child.stderr.on("data", look);
      child.once("close", () => {
        reject(new Error(`it ended without saying "${text}": ${stderr}`));
      });
      look();
    });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const kill = () => child.pid !== undefined && process.kill(-child.pid, "SIGKILL");
  return { closed, said, kill };
}

/** A build for the tests that need an engine to put somewhere. */
let built: Engine;
beforeAll(async () => {
  built = await prepareEngine(quiet("built", { ways: ["go-build"] }).options);
}, BUILD_MS);

describe("the build from the Go module", () => {
  it("runs, says the version it was built from, and is not built again", async () => {
    expect(built.origin).toBe("go-build");
    expect(execFileSync(built.pulumi, ["version"], { env: built.env(), encoding: "utf8" })).toBe("v3.256.0\n");
    const before = fs.statSync(built.pulumi).ino;
    const { options, lines } = quiet("built", { ways: ["go-build"] });
    expect((await prepareEngine(options)).pulumi).toBe(built.pulumi);
    expect(fs.statSync(built.pulumi).ino).toBe(before);
    expect(lines.filter((line) => line.startsWith("building"))).toEqual([]);
  });

  it("is made once when two runs start at once with an empty cache", { timeout: BUILD_MS }, async () => {
    const { cache } = quiet("both");
    const options: EngineOptions = { cache, ways: ["go-build"], downloadPlugins: false };
    const ends = await Promise.all([prepareElsewhere(options).closed, prepareElsewhere(options).closed]);
    expect(ends.map(({ code }) => code)).toEqual([0, 0]);
    const engines = ends.map(({ stdout }) => JSON.parse(stdout) as Engine);
    expect(engines[0]?.pulumi).toBe(engines[1]?.pulumi);
    expect(ends.filter(({ stderr }) => stderr.includes("building v3.256.0"))).toHaveLength(1);
    expect(fs.readdirSync(path.join(cache, "engines")).sort()).toEqual(["go-3.256.0", "lock"]);
  });

  it("is made after a run that was killed while building", { timeout: BUILD_MS }, async () => {
    const { options, cache } = quiet("killed", { ways: ["go-build"] });
    const first = prepareElsewhere({ cache, ways: ["go-build"], downloadPlugins: false });
    await first.said("building v3.256.0");
    first.kill();
    await first.closed;
    expect(fs.readdirSync(path.join(cache, "engines")).filter((name) => name.startsWith("partial-"))).toHaveLength(1);
    const engine = await prepareEngine(options);
    expect(engine.version).toBe("3.256.0");
    expect(fs.readdirSync(path.join(cache, "engines")).sort()).toEqual(["go-3.256.0", "lock"]);
  });
});

describe("a pulumi on the PATH", () => {
  it("is used; one that is too old is passed over and said so", async () => {
    const old = folder.make("old-bin");
    fs.writeFileSync(path.join(old, "pulumi"), "#!/bin/sh\necho v3.226.4\n", { mode: 0o755 });
    const good = folder.make("good-bin");
    fs.symlinkSync(built.pulumi, path.join(good, "pulumi"));
    const { options, lines } = quiet("path", { path: [old, good].join(path.delimiter) });
    const engine = await prepareEngine(options);
    expect(engine).toMatchObject({ origin: "path", pulumi: path.join(good, "pulumi"), version: "3.256.0" });
    expect(lines[0]).toBe(`passed over: ${path.join(old, "pulumi")} is v3.226.4; v3.227.0 or newer is needed`);
    expect(lines.at(-1)).toMatch(/^pulumi v3\.256\.0 \(path\), stand-ins: /);
  });

  it("is served by the hosts beside it, where it has them", async () => {
    const release = folder.make("release-bin");
    fs.copyFileSync(built.pulumi, path.join(release, "pulumi"), fs.constants.COPYFILE_FICLONE);
    for (const name of ["pulumi-language-nodejs", "pulumi-resource-pulumi-nodejs"])
      fs.writeFileSync(path.join(release, name), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const engine = await prepareEngine(quiet("beside", { path: release }).options);
    expect(engine.plugins).toMatchObject({ nodejs: "official", "pulumi-nodejs": "official", random: "stand-in" });
  });
});

describe("the npm package", () => {
  const binary = (cache: string) =>
    path.join(cache, "engines", `npm-${NPM_VERSION}`, "home", "versions", NPM_VERSION, "bin", "pulumi");

  it("serves once its release is in place", { timeout: 120_000 }, async () => {
    const { options, lines, cache } = quiet("npm", { ways: ["npm"] });
    fs.mkdirSync(path.dirname(binary(cache)), { recursive: true });
    fs.copyFileSync(built.pulumi, binary(cache), fs.constants.COPYFILE_FICLONE);
    expect(await prepareEngine(options)).toMatchObject({ origin: "npm", pulumi: binary(cache) });
    await prepareEngine(options);
    expect(lines.filter((line) => line.startsWith("fetching the official npm package"))).toHaveLength(1);
  });

  it("gives way to the Go module when no registry can be reached", { timeout: BUILD_MS }, async () => {
    const { options, lines, cache } = quiet("no-registry", { ways: ["npm", "go-build"] });
    const { npm_config_registry: registry, npm_config_cache: store } = process.env;
    process.env["npm_config_registry"] = "http://127.0.0.1:1";
    process.env["npm_config_cache"] = folder.make("npm-store");
    try {
      expect((await prepareEngine(options)).origin).toBe("go-build");
    } finally {
      restore("npm_config_registry", registry);
      restore("npm_config_cache", store);
    }
    expect(lines).toContainEqual(
      expect.stringMatching(/^the npm package pulumi 3\.265\.0: npm install failed: .*ECONNREFUSED/),
    );
    expect(fs.existsSync(binary(cache))).toBe(false);
  });

  // Where get.pulumi.com can be reached this downloads the release: either way what is said is what is so.
  it("serves if and only if its download of the release came through", { timeout: 600_000 }, async () => {
    const { options, cache } = quiet("npm-real", { ways: ["npm"] });
    const outcome = await prepareEngine(options).catch((error: unknown) => error);
    if (fs.existsSync(binary(cache))) expect(outcome).toMatchObject({ origin: "npm", version: NPM_VERSION });
    else
      expect(String(outcome)).toMatch(
        /the npm package pulumi 3\.265\.0: (its download of the release|npm install) failed: ./,
      );
  });
});

it("says of each way why it failed, and what to do", async () => {
  const { options } = quiet("nothing", { path: "" });
  await expect(prepareEngine(options)).rejects.toThrow(
    [
      "No Pulumi engine. Tried:",
      "  - pulumi v3.227.0 or newer on the PATH: there is none",
      "  - the npm package pulumi 3.265.0: there is no npm on the PATH",
      "  - a build of v3.256.0 from its Go module: there is no go on the PATH (Go 1.21 or newer builds it)",
      "Install pulumi (https://www.pulumi.com/docs/iac/download-install/) so that it is on the PATH, or Go 1.21 or newer.",
    ].join("\n"),
  );
});

it("names a Go that is too old", async () => {
  const old = folder.make("old-go");
  fs.writeFileSync(path.join(old, "go"), "#!/bin/sh\necho go version go1.19.8 linux/amd64\n", { mode: 0o755 });
  await expect(prepareEngine(quiet("old-go-cache", { path: old, ways: ["go-build"] }).options)).rejects.toThrow(
    `${path.join(old, "go")} is 1.19.8; Go 1.21 or newer is needed`,
  );
});

describe("the home", () => {
  const plugin = (home: string) => path.join(home, "plugins", "resource-random-v4.21.2", "pulumi-resource-random");

  it("keeps the user's login, state, plugins and credentials out of a run", () => {
    const { PULUMI_ACCESS_TOKEN: token } = process.env;
    process.env["PULUMI_ACCESS_TOKEN"] = "of the user";
    const env = built.env({ EXTRA: "1" });
    restore("PULUMI_ACCESS_TOKEN", token);
    expect(env).toMatchObject({ PULUMI_HOME: built.home, PULUMI_IGNORE_AMBIENT_PLUGINS: "1", EXTRA: "1" });
    expect(path.dirname(path.dirname(built.home))).toBe(folder.make("built"));
    // Under TEST_TODAY the options of Node's hold the clock.
    const own = Object.keys(env).filter((name) => /TOKEN|PASSWORD|KEY|NODE_OPTIONS/.test(name));
    expect(own).toEqual(Object.keys(ownClock()).filter((name) => name === "NODE_OPTIONS"));
  });

  it("takes an official plugin that the user has, in place of a stand-in, and changes nothing of it", async () => {
    const { options } = quiet("users-plugin", { path: path.dirname(built.pulumi) });
    expect((await prepareEngine(options)).plugins["random"]).toBe("stand-in");
    const { PULUMI_HOME: home } = process.env;
    const users = folder.make("users-home");
    fs.mkdirSync(path.dirname(plugin(users)), { recursive: true });
    fs.writeFileSync(plugin(users), "official", { mode: 0o755 });
    process.env["PULUMI_HOME"] = users;
    try {
      const engine = await prepareEngine(options);
      expect(engine.plugins).toMatchObject({ random: "official", postgresql: "stand-in" });
      expect(fs.readFileSync(plugin(engine.home), "utf8")).toBe("official");
    } finally {
      restore("PULUMI_HOME", home);
    }
    // No longer to be had: the link is replaced, not written through.
    expect((await prepareEngine(options)).plugins["random"]).toBe("stand-in");
    expect(fs.readFileSync(plugin(users), "utf8")).toBe("official");
  });

  // With a network the first run fetches them, without one it fails: the second asks for neither.
  it("tries to fetch official plugins once", { timeout: 120_000 }, async () => {
    const { options, lines } = quiet("download", { path: path.dirname(built.pulumi), downloadPlugins: true });
    const first = await prepareEngine(options);
    const fetched = lines.filter((line) => line.startsWith("fetching the official plugin"));
    expect(fetched.map((line) => line.split(" ")[4]).sort()).toEqual(["cloudflare", "command", "postgresql", "random"]);
    expect((await prepareEngine(options)).plugins).toEqual(first.plugins);
    expect(lines.filter((line) => line.startsWith("fetching the official plugin"))).toEqual(fetched);
    const isOfficial = !fs.readFileSync(plugin(first.home), "latin1").startsWith("#!/bin/sh");
    expect(first.plugins["random"]).toBe(isOfficial ? "official" : "stand-in");
  });
});

function restore(name: string, value: string | undefined): void {
  if (value === undefined) Reflect.deleteProperty(process.env, name);
  else process.env[name] = value;
}
