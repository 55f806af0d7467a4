// Proves in a real browser that the report's page asks nobody for anything, runs without a console error under its own policy,
// shows one bar a generation, sorts by keyboard, names what it draws, and fits 1280 and 360 pixels, light and dark. Not what it
// says: test/unit/report.test.ts. With REPORT_SCREENSHOTS set to a folder, it leaves pictures there.
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import * as path from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeReport } from "../../operations/report/describe";
import { toHtml } from "../../operations/report/html";
import { tablesOf } from "../../operations/report/tables";
import { launchChromium } from "../support/chromium";
import { year } from "../unit/report-fixture";

const report = describeReport(year());
const page = toHtml(report);

let browser: Browser;
let server: http.Server;
let address: string;
let served = page;
/** Paths that anybody asked the server for. */
const asked: string[] = [];

beforeAll(async () => {
  server = http.createServer((request, response) => {
    asked.push(request.url ?? "");
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(served);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/report`;
  browser = await launchChromium((line) => process.stderr.write(`${line}\n`));
}, 900_000);

afterAll(async () => {
  await browser.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

interface View {
  width: number;
  scheme: "light" | "dark";
  javaScriptEnabled?: boolean;
}

/** The page as it is seen; whatever goes wrong in it, or leaves it, is the test's failure. */
async function open(
  { width, scheme, javaScriptEnabled = true }: View,
  work: (page: Page) => Promise<void>,
  shown = page,
) {
  served = shown;
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    javaScriptEnabled,
  });
  try {
    const tab = await context.newPage();
    const [wrong, requests]: [string[], string[]] = [[], []];
    tab.on("console", (message) => wrong.push(message.text()));
    tab.on("pageerror", (error) => wrong.push(error.message));
    tab.on("request", (request) => requests.push(request.url()));
    asked.length = 0;
    await tab.goto(address, { waitUntil: "networkidle" });
    await work(tab);
    expect(wrong).toEqual([]);
    expect(requests.filter((url) => !url.startsWith("data:"))).toEqual([address]);
    expect(asked).toEqual(["/report"]);
  } finally {
    await context.close();
  }
}

const desktop: View = { width: 1280, scheme: "light" };

describe.each<View>([
  desktop,
  { width: 1280, scheme: "dark" },
  { width: 360, scheme: "light" },
  { width: 360, scheme: "dark" },
])("$width pixels, $scheme", (view) => {
  it("fits, is legible, and asks nobody for anything", async () => {
    await open(view, async (tab) => {
      expect(await tab.evaluate<number>("document.documentElement.scrollWidth")).toBe(view.width);
      // What stands on the page's ground or on a table's, against it: WCAG 2.2 AA, 1.4.3.
      expect(await tab.evaluate<string[]>(PALE)).toEqual([]);
      const wide = await tab.evaluate<string[]>(OVERFLOWING);
      expect(wide).toEqual([]);
      const folder = process.env["REPORT_SCREENSHOTS"];
      if (folder === undefined) return;
      await tab.setViewportSize({ width: view.width, height: view.width === 360 ? 1000 : 1040 });
      await tab.screenshot({ path: path.join(folder, `report-${view.width}-${view.scheme}.png`) });
    });
  });

  it("sorts by keyboard alone", async () => {
    await open(view, async (tab) => {
      const names = () => tab.locator("#credentials tbody th").allInnerTexts();
      const age = tab.locator("#credentials thead th", { hasText: "Age" });
      expect(await names()).toEqual(["rounds-db", "rounds-turso", "session-key", "mail-key"]);
      expect(await age.getAttribute("aria-sort")).toBeNull();
      await tab.locator("#credentials thead th", { hasText: "Current" }).getByRole("button").focus();
      await tab.keyboard.press("Tab");
      expect((await tab.locator("#credentials button:focus").innerText()).trim()).toBe("Age");
      await tab.keyboard.press("Enter");
      expect(await names()).toEqual(["rounds-db", "rounds-turso", "session-key", "mail-key"]);
      expect(await age.getAttribute("aria-sort")).toBe("ascending");
      await tab.keyboard.press("Space");
      expect(await names()).toEqual(["mail-key", "session-key", "rounds-db", "rounds-turso"]);
      expect(await age.getAttribute("aria-sort")).toBe("descending");
      expect(await tab.getByRole("status").textContent()).toBe("Sorted by Age, descending");
      await tab.locator("#credentials thead button").first().press("Enter");
      expect(await tab.locator("#credentials [aria-sort]").allInnerTexts()).toHaveLength(1);
    });
  });
});

it("the timeline has one bar a generation, each with its name, and what is due", async () => {
  await open(desktop, async (tab) => {
    const generations = report.credentials.flatMap(({ generations: own }) => own);
    expect(await tab.locator("svg.timeline g.bar").count()).toBe(generations.length);
    for (const { name, generations: own, age } of report.credentials) {
      const row = tab.getByRole("group", { name, exact: true });
      for (const { stamp } of own) expect(await row.getByRole("img", { name: `${name} ${stamp}:` }).count()).toBe(1);
      expect(await row.getByRole("img", { name: `${name} is due ${age.due ?? ""}` }).count()).toBe(1);
    }
    // Live at the same time, so side by side in time and below one another.
    const box = async (stamp: string) =>
      (await tab
        .getByRole("img", { name: `rounds-db ${stamp}:` })
        .locator("rect.body")
        .boundingBox()) ?? NOWHERE;
    const [current, previous, gone] = [await box("2026-11-16"), await box("2026-08-24"), await box("2026-05-04")];
    expect(previous.x + previous.width).toBeCloseTo(current.x + current.width, 0);
    expect(previous.y).toBeGreaterThan(current.y);
    expect(gone.x + gone.width).toBeGreaterThan(previous.x);
    expect(gone.x + gone.width).toBeLessThan(current.x);
    expect(await tab.locator("rect.late").count()).toBe(2); // mail-key's, and the legend's
  });
});

it("sorts numbers by their value", async () => {
  const [first, ...others] = report.credentials;
  const [one] = first?.consumers ?? [];
  if (!first || !one) throw new Error("the fixture has no consumer");
  const attested = (...all: boolean[]) => all.map((is) => ({ ...one, attested: is }));
  const ages = [-30, 5, 200];
  const lists = [attested(true, false), attested(true, false, false), attested(true)];
  const credentials = [first, ...others].slice(0, 3).map((credential, index) => ({
    ...{ ...credential, consumers: lists[index] ?? [] },
    age: { ...credential.age, days: ages[index] ?? 0 },
  }));
  await open(
    desktop,
    async (tab) => {
      const sorted = async (heading: string) => {
        await tab.locator("#credentials thead th", { hasText: heading }).getByRole("button").press("Enter");
        return tab.locator("#credentials tbody th").allInnerTexts();
      };
      const [half, third, whole] = credentials.map(({ name }) => name);
      expect(await sorted("Attested")).toEqual([third, half, whole]);
      expect(await sorted("Age")).toEqual([half, third, whole]);
    },
    toHtml({ ...report, credentials }),
  );
});

it("without JavaScript only sorting is missing", async () => {
  await open({ ...desktop, javaScriptEnabled: false }, async (tab) => {
    const rows = tablesOf(report).flatMap((table) => table.rows);
    expect(await tab.locator("tbody tr").count()).toBe(rows.length);
    expect(await tab.locator("svg.timeline g.bar").first().isVisible()).toBe(true);
  });
});

it("its policy lets no script run that was not made with it, and says so", async () => {
  const context = await browser.newContext();
  try {
    const tab = await context.newPage();
    const said: string[] = [];
    tab.on("console", (message) => said.push(message.text()));
    await tab.goto(address);
    await tab.evaluate(
      "{ const one = document.createElement('script'); one.textContent = 'window.broken = 1'; document.body.append(one); }",
    );
    expect(await tab.evaluate("typeof window.broken")).toBe("undefined");
    await expect
      .poll(() => said.join())
      .toContain("violates the following Content Security Policy directive 'script-src");
  } finally {
    await context.close();
  }
});

const NOWHERE = { x: 0, y: 0, width: 0, height: 0 };

/** Elements that are wider than the page, except inside what scrolls by itself. */
const OVERFLOWING = `[...document.querySelectorAll("body *")]
  .filter((one) => !one.closest(".scroll") && !one.closest("svg") && one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => one.outerHTML.slice(0, 80))`;

/** Texts with less contrast than 4.5 to 1 to the nearest ground behind them. */
const PALE = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).map((one) => (one / 255 <= 0.04045 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color).length === 3) return color;
    }
    return getComputedStyle(document.documentElement).backgroundColor;
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const pale = (front, back, of) => ratio(light(front), light(back)) < 4.5 ? [of + ": " + front + " on " + back] : [];
  const texts = [...document.querySelectorAll("h1,h2,p,dt,dd,td,th,button,li,code")].filter((one) => one.textContent.trim() !== "" && one.getClientRects().length > 0);
  const bars = [...document.querySelectorAll("svg.timeline .bar text")].map((one) => [one, one.closest(".bar").querySelector(".body")]);
  return [...new Set([
    ...texts.flatMap((one) => pale(getComputedStyle(one).color, ground(one), one.tagName)),
    ...[...document.querySelectorAll("svg.timeline > g text, svg.timeline .row > text")].filter((one) => !one.closest(".bar")).flatMap((one) => pale(getComputedStyle(one).fill, ground(document.body), "svg text")),
    ...bars.flatMap(([one, body]) => pale(getComputedStyle(one).fill, getComputedStyle(body).fill, "bar")),
  ])];
})()`;
