/**
 * The gRPC and protocol files that the SDK itself uses. Only @pulumi/pulumi depends on them, so they are resolved from
 * there: under a strict node_modules layout the project cannot see them. Their shapes: pulumi/proto/pulumi/provider.proto.
 */
import { createRequire } from "node:module";
import type * as Grpc from "@grpc/grpc-js";
import type * as Plugin from "@pulumi/pulumi/proto/plugin_pb";
import type * as Provider from "@pulumi/pulumi/proto/provider_pb";
import type * as Empty from "google-protobuf/google/protobuf/empty_pb";
import type * as Structs from "google-protobuf/google/protobuf/struct_pb";

const here = createRequire(__filename);
const fromSdk = createRequire(here.resolve("@pulumi/pulumi/package.json"));

export const grpc = fromSdk("@grpc/grpc-js") as typeof Grpc;
export const structs = fromSdk("google-protobuf/google/protobuf/struct_pb") as typeof Structs;
export const empties = fromSdk("google-protobuf/google/protobuf/empty_pb") as typeof Empty;
export const messages = fromSdk("@pulumi/pulumi/proto/provider_pb.js") as typeof Provider;
export const pluginMessages = fromSdk("@pulumi/pulumi/proto/plugin_pb.js") as typeof Plugin;

/** The service's method table and its client; the generated file has no types of its own. */
export const services = fromSdk("@pulumi/pulumi/proto/provider_grpc_pb.js") as {
  ResourceProviderService: Grpc.ServiceDefinition;
  ResourceProviderClient: Grpc.ServiceClientConstructor;
};

/** The version of an official npm package, which is also the version that the engine asks a plugin for. */
export function packageVersion(name: string): string {
  return (here(`${name}/package.json`) as { version: string }).version.replace(/^v/, "");
}
