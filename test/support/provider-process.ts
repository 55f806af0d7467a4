/**
 * The process of the dynamic providers for the small engine: components/providers.ts behind messages in place of the engine's wire,
 * so that it can be killed as the real one can. Started by small-scene.ts, as one bundled file.
 */
import { load } from "../../components/providers";
import type { Kind } from "../../components/thin";
import type { Provider } from "./small-engine";

export interface Call {
  number: number;
  kind: Kind;
  method: "check" | "diff" | "create" | "update" | "delete" | "read";
  args: unknown[];
}
/** `more` is what an error carries beside its text. */
export type Reply = { number: number; result?: unknown } | { number: number; error: string; more: object };

/** The stack's config, as the engine hands it over decrypted. */
const config = JSON.parse(process.env["SMALL_ENGINE_CONFIG"] ?? "{}") as Record<string, string>;
const providers = new Map<Kind, Provider>();

process.on("message", (call: Call) => {
  void answer(call).then((reply) => process.send?.(reply));
});

// The engine is gone.
process.once("disconnect", () => process.exit(0));

async function answer({ number, kind, method, args }: Call): Promise<Reply> {
  try {
    const provider = providers.get(kind) ?? load(kind, { get, require: required });
    providers.set(kind, provider);
    const work = provider[method] as ((...args: unknown[]) => Promise<unknown>) | undefined;
    return { number, result: (await work?.(...args)) ?? unchanged(method, args) };
  } catch (error) {
    const { message, ...more } = error as Error;
    return { number, error: message, more };
  }
}

/** What the SDK answers for a method that a provider lacks. */
function unchanged(method: Call["method"], args: unknown[]): unknown {
  if (method === "check") return { inputs: args[1] };
  if (method === "read") return { id: args[0], props: args[1] };
  return {};
}

function get(key: string): string | undefined {
  return config[key];
}

function required(key: string): string {
  const value = get(key);
  if (value === undefined) throw new Error(`missing required configuration key: ${key}`);
  return value;
}
