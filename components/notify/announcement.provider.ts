import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import { formatDuration } from "../rotation/duration";
import { changesOf, type Stamps, type Why } from "./changes";
import type { Change, Notifier } from "./notifier";

/** A longer notice is given by `npm run notice`, not by an update that waits. */
export const LONGEST_WAIT_MS = 3_600_000;

export interface Inputs {
  stamps: Stamps;
  /** Names whose change does not wait. */
  urgent: string[];
  /** Names whose every change drops what was live: that alone does not make it urgent. */
  single?: string[];
  /** Milliseconds to wait after the message. */
  noticeMs: number;
}

/** CRUD of an announcement; see components/notify/announcement.ts. The wait is the one clock here. */
export function announcement(
  notifier: Notifier,
  warn: (line: string) => void,
  why: Why = () => ({}),
): pulumi.dynamic.ResourceProvider<Inputs, Inputs> {
  return {
    // Notice and urgency say how to tell of a change, and are none.
    diff: (_id, olds, news) => Promise.resolve({ changes: !isDeepStrictEqual(olds.stamps, news.stamps) }),
    async create(news) {
      // Whether this update makes them, or they have been live for years, no state of ours says: so nothing is told as new.
      const watched = Object.keys(news.stamps).filter((name) => !isTarget(name)).length;
      await notifier.tell({ event: "begin", stack: stackOf(news), changes: [], watched });
      return { id: "announcement", outs: news };
    },
    async update(_id, olds, news) {
      const changes = changesOf(olds.stamps, news.stamps, why);
      const noticeMs = waitOf(olds, news);
      await notifier.tell({ event: "begin", stack: stackOf(news), changes, noticeMs });
      if (noticeMs > 0) {
        warn(
          `announced; waiting ${formatDuration(noticeMs)} (rollover:notify.notice) before any credential changes. ` +
            "Ctrl-C ends the update when the wait is over, with nothing minted; a second Ctrl-C ends it at once",
        );
        await pause(noticeMs);
      }
      return { outs: news };
    },
  };
}

/** How long an update of the announcement waits, in milliseconds; 0 where it does not. Pure. */
export function waitOf({ stamps }: Pick<Inputs, "stamps">, news: Inputs): number {
  const changes = changesOf(stamps, news.stamps, () => ({}));
  if (changes.length === 0 || news.noticeMs > LONGEST_WAIT_MS) return 0;
  return changes.some((change) => isEmergency(change, news)) ? 0 : news.noticeMs;
}

/** Somebody is kept out, or something that broke is taken back: each minute of notice would be one more of that. */
function isEmergency({ credential, from, to }: Change, { urgent, single = [] }: Inputs): boolean {
  // What ends at a Turso target, as an incident does, stops nothing.
  if (isTarget(credential)) return to.some((mark) => !from.includes(mark));
  const stamps = from.filter((mark) => mark !== "adopted");
  const keepsNone = stamps.length > 0 && !stamps.some((stamp) => to.includes(stamp));
  const [current = ""] = to;
  return urgent.includes(credential) || (keepsNone && !single.includes(credential)) || from.indexOf(current) > 0;
}

function isTarget(name: string): boolean {
  return name.includes("/");
}

/** What every thin resource carries (components/thin.ts). */
export function stackOf(inputs: object): string {
  const { stack } = inputs as { stack?: unknown };
  return typeof stack === "string" ? stack : "";
}
