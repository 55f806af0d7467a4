/** The gRPC and protocol files that the SDK itself uses. Their shapes: pulumi/proto/pulumi/provider.proto. */
export * as grpc from "@grpc/grpc-js";
export * as pluginMessages from "@pulumi/pulumi/proto/plugin_pb";
export * as services from "@pulumi/pulumi/proto/provider_grpc_pb";
export * as messages from "@pulumi/pulumi/proto/provider_pb";
export * as empties from "google-protobuf/google/protobuf/empty_pb";
export * as structs from "google-protobuf/google/protobuf/struct_pb";
