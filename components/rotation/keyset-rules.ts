/** What takes a keyset's Workers, or several keysets, to see. */
import type { PlacedCredential } from "./credential";
import { deliveryOrder } from "./delivery-order";
import { isKeysetKind } from "./keyset-kinds";
import type { KeysetCredential, VaultServer, Worker } from "./model";
import { listed, show, type Problem } from "./problem";

type Refuse = (problem: Problem) => void;

interface Placed extends PlacedCredential {
  credential: KeysetCredential;
}

export function keysetRules(
  placed: PlacedCredential[],
  workers: Worker[],
  vault: VaultServer | undefined,
  refuse: Refuse,
): void {
  const all = placed.filter((entry): entry is Placed => isKeyset(entry.credential));
  for (const entry of all) {
    signers(entry, refuse);
    probed(entry, workers, refuse);
    if (entry.credential.backup && !vault) {
      const what = "needs `rollover:vault`, which is not set";
      const fix = "add it, with the address of the Vault, or remove `backup`";
      refuse({ where: `${entry.where}.backup`, what, allowed: "`rollover:vault` with address", fix });
    }
  }
  backedUpTwice(all, refuse);
  const keysets = all.map(({ deliveries }) => ({ deliver: deliveries.map(({ delivery }) => delivery) }));
  if (
    deliveryOrder(
      workers.map(({ name }) => name),
      keysets,
    )
  )
    return;
  refuse({
    where: "rollover:credentials",
    what: "has Workers that sign for one another: each would have to know the other's new key first",
    allowed: "keysets of which one Worker signs what another verifies, and not the other way round as well",
    fix: "let one Worker sign both, or give one direction a pair of Workers of its own",
  });
}

export function isKeyset(credential: { kind: string } | undefined): credential is KeysetCredential {
  return isKeysetKind(credential?.kind);
}

/** Two Workers that sign cannot be switched in one instant: what the first signs with a new key, the second has never seen. */
function signers({ where, deliveries }: Placed, refuse: Refuse): void {
  const names = (ofSigners: boolean) =>
    deliveries.flatMap(({ delivery }) =>
      delivery.worker !== undefined && (delivery.verifyOnly !== true) === ofSigners ? [delivery.worker] : [],
    );
  const several = [...new Set(names(true))];
  if (several.length > 1) {
    refuse({
      where: `${where}.deliver`,
      what: `lets ${listed(several)} sign or encrypt, and Rollover makes a new key current at one Worker`,
      allowed: "one Worker without `verifyOnly: true`",
      fix: "add `verifyOnly: true` to those that only verify, or give each Worker a keyset of its own",
    });
  }
  if (several.length === 0 && names(false).length > 0) {
    refuse({
      where: `${where}.deliver`,
      what: "is `verifyOnly` everywhere, so nobody signs or encrypts with its keys",
      allowed: "one Worker without `verifyOnly: true`",
      fix: "remove it from the Worker that signs",
    });
  }
  const twice = [...names(true), ...names(false)].filter((name, at, list) => list.indexOf(name) !== at);
  if (twice.length === 0) return;
  const fix = "keep one item a Worker";
  refuse({
    where: `${where}.deliver`,
    what: `delivers the same keyset to ${listed([...new Set(twice)])} twice`,
    allowed: "each Worker once",
    fix,
  });
}

/** Whether a Worker verifies with a new key is asked before another signs with it: nobody can be asked without a probe. */
function probed({ where, credential, deliveries }: Placed, workers: Worker[], refuse: Refuse): void {
  const names = deliveries.flatMap(({ delivery }) => delivery.worker ?? []);
  const silent = names.filter((name) => workers.some((one) => one.name === name && one.probe === undefined));
  if (silent.length === 0) return;
  refuse({
    where: `${where}.deliver`,
    what: `reaches ${listed([...new Set(silent)])}, which has no probe: nobody could say when every isolate knows a new key of ${credential.name}`,
    allowed: "Workers with `probe`",
    fix: "add the probe to the Worker (components/cloudflare/probe.ts) and `probe` to its entry under `rollover:workers`",
  });
}

/** A key that is written under another's path would be refused at the first roll of the second. */
function backedUpTwice(all: Placed[], refuse: Refuse): void {
  const taken = new Map<string, string>();
  for (const { where, credential } of all) {
    if (!credential.backup || credential.backup.path === "") continue;
    const at = `${credential.backup.mount}/${credential.backup.path}`;
    const first = taken.get(at);
    taken.set(at, first ?? credential.name);
    if (first === undefined) continue;
    const what = `is where ${first} is backed up already`;
    refuse({
      where: `${where}.backup`,
      what,
      value: show(at),
      allowed: "a path of its own",
      fix: "write another path",
    });
  }
}
