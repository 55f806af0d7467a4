import { isDeepStrictEqual } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import { stackOf } from "./announcement.provider";
import { changesOf, type Stamps, type Why } from "./changes";
import type { Notifier } from "./notifier";

export interface Inputs {
  stamps: Stamps;
}

/** CRUD of a completion; see components/notify/completion.ts. */
export function completion(notifier: Notifier, why: Why = () => ({})): pulumi.dynamic.ResourceProvider<Inputs, Inputs> {
  return {
    diff: (_id, olds, news) => Promise.resolve({ changes: !isDeepStrictEqual(olds.stamps, news.stamps) }),
    // As the announcement's: there is nothing to compare with.
    create: (news) => Promise.resolve({ id: "completion", outs: news }),
    async update(_id, olds, news) {
      const changes = changesOf(olds.stamps, news.stamps, why);
      await notifier.tell({ event: "done", stack: stackOf(news), changes });
      return { outs: news };
    },
  };
}
