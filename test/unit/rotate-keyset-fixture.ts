/** A stack file with keysets in every form, with comments in every place, and its lists of stamps. */
import { parse } from "yaml";
import { type Action, editStackFile } from "../../operations/stack-file";

export const FILE = `config:
  rollover:cloudflare: {accountId: 0123456789abcdef0123456789abcdef}
  rollover:vault: { address: https://vault.example.com }
  rollover:workers: { rounds-api: { probe: https://rounds.example.com/probe } } # asked
  rollover:credentials:
    flow: {kind: signing-keyset, maxTokenAge: 120s, backup: {vault: {path: a/flow}}, generations: ["2026-08-01", "2026-07-01"], deliver: [{ worker: rounds-api, as: KEYS }]} # one line
    block:
      kind: encryption-keyset
      maxTokenAge: 90d
      backup: { vault: { path: a/block } } # beside the others
      generations: # of the list
        # newest first
        - "2026-08-01" # by Ann
        - 2026-07-01   # by Bob
      # after the list
      deliver: [{ worker: rounds-api, as: STORE_KEYS }]
    spread:
      maxTokenAge: 120s
      backup: { vault: { path: a/spread } }
      generations: [
        # inside
        "2026-08-01", # by Ann
        '2026-07-01' # by Bob
      ] # behind
      restore: [ "2026-07-01" ] # from the backup
      kind: signing-keyset
    listed:
      kind: signing-keyset
      maxTokenAge: 120s
      generations: ["2026-08-01", "2026-07-01", "2026-06-01"] # three
      restore:
        # why
        - "2026-06-01" # June
        - "2026-07-01" # July
      backup: { vault: { path: a/listed } }
    single:
      kind: signing-keyset
      generation: 2026-08-01 # one
      maxTokenAge: 120s
      backup: { vault: { path: a/single } }
    dual: { kind: signing-keyset, shape: dual, maxTokenAge: 120s, backup: { vault: { path: a/dual } }, generations: ["2026-08-01"], deliver: [{ worker: rounds-api, as: JWT_SECRET, alsoAs: JWT_SECRET_NEW }] }
    bare: { kind: signing-keyset, maxTokenAge: 120s, generations: ["2026-08-01"] }
    key: { kind: random, generations: ["2026-08-01"] }
# the end
`;

interface Entry {
  generation?: string;
  generations?: string[];
  restore?: string[];
}

export const entriesOf = (text: string) =>
  (parse(text) as { config: { "rollover:credentials": Record<string, Entry> } }).config["rollover:credentials"];

export function listsOf(text: string, name: string): { live: string[]; restore: string[]; atOnce: boolean } {
  const { generation, generations, restore } = entriesOf(text)[name] ?? {};
  return { live: generations ?? [generation ?? ""], restore: restore ?? [], atOnce: generations === undefined };
}

export const edit = (name: string, action: Action, stamp = "2026-11-20", text = FILE) =>
  editStackFile(text, [name], action, stamp);
