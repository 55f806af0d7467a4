// Proves, through workerd and its real rate-limit binding: each of the seed's four limits answers 429 with Retry-After at
// the right request of one window and not before, per client and per token, and lets pass again in the next one; a broken
// declaration limits nothing. Does not prove: how exactly Cloudflare's edge counts, which says of itself that it is permissive.
import { readFileSync } from "node:fs";
import * as path from "node:path";
import { buildSync } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LocalCloudflare, startCloudflare } from "../../local/cloud/cloudflare";
import { bulk } from "../../local/cloud/client";
import { inOneWindow, until } from "../support/windows";

const WORKER = path.join(__dirname, "../fixtures/rate-limits/worker.ts");
const SCRIPT = "rounds-api";

/** As the component declares them (test/component/rate-limits.test.ts). */
const LIMITS = [
  { route: "POST /v1/rounds/start", binding: "RATE_LIMIT_START", per: "client", limit: 10, periodSeconds: 10 },
  { route: "POST /v1/rounds/next", binding: "RATE_LIMIT_NEXT", per: "token", limit: 10, periodSeconds: 60 },
  { route: "POST /v1/metrics", binding: "RATE_LIMIT_METRICS", per: "client", limit: 100, periodSeconds: 60 },
  { route: "GET /v1/manifest", binding: "RATE_LIMIT_MANIFEST", per: "client", limit: 1, periodSeconds: 60 },
] as const;
type Limit = (typeof LIMITS)[number];

let cf: LocalCloudflare;
beforeAll(async () => {
  cf = await startCloudflare({ scripts: { [SCRIPT]: { entry: WORKER } } });
  await upload(LIMITS);
}, 60_000);
afterAll(() => cf.stop(), 30_000);

describe("a route's limit", () => {
  it.each(LIMITS)("$route: $limit in $periodSeconds s per $per", async (limit) => {
    const periodMs = limit.periodSeconds === 10 ? 10_000 : 60_000;
    const who = crypto.randomUUID();
    await inOneWindow(periodMs, async () => {
      const mine = await statuses(limit, { [limit.per]: who }, limit.limit + 2);
      expect(mine).toEqual([...Array<number>(limit.limit).fill(200), 429, 429]);
      // Another one counts for itself, whatever else the two have in common.
      const other = limit.per === "client" ? { client: `${who}-2`, token: who } : { token: `${who}-2`, client: who };
      expect(await statuses(limit, other, 1)).toEqual([200]);
      const refused = await ask(limit, { [limit.per]: who });
      expect(refused.headers.get("retry-after")).toBe(String(limit.periodSeconds));
      expect(refused.headers.get("cache-control")).toBe("no-store");
      expect(await refused.json()).toEqual({ error: "rate_limited" });
    });
  });

  it("lets pass again in the next window, and no sooner", async () => {
    const [start] = LIMITS;
    const client = crypto.randomUUID();
    const begun = await inOneWindow(10_000, async () => {
      expect((await statuses(start, { client }, 11)).at(-1)).toBe(429);
      return Date.now();
    });
    await until(async () => (await ask(start, { client })).status === 200, 10_000);
    expect(Math.floor(Date.now() / 10_000)).toBe(Math.floor(begun / 10_000) + 1);
  });

  it("is that of method and path alone", async () => {
    const manifest = LIMITS[3];
    const client = crypto.randomUUID();
    await inOneWindow(60_000, async () => {
      expect(await statuses(manifest, { client }, 2)).toEqual([200, 429]);
      for (const [method, at] of [
        ["HEAD", "/v1/manifest"],
        ["GET", "/v1/manifest/"],
        ["GET", "/v1/metrics"],
      ] as const)
        expect((await send(method, at, { client })).status).toBe(200);
      expect((await send("GET", "/v1/manifest?fresh=1", { client })).status).toBe(429);
    });
  });

  it("is shared by all who do not say who they are", async () => {
    const next = LIMITS[1];
    await inOneWindow(60_000, async () => {
      const nameless = await statuses(next, {}, 11);
      expect(nameless.at(-1)).toBe(429);
      expect(await statuses(next, { token: crypto.randomUUID() }, 1)).toEqual([200]);
    });
  });

  it("stays over a change of secrets", async () => {
    expect((await bulk(cf, { A_SECRET: "a" })).success).toBe(true);
    const manifest = LIMITS[3];
    const client = crypto.randomUUID();
    await inOneWindow(60_000, async () => {
      expect(await statuses(manifest, { client }, 2)).toEqual([200, 429]);
    });
  });

  it.each([
    ["is no JSON", "{"],
    ["is no list", "{}"],
    ["names a binding that is missing", JSON.stringify([{ ...LIMITS[3], binding: "RATE_LIMIT_NONE" }])],
    ["names a variable in place of a binding", JSON.stringify([{ ...LIMITS[3], binding: "ROLLOVER_RATE_LIMITS" }])],
  ])("is none where ROLLOVER_RATE_LIMITS %s", async (_what, text) => {
    await upload(text);
    const client = crypto.randomUUID();
    expect(await statuses(LIMITS[3], { client }, 3)).toEqual([200, 200, 200]);
  });
});

it("the Worker's copy imports nothing", () => {
  const text = readFileSync(path.join(__dirname, "../../components/cloudflare/rate-limit.ts"), "utf8");
  expect(text).not.toMatch(/^import |require\(|^export .* from /m);
});

interface Keys {
  client?: string;
  token?: string;
}

/** One after the other: the order of the answers is what is looked at. */
async function statuses(limit: Limit, keys: Keys, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) found.push((await ask(limit, keys)).status);
  return found;
}

function ask({ route }: Limit, keys: Keys): Promise<Response> {
  const [method = "", at = ""] = route.split(" ");
  return send(method, at, keys);
}

function send(method: string, at: string, { client, token }: Keys): Promise<Response> {
  const headers: Record<string, string> = {};
  if (client !== undefined) headers["x-client"] = client;
  if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
  return fetch(`${cf.workerUrl(SCRIPT)}${at}`, { method, headers });
}

/** Uploads the Worker with its four bindings, by the API. */
async function upload(limits: unknown): Promise<void> {
  const { outputFiles } = buildSync({ entryPoints: [WORKER], bundle: true, format: "esm", write: false });
  const text = typeof limits === "string" ? limits : JSON.stringify(limits);
  const metadata = {
    main_module: "worker.mjs",
    compatibility_date: "2026-07-01",
    bindings: [
      { type: "plain_text", name: "ROLLOVER_RATE_LIMITS", text },
      ...LIMITS.map(({ binding, limit, periodSeconds }, index) => ({
        type: "ratelimit",
        name: binding,
        namespace_id: String(1001 + index),
        simple: { limit, period: periodSeconds },
      })),
    ],
    keep_bindings: ["secret_text"],
  };
  const form = new FormData();
  form.set("metadata", JSON.stringify(metadata));
  form.set(
    "worker.mjs",
    new Blob([outputFiles[0]?.text ?? ""], { type: "application/javascript+module" }),
    "worker.mjs",
  );
  const response = await fetch(`${cf.apiUrl}/accounts/${cf.accountId}/workers/scripts/${SCRIPT}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${cf.token}` },
    body: form,
  });
  expect(await response.json()).toMatchObject({ success: true, errors: [] });
}
