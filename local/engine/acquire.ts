/** Three ways to the Pulumi CLI: one on the PATH, the official npm package, a build from its Go module. */
import * as fs from "node:fs";
import * as path from "node:path";
import { lastLine, run } from "./process";

/** The oldest CLI that has the exit codes the project reads: facts/pulumi.md 3. */
export const OLDEST = "3.227.0";
export const NPM_VERSION = "3.265.0";
export const GO_VERSION = "3.256.0";

const GO_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";
const GO_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";
/** The first Go that can fetch the toolchain that a go.mod asks for. */
const OLDEST_GO = "1.21";
const STILL_BUSY_MS = 20_000;

export type Origin = "path" | "npm" | "go-build";

export interface Search {
  /** The folders to look in, as in PATH. */
  path: string;
  /** Where acquired engines are kept. */
  engines: string;
  /** Environment of everything that is started. */
  env: NodeJS.ProcessEnv;
  /** One line of progress. */
  log: (line: string) => void;
}

export type Acquired = { pulumi: string; version: string } | { failed: string };

/** Whether `version` is `oldest` or newer, by their numbers; a suffix such as `-dev` does not count. */
export function isAtLeast(version: string, oldest: string): boolean {
  const parts = (text: string) => (/\d+(\.\d+)*/.exec(text)?.[0] ?? "0").split(".").map(Number);
  const [have, need] = [parts(version), parts(oldest)];
  for (const [i, n] of need.entries()) if ((have[i] ?? 0) !== n) return (have[i] ?? 0) > n;
  return true;
}

/** The environment of a tool of the user's: with the tool's own settings, proxies and registries of their making. */
function withSettings(env: NodeJS.ProcessEnv, names: RegExp): NodeJS.ProcessEnv {
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => names.test(name))), ...env };
}

/** Every executable of that name, in the order of the PATH. */
export function onPath(name: string, searchPath: string): string[] {
  return searchPath
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, name))
    .filter(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).size > 0;
  } catch {
    return false;
  }
}

/** What `pulumi version` says, without the leading v; undefined when it does not run. */
async function versionOf(pulumi: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { code, stdout } = await run(pulumi, ["version"], { env, timeoutMs: 30_000 });
  return code === 0 ? /^v?(\d+\.\d+\.\d+\S*)/.exec(stdout.trim())?.[1] : undefined;
}

export async function fromPath(search: Search): Promise<Acquired> {
  const found = onPath("pulumi", search.path);
  const reasons: string[] = [];
  for (const pulumi of found) {
    const version = await versionOf(pulumi, search.env);
    if (version !== undefined && isAtLeast(version, OLDEST)) return { pulumi, version };
    reasons.push(
      version === undefined
        ? `${pulumi} does not answer \`pulumi version\``
        : `${pulumi} is v${version}; v${OLDEST} or newer is needed`,
    );
    search.log(`passed over: ${reasons.at(-1) ?? ""}`);
  }
  return { failed: found.length === 0 ? "there is none" : reasons.join("; ") };
}

const npmFolder = (engines: string) => path.join(engines, `npm-${NPM_VERSION}`);
const goBinary = (engines: string) => path.join(engines, `go-${GO_VERSION}`, "pulumi");
/** Where run.js of the npm package puts the release, when PULUMI_HOME is the folder `home` here. */
const npmBinary = (engines: string) => path.join(npmFolder(engines), "home", "versions", NPM_VERSION, "bin", "pulumi");
const npmMark = (engines: string) => path.join(npmFolder(engines), "complete");

/** What an earlier run has acquired. */
export async function fromCache(
  search: Search,
  ways: Origin[],
): Promise<{ pulumi: string; version: string; origin: Origin } | undefined> {
  const kept = [
    { pulumi: npmBinary(search.engines), origin: "npm" as const, whole: fs.existsSync(npmMark(search.engines)) },
    { pulumi: goBinary(search.engines), origin: "go-build" as const, whole: true },
  ];
  for (const { pulumi, origin, whole } of kept) {
    if (!ways.includes(origin) || !whole || !isExecutable(pulumi)) continue;
    const version = await versionOf(pulumi, search.env);
    if (version !== undefined) return { pulumi, version, origin };
  }
  return undefined;
}

/**
 * The official package downloads the official release the first time its `run.js` runs:
 * https://www.npmjs.com/package/pulumi. Its exit code 1 means that it could not, or that pulumi failed: only the file
 * tells.
 */
export async function fromNpm(search: Search): Promise<Acquired> {
  const npm = onPath("npm", search.path)[0];
  if (npm === undefined) return { failed: "there is no npm on the PATH" };
  const folder = npmFolder(search.engines);
  const home = path.join(folder, "home");
  fs.mkdirSync(home, { recursive: true });
  search.log(`fetching the official npm package pulumi ${NPM_VERSION}`);
  const flags = ["--no-audit", "--no-fund", "--no-save", "--fetch-retries=1", "--prefix", folder];
  const env = { ...withSettings(search.env, /^npm_config_/i), PULUMI_HOME: home };
  const install = await run(npm, ["install", ...flags, `pulumi@${NPM_VERSION}`], {
    cwd: folder,
    env,
    timeoutMs: 90_000,
  });
  const script = path.join(folder, "node_modules", "pulumi", "run.js");
  if (!fs.existsSync(script)) return { failed: `npm install failed: ${npmReason(install.stderr)}` };

  const pulumi = npmBinary(search.engines);
  const first = await run(process.execPath, [script, "version"], { cwd: folder, env, timeoutMs: 300_000 });
  if (!isExecutable(pulumi)) return { failed: `its download of the release failed: ${lastLine(first.stderr)}` };
  const version = await versionOf(pulumi, search.env);
  if (version === undefined) return { failed: `the release it downloaded does not run: ${lastLine(first.stderr)}` };
  fs.writeFileSync(npmMark(search.engines), `${version}\n`);
  return { pulumi, version };
}

/** npm ends with the name of a log file; the reason stands before it. */
function npmReason(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.startsWith("npm error ") && !line.includes("complete log"));
  return lines.find((line) => /code|network/.test(line))?.slice("npm error ".length) ?? lastLine(stderr);
}

/** About 3 minutes and 114 MB, once. An interrupted build goes on from Go's own caches. */
export async function fromGo(search: Search): Promise<Acquired> {
  const go = onPath("go", search.path)[0];
  if (go === undefined) return { failed: "there is no go on the PATH (Go 1.21 or newer builds it)" };
  const goVersion = /go(\d+\.\d+(\.\d+)?)/.exec(
    (await run(go, ["version"], { env: search.env, timeoutMs: 30_000 })).stdout,
  )?.[1];
  if (goVersion === undefined || !isAtLeast(goVersion, OLDEST_GO))
    return { failed: `${go} is ${goVersion ?? "of no known version"}; Go ${OLDEST_GO} or newer is needed` };

  const target = path.dirname(goBinary(search.engines));
  for (const name of fs.readdirSync(search.engines))
    if (name.startsWith("partial-")) fs.rmSync(path.join(search.engines, name), { recursive: true, force: true });
  const partial = path.join(search.engines, `partial-${process.pid}`);
  fs.mkdirSync(partial);
  search.log(`building v${GO_VERSION} from its Go module with Go ${goVersion}; about 3 minutes, once`);
  const begun = performance.now();
  const busy = setInterval(() => {
    search.log(`still building, ${Math.round((performance.now() - begun) / 1000)} s`);
  }, STILL_BUSY_MS);
  const flags = `-s -w -X ${GO_VERSION_VARIABLE}=v${GO_VERSION}`;
  const build = await run(
    go,
    [
      "build",
      "-mod=readonly",
      "-trimpath",
      "-buildvcs=false",
      "-ldflags",
      flags,
      "-o",
      path.join(partial, "pulumi"),
      GO_PACKAGE,
    ],
    {
      cwd: __dirname,
      env: { ...withSettings(search.env, /^GO[A-Z0-9]+$/), GOFLAGS: "", GOWORK: "off" },
      timeoutMs: 20 * 60_000,
    },
  );
  clearInterval(busy);
  if (build.code !== 0) return { failed: `go build failed: ${lastLine(build.stderr)}` };
  const version = await versionOf(path.join(partial, "pulumi"), search.env);
  if (version === undefined) return { failed: "the binary that was built does not run" };
  fs.rmSync(target, { recursive: true, force: true });
  fs.renameSync(partial, target);
  return { pulumi: goBinary(search.engines), version };
}
