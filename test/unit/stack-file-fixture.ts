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

/** A stack file with Turso tokens and targets in every form. */
export const TURSO_FILE = `config:
  rollover:cloudflare: {accountId: 0123456789abcdef0123456789abcdef}
  rollover:turso:
    organization: acme # slug
    groups:
      production:
        # only for a leak
        deleteProtection: true # always
        # invalidated: see the README
      staging: { deleteProtection: false, invalidated: 2026-08-01 } # one line
      empty:
    databases:
      rounds: { group: production }
      archive: { group: production }
      try-out: { group: staging }
      lone:
        group: lone-group
  rollover:workers: { rounds-api: {}, mailer: {} }
  rollover:credentials:
    flow: {kind: turso, database: rounds, expiration: 90d, generations: ["2026-08-01", "2026-07-01"], deliver: [{ worker: rounds-api, as: TOKEN }]} # one line
    block:
      kind: turso
      group: production
      expiration: 90d
      generations:
        # newest first
        - "2026-08-01" # by Ann
        - 2026-07-01   # by Bob
      deliver:
        - { file: .env.local, as: TOKEN }
        - { worker: mailer, as: TOKEN }
    single:
      kind: turso
      database: try-out
      expiration: 30d
      generation: 2026-08-01 # one
    kept: { kind: turso, database: rounds, expiration: 90d, generations: ["2026-08-01", "2026-07-01"], retired: [ "2026-06-01", '2026-05-01' ] }
    lines:
      kind: turso
      database: rounds
      expiration: 90d
      generations: ["2026-08-01", "2026-07-01"] # two
      # gone
      retired:
        - "2026-06-01" # June
        - "2026-05-01" # May
    spread:
      kind: turso
      database: rounds
      expiration: 90d
      generations: ["2026-08-01", "2026-07-01"]
      retired: [
        "2026-06-01", # June
        "2026-05-01", # May
      ]
    key: {kind: random, generations: ["2026-08-01"]}
# the end
`;
