// Proves that a dynamic provider which cannot be loaded refuses every call, since Pulumi takes a `delete` that it does not find for
// done. It does not prove what the engine prints then.
import { createRequire } from "node:module";
import type * as pulumi from "@pulumi/pulumi";
import { expect, it } from "vitest";

type Loader = (kind: string) => pulumi.dynamic.ResourceProvider;
const loader = createRequire(__filename)("../../components/loader.cjs") as Loader;

const config = (values: Record<string, string>): pulumi.dynamic.Config => ({
  get: (key) => values[key],
  require: (key) => values[key] ?? "",
});

it.each(["PostgresLogin", "PostgresLoginClaim", "WorkerDelivery", "WorkerSecretSet"])(
  "%s refuses every call while its vendor's settings are missing",
  async (kind) => {
    const provider = loader(kind);
    await provider.configure?.({ config: config({}) });
    const calls = [
      () => provider.check?.({}, {}),
      () => provider.diff?.("id", {}, {}),
      () => provider.create({}),
      () => provider.read?.("id", {}),
      () => provider.update?.("id", {}, {}),
      () => provider.delete?.("id", {}),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow(/^rollover:(postgres|cloudflare) is not set/);
  },
);
