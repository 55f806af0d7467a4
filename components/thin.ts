import type * as pulumi from "@pulumi/pulumi";

/** The custom resources of this library, by the name that components/providers.ts knows them under. */
export type Kind = "PostgresLoginClaim" | "PostgresLogin" | "WorkerSecretSet";

/**
 * The provider object that Pulumi serialises into state. It holds no code of ours: `configure` loads today's module and
 * puts its methods in place, so that a code edit makes no diff, and `delete` and `refresh` of an old resource run the
 * code of the checkout, not the code that was saved with it.
 *
 * Pulumi caches the object before it awaits `configure`, so a second call may meet it half-way: all of the work is
 * done before the first promise.
 */
export function thinProvider(kind: Kind): pulumi.dynamic.ResourceProvider {
  return {
    configure(this: object, request: pulumi.dynamic.ConfigureRequest) {
      require("tsx/cjs");
      const { load } = require(process.cwd() + "/components/providers.ts") as typeof import("./providers");
      Object.assign(this, load(kind, request.config));
      return Promise.resolve();
    },
  } as pulumi.dynamic.ResourceProvider;
}
