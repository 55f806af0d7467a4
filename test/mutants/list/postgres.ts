/** Postgres logins: made, proven, retired. */
import type { Mutant } from "../mutant";

const RETIRE = "components/postgres/retire.ts";
const ROLE = "components/postgres/postgres-role.ts";

const onServer = ["test/provider/postgres-login.test.ts"];
const declared = ["test/component/postgres-role.test.ts"];

export const postgresMutants: readonly Mutant[] = [
  {
    id: "retire-asks-nobody",
    guarantee: "G5",
    fault: "a login is withdrawn without asking any consumer",
    file: RETIRE,
    text: `await askConsumers(admin, gone, mark.tag ?? "");`,
    becomes: "",
    tests: onServer,
    named: "works on while its consumer is silent or holds it",
  },
  {
    id: "retire-takes-silence-for-no",
    guarantee: "G5",
    fault: "a consumer that gives no answer counts as one that has let go",
    file: RETIRE,
    text: `if (held?.state === "silent") return`,
    becomes: `if (held?.state === "silent" && held.why === "") return`,
    tests: onServer,
    named: "works on while its consumer is silent or holds it",
  },
  {
    id: "retire-leaves-sessions",
    guarantee: "G6",
    fault: "sessions that a retired login has open go on",
    file: RETIRE,
    text: `await endSessions(client, gone.login);`,
    becomes: "",
    tests: onServer,
    named: "goes once, whichever statement of its going breaks the connection",
  },
  {
    id: "login-secrets-in-state",
    guarantee: "G7",
    fault: "a login's password stands in state in clear",
    file: "components/postgres/postgres-login.ts",
    text: `["password", "consumers"]`,
    becomes: `["consumers"]`,
    tests: declared,
    named: "declares each login with what proves and what retires it",
  },
  {
    id: "login-edit-unrecorded",
    guarantee: "G8",
    fault: "an edit of the live logins leaves no trace in state before it begins",
    file: ROLE,
    text: "keepers: { live } }",
    becomes: `keepers: { live: "" } }`,
    tests: declared,
  },
  {
    id: "mint-without-waiting",
    guarantee: "G8",
    fault: "a login is minted beside the claim that says so in state, not after it",
    file: ROLE,
    text: "dependsOn: [...owned.slice(-1), ...claim, ",
    becomes: "dependsOn: [...owned.slice(-1), ",
    tests: declared,
    named: "makes a login after its claim",
  },
];
