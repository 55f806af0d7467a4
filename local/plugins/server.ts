/**
 * A resource plugin as the engine starts it: a gRPC ResourceProvider on a free loopback port, which it prints as its
 * first line. Stands in for an official plugin of the same name where that cannot be had; facts in the official
 * protocol: pulumi/proto/pulumi/provider.proto.
 *
 * What it cannot do: schemas, functions, components, autonaming, and import by id where a type's `read` needs state.
 */
import type { sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";
import type * as m from "@pulumi/pulumi/proto/provider_pb";
import type { Difference, Failure, ResourceType } from "./resource";
import { checkInputs, difference, plan, previewCreate, refreshedInputs } from "./resource";
import { empties, grpc, messages, pluginMessages, services } from "./sdk";
import type { Properties } from "./wire";
import { decode, encode, equal, isUnknown } from "./wire";

export interface Provider {
  /** The npm package whose resources are served, `@pulumi/random`; the engine asks for a plugin of its version. */
  package: { name: string; version: string };
  types: ResourceType[];
  /** Names of provider inputs that are always secret. */
  secretConfig: string[];
  /** What is wrong with the provider's inputs, which arrive as text. Unknown ones are left out. */
  checkConfig?(config: Properties): Failure[];
  configure?(config: Properties): void;
}

/** Serves until the engine says SIGINT or goes away. */
export async function serve(provider: Provider): Promise<void> {
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
  // An answer in progress is sent before the end; a peer that is gone must not hold it up.
  const calls = new Calls(() => {
    server.tryShutdown(() => process.exit(0));
    setTimeout(() => process.exit(0), 1000);
  });
  server.addService(services.ResourceProviderService, handlers(provider, calls));
  endWithTheEngine(calls);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  process.stdout.write(`${port}\n`);
}

/** Counts calls in progress, so that a plugin whose engine died finishes what it has begun, and then ends. */
class Calls {
  #running = 0;
  #ended = false;

  constructor(private readonly exit: () => void) {}

  handle<Q, A>(work: (request: Q) => A | Promise<A>): (call: ServerUnaryCall<Q, A>, reply: sendUnaryData<A>) => void {
    return (call, reply) => {
      this.#running += 1;
      Promise.resolve(call.request)
        .then(work)
        .then(
          (answer) => {
            reply(null, answer);
          },
          (error: unknown) => {
            const message = error instanceof Error ? error.message : String(error);
            reply({ code: grpc.status.UNKNOWN, message });
          },
        )
        .finally(() => {
          this.#running -= 1;
          if (this.#ended && this.#running === 0) this.exit();
        });
    };
  }

  end(): void {
    this.#ended = true;
    if (this.#running === 0) this.exit();
  }
}

/** Without the first, a killed engine leaves its plugins behind; without the second, it waits 5 s and fails the run. */
function endWithTheEngine(calls: Calls): void {
  process.stdin.once("close", () => {
    calls.end();
  });
  process.stdin.resume();
  process.once("SIGINT", () => process.exit(0));
}

function handlers(provider: Provider, calls: Calls) {
  const types = new Map(provider.types.map((type) => [type.token, type]));
  const typeOf = (urn: string): ResourceType => {
    // A URN is `urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME`.
    const token = urn.split("::")[2]?.split("$").at(-1) ?? urn;
    const type = types.get(token);
    if (type !== undefined) return type;
    const known = [...types.keys()].join(", ");
    throw new Error(`The stand-in for ${provider.package.name} has no resource type ${token}; it has ${known}.`);
  };
  return {
    getPluginInfo: calls.handle(() =>
      new pluginMessages.PluginInfo().setVersion(provider.package.version.replace(/^v/, "")),
    ),
    cancel: calls.handle(() => new empties.Empty()),

    checkConfig: calls.handle((request: m.CheckRequest) => {
      const { values, secrets } = decode(request.getNews());
      for (const name of provider.secretConfig) secrets.add(name);
      const failures = provider.checkConfig?.(known(values)) ?? [];
      return checkResponse(values, secrets, failures);
    }),
    diffConfig: calls.handle((request: m.DiffRequest) => {
      const olds = decode(request.getOldInputs() ?? request.getOlds()).values;
      const news = decode(request.getNews()).values;
      const names = new Set([...Object.keys(olds), ...Object.keys(news)]);
      const changed = [...names].filter((name) => !name.startsWith("__") && !equal(olds[name], news[name]));
      return diffResponse({ changed, replaces: [] }, false);
    }),
    configure: calls.handle((request: m.ConfigureRequest) => {
      provider.configure?.(known(decode(request.getArgs()).values));
      return new messages.ConfigureResponse().setAcceptsecrets(true).setSupportspreview(true);
    }),

    check: calls.handle((request: m.CheckRequest) => {
      const { values, secrets } = decode(request.getNews());
      const checked = checkInputs(typeOf(request.getUrn()), values);
      return checkResponse(checked.inputs, secrets, checked.failures);
    }),
    diff: calls.handle((request: m.DiffRequest) => {
      const type = typeOf(request.getUrn());
      const [olds, news] = [decode(request.getOlds()).values, decode(request.getNews()).values];
      const found = difference(type, olds, news, request.getIgnorechangesList());
      return diffResponse(found, type.deleteBeforeReplace ?? false);
    }),
    create: calls.handle(async (request: m.CreateRequest) => {
      const type = typeOf(request.getUrn());
      const { values, secrets } = decode(request.getProperties());
      const hidden = [...secrets, ...type.secrets];
      if (request.getPreview()) {
        return new messages.CreateResponse().setProperties(encode(previewCreate(type, values), hidden));
      }
      const { id, outputs } = await type.create(plan(type, values));
      return new messages.CreateResponse().setId(id).setProperties(encode(outputs, hidden));
    }),
    update: calls.handle(async (request: m.UpdateRequest) => {
      const type = typeOf(request.getUrn());
      const olds = decode(request.getOlds()).values;
      const { values, secrets } = decode(request.getNews());
      const planned = { ...olds, ...plan(type, values) };
      if (type.update === undefined) throw new Error(`${type.token} cannot be updated in place.`);
      const outputs = request.getPreview() ? planned : await type.update(olds, planned);
      return new messages.UpdateResponse().setProperties(encode(outputs, [...secrets, ...type.secrets]));
    }),
    delete: calls.handle(async (request: m.DeleteRequest) => {
      const type = typeOf(request.getUrn());
      await type.delete?.(decode(request.getProperties()).values);
      return new empties.Empty();
    }),
    read: calls.handle(async (request: m.ReadRequest) => {
      const type = typeOf(request.getUrn());
      const state = decode(request.getProperties());
      const outputs = await type.read(request.getId(), state.values);
      if (outputs === undefined) return new messages.ReadResponse();
      const inputs = decode(request.getInputs());
      return new messages.ReadResponse()
        .setId(request.getId())
        .setProperties(encode(outputs, [...state.secrets, ...type.secrets]))
        .setInputs(encode(refreshedInputs(type, inputs.values, outputs), [...inputs.secrets, ...type.secrets]));
    }),
  };
}

function known(values: Properties): Properties {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => !isUnknown(value)));
}

function checkResponse(inputs: Properties, secrets: Iterable<string>, failures: Failure[]): m.CheckResponse {
  const listed = failures.map(({ property, reason }) =>
    new messages.CheckFailure().setProperty(property).setReason(reason),
  );
  return new messages.CheckResponse().setInputs(encode(inputs, secrets)).setFailuresList(listed);
}

function diffResponse({ changed, replaces, details }: Difference, deleteFirst: boolean): m.DiffResponse {
  const { DIFF_NONE, DIFF_SOME } = messages.DiffResponse.DiffChanges;
  const response = new messages.DiffResponse()
    .setChanges(changed.length > 0 ? DIFF_SOME : DIFF_NONE)
    .setDiffsList(changed)
    .setReplacesList(replaces)
    .setDeletebeforereplace(deleteFirst && replaces.length > 0)
    .setHasdetaileddiff(details !== undefined);
  const { ADD, ADD_REPLACE, DELETE, DELETE_REPLACE, UPDATE, UPDATE_REPLACE } = messages.PropertyDiff.Kind;
  const kinds = {
    add: [ADD, ADD_REPLACE],
    delete: [DELETE, DELETE_REPLACE],
    update: [UPDATE, UPDATE_REPLACE],
  } as const;
  for (const [path, change] of details ?? []) {
    const replacing = replaces.some((name) => path === name || path.startsWith(`${name}[`));
    const kind = kinds[change][replacing ? 1 : 0];
    response.getDetaileddiffMap().set(path, new messages.PropertyDiff().setKind(kind));
  }
  return response;
}
