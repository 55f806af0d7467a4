import "./debug-messages";

/** The public entry: components to declare credentials and their consumers with, and the config that index.ts builds them from. */
export { WorkerConsumer } from "./cloudflare/worker-consumer";
export type { WorkerConsumerArgs } from "./cloudflare/worker-consumer";
export { WorkerSecrets } from "./cloudflare/worker-secrets";
export type { WorkerSecretsArgs } from "./cloudflare/worker-secrets";
export type { ConsumerRecord, Deliverable, Generation } from "./credential";
export { PostgresRole } from "./postgres/postgres-role";
export type { PostgresRoleArgs } from "./postgres/postgres-role";
export { RandomSecret } from "./random/random-secret";
export type { RandomSecretArgs } from "./random/random-secret";
export { parseStack } from "./rotation/config";
export { rawConfig } from "./rotation/raw-config";
export type * from "./rotation/model";
export { ConfigError } from "./rotation/problem";
