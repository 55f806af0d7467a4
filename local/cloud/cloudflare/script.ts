/** One Worker script as Cloudflare keeps it: immutable versions, each with its own secrets, and deployments of them. */
import { randomUUID } from "node:crypto";
import { Front, type Propagation } from "./front";
import { boot, bundle, type Instance, type Runtime, STANDARD_RUNTIME } from "./workerd";

/** All that a version runs with. */
export interface Content {
  /** The bundled module. */
  code: string;
  vars: Record<string, string>;
  secrets: Record<string, string>;
  runtime: Runtime;
}

export interface Version extends Content {
  id: string;
  number: number;
  createdOn: string;
  source: "upload" | "secret" | "deploy";
}

export interface Deployment {
  id: string;
  createdOn: string;
  versionId: string;
}

export interface Upload {
  /** The Worker's entry file. @default the local cloud's own Worker */
  entry?: string;
  /** Plain variables. @default those of the newest version */
  vars?: Record<string, string>;
  /** Secrets that the version starts with. @default those of the newest version */
  secrets?: Record<string, string>;
}

export class Script {
  /** Newest first, as the API lists them. */
  readonly versions: Version[] = [];
  /** Newest first: the first is live. */
  readonly deployments: Deployment[] = [];
  private tail: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly name: string,
    readonly url: string,
    private readonly front: Front,
  ) {}

  static async start(name: string, upload: Upload & { entry: string }): Promise<Script> {
    const { entry, vars = {}, secrets = {} } = upload;
    return Script.create(name, { code: await bundle(entry), vars, secrets, runtime: STANDARD_RUNTIME });
  }

  static async create(name: string, content: Content): Promise<Script> {
    const version = makeVersion(1, content, "upload");
    const instance = await bootVersion(version);
    const { front, url } = await Front.start(instance);
    const script = new Script(name, url, front);
    script.versions.push(version);
    script.deployments.unshift(makeDeployment(version.id));
    return script;
  }

  get latest(): Version {
    return first(this.versions);
  }

  get live(): Version {
    const { versionId } = first(this.deployments);
    return first(this.versions.filter((version) => version.id === versionId));
  }

  /** One change at a time, as the API orders them. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.tail.then(work);
    this.tail = result.catch(() => undefined);
    return result;
  }

  /** A new version from the newest one, with other secrets, deployed at once. Fails without effect if it cannot start. */
  async editSecrets(secrets: Record<string, string>): Promise<Version> {
    const version = makeVersion(this.latest.number + 1, { ...this.latest, secrets }, "secret");
    await this.deploy(version);
    return version;
  }

  /** A new version with all of its own, deployed at once. Fails without effect if it cannot start. */
  async deployContent(content: Content): Promise<Version> {
    const version = makeVersion(this.latest.number + 1, content, "upload");
    await this.deploy(version);
    return version;
  }

  /** A new version that is not deployed: what `wrangler versions upload` leaves behind. */
  async upload({ entry, vars, secrets }: Upload): Promise<Version> {
    const { latest } = this;
    const content = {
      code: entry === undefined ? latest.code : await bundle(entry),
      vars: vars ?? latest.vars,
      secrets: secrets ?? latest.secrets,
      runtime: latest.runtime,
    };
    const version = makeVersion(latest.number + 1, content, "upload");
    this.versions.unshift(version);
    return version;
  }

  /** Deploys a version, new or old; an old one brings back its secrets. */
  async deploy(version: Version): Promise<Deployment> {
    const instance = await bootVersion(version);
    if (!this.versions.includes(version)) this.versions.unshift(version);
    const deployment = makeDeployment(version.id);
    this.deployments.unshift(deployment);
    this.front.show(instance);
    return deployment;
  }

  setPropagation(propagation: Propagation): void {
    this.front.setPropagation(propagation);
  }

  /** The version that each of the front's slots serves now. */
  served(): string[] {
    return this.front.versions();
  }

  instances(): number {
    return this.front.instances();
  }

  async stop(): Promise<void> {
    // A change that is still booting its process must not leave it behind.
    await this.tail;
    await this.front.stop();
  }
}

function bootVersion({ id, code, vars, secrets, runtime }: Version): Promise<Instance> {
  return boot(id, code, { ...vars, ...secrets }, runtime);
}

function makeVersion(number: number, content: Content, source: Version["source"]): Version {
  const { code, vars, secrets, runtime } = content;
  return { id: randomUUID(), number, createdOn: new Date().toISOString(), code, vars, secrets, runtime, source };
}

function makeDeployment(versionId: string): Deployment {
  return { id: randomUUID(), createdOn: new Date().toISOString(), versionId };
}

function first<T>(list: T[]): T {
  const [item] = list;
  if (item === undefined) throw new Error("a started script has a version and a deployment");
  return item;
}
