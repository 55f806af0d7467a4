/** Talks to a stand-in plugin as the engine does, for tests that need no engine. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as path from "node:path";
import { createInterface } from "node:readline";
import type { Client } from "@grpc/grpc-js";
import type * as m from "@pulumi/pulumi/proto/provider_pb";
import { defaultCache } from "../engine";
import { bundleHelpers } from "../engine/bundle";
import { homeOf } from "../engine/home";
import { grpc, messages, services } from "./sdk";
import type { Decoded, Properties } from "./wire";
import { decode, encode } from "./wire";

export interface Diff {
  changed: boolean;
  replaces: string[];
  /** Paths that change. */
  paths: string[];
}

type Method = (request: unknown, done: (error: Error | null, answer: unknown) => void) => void;

export class PluginClient {
  private constructor(
    readonly child: ChildProcess,
    private readonly client: Client,
  ) {}

  static async start(name: "random" | "postgresql" | "cloudflare" | "command"): Promise<PluginClient> {
    const checkout = path.resolve(__dirname, "..", "..");
    const bundles = await bundleHelpers(checkout, homeOf(path.resolve(defaultCache()), checkout));
    const program = path.join(bundles, "plugins", `${name}.js`);
    const child = spawn(process.execPath, [program, "127.0.0.1:1"], { stdio: ["pipe", "pipe", "inherit"] });
    const [port] = (await once(createInterface(child.stdout), "line")) as [string];
    const client = new services.ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    return new PluginClient(child, client);
  }

  /** Closes the plugin's stdin, as a dead engine does; answers its exit code. */
  async stop(): Promise<unknown> {
    const exited = once(this.child, "exit");
    this.child.stdin?.end();
    const [code] = (await exited) as [unknown];
    this.client.close();
    return code;
  }

  async checkConfig(config: Properties): Promise<string[]> {
    const request = new messages.CheckRequest().setNews(encode(config));
    return failuresOf(await this.call<m.CheckResponse>("checkConfig", request));
  }

  configure(config: Properties): Promise<unknown> {
    return this.call("configure", new messages.ConfigureRequest().setArgs(encode(config, ["password", "apiToken"])));
  }

  /** `property: reason` of each failure. */
  async check(type: string, inputs: Properties): Promise<string[]> {
    const request = new messages.CheckRequest().setUrn(urnOf(type)).setNews(encode(inputs));
    return failuresOf(await this.call<m.CheckResponse>("check", request));
  }

  /** Checks the inputs and creates from what the check filled in. */
  async create(type: string, inputs: Properties, preview = false): Promise<Decoded & { id: string }> {
    const properties = await this.checked(type, inputs);
    const request = new messages.CreateRequest().setUrn(urnOf(type)).setProperties(properties).setPreview(preview);
    const answer = await this.call<m.CreateResponse>("create", request);
    return { id: answer.getId(), ...decode(answer.getProperties()) };
  }

  async diff(type: string, olds: Properties, news: Properties): Promise<Diff> {
    const request = new messages.DiffRequest().setUrn(urnOf(type)).setOlds(encode(olds));
    const answer = await this.call<m.DiffResponse>("diff", request.setNews(await this.checked(type, news)));
    const paths = answer.getHasdetaileddiff() ? [] : answer.getDiffsList();
    answer.getDetaileddiffMap().forEach((_, at) => paths.push(at));
    const changed = answer.getChanges() === messages.DiffResponse.DiffChanges.DIFF_SOME;
    return { changed, replaces: answer.getReplacesList(), paths };
  }

  async update(type: string, olds: Properties, news: Properties): Promise<Properties> {
    const request = new messages.UpdateRequest().setUrn(urnOf(type)).setOlds(encode(olds));
    const answer = await this.call<m.UpdateResponse>("update", request.setNews(await this.checked(type, news)));
    return decode(answer.getProperties()).values;
  }

  /** What is really there; undefined if it is gone. */
  async read(type: string, id: string, olds: Properties): Promise<Properties | undefined> {
    const request = new messages.ReadRequest().setUrn(urnOf(type)).setId(id).setProperties(encode(olds));
    const answer = await this.call<m.ReadResponse>("read", request.setInputs(encode({})));
    return answer.getId() === "" ? undefined : decode(answer.getProperties()).values;
  }

  remove(type: string, id: string, olds: Properties): Promise<unknown> {
    const request = new messages.DeleteRequest().setUrn(urnOf(type)).setId(id).setProperties(encode(olds));
    return this.call("delete", request);
  }

  private async checked(type: string, inputs: Properties) {
    const request = new messages.CheckRequest().setUrn(urnOf(type)).setNews(encode(inputs));
    const answer = await this.call<m.CheckResponse>("check", request);
    const failures = failuresOf(answer);
    if (failures.length > 0) throw new Error(failures.join("; "));
    return answer.getInputs();
  }

  private call<A>(method: string, request: unknown): Promise<A> {
    const methods = this.client as unknown as Record<string, Method>;
    return new Promise((resolve, reject) => {
      methods[method]?.call(this.client, request, (error, answer) => {
        if (error === null) resolve(answer as A);
        else reject(error);
      });
    });
  }
}

/** `postgresql:Role` is short for `postgresql:index/role:Role`; a token in full is taken as it is. */
function urnOf(type: string): string {
  const [name = "", kind = "", ...rest] = type.split(":");
  const token = rest.length > 0 ? type : `${name}:index/${kind.charAt(0).toLowerCase()}${kind.slice(1)}:${kind}`;
  return `urn:pulumi:stack::project::${token}::it`;
}

function failuresOf(answer: m.CheckResponse): string[] {
  return answer.getFailuresList().map((failure) => `${failure.getProperty()}: ${failure.getReason()}`);
}
