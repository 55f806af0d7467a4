/**
 * Finds many needles in much text in one pass: a scene leaves tens of megabytes behind, in which hundreds of forms of its
 * secrets are sought, and a search for each would read all of it hundreds of times.
 */

/** Bits of the sieve's size: it stays in the processor's cache, and hardly a window of a stranger passes it. */
const BITS = 20;
/** What of a needle is looked up: its middle, since beginnings (`eyJ…`, `postgresql://…`) are those of many texts. */
const WINDOW = 4;

interface Needle<T> {
  bytes: Buffer;
  /** Where its window ends. */
  end: number;
  of: T;
}

export class Needles<T> {
  private readonly sieve = new Uint8Array(1 << BITS);
  private readonly byWindow = new Map<number, Needle<T>[]>();

  /** @param needles each at least four bytes long */
  constructor(needles: { text: string; of: T }[]) {
    for (const { text, of } of needles) {
      const bytes = Buffer.from(text);
      if (bytes.length < WINDOW) throw new Error(`a needle of ${bytes.length} bytes is found anywhere`);
      const start = (bytes.length - WINDOW) >> 1;
      const window = bytes.readUInt32BE(start);
      this.sieve[hash(window)] = 1;
      this.byWindow.set(window, [...(this.byWindow.get(window) ?? []), { bytes, end: start + WINDOW, of }]);
    }
  }

  /** Whose needles stand in the text, each once. */
  in(text: Buffer): Set<T> {
    const found = new Set<T>();
    let window = 0;
    for (let at = 0; at < text.length; at++) {
      window = ((window << 8) | (text[at] ?? 0)) >>> 0;
      if (this.sieve[hash(window)] !== 1) continue;
      for (const { bytes, end, of } of this.byWindow.get(window) ?? []) {
        const start = at + 1 - end;
        if (start >= 0 && text.subarray(start, start + bytes.length).equals(bytes)) found.add(of);
      }
    }
    return found;
  }
}

function hash(window: number): number {
  return Math.imul(window, 0x9e3779b1) >>> (32 - BITS);
}
