import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import { formatDuration } from "../rotation/duration";
import { changesOf, type Stamps, type Why } from "./changes";
import type { Notifier } from "./notifier";

/** A longer notice is given by `npm run notice`, not by an update that waits. */
const LONGEST_WAIT_MS = 3_600_000;

export interface Inputs {
  stamps: Stamps;
  /** Names whose change does not wait. */
  urgent: string[];
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
      // Nobody uses yet what is made here, so nobody needs the notice.
      await notifier.tell({ event: "begin", stack: stackOf(news), changes: changesOf({}, news.stamps, why) });
      return { id: "announcement", outs: news };
    },
    async update(_id, olds, news) {
      const changes = changesOf(olds.stamps, news.stamps, why);
      const { noticeMs, urgent } = news;
      const isEmergency = changes.some(({ credential: name }) => urgent.includes(name) || name.includes("/"));
      const waits = noticeMs > 0 && noticeMs <= LONGEST_WAIT_MS && !isEmergency;
      await notifier.tell({ event: "begin", stack: stackOf(news), changes, ...(waits && { noticeMs }) });
      if (waits) {
        warn(`announced; waiting ${formatDuration(noticeMs)} (rollover:notify.notice) before anything changes`);
        await pause(noticeMs);
      }
      return { outs: news };
    },
  };
}

/** What every thin resource carries (components/thin.ts). */
export function stackOf(inputs: object): string {
  const { stack } = inputs as { stack?: unknown };
  return typeof stack === "string" ? stack : "";
}
