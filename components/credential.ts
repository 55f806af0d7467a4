import * as pulumi from "@pulumi/pulumi";
import { keySetText } from "./rotation/key-texts";
import type { Delivery, KeysetCredential, Stamp } from "./rotation/model";

/** One generation of a credential, as its component hands it to consumers. */
export interface Generation {
  readonly stamp: Stamp;
  /** Random and public: what a consumer reports instead of the value. */
  readonly tag: pulumi.Output<string>;
  /** What is delivered; always a Pulumi secret. Ready only when it is proven. */
  readonly value: pulumi.Output<string>;
}

/** What every credential component is to its consumers. */
export interface Deliverable {
  readonly credential: string;
  readonly deliver: readonly Delivery[];
  /** Current first. */
  readonly generations: readonly Generation[];
  /** Whether the update that stops delivering a generation withdraws it too: then every edge location must have let go of it first. */
  readonly withdraws: boolean;
  /** Keysets: their generations are delivered together, and a new current one is announced before it is used. */
  readonly keyset?: KeysetCredential;
}

/** Where a consumer can be asked which generations it holds: recorded with each login that is delivered to it. */
export interface ConsumerRecord {
  readonly worker: string;
  readonly script: string;
  /** The probe's URL. */
  readonly url: string;
  /** The probe's bearer token, a secret. */
  readonly token: string;
}

/** A consumer's answer about one generation. */
export type Held =
  /** It does not use this generation as current. */
  | { readonly state: "free" }
  /** It reports this generation as current. */
  | { readonly state: "holds" }
  /** It gave no answer that can be read; `why` says what came. */
  | { readonly state: "silent"; readonly why: string };

/**
 * Asks a consumer whether its current generation of `credential` is the one with `tag`. Without a tag: whether it holds any
 * generation of it, as a consumer that still uses what was there before Rollover does not.
 */
export type AskConsumer = (consumer: ConsumerRecord, credential: string, tag: string | undefined) => Promise<Held>;

/**
 * Name and value of every delivery that `takes` picks, in the order of the credentials' names, so that reordering the config
 * file delivers nothing. Under `as` the current value or the whole keyset, under `previousAs` or `alsoAs` the one after it.
 */
export function valuesFor(
  credentials: readonly Deliverable[],
  takes: (to: Delivery) => boolean,
): Record<string, pulumi.Output<string>> {
  const sorted = [...credentials].sort((a, b) => (a.credential < b.credential ? -1 : 1));
  return Object.fromEntries(
    sorted.flatMap((credential) => credential.deliver.filter(takes).flatMap((to) => valuesOf(credential, to))),
  );
}

function valuesOf({ generations, keyset }: Deliverable, to: Delivery): [string, pulumi.Output<string>][] {
  const [current, previous] = generations;
  if (!current) return [];
  if (keyset?.shape === "keyset") {
    const keys = pulumi.all(generations.map(({ stamp, value }) => value.apply((hex) => ({ stamp, hex }))));
    return [[to.as, keys.apply((all) => keySetText(keyset.kind, all, current.stamp))]];
  }
  const second = to.worker === undefined ? to.previousAs : (to.alsoAs ?? to.previousAs);
  return [
    [to.as, current.value],
    ...(previous && second !== undefined ? [[second, previous.value] as [string, pulumi.Output<string>]] : []),
  ];
}
