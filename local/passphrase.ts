/**
 * What Pulumi's passphrase provider does to a value, done here: the CLI would be started for each. A value is encrypted by
 * AES-256-GCM under a key that PBKDF2 derives from passphrase and salt, as in the engine's own
 * sdk/go/common/resource/config/crypt.go and pkg/secrets/passphrase/manager.go.
 */
import { createCipheriv, createDecipheriv, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";

export interface Cipher {
  /** What a stack file keeps as `encryptionsalt`: the salt, and a word by which a wrong passphrase is known. */
  salt: string;
  encrypt(text: string): string;
  decrypt(ciphertext: string): string;
}

/** Every stack of tests has the same, so that a process derives one key. It protects nothing, as its passphrase. */
const SALT = Buffer.from("rollover");
const KNOWN_WORD = "pulumi";

const keys = new Map<string, Promise<Buffer>>();

/** For a stack that has a salt already, or for a new one. */
export async function cipherOf(passphrase: string, encryptionSalt?: string): Promise<Cipher> {
  const [, given = "", word] = /^v1:([^:]+):(v1:.+)$/.exec(encryptionSalt ?? "") ?? [];
  const salt = word === undefined ? SALT : Buffer.from(given, "base64");
  const key = await keyOf(passphrase, salt);
  if (word !== undefined && decrypted(key, word) !== KNOWN_WORD) throw new Error("the stack has another passphrase");
  return {
    salt: encryptionSalt ?? `v1:${salt.toString("base64")}:${encrypted(key, KNOWN_WORD)}`,
    encrypt: (text) => encrypted(key, text),
    decrypt: (ciphertext) => decrypted(key, ciphertext),
  };
}

function keyOf(passphrase: string, salt: Buffer): Promise<Buffer> {
  const name = `${salt.toString("base64")} ${passphrase}`;
  const key = keys.get(name) ?? promisify(pbkdf2)(passphrase, salt, 1_000_000, 32, "sha256");
  keys.set(name, key);
  return key;
}

function encrypted(key: Buffer, text: string): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  // As Go's: the tag stands behind the text.
  const bytes = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return `v1:${nonce.toString("base64")}:${bytes.toString("base64")}`;
}

function decrypted(key: Buffer, ciphertext: string): string {
  const [version, nonce = "", rest = ""] = ciphertext.split(":");
  if (version !== "v1") throw new Error("a ciphertext of another kind than the passphrase provider's");
  const bytes = Buffer.from(rest, "base64");
  const cipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64"));
  cipher.setAuthTag(bytes.subarray(-16));
  return Buffer.concat([cipher.update(bytes.subarray(0, -16)), cipher.final()]).toString("utf8");
}
