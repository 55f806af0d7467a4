/**
 * The parts that the plan reads of what the engine writes: `pulumi preview --json`, its plan file, `pulumi stack export`.
 * Everything else in them is dropped here, so that it cannot reach the text.
 */
import { z } from "zod";

/** What the engine writes for a value that is not known before the update. */
const UNKNOWN = /04da6b54-80e4-46f7-96ec-b56ff0331ba9/g;

const summary = z.object({
  kind: z.string(),
  current: z.string(),
  /** Current first. */
  live: z.array(z.string()),
  /** Turso: no longer delivered, kept until their tokens are refused. */
  retired: z.array(z.string()).default([]),
  change: z.enum(["overlaps", "breaks at once"]),
  /** Keysets: how long what a key signed or encrypted is accepted, such as `120s`. */
  maxTokenAge: z.string().optional(),
  consumers: z.array(
    z.object({
      /** Exactly one of worker and file. */
      worker: z.string().optional(),
      file: z.string().optional(),
      as: z.string(),
      attested: z.boolean(),
    }),
  ),
  /** How old a generation may become, such as `90d`. */
  maxAge: z.string().optional(),
  reason: z.string().optional(),
  ticket: z.string().optional(),
  holders: z.array(z.string()).optional(),
});
export type Summary = z.infer<typeof summary>;

// A list that is not known yet is left out: the next plan has it.
const debts = z.record(z.string(), z.array(z.string()).catch([])).catch({});

/** As components/rotation/summary.ts has it. */
const policy = z.object({
  warnBefore: z.string(),
  overlap: z.string(),
  enforce: z.boolean(),
  freeze: z.array(z.object({ from: z.string(), to: z.string(), reason: z.string().optional() })),
});
export type PolicyOutput = z.infer<typeof policy>;

/** The stack's outputs, as index.ts exports them. */
export const outputs = z.object({
  credentials: z.record(z.string(), summary).default({}),
  debts: debts.default({}),
  abandoned: z.array(z.string()).default([]),
  /** By invalidated target, what became of the other tokens of its group. Not known before an update that invalidates. */
  findings: z.record(z.string(), z.record(z.string(), z.string())).catch({}).default({}),
  /** Undefined where the stack has none. */
  policy: policy.optional().catch(undefined),
});
export type Outputs = z.infer<typeof outputs>;

const values = z.record(z.string(), z.unknown()).default({});

const resource = z.object({
  urn: z.string(),
  type: z.string(),
  delete: z.boolean().default(false),
  retainOnDelete: z.boolean().default(false),
  inputs: values,
  outputs: values,
});
export type Resource = z.infer<typeof resource>;

const step = z.object({
  op: z.string(),
  urn: z.string(),
  oldState: resource.optional(),
  newState: resource.optional(),
});
export type Step = z.infer<typeof step>;

/** `pulumi preview --json`; it ends with the errors, where there are any. */
export const preview = z.object({
  steps: z.array(step).default([]),
  diagnostics: z.array(z.object({ message: z.string(), severity: z.string() })).default([]),
});

const deployment = z
  .object({
    resources: z.array(resource).default([]),
    pending_operations: z.array(z.object({ type: z.string(), resource })).default([]),
  })
  .nullish()
  .transform((found) => found ?? { resources: [], pending_operations: [] });

/** `pulumi stack export`; a new stack has no deployment. */
export const exported = z.object({ deployment });
export type State = z.infer<typeof deployment>;

/** `pulumi preview --save-plan`: the one place with the outputs as they will be. Secrets in it are ciphertext. */
export const planFile = z.object({
  resourcePlans: z.record(z.string(), z.object({ state: values.nullish() })),
});

/** The last part of a type token: `PostgresLogin` of `pulumi-nodejs:dynamic/postgres:PostgresLogin`. */
export function kindOf(urn: string): string {
  return urn.split("::")[2]?.split(":").at(-1) ?? "";
}

/** A resource's name: what follows the third `::` of its URN, since a name may hold one itself. */
export function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}

/** How a consumer is named: exactly one of its two is set. */
export function consumerName({ worker, file }: { worker?: string | undefined; file?: string | undefined }): string {
  return worker ?? file ?? "";
}

/** A text of the engine's for people: unknown ids are named, colours are gone. */
export function readable(text: string): string {
  return text
    .replace(UNKNOWN, "(not known yet)")
    .replace(/\u001b\[[0-9;]*m/g, "")
    .trim();
}
