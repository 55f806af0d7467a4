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
  const tell = (olds: Stamps, news: Inputs) =>
    notifier.tell({ event: "done", stack: stackOf(news), changes: changesOf(olds, news.stamps, why) });
  return {
    diff: (_id, olds, news) => Promise.resolve({ changes: !isDeepStrictEqual(olds.stamps, news.stamps) }),
    async create(news) {
      await tell({}, news);
      return { id: "completion", outs: news };
    },
    async update(_id, olds, news) {
      await tell(olds.stamps, news);
      return { outs: news };
    },
  };
}
