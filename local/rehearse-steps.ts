/** What is done to each kind in a rehearsal, and what must be so afterwards. */
import type { Stamp } from "../components/rotation/model";
import type { Load } from "./load";
import type { Scene } from "./scene";
import { DATABASE, deliver, invalidate, mint, statusOf, switched } from "./by-hand";
import { type Clients, type Holder, type Kind, WORKER } from "./rehearse-clients";
import { editStackFile, type Edited, invalidateIn } from "../operations/stack-file";

/** Requests that go well, or fail, before what is done by hand goes on. */
const SEEN_REQUESTS = 200;

/** One value of a credential, and somebody who holds it since. */
export interface Held {
  value: string | undefined;
  holder: Holder;
}

/** What a step works on. */
export interface Stage {
  scene: Scene;
  /** The credentials of the kind. */
  names: string[];
  side: Clients;
  load: Load;
  /** What the Worker has had so far, newest first. */
  values: Held[];
}

export interface Step {
  step: string;
  /** What is proven after it, in words. */
  proof: string;
  /** Whether requests may fail though config promises an overlap. */
  breaks?: boolean;
  /** Done before the edit, past Rollover. */
  byHand?: (stage: Stage) => Promise<void>;
  edit: (stage: Stage, text: string, today: Stamp) => Edited;
  /** So many times the requests of other steps. */
  times?: number;
  /** Whether the update makes a new value. */
  mints?: boolean;
  /** What is wrong after an update that succeeded, before the new value is held. */
  wrong: (stage: Stage) => Promise<string[]>;
}

const rotated: Omit<Step, "step"> = {
  proof: "new value in use, old one still accepted",
  edit: ({ names }, text, today) => editStackFile(text, names, "rotate", today),
  mints: true,
  wrong: async ({ side, values: [current] }) => [
    ...inUse(side.value() !== current?.value),
    ...(await accepted(current, true)),
  ],
};

const retired: Step = {
  step: "retire",
  proof: "old value refused",
  edit: ({ names }, text, today) => editStackFile(text, names, "retire", today),
  wrong: async ({ side, values: [current, previous] }) => [
    ...inUse(side.value() === current?.value),
    ...(await accepted(previous, false)),
  ],
};

/** Nobody can revoke one token alone: it is no longer delivered, and stays listed until it has expired. */
const retiredToken: Step = {
  ...retired,
  proof: "old token undelivered; it works on, and is listed with its expiry",
  wrong: async ({ scene, names, side, values: [current, previous] }) => [
    ...inUse(side.value() === current?.value),
    ...(await accepted(previous, true)),
    ...(await unlisted(scene, names)),
  ],
};

const rolledBack: Step = {
  step: "roll back",
  proof: "old value in use again, newer one still accepted",
  edit: ({ names }, text, today) => editStackFile(text, names, "rollback", today),
  wrong: async ({ side, values: [current, previous] }) => [
    ...inUse(side.value() === previous?.value),
    ...(await accepted(current, true)),
  ],
};

/** Without a previous generation there is nothing to roll back to, hence the second roll. */
function withOverlap(retirement: Step): Step[] {
  return [{ step: "roll", ...rotated }, retirement, { step: "roll again", ...rotated }, rolledBack];
}

const invalidated: Step = {
  step: "invalidate",
  proof: "every older token refused (401), new one in use; the gap is the outage",
  breaks: true,
  edit: ({ scene }, text, today) => invalidateIn(text, [groupOf(scene)], today),
  mints: true,
  wrong: async ({ scene, side, values }) => [
    ...inUse(!values.some(({ value }) => value === side.value())),
    ...(await olderWorking(scene)),
    ...((await statusOf(scene.cloud, side.value() ?? "")) === 200 ? [] : ["the new token is refused"]),
  ],
};

/**
 * The order that goes about as a rotation without downtime: mint, deliver, wait, then Turso's `auth/rotate` to end the old token.
 * It ends the new one too. Requests fail until somebody delivers a third: here an update with another stamp.
 */
const seedsOrder: Step = {
  ...invalidated,
  step: "seed's order",
  proof: "mint, deliver, wait, rotate: the new token died too, until an update repaired it",
  async byHand({ scene, side, load, values }) {
    const before = load.result().requests;
    await deliver(scene.cloud, WORKER, await mint(scene.cloud));
    values.unshift({ value: side.value(), holder: await side.hold() });
    await load.until(before + SEEN_REQUESTS);
    const { failed } = load.result();
    if (failed > 0) throw new Error(`${failed} requests failed before auth/rotate was called`);
    await invalidate(scene.cloud);
    await load.until(load.result().requests + SEEN_REQUESTS);
  },
};

/** How long isolates take to pick up new secrets; the Worker settles as long. */
const SPREAD_MS = 3000;
/** Of tokens, unless asked otherwise, over all steps together at least 20,000 are shown. */
const TOKENS = 3;

function spread(mode: "random" | "sticky"): (stage: Stage) => Promise<void> {
  return ({ scene }) => {
    scene.edit(["rollover:workers", WORKER, "settle"], `${SPREAD_MS}ms`);
    const how = { withinMs: SPREAD_MS };
    scene.cloud.cloudflare.setPropagation(mode === "random" ? { mode, ...how } : { mode, ...how, pools: POOLS });
    return Promise.resolve();
  };
}

/** A key is dropped at each isolate in its own time; nothing waits for the last, since nothing is withdrawn elsewhere. */
const dropped: Step = {
  ...retired,
  async wrong(stage) {
    await switched(stage.scene.cloud, WORKER);
    return retired.wrong(stage);
  },
};

/** More than the clients' vantages, so that signer and verifier are mostly in different ones. */
const POOLS = 16;

const keys = (steps: Step[]): Step[] => steps.map((step) => ({ ...step, times: TOKENS }));

const signingSteps: Step[] = keys([
  { step: "roll", ...rotated, byHand: spread("random") },
  dropped,
  { step: "roll again", ...rotated },
  rolledBack,
  { ...dropped, step: "retire, sticky pools", byHand: spread("sticky") },
  { step: "roll, sticky pools", ...rotated },
  { ...rolledBack, step: "roll back, sticky pools" },
]);

export const STEPS: Record<Kind, Step[]> = {
  random: withOverlap(retired),
  postgres: withOverlap(retired),
  "signing-keys": signingSteps,
  "turso-token": withOverlap(retiredToken),
  "turso-invalidate": [invalidated, seedsOrder],
};

function inUse(isRight: boolean): string[] {
  return isRight ? [] : ["the Worker does not hold the value that it should"];
}

async function accepted(held: Held | undefined, expected: boolean): Promise<string[]> {
  if ((await held?.holder.isAccepted()) === expected) return [];
  return [expected ? "the old value is refused" : "the old value still works"];
}

/** Of every token that Turso signed before it was last told to rotate, also those that nobody was given. */
async function olderWorking({ cloud }: Scene): Promise<string[]> {
  const kinds = cloud.turso.events().map(({ kind }) => kind);
  const count = kinds.slice(0, kinds.lastIndexOf("rotate")).filter((kind) => kind === "mint").length;
  const older = cloud.turso.tokensMinted().slice(0, count);
  const statuses = await Promise.all(older.map((token) => statusOf(cloud, token)));
  const working = statuses.filter((status) => status !== 401).length;
  return working === 0 ? [] : [`${working} of ${older.length} older tokens still work`];
}

/** Whether the stack's outputs name a retired token of each, and when it expires. */
async function unlisted(scene: Scene, names: string[]): Promise<string[]> {
  const { credentials, expires } = (await scene.stack.outputs()) as {
    credentials: Record<string, { retired?: string[] }>;
    expires: Record<string, Record<string, string>>;
  };
  return names.flatMap((name) => {
    const [stamp] = credentials[name]?.retired ?? [];
    const date = stamp === undefined ? undefined : expires[name]?.[stamp];
    return Date.parse(date ?? "") > Date.now() ? [] : [`the retired token of ${name} is not listed with its expiry`];
  });
}

function groupOf(scene: Scene): { kind: "group"; name: string } {
  const { [DATABASE]: database } = scene.cloud.turso.databases();
  if (!database) throw new Error(`the local Turso has no database ${DATABASE}`);
  return { kind: "group", name: database.group };
}
