/** One small fault of the product, and the tests that must see it. */
export interface Mutant {
  /** `retire-asks-nobody`: what `--only` takes. */
  id: string;
  /** What it would break (README.md). */
  guarantee: `G${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10}`;
  /** What the program does with the fault in it. */
  fault: string;
  /** Relative to the checkout. */
  file: string;
  /** What stands there exactly once. */
  text: string;
  becomes: string;
  /** Test files, each of the same vitest project, of which at least one test must fail. */
  tests: string[];
  /** Of their tests those whose full name matches, as vitest's `-t` takes it. @default all */
  named?: string;
  /** Why no cheaper test can see it; with every test of test/engine. */
  engine?: string;
}

/** The text with the fault in it. Throws where what it replaces does not stand there exactly once. */
export function mutated(source: string, { id, file, text, becomes }: Mutant): string {
  const parts = source.split(text);
  if (parts.length === 2) return parts.join(becomes);
  throw new Error(`${id}: its text stands ${parts.length - 1} times in ${file}, and must stand there once: ${text}`);
}
