import type * as pulumi from "@pulumi/pulumi";
import { Keyset, type KeysetArgs } from "./keyset";

/**
 * HS256 keys for tokens that a Worker signs and verifies.
 *
 * It cannot end one token: a token works until it expires or its key is dropped. It cannot be proven against anybody either (G3
 * and G6 do not apply): the Worker alone knows its keys, and attests which it holds. Of several Workers with one keyset only one
 * may sign. With shape `dual` a Worker that knows no `kid` gets two texts, so three keys cannot live at once.
 *
 * A roll is one update: the new key is announced to every isolate before the first token is signed with it. A key is dropped only
 * when `maxTokenAge` has passed since its successor took over; `generation` in place of `generations` drops it at once, and with
 * it every token that it signed. The Worker's side is components/jws/worker.ts.
 *
 * ```yaml
 * rollover:credentials:
 *   rounds-signing:
 *     kind: signing-keyset
 *     generations: ["2026-11-20", "2026-08-01"]
 *     maxTokenAge: 120s
 *     deliver: [{ worker: rounds-api, as: JWT_KEYS }]
 * ```
 */
export class SigningKeyset extends Keyset {
  constructor(name: string, args: KeysetArgs, opts?: pulumi.ComponentResourceOptions) {
    super("rollover:keyset:SigningKeyset", name, args, opts);
  }
}
