/**
 * For tests of a key's backup: a local Vault, the provider before it, and what became of the one backup that a test is of.
 */
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { VaultApi, VaultError } from "../../components/vault/api";
import { type Inputs, type Outputs, vaultKey } from "../../components/vault/vault-key.provider";
import { type LocalVault, startVault } from "../../local/cloud/vault";

export const key = "5e".repeat(32);
export const other = "07".repeat(32);

/** Of the test file; in each test without faults, open, and with no call made. */
export let vault: LocalVault;
let counter = 0;

/** Starts it for the tests of the suite that calls this. */
export function useVault(): void {
  beforeAll(async () => {
    vault = await startVault();
  });
  afterAll(() => vault.stop());
  beforeEach(() => {
    vault.faults.set([]);
    vault.onCall(undefined);
    vault.seal(false);
    vault.calls.length = 0;
    counter += 1;
  });
}

export const provider = (token = vault.token) => vaultKey(new VaultApi(vault, token, 700));
/** Another path for each test. */
export const inputs = (given: Partial<Inputs> = { key }): Inputs => ({
  mount: "secret",
  path: `rollover/rounds-${counter}`,
  credential: "rounds",
  stamp: "2026-11-20",
  ...given,
});
export const at = () => `secret/rollover/rounds-${counter}/2026-11-20`;
export const stored = () => vault.get(at()).map(({ data }) => data);
export const backup = { credential: "rounds", stamp: "2026-11-20", key };
export const calls = () => vault.calls.map(({ method }) => method);
/** As somebody else would, past Rollover. */
export const put = (data: Record<string, unknown>) =>
  new VaultApi(vault, vault.token).write(
    { mount: "secret", path: at().slice("secret/".length) },
    data,
    vault.get(at()).at(-1)?.version ?? 0,
  );
export const create = async (given?: Partial<Inputs>, token?: string): Promise<Outputs> =>
  (await provider(token).create(inputs(given))).outs as Outputs;
export const check = async (news: Inputs, olds: Partial<Inputs> = {}, token?: string) =>
  (await provider(token).check?.(olds as Inputs, news))?.failures ?? [];

/** The text of the VaultError that ends the work; anything else, success included, fails the test. It holds no secret. */
export async function failure(work: Promise<unknown> | undefined): Promise<string> {
  const error: unknown = await work?.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof VaultError)) throw new Error(`no VaultError, but ${String(error)}`);
  return withoutSecrets(error.message);
}
function withoutSecrets(text: string): string {
  for (const secret of [vault.token, key, other]) expect(text).not.toContain(secret);
  return text;
}
/** The one reason of a failed check, which must name a property that is public. */
export async function reason(...args: Parameters<typeof check>): Promise<string> {
  const failures = await check(...args);
  expect(failures.map(({ property }) => property)).toEqual(["path"]);
  return withoutSecrets(failures[0]?.reason ?? "");
}
export const taken = () =>
  `Vault: the backup ${at()} holds another key, and a backup is never overwritten. List the stamp under \`restore\` to use that key; ` +
  `or choose another stamp or \`backup.vault.path\`; or, if nothing that it signed or encrypted is needed, delete it (\`vault kv delete -mount=secret ${at().slice(7)}\`).`;
