import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";
import type { BindingLimits, RateLimit, Worker, WorkerCode } from "../rotation/model";
import { bindingName, limitsText } from "../rotation/rate-limits";

export interface WorkerScriptArgs {
  worker: Worker & { code: WorkerCode };
  /** The Cloudflare account that the Worker is in. */
  accountId: string;
  /** Limits that the Worker's code asks by components/cloudflare/rate-limit.ts. @default none */
  limits?: BindingLimits;
  provider: cloudflare.Provider;
}

/**
 * A Worker whose code this stack deploys: the bundled module, plain variables and rate limits. Its secrets are delivered
 * by WorkerSecrets and stay over every change here.
 *
 * It does not bundle: the file must be built before. It takes over a script of the same name, with all of its bindings but
 * the secrets, and `destroy` deletes it. A deployment makes a new version, so the counts of its rate limits may begin anew.
 * The limits count at each location of the edge for itself, in periods of 10 s or 60 s: 1 in 1 s is written as 10 in 10 s,
 * which allows a burst of 10, and anything stricter takes a Durable Object of one's own.
 *
 * ```yaml
 * rollover:workers:
 *   rounds-api:
 *     code: { file: dist/worker.mjs, compatibilityDate: "2026-07-01", compatibilityFlags: [nodejs_compat] }
 * rollover:rateLimits:
 *   rounds:
 *     means: binding
 *     worker: rounds-api
 *     routes:
 *       start: { route: POST /v1/rounds/start, limit: 10, period: 10s, per: client }
 * ```
 */
export class WorkerScript extends pulumi.ComponentResource {
  /** The script's name, which is not known before the script is there: what asks for its secrets has to wait for it. */
  readonly deployed: pulumi.Output<string>;

  constructor(name: string, args: WorkerScriptArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:cloudflare:WorkerScript", name, {}, opts);
    const { worker, limits, provider } = args;
    const { script, code } = worker;
    const made = new cloudflare.WorkersScript(
      name,
      {
        accountId: args.accountId,
        scriptName: script,
        // A path relative to the project's folder, which is where program and provider run, is the same on every machine.
        contentFile: code.file,
        contentSha256: digestOf(worker, this),
        mainModule: path.posix.basename(code.file),
        compatibilityDate: code.compatibilityDate,
        compatibilityFlags: code.compatibilityFlags,
        bindings: bindingsOf(script, code, limits?.routes ?? []),
        keepBindings: ["secret_text", "secret_key"],
      },
      { parent: this, provider },
    );
    this.deployed = pulumi.all([made.id, made.scriptName]).apply(([, scriptName]) => scriptName);
    this.registerOutputs({ deployed: this.deployed });
  }
}

type Binding = cloudflare.types.input.WorkersScriptBinding & { name: string };

/** By name, so that reordering the config file deploys nothing. */
function bindingsOf(script: string, code: WorkerCode, routes: RateLimit[]): Binding[] {
  const vars = { ...code.vars, ...(routes.length > 0 && { ROLLOVER_RATE_LIMITS: limitsText(routes) }) };
  return [
    ...Object.entries(vars).map(([name, text]) => ({ type: "plain_text", name, text })),
    ...routes.map(({ name, limit, periodMs }) => ({
      type: "ratelimit",
      name: bindingName(name),
      namespaceId: namespaceId(script, name),
      simple: { limit, period: periodMs / 1000 },
    })),
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The positive whole number that tells this limit's counters from those of every other in the account: 31 bits of a hash of
 * script and route, so it stays while the route keeps its name. That two of 100 limits meet has a chance of 1 in 400,000;
 * they would then count together.
 */
function namespaceId(script: string, route: string): string {
  const hash = createHash("sha256").update(`${script}/${route}`).digest();
  return String((hash.readUInt32BE() >>> 1) + 1);
}

function digestOf({ name, code }: Worker & { code: WorkerCode }, resource: pulumi.Resource): string {
  try {
    return createHash("sha256").update(fs.readFileSync(code.file)).digest("hex");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? "unknown reason";
    const text = `rollover:workers.${name}.code.file: ${code.file} cannot be read (${reason}); build the Worker, or correct the path`;
    throw new pulumi.ResourceError(text, resource, true);
  }
}
