/** A unified diff of two texts, by lines, three lines around each change; without file names, "" where they are equal. */
export function lineDiff(before: string, after: string): string {
  const marked = mark(before.split("\n"), after.split("\n"));
  const shown = marked.map((_, at) => marked.slice(Math.max(0, at - 3), at + 4).some((line) => line.sign !== " "));
  const out: string[] = [];
  for (let at = 0; at < marked.length; at++) {
    if (shown[at] !== true) continue;
    let end = at;
    while (shown[end] === true) end++;
    const hunk = marked.slice(at, end);
    const [old, now] = (["+", "-"] as const).map((other) => {
      const start = marked.slice(0, at).filter((line) => line.sign !== other).length + 1;
      return `${start},${hunk.filter((line) => line.sign !== other).length}`;
    });
    out.push(`@@ -${old ?? ""} +${now ?? ""} @@`, ...hunk.map((line) => `${line.sign}${line.text}`));
    at = end;
  }
  return out.length === 0 ? "" : `${out.join("\n")}\n`;
}

interface Line {
  sign: " " | "-" | "+";
  text: string;
}

/** Longest common subsequence, after what is equal at both ends is set aside. */
function mark(before: string[], after: string[]): Line[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  const room = Math.min(before.length, after.length) - head;
  while (tail < room && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const old = before.slice(head, before.length - tail);
  const now = after.slice(head, after.length - tail);
  const common = lengths(old, now);
  const lines = before.slice(0, head).map(same);
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      lines.push(same(old[i] ?? ""));
      i++;
      j++;
    } else if (j >= now.length || (i < old.length && (common[i + 1]?.[j] ?? 0) >= (common[i]?.[j + 1] ?? 0))) {
      lines.push({ sign: "-", text: old[i++] ?? "" });
    } else lines.push({ sign: "+", text: now[j++] ?? "" });
  }
  return [...lines, ...before.slice(before.length - tail).map(same)];
}

/** `[i][j]`: the length of the longest common subsequence of what follows i and j. */
function lengths(old: string[], now: string[]): Uint32Array[] {
  const table = Array.from({ length: old.length + 1 }, () => new Uint32Array(now.length + 1));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      const [row, below] = [table[i], table[i + 1]];
      if (!row || !below) continue;
      row[j] = old[i] === now[j] ? (below[j + 1] ?? 0) + 1 : Math.max(below[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  return table;
}

function same(text: string): Line {
  return { sign: " ", text };
}
