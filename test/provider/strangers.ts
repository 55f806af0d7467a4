/** For tests of what strangers answer: between us and the Cloudflare API, or in a probe's place. */
import * as http from "node:http";
import { close, listen } from "../../local/cloud/faults";

/** Stands in every strange page: no error may repeat it. */
export const marker = "words-of-a-stranger";

/** What something between us and Cloudflare may answer, or a probe that is none. */
export interface Page {
  status: number;
  body: string;
  headers?: Record<string, string>;
}
export const html = (status: number): Page => ({
  status,
  body: `<html><title>${marker}</title></html>`,
  headers: { "content-type": "text/html" },
});
export const json = (body: unknown, status = 200): Page => ({
  status,
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
});

export const pages: Record<string, Page> = {
  "an HTML page with 502": html(502),
  "an HTML page with 404": html(404),
  "an HTML page with 200": html(200),
  "JSON without envelope": json({ code: 1, error: marker }),
  "JSON that is no object": json([marker]),
};
/** The calls that Rollover makes, as faults match them. */
export const endpoints = {
  versions: { method: "GET", path: /\/versions$/ },
  deployments: { method: "GET", path: /\/deployments$/ },
  secrets: { method: "GET", path: /\/secrets$/ },
  bulk: { method: "PATCH", path: /\/secrets-bulk$/ },
};
interface Strike {
  method: string;
  path: RegExp;
  page: Page;
  times: number;
  /** Whether Cloudflare does what was asked, and only its answer is lost. */
  applied?: boolean;
}

export interface Between {
  apiUrl: string;
  set(strike: Strike | undefined): void;
  struck(): number;
  stop(): Promise<void>;
}

/** Stands between client and API, and answers some calls with a page of its own. */
export async function startBetween(apiUrl: string): Promise<Between> {
  let strike: Strike | undefined;
  let struck = 0;
  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const { method = "GET", url = "/", headers } = request;
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const hit = strike?.method === method && strike.path.test(url) && struck < strike.times ? strike : undefined;
    if (hit) struck += 1;
    if (hit && !hit.applied) {
      send(response, hit.page);
      return;
    }
    const { authorization = "", "content-type": type = "", "x-vault-token": vaultToken = "" } = headers;
    const answer = await fetch(new URL(url, apiUrl), {
      method,
      headers: { authorization, "content-type": type, "x-vault-token": String(vaultToken) },
      ...(body === "" ? {} : { body }),
    });
    const text = await answer.text();
    send(
      response,
      hit ? hit.page : { status: answer.status, body: text, headers: { "content-type": "application/json" } },
    );
  };
  const server = http.createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  const port = await listen(server);
  return {
    apiUrl: `http://127.0.0.1:${port}/client/v4`,
    set(next) {
      strike = next;
      struck = 0;
    },
    struck: () => struck,
    stop: () => close(server),
  };
}

export interface Probe {
  url: string;
  /** The answers to come, in order; the last one again and again. */
  answer(pages: Page[]): void;
  asked(): number;
  stop(): Promise<void>;
}

export async function startProbe(): Promise<Probe> {
  let list: Page[] = [];
  let asked = 0;
  const good = json({ generations: { "rounds-db": [{ stamp: "2026-11-20", tag: "new" }] } });
  const server = http.createServer((request, response) => {
    send(response, request.url === "/good" ? good : (list[Math.min(asked++, list.length - 1)] ?? html(500)));
    if (response.hasHeader("content-length")) response.destroy();
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}/.well-known/rollover`,
    answer(pages) {
      list = pages;
      asked = 0;
    },
    asked: () => asked,
    stop: () => close(server),
  };
}

function send(response: http.ServerResponse, { status, body, headers }: Page): void {
  for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value);
  response.statusCode = status;
  response.end(body);
}
