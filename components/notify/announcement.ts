import type * as pulumi from "@pulumi/pulumi";
import { ThinResource } from "../thin";
import type { Inputs } from "./announcement.provider";

export type AnnouncementArgs = { [K in keyof Inputs]: pulumi.Input<Inputs[K]> };

/**
 * The beginning of an update that changes stamps: tells what is about to change, then waits for `noticeMs`. Everything else is
 * to depend on it. There is one a stack.
 *
 * It cannot tell whether anybody has read it, and it is told once: an update that fails later and is run again has been
 * announced. What is removed from a stack without any other edit (`pulumi destroy`) is not announced. An emergency (a name in
 * `urgent`, a Turso target) does not wait, nor does a notice of more than an hour, which `npm run notice` gives a day ahead, nor
 * the first update.
 */
export class Announcement extends ThinResource {
  constructor(name: string, args: AnnouncementArgs, opts?: pulumi.CustomResourceOptions) {
    super("Announcement", name, args, [], opts);
  }
}
