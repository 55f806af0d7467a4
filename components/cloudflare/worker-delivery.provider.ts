import { randomBytes } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import { isUnknown, sameInputs } from "../thin.provider";
import { type CloudflareApi, CloudflareError } from "./api";
import { requireDeployed } from "./worker-secret-set.provider";

export interface Inputs {
  worker: string;
  script: string;
  /** What is to be delivered, as far as config says it: names, stamps, templates. No value. */
  intent: string;
}

export interface Outputs extends Inputs {
  /** Random; another one for each intent. */
  delivery: string;
}

/** CRUD of an intended delivery; see components/cloudflare/worker-consumer.ts. */
export function workerDelivery(api: CloudflareApi): pulumi.dynamic.ResourceProvider<Inputs, Outputs> {
  const begin = (news: Inputs) => ({ ...news, delivery: randomBytes(8).toString("hex") });
  return {
    /** Looks before anything is minted: a wrong token, an unknown script or a version that is not deployed stops the preview. */
    async check(olds, news) {
      if (isUnknown(news) || sameInputs(olds, news)) return { inputs: news };
      try {
        await requireDeployed(api, news);
        return { inputs: news };
      } catch (error) {
        if (!(error instanceof CloudflareError)) throw error;
        return { inputs: news, failures: [{ property: "script", reason: error.message }] };
      }
    },
    diff: (_id, olds, news) => Promise.resolve({ changes: !sameInputs(olds, news) }),
    create: (news) => Promise.resolve({ id: news.worker, outs: begin(news) }),
    update: (_id, _olds, news) => Promise.resolve({ outs: begin(news) }),
  };
}
