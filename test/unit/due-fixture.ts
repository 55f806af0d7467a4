/** A stack file with a policy, holders, and credentials of every kind in every style of list. */
export const DUE_FILE = `# Rolled by policy: see the page.
config:
  rollover:policy:
    maxAge: { default: 60d, signingKeys: 90d } # by kind
    warnBefore: 14d
    overlap: 5d
    freeze:
      - { from: 2026-03-01, to: 2026-03-21, reason: sale }
      - { from: 2026-12-20, to: 2027-01-06 } # the holidays
  rollover:postgres: { host: db.example.com, username: rollover_admin }
  rollover:cloudflare: { accountId: 0123456789abcdef0123456789abcdef }
  rollover:vault: { address: "https://vault.example.com" }
  rollover:turso:
    organization: acme
    databases:
      rounds: { group: production } # the only one
  rollover:workers: { api: { probe: "https://api.example.com/.well-known/rollover" } }
  rollover:credentials:
    flow: { kind: random, generations: ["2026-01-01"], holders: [a@example.com, b@example.com] } # one line
    block:
      kind: postgres # the first database
      holders:
        - a@example.com # until May
        - b@example.com
      generations:
        # newest first
        - "2026-01-01" # by Ann
    spread:
      generations: [
        "2026-01-01", # by Ann
      ]
      kind: random
      maxAge: 45d # shorter than others
    tokens:
      kind: turso
      database: rounds
      expiration: 90d
      generations: ["2026-01-01"] # then retired
      holders: [a@example.com]
      deliver: [{ worker: api, as: TURSO_AUTH_TOKEN }]
    single: { kind: random, generation: 2026-01-01 } # breaks at once
    signing:
      kind: signing-keyset
      maxTokenAge: 2m
      holders: ["a@example.com"]
      backup: { vault: { path: rollover/signing } }
      generations: ["2026-01-01"] # never fewer
      deliver: [{ worker: api, as: JWT_KEYS }]
# the end
`;
