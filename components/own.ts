/** What a record holds under a name that people chose. Every object answers to `constructor`, which is no entry of it. */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
