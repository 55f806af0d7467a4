/** An error of the API, which `handleApi` puts into the vendor's envelope. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** A JSON object, or a refusal. */
export function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Refused below, like every other text that is no object.
  }
  throw new Refusal(400, 10021, "The body is no JSON object");
}
