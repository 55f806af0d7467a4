import type * as pulumi from "@pulumi/pulumi";
import { ThinResource } from "../thin";
import type { Inputs } from "./announcement.provider";

export type AnnouncementArgs = { [K in keyof Inputs]: pulumi.Input<Inputs[K]> };

/**
 * The beginning of an update that changes stamps: tells what is about to change, then waits for `noticeMs`. Everything that
 * mints, delivers, invalidates or withdraws a credential is to depend on it. What does not need to: a Worker's code, rulesets,
 * owner roles, databases and grants change beside it. There is one a stack.
 *
 * It cannot tell whether anybody has read it, and it is told once: an update that fails later and is run again has been
 * announced. What is removed from a stack without any other edit (`pulumi destroy`) is not announced. Its first update lists
 * nothing: whether it made the credentials or found them live is not known. That does not wait, nor does a notice of more than
 * an hour, which `npm run notice` gives a day ahead, nor an emergency: a change of a name in `urgent`, one that keeps none of
 * what was live, a rollback, an invalidation or an incident that begins.
 */
export class Announcement extends ThinResource {
  constructor(name: string, args: AnnouncementArgs, opts?: pulumi.CustomResourceOptions) {
    super("Announcement", name, args, [], opts);
  }
}
