/** Rate limits count in windows that are aligned to the clock; here a test gets the beginning of one. */

/**
 * Runs `work` in one window and returns its result. Where the window ended before it, whatever came of it says nothing: it
 * is run again in the next, three times at most.
 */
export async function inOneWindow<T>(periodMs: 10_000 | 60_000, work: () => Promise<T>): Promise<T> {
  const needed = periodMs / 4 + 2500;
  for (let attempt = 1; ; attempt++) {
    await until(() => Date.now() % periodMs < periodMs - needed, periodMs);
    const window = windowOf(periodMs);
    const [result] = await Promise.allSettled([work()]);
    const isWhole = windowOf(periodMs) === window;
    if (isWhole && result.status === "fulfilled") return result.value;
    if (isWhole && result.status === "rejected") throw result.reason;
    if (attempt === 3) throw new Error(`three runs outlasted a window of ${periodMs} ms: the machine is too busy`);
  }
}

/** Looks every 50 ms; throws once it has taken longer than `withinMs` and some. */
export async function until(isSo: () => boolean | Promise<boolean>, withinMs: number): Promise<void> {
  const end = Date.now() + withinMs + 5000;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`did not become so within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function windowOf(periodMs: number): number {
  return Math.floor(Date.now() / periodMs);
}
