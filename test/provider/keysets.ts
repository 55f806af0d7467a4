/**
 * A Worker of the local cloud and its keyset, on the small engine: the intent of a delivery, then the delivery. Every set of secrets
 * that the Worker was ever handed is recorded, and judged.
 */
import { randomBytes } from "node:crypto";
import { expect } from "vitest";
import { CloudflareApi, CloudflareError } from "../../components/cloudflare/api";
import type { KeysetSpec } from "../../components/cloudflare/keyset-steps";
import { workerDelivery, type Outputs as Intended } from "../../components/cloudflare/worker-delivery.provider";
import { type Inputs, type Outputs, workerSecretSet } from "../../components/cloudflare/worker-secret-set.provider";
import type { ConsumerRecord } from "../../components/credential";
import { type Key, keySetText } from "../../components/rotation/key-texts";
import type { LocalCloudflare } from "../../local/cloud/cloudflare";
import { listed, SmallEngine, untyped } from "../support/small-engine";

export const credential = "rounds-signing";

/** Thrown in place of a call, or after its effect: the process that made it is gone. */
export class Crash extends Error {}

/** The client of a process that dies at the `nth` change of secrets, `before` or `after` it took effect. */
export class DyingApi extends CloudflareApi {
  private changes = 0;

  constructor(
    cf: LocalCloudflare,
    private readonly death?: { nth: number; when: "before" | "after" },
  ) {
    super({ accountId: cf.accountId, apiUrl: cf.apiUrl }, cf.token);
  }

  override async changeSecrets(...args: Parameters<CloudflareApi["changeSecrets"]>): Promise<void> {
    this.changes += 1;
    const dies = this.changes === this.death?.nth ? this.death.when : undefined;
    if (dies === "before") throw new Crash(`before change ${this.changes}`);
    await super.changeSecrets(...args);
    if (dies === "after") throw new Crash(`after change ${this.changes}`);
  }
}

/** One set that the Worker held: the key it signs with and those it verifies with, as texts. */
export interface Held {
  at: number;
  signs: string | undefined;
  verifies: string[];
}

export class Holder {
  /** Every set since the first delivery, in order. */
  readonly held: Held[] = [];
  readonly alerts: string[] = [];
  private api: CloudflareApi;
  /** Set where the engine dies as soon as the delivery is done: it is then in no state. */
  private forgets = false;
  private readonly engine = new SmallEngine({
    providerOf: (urn) =>
      urn === "intent" ? untyped(workerDelivery(new DyingApi(this.cf), [])) : untyped(this.deliverer()),
  });
  private readonly keys = new Map<string, Key & { tag: string }>();
  readonly token = randomBytes(20).toString("hex");

  constructor(
    readonly cf: LocalCloudflare,
    readonly spec: Partial<KeysetSpec> = {},
    readonly script = "rounds-api",
    readonly change: Partial<Inputs> = {},
  ) {
    this.api = new DyingApi(cf);
  }

  /** What state holds of the delivery. */
  get olds(): Outputs | undefined {
    return this.engine.state.find(({ urn }) => urn === "delivery")?.outputs as Outputs | undefined;
  }

  /** Takes names of outputs out of state, as an earlier version of Rollover has left it. */
  without(names: string[]): void {
    const outputs = Object.fromEntries(Object.entries(this.olds ?? {}).filter(([name]) => !names.includes(name)));
    this.engine.state = this.engine.state.map((kept) => (kept.urn === "delivery" ? { ...kept, outputs } : kept));
  }

  /** Begins to record what the script is handed; one Holder a script at a time. */
  watch(): this {
    this.cf.onCall(({ phase, method, path }) => {
      if (phase === "after" && method === "PATCH" && path.includes(`/${this.script}/`)) this.record();
    });
    return this;
  }

  record(): void {
    this.held.push({ at: Date.now(), ...keysIn(this.cf.state(this.script).secrets) });
  }

  get probe(): string {
    return `${this.cf.workerUrl(this.script)}/.well-known/rollover`;
  }

  get consumer(): ConsumerRecord {
    return { worker: this.script, script: this.script, url: this.probe, token: this.token };
  }

  /** The key of a stamp, always the same one. */
  key(stamp: string): Key & { tag: string } {
    const key = this.keys.get(stamp) ?? {
      stamp,
      hex: randomBytes(32).toString("hex"),
      tag: randomBytes(8).toString("hex"),
    };
    this.keys.set(stamp, key);
    return key;
  }

  /** Shares another's keys: a Worker that verifies what that one signs. */
  sharing(other: Holder): this {
    for (const [stamp, key] of other.keys) this.keys.set(stamp, key);
    return this;
  }

  /** The text of a stamp's key as `keysIn` shows it. */
  text(stamp: string): string {
    const { hex } = this.key(stamp);
    return this.spec.shape === "dual" ? hex : Buffer.from(hex, "hex").toString("base64url");
  }

  /** What one `pulumi up` with these generations hands to the provider, but the intent. */
  inputs(stamps: string[], change: Partial<Inputs> = {}, spec: Partial<KeysetSpec> = {}): Inputs {
    const keys = stamps.map((stamp) => this.key(stamp));
    const full: KeysetSpec = {
      ...{ kind: "signing-keyset", shape: "keyset", atOnce: false, maxTokenAgeMs: 1000, drainMs: 0 },
      ...{ retireBelow: 0.05, as: "JWT_KEYS", alsoAs: "", verifyOnly: false, settleMs: 0, attestedMs: 0 },
      ...(this.spec.shape === "dual" ? { as: "JWT_SECRET", alsoAs: "JWT_SECRET_NEW" } : {}),
      ...this.spec,
      ...spec,
    };
    const names = full.shape === "dual" ? [full.as, full.alsoAs] : [full.as];
    const texts = full.shape === "dual" ? keys.map(({ hex }) => hex) : [keySetText(full.kind, keys, stamps[0] ?? "")];
    const secrets = names.flatMap((name, at): [string, string][] =>
      texts[at] === undefined ? [] : [[name, texts[at]]],
    );
    return {
      ...{ worker: this.script, script: this.script, accountId: this.cf.accountId, probe: this.probe },
      ...{ token: this.token, answers: 3, withinMs: 5000, settleMs: 0, settles: [] },
      secrets: Object.fromEntries(secrets),
      generations: JSON.stringify({ [credential]: keys.map(({ stamp, tag }) => ({ stamp, tag })) }),
      keysets: { [credential]: full },
      signers: {},
      verifiers: {},
      ...{ delivery: "", touched: [] },
      ...this.change,
      ...change,
    };
  }

  /** One `pulumi up`. Where its engine `forgets`, it dies the moment the delivery is done. */
  async up(
    stamps: string[],
    {
      api = new DyingApi(this.cf),
      forgets = false,
      intent: intended = stamps.join(),
      change = {},
      spec = {},
    }: {
      api?: CloudflareApi;
      forgets?: boolean;
      intent?: string;
      change?: Partial<Inputs>;
      spec?: Partial<KeysetSpec>;
    } = {},
  ): Promise<void> {
    [this.api, this.forgets] = [api, forgets];
    const news = this.inputs(stamps, change, spec);
    // Another intent is another delivery, also of the same stamps.
    const intent = { worker: this.script, script: this.script, intent: intended, names: namesIn(news) };
    await this.engine.finish(
      listed([
        { name: "intent", inputs: () => intent },
        {
          name: "delivery",
          after: ["intent"],
          inputs: (outputsOf) => {
            const { delivery, touched } = outputsOf("intent") as unknown as Intended;
            return { ...news, delivery, touched };
          },
        },
      ]),
    );
  }

  /** `pulumi refresh`. */
  refresh(): Promise<void> {
    return this.engine.refresh();
  }

  /** The delivery's provider, as the update that runs has it. */
  private deliverer(): object {
    const alert = (line: string) => {
      this.alerts.push(line);
      return Promise.resolve();
    };
    const provider = workerSecretSet(this.api, [], () => undefined, alert);
    if (!this.forgets) return provider;
    const dying =
      <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        const done = await call(...args);
        this.engine.die();
        return done;
      };
    return { ...provider, create: dying(provider.create), ...(provider.update && { update: dying(provider.update) }) };
  }

  /** A Worker that holds `lists` in turn, each one `up` later than the one before, all of it attested. */
  async through(...lists: string[][]): Promise<this> {
    for (const list of lists) await this.up(list);
    return this;
  }

  /** The stamps of the key that signs and of all that verify, of each set in order: `b<a,b`. */
  sequence(): string[] {
    const stampOf = (text: string | undefined) =>
      [...this.keys.keys()].find((stamp) => this.text(stamp) === text) ?? "?";
    return this.held.map(({ signs, verifies }) => `${stampOf(signs)}<${verifies.map(stampOf).sort().join()}`);
  }

  /** Fails where a token that an overlap protects is refused by a set that is served while the token lives. */
  expectSafe(maxTokenAgeMs = 1000): void {
    this.held.forEach((set, at) => {
      const next = this.held[at + 1];
      if (set.signs === undefined || next === undefined) return;
      // Both are served for a while: what either signs, the other meets.
      expect(next.verifies, `set ${at + 1} of ${this.sequence().join(" ")}`).toContain(set.signs);
      expect(set.verifies, `set ${at} of ${this.sequence().join(" ")}`).toContain(next.signs);
      const alive = this.held.slice(at + 1).filter((later) => later.at < next.at + maxTokenAgeMs);
      for (const later of alive)
        expect(later.verifies, `a set within ${maxTokenAgeMs} ms in ${this.sequence().join(" ")}`).toContain(set.signs);
    });
  }
}

/** The secrets that a keyset stands in, also where there are fewer keys than names. */
function namesIn({ keysets }: Inputs): string[] {
  return Object.values(keysets).flatMap(({ as, alsoAs }) => (alsoAs === "" ? [as] : [as, alsoAs]));
}

/** Reads the secrets as a Worker does: either shape. */
export function keysIn(secrets: Record<string, string>): Omit<Held, "at"> {
  const { JWT_KEYS: set, JWT_SECRET: first, JWT_SECRET_NEW: second } = secrets;
  if (set === undefined) return { signs: first, verifies: [first, second].filter((text) => text !== undefined) };
  const { active, keys } = JSON.parse(set) as { active: string; keys: { kid: string; k: string }[] };
  return { signs: keys.find(({ kid }) => kid === active)?.k, verifies: keys.map(({ k }) => k) };
}

/** The text of the CloudflareError that ends the work; anything else, success included, fails the test. */
export async function refusal(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CloudflareError)) throw new Error(`no CloudflareError, but ${String(error)}`);
  return error.message;
}
