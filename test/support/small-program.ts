/** Runs a Pulumi program on the small engine: what its SDK would ask the real engine for is answered by that one. */
import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb";
import { encode, decode } from "../../local/plugins/wire";
import type { Register } from "./small-engine";

/** What of the SDK's monitor is answered here; `setMocks` answers the rest. */
interface Monitor {
  registerResource(
    request: RegisterResourceRequest,
    answer: (error: Error | null, answer: object) => void,
  ): Promise<void>;
  registerResourceOutputs(request: unknown, answer: (error: null, answer: object) => void): void;
}

export interface ProgramOptions {
  project: string;
  stack: string;
  /** With their namespaces. */
  config: Record<string, string>;
  /** Keys of the config that are encrypted. */
  secrets?: readonly string[];
}

/** One run of a program, which is what `build` evaluates; it has ended when it waits for nothing any more. */
export function programOf(build: () => unknown, options: ProgramOptions): (register: Register) => Promise<void> {
  return async (register) => {
    const { project, stack, config, secrets = [] } = options;
    const unused = () => Promise.reject(new Error("answered by the small engine"));
    await pulumi.runtime.setMocks({ newResource: unused, call: unused }, project, stack);
    pulumi.runtime.setAllConfig(config, [...secrets]);
    process.env["PULUMI_CONFIG_SECRET_KEYS"] = JSON.stringify(secrets);
    const monitor = pulumi.runtime.getMonitor() as unknown as Monitor;
    monitor.registerResource = async (request, answer) => {
      const urn = urnOf(request, project, stack);
      const { values: inputs } = decode(request.getObject());
      const isComponent = !request.getCustom();
      // The engine keeps the providers of plugins itself; what they are configured with does not change in a test.
      const isPlugin = request.getType().startsWith("pulumi:providers:");
      const asked = { urn, inputs, after: request.getDependenciesList(), ignored: request.getIgnorechangesList() };
      const { id, outputs } =
        isComponent || isPlugin ? { id: isPlugin ? "plugin" : "", outputs: inputs } : await register(asked);
      answer(null, {
        getUrn: () => urn,
        getId: () => id,
        getObject: () => encode(outputs),
        getPropertydependenciesMap: () => undefined,
        getResult: () => 0,
      });
    };
    monitor.registerResourceOutputs = (_, answer) => {
      answer(null, {});
    };
    build();
    await pulumi.runtime.disconnect();
  };
}

/** The type of a resource, of its URN. */
export function typeIn(urn: string): string {
  return urn.split("::")[2]?.split("$").at(-1) ?? "";
}

function urnOf(request: RegisterResourceRequest, project: string, stack: string): string {
  const parents = request.getParent().split("::")[2] ?? "";
  const above = parents === "" || parents === "pulumi:pulumi:Stack" ? "" : `${parents}$`;
  return `urn:pulumi:${stack}::${project}::${above}${request.getType()}::${request.getName()}`;
}
