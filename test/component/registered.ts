/**
 * What a component registers, under Pulumi's mocks: no engine, no provider. The requests themselves are read, since mocks
 * pass neither parents nor options on.
 */
import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb";

export interface Registered {
  /** Type and name, as `random:index/randomPassword:RandomPassword key@2026-11-20`. */
  what: string;
  /** The parent's name, or "" for none. */
  parent: string;
  /** Without what every thin resource has, its loader and its stack; a secret's value stands for it. */
  inputs: Record<string, unknown>;
  /** Names of the inputs that are secret. */
  secrets: string[];
  secretOutputs: string[];
  ignored: string[];
  /** Names and types, as in `what`, of what it waits for by `dependsOn` or by its inputs. */
  after: string[];
  /** Stays when it is taken out of the program. */
  retained: boolean;
}

/** How a secret is written in a request: https://www.pulumi.com/docs/iac/concepts/secrets/ */
const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";

/** Runs `build` and waits for all that it registers, in the order of the requests. */
export async function registeredBy(build: () => unknown): Promise<Registered[]> {
  const requests: RegisterResourceRequest[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => ({
        id: `id of ${name}`,
        state: { ...(inputs as object), ...outputsOf(type, name) },
      }),
      call: () => ({}),
    },
    "rollover",
    "test",
  );
  const monitor = pulumi.runtime.getMonitor() as unknown as {
    registerResource(request: RegisterResourceRequest, callback: unknown): Promise<void>;
  };
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, callback) => {
    requests.push(request);
    return register(request, callback);
  };
  await build();
  await pulumi.runtime.disconnect();
  return requests.map(read);
}

/** An output's value, once it is known, and whether it is secret. */
export async function valueOf<T>(output: pulumi.Output<T>): Promise<{ value: T; secret: boolean }> {
  const [value, secret] = await Promise.all([
    new Promise<T>((resolve) =>
      output.apply((known) => {
        resolve(known);
      }),
    ),
    pulumi.isSecret(output),
  ]);
  return { value, secret };
}

/** What the providers would mint, told apart by name; never secret, so that a component must say it itself. */
function outputsOf(type: string, name: string): Record<string, unknown> {
  if (type.endsWith(":RandomPassword")) return { result: `password-of-${name}` };
  if (type.endsWith(":RandomId")) return { hex: `tag-of-${name}` };
  if (type.endsWith(":PostgresLogin")) return { tag: `tag-of-${name}`, debts: [] };
  if (type.endsWith(":VaultKey")) return { key: Buffer.from(`kept-${name}`).toString("hex"), drift: [] };
  if (type.endsWith(":WorkerDelivery")) return { delivery: `delivery-of-${name}`, touched: [`touched-of-${name}`] };
  if (type.endsWith(":TursoCanary")) return { canaries: {}, failures: {}, before: {}, edit: `edit-of-${name}` };
  if (type.endsWith(":TursoInvalidation")) {
    const standing = { "database:rounds": { mark: "mark-of-rounds", readOnly: "" } };
    return { standing, failures: {}, findings: {} };
  }
  if (type.endsWith(":TursoToken")) {
    const expires = `expiry-of-${name}`;
    return { jwt: `token-of-${name}`, tag: `tag-of-${name}`, expires, replacedExpire: [expires], failure: "" };
  }
  return {};
}

function read(request: RegisterResourceRequest): Registered {
  const raw = (request.getObject()?.toJavaScript() ?? {}) as Record<string, unknown>;
  const given = Object.entries(raw).filter(([key]) => key !== "__provider" && key !== "stack");
  return {
    what: `${request.getType()} ${request.getName()}`,
    parent: request.getParent().split("::")[3] ?? "",
    inputs: Object.fromEntries(given.map(([key, value]) => [key, isSecret(value) ? value.value : value])),
    secrets: given.flatMap(([key, value]) => (isSecret(value) ? [key] : [])),
    secretOutputs: request.getAdditionalsecretoutputsList(),
    ignored: request.getIgnorechangesList(),
    after: request.getDependenciesList().map((urn) => {
      const [, , type = "", name = ""] = urn.split("::");
      return `${type.split("$").slice(-1).join("")} ${name}`;
    }),
    retained: request.getRetainondelete() ?? false,
  };
}

function isSecret(value: unknown): value is { value: unknown } {
  return typeof value === "object" && value !== null && (value as Record<string, unknown>)[SIGNATURE] === SECRET;
}
