/** A stack file with stamps in every form, odd spacing, and comments in every place. */
import { parse } from "yaml";

export const FILE = `# Who rolls what: see the README.
encryptionsalt: v1:abc=   # odd   spacing stays

config:
  other:key:   'single quoted'


  rollover:postgres: { host: db.example.com, username: rollover_admin }
  rollover:postgresPassword:
    secure: v1:ciphertext
  rollover:cloudflare: {accountId: 0123456789abcdef0123456789abcdef}
  rollover:workers: { rounds-api: {} }
  rollover:credentials:
    flow: {kind: random, generations: ["2026-08-01"], deliver: []} # one line
    block:
      kind: random
      generations:
        # newest first
        - "2026-08-01" # by Ann
        - 2026-07-01   # by Bob
      # after the list
      length: 20
    spread:
      generations: [
        "2026-08-01", # by Ann
        '2026-07-01', # by Bob
      ]
      kind: random
    single:
      kind: random
      generation: 2026-08-01 # one
    fixed:
      kind: postgres
      inPlace: true
      generations: ["2026-08-01"]
# the end
`;

export function stampsOf(text: string, name: string): string[] {
  const { config } = parse(text) as { config: { "rollover:credentials": Record<string, Record<string, unknown>> } };
  const entry = config["rollover:credentials"][name] ?? {};
  return (entry.generations ?? [entry.generation]) as string[];
}
