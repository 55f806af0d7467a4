/**
 * A small engine for tests of providers: it calls check, diff, create, update, delete and read in the order of Pulumi's engine, keeps
 * state as that does, and costs no process of its own. test/engine/small-engine.test.ts holds it against the real one.
 *
 * What it does as the real engine: looks at registrations one after the other, carries steps out side by side; keeps a resource's
 * state the moment its step succeeds; begins nothing new once a step failed; replaces by create, then delete; deletes last, dependents
 * first, and what it had to replace stays in state, to be deleted, until that is done.
 * What it does not: secrets (nothing leaves the process), aliases, targets, imports, `deleteBeforeReplace` and all that follows of it.
 */
import type { dynamic } from "@pulumi/pulumi";

export type Props = Record<string, unknown>;
export type Provider = dynamic.ResourceProvider<Props, Props>;

/** A provider of inputs and outputs of its own, as the engine has it, to which all are data. */
export function untyped(provider: object): Provider {
  return provider as Provider;
}

/** What a program asks for. */
export interface Registration {
  urn: string;
  /** Rejects where something that they are made of failed. */
  inputs: Props | Promise<Props>;
  /** URNs of what it waits for. */
  after: string[];
  /** Inputs that keep the value that state has. */
  ignored?: string[];
}

/** What state holds of a resource. */
export interface Kept {
  urn: string;
  id: string;
  inputs: Props;
  outputs: Props;
  after: string[];
  /** It was replaced, and is still to be deleted. */
  delete?: true;
  /** It was made, but its provider said that it is not as it should be: the next update sees to it, whatever its diff says. */
  unready?: true;
}

export interface Answer {
  id: string;
  outputs: Props;
}

/**
 * Never settles for a resource whose step failed, nor for one that is not begun any more, as the engine ends a program then. Where it
 * goes on in spite of failures it rejects for both, so that what depends on them is not asked for.
 */
export type Register = (asked: Registration) => Promise<Answer>;

export interface Outcome {
  /** By URN, why its step failed. */
  failed: Map<string, Error>;
}

export interface SmallEngineOptions {
  /** Who serves a resource. */
  providerOf: (urn: string) => Provider;
  /** What an earlier engine has left. */
  state?: readonly Kept[];
  /** Goes on with what does not depend on a failure, and deletes what nothing that failed needs. @default false */
  continueOnError?: boolean;
}

/** Ends a run as `kill -9` of the engine does: nothing that is under way gets into state. */
export class SmallEngine {
  /** The state, in the order in which it was made. */
  state: readonly Kept[];
  private readonly providerOf: (urn: string) => Provider;
  private readonly continueOnError: boolean;
  private run: Run | undefined;

  constructor({ providerOf, state = [], continueOnError = false }: SmallEngineOptions) {
    this.providerOf = providerOf;
    this.state = structuredClone(state);
    this.continueOnError = continueOnError;
  }

  /** One update: what the program registers is made so, and what it no longer registers is deleted once it has ended well. */
  async up(program: (register: Register) => Promise<unknown>): Promise<Outcome> {
    const run = new Run(this.providerOf, this.continueOnError, this.state, (state) => {
      if (this.run === run) this.state = state;
    });
    this.run = run;
    await run.finish(program(run.register));
    return { failed: run.failed };
  }

  /** The same, but rejects where a step fails, with why the first one did. */
  async finish(program: (register: Register) => Promise<unknown>): Promise<void> {
    const [error] = (await this.up(program)).failed.values();
    if (error) throw error;
  }

  /** The first resource that an update would create, update, replace or delete, and how; undefined where there is none. */
  async preview(program: (register: Register) => Promise<unknown>): Promise<string | undefined> {
    const seen = new Set<string>();
    let found: (change: string) => void = () => undefined;
    let fail: (error: unknown) => void = () => undefined;
    const change = new Promise<string>((resolve, reject) => ([found, fail] = [resolve, reject]));
    const plan: Register = async (asked) => {
      seen.add(asked.urn);
      const old = this.state.find(({ urn, delete: isOld }) => urn === asked.urn && isOld !== true);
      const planned = old && (await look(this.providerOf(asked.urn), { ...asked, inputs: await given(asked) }, old));
      if (old && planned?.op === "same") return { id: old.id, outputs: old.outputs };
      found(`${planned?.op ?? "create"} ${asked.urn}`);
      return never();
    };
    // A check that refuses ends the preview, whatever the program makes of it.
    const register: Register = (asked) =>
      plan(asked).catch((error: unknown) => {
        fail(error);
        return never();
      });
    const first = await Promise.race([change, program(register).then(() => undefined)]);
    const gone = this.state.find(({ urn, delete: isOld }) => isOld === true || !seen.has(urn));
    return first ?? (gone && `delete ${gone.urn}`);
  }

  /** Asks of each resource what is really there; what is gone leaves the state. */
  async refresh(): Promise<void> {
    const found = await Promise.all(
      this.state.map(async (kept): Promise<Kept[]> => {
        const { read } = this.providerOf(kept.urn);
        if (!read) return [kept];
        const { id, props } = await read(kept.id, kept.outputs);
        if (id === undefined || id === "") return [];
        const refreshed: Kept = { ...kept, id, outputs: wired({ ...props }) };
        // What its provider said of it before is forgotten: its diff says from now on whether it is as it should be.
        delete refreshed.unready;
        return [refreshed];
      }),
    );
    this.state = found.flat();
  }

  /** `kill -9` of the engine: what is under way is forgotten. */
  die(): void {
    this.run?.die();
    this.run = undefined;
  }
}

type Known = Omit<Registration, "inputs"> & { inputs: Props };

/** A failure came first. */
class NotBegun extends Error {}

/** One update. */
class Run {
  readonly failed = new Map<string, Error>();
  private readonly seen = new Set<string>();
  private readonly done = new Set<string>();
  private readonly steps = new Set<Promise<void>>();
  /** Registrations are looked at in turn. */
  private turn: Promise<unknown> = Promise.resolve();
  private stopped: () => void = () => undefined;
  private readonly stop = new Promise<void>((resolve) => (this.stopped = resolve));
  private markDead: () => void = () => undefined;
  private readonly death = new Promise<void>((resolve) => (this.markDead = resolve));
  private dead = false;

  constructor(
    private readonly providerOf: (urn: string) => Provider,
    private readonly continueOnError: boolean,
    private state: readonly Kept[],
    private readonly save: (state: readonly Kept[]) => void,
  ) {}

  readonly register: Register = (asked) =>
    new Promise((resolve, reject) => {
      this.carryOut(asked).then(resolve, () => {
        if (this.continueOnError) reject(new NotBegun(asked.urn));
      });
    });

  /** Waits for the program and for all that it began, then deletes. */
  async finish(program: Promise<unknown>): Promise<void> {
    await Promise.race([program, this.stop]);
    while (this.steps.size > 0 && !this.dead) await Promise.race([Promise.all(this.steps), this.death]);
    // A program that fails of itself, not of a step.
    if (this.failed.size === 0 && !this.dead) await program;
    if (this.dead || (this.failed.size > 0 && !this.continueOnError)) return;
    await this.deleteRest();
  }

  die(): void {
    this.dead = true;
    this.stopped();
    this.markDead();
  }

  private async carryOut(asked: Registration): Promise<Answer> {
    this.seen.add(asked.urn);
    // What waits for a resource that failed waits for ever: it is under way only once it has its inputs.
    const inputs = await given(asked).catch(() => undefined);
    const step = this.inTurn(asked, inputs).catch((error: unknown) => {
      this.fail(asked.urn, error);
      throw error;
    });
    const ended = step.then(
      () => undefined,
      () => undefined,
    );
    this.steps.add(ended);
    void ended.then(() => this.steps.delete(ended));
    return step;
  }

  private async inTurn(asked: Registration, inputs: Props | undefined): Promise<Answer> {
    const looked = this.turn.then(() => {
      if (!inputs || this.dead || (this.failed.size > 0 && !this.continueOnError)) throw new NotBegun(asked.urn);
      return this.step({ ...asked, inputs });
    });
    this.turn = looked.catch(() => undefined);
    const begin = await looked;
    return begin();
  }

  private fail(urn: string, reason: unknown): void {
    if (this.dead || reason instanceof NotBegun) return;
    this.failed.set(urn, reason instanceof Error ? reason : new Error(String(reason)));
    if (!this.continueOnError) this.stopped();
  }

  /** Looks at a registration; returns how to carry it out. */
  private async step(asked: Known): Promise<() => Promise<Answer>> {
    const provider = this.providerOf(asked.urn);
    const old = this.state.find(({ urn, delete: isOld }) => urn === asked.urn && isOld !== true);
    const { op, inputs } = old
      ? await look(provider, asked, old)
      : { op: "create", inputs: await checked(provider, asked) };
    const { urn, after } = asked;
    /** Keeps what the work gives; of a failure, what the provider says that it made all the same. */
    const settle = async (
      work: Promise<{ id: string; outs?: Props }>,
      given: Props,
      change: (made: Kept) => Kept[],
    ) => {
      try {
        const { id, outs = {} } = await work;
        const made = { urn, id, inputs, outputs: wired(outs), after };
        return this.keep(made, () => change(made));
      } catch (error) {
        const { id, properties } = error as { id?: string; properties?: Props };
        const made = id !== undefined && { urn, id, inputs: given, outputs: wired(properties ?? {}), after };
        if (made) this.keep(made, () => change({ ...made, unready: true }));
        throw error;
      }
    };
    if (!old) return () => settle(provider.create(inputs), inputs, (made) => [...this.state, made]);
    const others = () => this.state.filter((one) => one !== old);
    if (op === "replace")
      return () => settle(provider.create(inputs), inputs, (made) => [...others(), { ...old, delete: true }, made]);
    const update = async () => ({ id: old.id, ...(await provider.update?.(old.id, old.outputs, inputs)) });
    const work = () => (op === "update" ? update() : Promise.resolve({ id: old.id, outs: old.outputs }));
    return () => settle(work(), old.inputs, (made) => this.state.map((one) => (one === old ? made : one)));
  }

  private keep({ urn, id, outputs }: Kept, change: () => readonly Kept[]): Answer {
    if (!this.dead) {
      this.done.add(urn);
      this.state = change();
      this.save(this.state);
    }
    return { id, outputs };
  }

  /** What was replaced and what is no longer asked for: nothing goes before all that needs it has gone. */
  private async deleteRest(): Promise<void> {
    const inNeed = new Set<string>();
    if (this.failed.size > 0)
      for (const { urn, after } of [...this.state].reverse())
        if (!this.done.has(urn) || inNeed.has(urn)) for (const one of after) inNeed.add(one);
    let rest = [...this.state]
      .filter((one) => (one.delete === true || !this.seen.has(one.urn)) && !inNeed.has(one.urn))
      .reverse();
    while (rest.length > 0 && !this.dead) {
      const now = rest.filter((one) => !rest.some((other) => other !== one && other.after.includes(one.urn)));
      if (now.length === 0) throw new Error(`each of these needs another: ${rest.map(({ urn }) => urn).join()}`);
      await Promise.race([Promise.all(now.map((one) => this.deleteOne(one))), this.death]);
      if (this.failed.size > 0 && !this.continueOnError) return;
      rest = rest.filter((one) => !now.includes(one));
    }
  }

  private async deleteOne(one: Kept): Promise<void> {
    try {
      await this.providerOf(one.urn).delete?.(one.id, one.outputs);
    } catch (error) {
      this.fail(one.urn, error);
      return;
    }
    this.keep(one, () => this.state.filter((other) => other !== one));
  }
}

async function given({ inputs }: Registration): Promise<Props> {
  return inputs;
}

/** What becomes of a resource that is in state. */
async function look(
  provider: Provider,
  asked: Known,
  old: Kept,
): Promise<{ op: "same" | "update" | "replace"; inputs: Props }> {
  const kept = (asked.ignored ?? []).map((name): [string, unknown] => [name, old.inputs[name]]);
  const news = wired({ ...asked.inputs, ...Object.fromEntries(kept) });
  const inputs = await checked(provider, { ...asked, inputs: news }, old.inputs);
  if (!provider.diff) throw new Error(`${asked.urn}: a provider says itself what changes`);
  if (old.unready) return { op: "update", inputs };
  const { changes, replaces = [] } = await provider.diff(old.id, old.outputs, inputs);
  if (replaces.length > 0) return { op: "replace", inputs: await checked(provider, { ...asked, inputs: news }) };
  return { op: changes === true ? "update" : "same", inputs };
}

/** What of a program's resources is a list: each with its inputs, made of the outputs of those before it. */
export interface Listed {
  name: string;
  inputs: (outputsOf: (name: string) => Props) => Props;
  after?: string[];
}

/** Such a list as a program; a resource's name is its URN. */
export function listed(resources: readonly Listed[]): (register: Register) => Promise<void> {
  return async (register) => {
    const answers = new Map<string, Promise<Answer>>();
    const outputs = new Map<string, Props>();
    const outputsOf = (name: string): Props => {
      const found = outputs.get(name);
      if (!found) throw new Error(`nothing says that it comes after ${name}`);
      return found;
    };
    for (const { name, inputs, after = [] } of resources) {
      const waits = Promise.all(after.map(async (one) => outputs.set(one, (await answers.get(one))?.outputs ?? {})));
      answers.set(name, register({ urn: name, inputs: waits.then(() => inputs(outputsOf)), after }));
    }
    await Promise.allSettled(answers.values());
  };
}

async function checked(provider: Provider, { urn, inputs }: Known, olds: Props = {}): Promise<Props> {
  const news = wired(inputs);
  if (!provider.check) return news;
  const { inputs: said = news, failures = [] } = await provider.check(olds, news);
  if (failures.length > 0)
    throw new Error(`${urn}: ${failures.map(({ property, reason }) => `${property}: ${reason}`).join("; ")}`);
  return wired(said);
}

/** As it comes over the engine's wire: data alone, a copy, and nothing that is undefined. */
function wired(props: Props): Props {
  return JSON.parse(JSON.stringify(props)) as Props;
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}
