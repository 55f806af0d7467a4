// Proves that what is delivered beside a keyset does not make the Worker forget a key that signed and that state does not know, where
// an isolate still reports the delivery before, or none answers. Not proven: the rest (keyset-review.test.ts).
import * as http from "node:http";
import * as path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type LocalCloudflare, startCloudflare } from "../../local/cloud/cloudflare";
import { close, listen } from "../../local/cloud/faults";
import { Holder } from "./keysets";

const entry = path.join(__dirname, "../fixtures/keyset-worker.ts");
const [a, b, c] = ["2026-01-01", "2026-01-02", "2026-01-03"];
let cf: LocalCloudflare;
let url = "";
/** What the next answers are in place of the Worker's own; a late isolate's, or none. */
let instead: (string | undefined)[] = [];
const server = http.createServer((request, response) => {
  if (instead.length > 0) {
    const body = instead.shift();
    if (body === undefined) response.writeHead(503);
    response.end(body);
    return;
  }
  const headers = { authorization: request.headers.authorization ?? "" };
  fetch(`${cf.workerUrl("keyset")}/.well-known/rollover`, { headers })
    .then(async (answer) => response.writeHead(answer.status).end(await answer.text()))
    .catch(() => response.destroy());
});
beforeAll(async () => {
  cf = await startCloudflare({ scripts: { keyset: { entry } } });
  url = `http://127.0.0.1:${await listen(server)}/`;
});
afterAll(async () => {
  await close(server);
  await cf.stop();
});

async function withUrl(holder: Holder, stamps: string[], text: string, forgets = false): Promise<void> {
  const { secrets, generations } = holder.inputs(stamps);
  const held = { ...(JSON.parse(generations) as object), "rounds-db": [{ stamp: a, tag: `tag-${text}` }] };
  const change = { secrets: { ...secrets, DATABASE_URL: text }, generations: JSON.stringify(held), withinMs: 1500 };
  await holder.up(stamps, { forgets, change });
}

it.each<[string, (late: string) => (string | undefined)[]]>([
  ["the first of five answers is a late isolate's", (late) => [late]],
  ["no answer can be read", () => [undefined, undefined, undefined, undefined, undefined]],
])("keeps a key that signs, whatever else changes, where %s", async (_, answers) => {
  for (const changed of ["old", "new"]) {
    const holder = new Holder(cf, { maxTokenAgeMs: 3_600_000 }, "keyset", { probe: url });
    await withUrl(holder, [a], "old");
    const late = JSON.stringify({
      generations: JSON.parse(cf.state("keyset").secrets["ROLLOVER_GENERATIONS"] ?? "") as unknown,
    });
    await withUrl(holder, [b, a], "old", true);
    holder.watch().record();
    instead = answers(late);
    await expect(withUrl(holder, [c, a], changed)).rejects.toThrow("rounds-signing");
    for (const { verifies } of holder.held) expect(verifies, changed).toContain(holder.text(b));
  }
});
