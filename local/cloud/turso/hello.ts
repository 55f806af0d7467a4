/**
 * Finds the token with which a Hrana client opens its WebSocket: that of the `hello` in its first message.
 * https://github.com/tursodatabase/libsql/blob/main/docs/HRANA_3_SPEC.md#hello, RFC 6455 5.2
 */

/** A client's first message, once `bytes` hold all of it, and how many of them it takes. It is one frame: a hello is small. */
export function firstFrame(bytes: Buffer): { message: string; length: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes.readUInt8(1) & 0x7f;
  const wide = { 126: 2, 127: 8 }[short] ?? 0;
  const start = 2 + wide + 4;
  if (bytes.length < start) return undefined;
  const length = wide === 0 ? short : wide === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (bytes.length < start + length) return undefined;
  const mask = bytes.subarray(start - 4, start);
  const text = bytes.subarray(start, start + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return { message: text.toString(), length: start + length };
}

/** A client's frame of one text; masked with zeros, since a client's must be masked. */
export function frameOf(message: string): Buffer {
  const text = Buffer.from(message);
  const head = Buffer.from([0x81, 0x80 | 126, 0, 0, 0, 0, 0, 0]);
  head.writeUInt16BE(text.length, 2);
  return Buffer.concat([head, text]);
}

/** Empty where the message names none. */
export function helloToken(message: string): string {
  try {
    const { jwt } = JSON.parse(message) as { jwt?: unknown };
    return typeof jwt === "string" ? jwt : "";
  } catch {
    return "";
  }
}
