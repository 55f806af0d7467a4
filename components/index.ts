import "./debug-messages";

/** The public entry: components to declare credentials and their consumers with, and the config that index.ts builds them from. */
export { WorkerConsumer } from "./cloudflare/worker-consumer";
export type { WorkerConsumerArgs } from "./cloudflare/worker-consumer";
export { WorkerSecrets } from "./cloudflare/worker-secrets";
export type { WorkerSecretsArgs } from "./cloudflare/worker-secrets";
export { EnvFile } from "./file/env-file";
export type { EnvFileArgs } from "./file/env-file";
export type { ConsumerRecord, Deliverable, Generation } from "./credential";
export { PostgresRole } from "./postgres/postgres-role";
export type { PostgresRoleArgs } from "./postgres/postgres-role";
export { RandomSecret } from "./random/random-secret";
export type { RandomSecretArgs } from "./random/random-secret";
export { EncryptionKeyset } from "./keyset/encryption-keyset";
export type { KeysetArgs } from "./keyset/keyset";
export { SigningKeyset } from "./keyset/signing-keyset";
export { deliveryOrder, verifiersOf } from "./rotation/delivery-order";
export { formatDuration } from "./rotation/duration";
export { parseStack } from "./rotation/config";
export { rawConfig } from "./rotation/raw-config";
export type * from "./rotation/model";
export { ConfigError } from "./rotation/problem";
export { TursoOrganization } from "./turso/turso-organization";
export type { TursoOrganizationArgs } from "./turso/turso-organization";
export { TursoOutcome } from "./turso/turso-outcome";
export { TursoTokens } from "./turso/turso-token";
export type { TursoTokensArgs } from "./turso/turso-token";
