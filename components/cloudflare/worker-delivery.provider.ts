import { randomBytes } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import { isUnknown, sameInputs } from "../thin.provider";
import { type CloudflareApi, CloudflareError } from "./api";
import { requireDeployed } from "./deliver";
import { removeSecrets } from "./worker-secret-set.provider";

export interface Inputs {
  worker: string;
  script: string;
  /** What is to be delivered, as far as config says it: names, stamps, templates. No value. */
  intent: string;
  /** The names of the secrets in it. */
  names: string[];
}

export interface Outputs extends Inputs {
  /** Random; another one for each intent. */
  delivery: string;
  /** The names of this intent and of the one before: a delivery that failed may have left those. */
  touched: string[];
}

/** CRUD of an intended delivery; see components/cloudflare/worker-consumer.ts. */
export function workerDelivery(
  api: CloudflareApi,
  abandon: readonly string[],
): pulumi.dynamic.ResourceProvider<Inputs, Outputs> {
  const begin = (news: Inputs, before: string[]) => ({
    ...news,
    delivery: randomBytes(8).toString("hex"),
    touched: [...new Set([...news.names, ...before])].sort(),
  });
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
    create: (news) => Promise.resolve({ id: news.worker, outs: begin(news, []) }),
    update: (_id, olds, news) => Promise.resolve({ outs: begin(news, olds.names) }),
    // Its delivery's resource is gone by now, and with it the secrets: what is still there was left by a crash.
    async delete(_id, props) {
      if (!abandon.includes(props.worker)) await removeSecrets(api, props, props.touched);
    },
  };
}
