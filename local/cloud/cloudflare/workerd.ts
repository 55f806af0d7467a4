/** One version of a Worker, really running: a workerd process of its own, since changing a running one drops requests. */
import { build } from "esbuild";
import * as http from "node:http";
import { createRequire } from "node:module";
import type { Readable } from "node:stream";
import { workersClock } from "../../engine/as-of";
import { supervisor } from "../supervise";

export interface Instance {
  versionId: string;
  port: number;
  /** Connections of the front to this instance. */
  agent: http.Agent;
  /** Requests that it is answering. */
  inFlight: number;
  dispose(): Promise<void>;
}

/** How a version runs, apart from its code, variables and secrets. */
export interface Runtime {
  compatibilityDate: string;
  compatibilityFlags: string[];
  /** By the binding's name. Counts live in the version's own process. */
  rateLimits: Record<string, RateLimitBinding>;
}

export interface RateLimitBinding {
  namespace_id: string;
  simple: { limit: number; period: 10 | 60 };
}

export const STANDARD_RUNTIME: Runtime = {
  compatibilityDate: "2026-07-01",
  compatibilityFlags: ["nodejs_compat"],
  rateLimits: {},
};

/** Loaded when the first Worker starts: it costs more than every other server's start. */
const miniflare = () => import("miniflare");

/** The binary that miniflare brings. */
const { default: workerd } = createRequire(require.resolve("miniflare"))("workerd") as { default: string };

/** The code throws at its start, or never answers. */
export class WorkerStartError extends Error {}

const bundles = new Map<string, Promise<string>>();

/** Bundles a Worker's entry file for workerd, once a process. */
export function bundle(entry: string): Promise<string> {
  const made = bundles.get(entry) ?? makeBundle(entry);
  bundles.set(entry, made);
  return made;
}

async function makeBundle(entry: string): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    platform: "node",
    // `workerd` selects the drivers' own builds for Workers.
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["browser", "module", "main"],
    external: ["node:*", "cloudflare:*"],
    logLevel: "silent",
  });
  return result.outputFiles[0]?.text ?? "";
}

/** Starts the code with its variables and secrets, and returns once it has answered a request. */
export async function boot(
  versionId: string,
  code: string,
  bindings: Record<string, string>,
  { compatibilityDate, compatibilityFlags, rateLimits }: Runtime,
): Promise<Instance> {
  const { Miniflare, NoOpLog } = await miniflare();
  process.env.MINIFLARE_WORKERD_PATH = supervisor().launcher(workerd);
  let output = "";
  const { TMPDIR } = process.env;
  // Its temporary folder is to go with ours, also when the process is killed; the constructor chooses it.
  process.env.TMPDIR = supervisor().dir;
  const runtime = new Miniflare({
    modules: true,
    script: workersClock() + code,
    compatibilityDate,
    compatibilityFlags,
    bindings,
    ratelimits: rateLimits,
    host: "127.0.0.1",
    port: 0,
    // Without this it asks the vendor for the properties of a request.
    cf: false,
    telemetry: { enabled: false },
    log: new NoOpLog(),
    handleRuntimeStdio(stdout: Readable, stderr: Readable) {
      stdout.resume();
      stderr.on("data", (chunk: Buffer) => (output = (output + chunk.toString()).slice(-2000)));
    },
  });
  if (TMPDIR === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = TMPDIR;
  const dispose = async (): Promise<void> => {
    await runtime.dispose();
    supervisor().sweep();
  };
  try {
    const { port } = await runtime.ready;
    const agent = new http.Agent({ keepAlive: true, timeout: 2000 });
    await preflight(Number(port), agent);
    return {
      versionId,
      port: Number(port),
      agent,
      inFlight: 0,
      async dispose() {
        agent.destroy();
        await dispose();
      },
    };
  } catch (error) {
    // It rejects with the same error when the process never ran.
    await dispose().catch(() => undefined);
    const reason = output || (error instanceof Error ? error.message : "no reason given");
    throw new WorkerStartError(`the Worker did not start: ${reason}`, { cause: error });
  }
}

/** Any answer shows that the code runs: the first request is what starts the isolate. */
async function preflight(port: number, agent: http.Agent): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    http
      .get({ host: "127.0.0.1", port, agent, path: "/.local-cloud/preflight", timeout: 10_000 }, (response) => {
        response.resume().on("end", resolve);
      })
      .on("timeout", () => {
        reject(new Error("no answer to its first request within 10 s"));
      })
      .on("error", reject);
  });
}
