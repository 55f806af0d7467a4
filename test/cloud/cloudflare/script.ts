/** One Worker script as Cloudflare keeps it: immutable versions, each with its own secrets, and deployments of them. */
import { randomUUID } from "node:crypto";
import { Front, type Propagation } from "./front";
import { boot, bundle } from "./workerd";

export interface Version {
  id: string;
  number: number;
  createdOn: string;
  code: string;
  vars: Record<string, string>;
  secrets: Record<string, string>;
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
    const version = makeVersion(1, await bundle(entry), vars, secrets, "upload");
    const instance = await boot(version.id, version.code, { ...vars, ...secrets });
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
    const { code, vars, number } = this.latest;
    const version = makeVersion(number + 1, code, vars, secrets, "secret");
    await this.deploy(version);
    return version;
  }

  /** A new version that is not deployed: what `wrangler versions upload` leaves behind. */
  async upload({ entry, vars, secrets }: Upload): Promise<Version> {
    const { latest } = this;
    const code = entry === undefined ? latest.code : await bundle(entry);
    const version = makeVersion(latest.number + 1, code, vars ?? latest.vars, secrets ?? latest.secrets, "upload");
    this.versions.unshift(version);
    return version;
  }

  /** Deploys a version, new or old; an old one brings back its secrets. */
  async deploy(version: Version): Promise<Deployment> {
    const instance = await boot(version.id, version.code, { ...version.vars, ...version.secrets });
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

function makeVersion(
  number: number,
  code: string,
  vars: Record<string, string>,
  secrets: Record<string, string>,
  source: Version["source"],
): Version {
  return { id: randomUUID(), number, createdOn: new Date().toISOString(), code, vars, secrets, source };
}

function makeDeployment(versionId: string): Deployment {
  return { id: randomUUID(), createdOn: new Date().toISOString(), versionId };
}

function first<T>(list: T[]): T {
  const [item] = list;
  if (item === undefined) throw new Error("a started script has a version and a deployment");
  return item;
}
