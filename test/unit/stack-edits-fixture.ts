/** Random edits of a stack file that has every style of list and comments in odd places. */
import { parse } from "yaml";
import { editStackFile, Refusal } from "../../operations/stack-file";

export const EDITED_FILE = `# Who rolls what: see the README.
config:   # odd   spacing stays
  other:key:   'single quoted'


  rollover:postgres: { host: db.example.com, username: rollover_admin }
  rollover:cloudflare: {accountId: "0123456789abcdef0123456789abcdef"}
  rollover:turso: { organization: acme, databases: { rounds: { group: default } } }
  rollover:workers: { rounds-api: {} }
  rollover:credentials:
    flow: {kind: random, generations: ["2026-08-01"], deliver: []} # one line
    block:
      kind: random
      generations:
        # newest first
        - "2026-08-01"
        - 2026-07-01
      # after the list
      length: 20
    spread:
      generations: [
        "2026-08-01",
        '2026-07-01',
      ]
      kind: 'random' # quoted
    "quoted":
      "kind": random
      generations: [ 2026-08-01,  "2026-07-01" ] # two
    tokens:
      kind: turso
      database: rounds
      expiration: 90d
      generations: ["2026-08-01"]
      # what is left
      deliver: [{ worker: rounds-api, as: TOKEN }] # the only one
# the end
`;

type Action = "rotate" | "retire" | "rollback";
type Lists = Record<string, { generations: string[]; retired?: string[]; reason?: string }>;
const ACTIONS: Action[] = ["rotate", "retire", "rollback"];
const REASONS = [undefined, "plain", 'he said "no": # x', "back\\slash", "Größe", "2026-11-20"];

export function entriesOf(text: string): Lists {
  return (parse(text) as { config: { "rollover:credentials": Lists } }).config["rollover:credentials"];
}

/** Makes `count` edits, each of one to three credentials, and judges each by the lists before it. */
export function edited(count: number, seed: number) {
  const pick = numbers(seed);
  const names = Object.keys(entriesOf(EDITED_FILE));
  const done = { rotate: 0, retire: 0, rollback: 0 };
  let [text, refused] = [EDITED_FILE, 0];
  for (let tries = 0; done.rotate + done.retire + done.rollback < count; tries++) {
    if (tries > 5 * count) throw new Error(`${tries} tries, and ${refused} of them refused`);
    const before = entriesOf(text);
    const action = ACTIONS[pick(3)] ?? "rotate";
    // Long lists would reach the limits of the model, and nobody has them.
    const room = (name: string) => action !== "rotate" || (before[name]?.generations.length ?? 0) < 6;
    const chosen = names.filter((name) => pick(3) === 0 && room(name));
    const reason = REASONS[pick(REASONS.length)];
    const day = `2026-09-${String(1 + pick(28)).padStart(2, "0")}`;
    if (chosen.length === 0) continue;
    try {
      // A token that was retired is taken for expired at times, or the list would grow for ever.
      const hasExpired = () => pick(4) === 0;
      const why = reason === undefined ? {} : { reason };
      text = editStackFile(text, chosen, action, day, false, hasExpired, why).text;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refused++;
      continue;
    }
    done[action]++;
    const after = entriesOf(text);
    for (const name of names) {
      const [was, now] = [before[name]?.generations ?? [], after[name]?.generations ?? []];
      if (!chosen.includes(name)) same(after[name], before[name]);
      else if (after[name]?.reason !== reason) throw new Error(`${name} has another reason`);
      else if (action === "rotate") same(now.slice(1), was);
      else same(now, action === "retire" ? was.slice(0, -1) : [was[1], was[0], ...was.slice(2)]);
    }
  }
  return { text, done, refused };
}

export function commentsOf(text: string): string[] {
  return text.match(/#.*/g) ?? [];
}

/** Every line but those of stamps and why, without stamps and reasons. */
export function shapeOf(text: string): string[] {
  const reason = /,? reason: "(?:[^"\\]|\\.)*"/;
  return text
    .split("\n")
    .map((line) => line.replace(reason, "").replace(/(generations: )\[.*?\]/, "$1[]"))
    .filter((line) => !/^ +(- )?["']?2026-\d\d-\d\d(\.\d+)?["']?,?$|^ *$|^ +retired: \[/.test(line));
}

function same(found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`found ${a}, wanted ${b}`);
}

/** Whole numbers from 0 to below `n`, the same for a seed. */
function numbers(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 10) % n;
  };
}
