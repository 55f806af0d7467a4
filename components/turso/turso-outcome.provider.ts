import type * as pulumi from "@pulumi/pulumi";

export interface Inputs {
  organization: string;
  /** One text for each target or token that failed; empty when all went well. */
  failures: string[];
}

/** CRUD of an update's outcome; see components/turso/turso-outcome.ts. */
export function tursoOutcome(): pulumi.dynamic.ResourceProvider<Inputs, Inputs> {
  const judge = ({ failures }: Inputs): void => {
    if (failures.length === 0) return;
    throw new Error(
      [
        `${failures.length} invalidation${failures.length === 1 ? "" : "s"} failed; everything else of this update is done and delivered:`,
        ...failures.map((failure) => `- ${failure}`),
        "Correct the cause and run the update again: it does only what is missing.",
      ].join("\n"),
    );
  };
  return {
    diff: (_id, _olds, news) => Promise.resolve({ changes: news.failures.length > 0 }),
    create(news) {
      judge(news);
      return Promise.resolve({ id: news.organization, outs: news });
    },
    update(_id, _olds, news) {
      judge(news);
      return Promise.resolve({ outs: news });
    },
  };
}
