/** What others do beside the program, for the engine tests: an undeclared client, another code of the Worker, a refused run. */
import * as fs from "node:fs";
import * as path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import type { Scene } from "../../local/scene";
import type { Result } from "../../local/stack";

const workerEntry = path.resolve(__dirname, "..", "..", "local", "cloud", "worker", "index.ts");

/** A run that must fail by itself (a signal does not count); all that it printed. */
export async function mustFail(run: Promise<Result>): Promise<string> {
  const { code, stdout, stderr } = await run;
  const text = stdout + stderr;
  if (code <= 0) throw new Error(`pulumi ended with ${code}, but was to fail:\n${text}`);
  return text;
}

/** A client that no config names, `reports`: it logs in anew some 15 times a second, and has done so when this returns. */
export async function startReports(
  connectionString: string,
): Promise<{ logins: () => number; stop: () => Promise<void> }> {
  let logins = 0;
  const stopping = new AbortController();
  const visit = async (): Promise<void> => {
    const client = new Client({ connectionString, application_name: "reports" });
    client.on("error", () => undefined);
    await client.connect();
    try {
      await client.query("SELECT 1");
      logins += 1;
      await pause(50);
    } finally {
      await client.end();
    }
  };
  await visit();
  const running = (async () => {
    while (!stopping.signal.aborted) await visit();
  })();
  // Reported by `stop`; until then it must not end the process.
  running.catch(() => undefined);
  return {
    logins: () => logins,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** Deploys the usual Worker by hand, with its present secrets, but for the probe: it answers this status alone. */
export async function deployWithProbeStatus(scene: Scene, status: number, script = "rounds-api"): Promise<void> {
  const entry = path.join(scene.dir, `probe-${status}.js`);
  fs.writeFileSync(
    entry,
    `import worker from ${JSON.stringify(workerEntry)};
     const fetch = (request, env, context) =>
       new URL(request.url).pathname.startsWith("/.well-known/")
         ? new Response(null, { status: ${status} })
         : worker.fetch(request, env, context);
     export default { fetch };`,
  );
  await deployByHand(scene, { entry }, script);
}

/** Deploys the usual Worker by hand, with its present secrets or others. */
export async function deployUsual(
  scene: Scene,
  secrets?: Record<string, string>,
  script = "rounds-api",
): Promise<void> {
  await deployByHand(scene, { entry: workerEntry, ...(secrets ? { secrets } : {}) }, script);
}

async function deployByHand(
  { cloud: { cloudflare } }: Scene,
  upload: { entry: string; secrets?: Record<string, string> },
  script: string,
): Promise<void> {
  await cloudflare.deploy(script, await cloudflare.upload(script, upload));
}
