// Who may read the clock, as ESLint's own rule: the program plans the same on every day, a command is given its day at its entry, and
// a test has a day of its own. `performance.now` measures how long something takes, and is free.

const message =
  "the clock is read at a command's entry alone, main(..., new Date()); measure with performance.now(), or give it a time: eslint.clock.mjs";
const reads = [
  "NewExpression[callee.name='Date'][arguments.length=0]:not(CallExpression[callee.name='main'] > NewExpression)",
  "CallExpression[callee.name='Date']",
  "MemberExpression[object.name='Date'][property.name='now']",
  "MemberExpression[object.name='Date'][property.value='now']",
  "MemberExpression[property.name='Date']",
  "VariableDeclarator[init.name='Date']",
];

/** Each with its reason. A name that is no longer needed fails test/unit/clock-check.test.ts. */
export const MAY_READ = {
  // It writes the time of what happened, which plan and outcome do not depend on.
  "components/audit/file.ts": "the time of a row",
  "components/audit/records.ts": "the time of a record",
  "components/audit/shape.ts": "the time of a record that is no record of ours",
  "components/cloudflare/deliver.ts": "since when a Worker signs with a key",
  "components/cloudflare/keyset-steps.ts": "until when a Worker signed with a key",
  // A delivery waits until tokens have expired; a canary near its end is asked no question.
  "components/cloudflare/keyset-gate.ts": "how long tokens of a key are still to be accepted",
  "components/turso/rotate.ts": "whether a canary may have expired",
  // Runs in an application's Worker.
  "components/jws/worker.ts": "iat and exp of a token",
  "components/jws/metrics.ts": "the age of a token",
  // Tests of real waits and real times of those; each compares what was written then with the clock of the same run.
  "test/engine/keyset.test.ts": "when a key may go, by what a refusal says",
  "test/engine/off-boarding.test.ts": "the expiry of a token minted in the test",
  "test/engine/roll.test.ts": "the expiry of a token minted in the test",
  "test/engine/turso-incident.test.ts": "the expiry of a token minted in the test",
  "test/provider/keyset-crash.test.ts": "waits until a refusal says that a key may go",
  "test/provider/keyset-load.test.ts": "the age of a token signed in the test",
  "test/provider/keyset-review.test.ts": "when a key may go, by what a refusal says",
  "test/provider/keyset.test.ts": "waits until a refusal says that a key may go",
  "test/provider/keysets.ts": "when a Worker was given its keys",
  "test/provider/notify.test.ts": "when a mail came",
  "test/provider/rate-limit.test.ts": "windows of a limit begin by the clock",
  "test/provider/rounds-api.test.ts": "tokens that a real Worker checks",
  "test/provider/turso-data.test.ts": "the expiry of a token minted in the test",
  "test/support/windows.ts": "windows of a limit begin by the clock",
  "test/unit/jws.test.ts": "tokens that are checked in the test",
  "test/unit/keyset-steps.test.ts": "times written in the test",
  "test/unit/plan-keyset-gate.test.ts": "the gate of a delivery waits by the real clock",
  "test/unit/rotate-command.test.ts": "a real process with no day of its own: that it takes today's",
  "test/unit/today.test.ts": "proves the shifted clock against the machine's",
};

export const clock = [
  {
    files: ["index.ts", "components/**/*.ts", "operations/**/*.ts", "test/**/*.ts"],
    ignores: Object.keys(MAY_READ),
    rules: { "no-restricted-syntax": ["error", ...reads.map((selector) => ({ selector, message }))] },
  },
];
