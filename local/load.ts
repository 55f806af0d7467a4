/**
 * Load on one URL: clients that ask, wait for the answer, pause and ask again, each with its own kept connection, no retry. What a user would notice is
 * counted: a request that fails in any way, or takes too long, has failed.
 */
import * as http from "node:http";
import { setTimeout as pause } from "node:timers/promises";

export interface LoadOptions {
  url: string;
  /** @default 4 */
  clients?: number;
  /** Whether an answer is a success. @default status 200 */
  check?: (status: number, body: string) => boolean;
  /** What each client asks, where one request depends on the answer before. @default GET `url` again and again */
  conversation?: () => Conversation;
  /**
   * So long a client pauses after an answer, unless somebody waits for a number of requests. Each login costs Postgres a process:
   * without a pause a few clients take all of a small machine, and the update that they watch three times as long. @default 500
   */
  pauseMs?: number;
  /** A longer request has failed. @default 5000 */
  timeoutMs?: number;
  headers?: Record<string, string>;
  /** The load ends by itself after so many requests. @default 200000 */
  maxRequests?: number;
  /** The load ends by itself after this time. @default 600000 */
  maxMs?: number;
}

/** One client's side: what it asks next, and what it makes of an answer. */
export interface Conversation {
  next(): { method: string; url: string; headers: Record<string, string> };
  /** Whether the answer is a success. */
  heard(status: number, body: string): boolean;
}

export interface Failure {
  /** Milliseconds since 1970, at its end. */
  at: number;
  /** `status 500: {"ok":false,…}` or an error's code; the body's first 120 characters. */
  reason: string;
}

export interface LoadResult {
  requests: number;
  failed: number;
  /** The first 50. */
  failures: Failure[];
  /** The longest time between one success and the next, over all clients; at either end, to the section's border. */
  worstGapMs: number;
  elapsedMs: number;
}

export interface Load {
  /** The section so far; requests count where they end. */
  result(): LoadResult;
  /** Closes the section, returns it and begins the next. */
  mark(): LoadResult;
  /** Waits until the section has so many requests; fails if the load ends before. */
  until(requests: number): Promise<void>;
  /** Ends the load when the requests under way are answered; returns the last section. */
  stop(): Promise<LoadResult>;
}

interface Section {
  startedAt: number;
  lastSuccessAt: number;
  requests: number;
  failed: number;
  failures: Failure[];
  worstGapMs: number;
}

export function startLoad(options: LoadOptions): Load {
  const { url, clients = 4, pauseMs = 500, timeoutMs = 5000, headers = {} } = options;
  const { maxRequests = 200_000, maxMs = 600_000 } = options;
  const heard = options.check ?? ((status: number): boolean => status === 200);
  const converse = options.conversation ?? (() => ({ next: () => ({ method: "GET", url, headers }), heard }));
  const endsAt = Date.now() + maxMs;
  let section = newSection();
  let total = 0;
  let stopping = false;
  let waiting: { requests: number; resolve: () => void; reject: (error: Error) => void }[] = [];

  const count = (reason: string | undefined): void => {
    const now = Date.now();
    section.requests += 1;
    if (reason === undefined) {
      section.worstGapMs = Math.max(section.worstGapMs, now - section.lastSuccessAt);
      section.lastSuccessAt = now;
    } else {
      section.failed += 1;
      if (section.failures.length < 50) section.failures.push({ at: now, reason });
    }
    const { requests } = section;
    for (const wait of waiting) if (requests >= wait.requests) wait.resolve();
    waiting = waiting.filter((wait) => requests < wait.requests);
  };

  const client = async (): Promise<void> => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const conversation = converse();
    while (!stopping && total < maxRequests && Date.now() < endsAt) {
      total += 1;
      count(await attempt(conversation, agent, timeoutMs));
      if (waiting.length === 0) await pause(pauseMs);
    }
    agent.destroy();
  };
  let ended = false;
  const running = Promise.all(Array.from({ length: clients }, client)).then(() => {
    ended = true;
    for (const wait of waiting) wait.reject(endedEarly(wait.requests, section.requests));
  });

  return {
    result: () => summarise(section),
    mark() {
      const result = summarise(section);
      section = newSection();
      return result;
    },
    until(requests) {
      if (section.requests >= requests) return Promise.resolve();
      if (ended) return Promise.reject(endedEarly(requests, section.requests));
      return new Promise((resolve, reject) => waiting.push({ requests, resolve, reject }));
    },
    async stop() {
      stopping = true;
      await running;
      return summarise(section);
    },
  };
}

/** One request; the reason if it failed. */
function attempt(conversation: Conversation, agent: http.Agent, timeoutMs: number): Promise<string | undefined> {
  const { method, url, headers } = conversation.next();
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      resolve(error.code ?? error.message);
    };
    const request = http.request(url, { agent, method, headers }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk));
      response.on("error", fail);
      response.on("end", () => {
        clearTimeout(timer);
        const status = response.statusCode ?? 0;
        resolve(conversation.heard(status, body) ? undefined : `status ${status}: ${body.slice(0, 120)}`);
      });
    });
    const timer = setTimeout(() => request.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    request.on("error", fail);
    request.end();
  });
}

function newSection(): Section {
  const now = Date.now();
  return { startedAt: now, lastSuccessAt: now, requests: 0, failed: 0, failures: [], worstGapMs: 0 };
}

function summarise({ startedAt, lastSuccessAt, requests, failed, failures, worstGapMs }: Section): LoadResult {
  const now = Date.now();
  const gap = Math.max(worstGapMs, now - lastSuccessAt);
  return { requests, failed, failures: [...failures], worstGapMs: gap, elapsedMs: now - startedAt };
}

function endedEarly(wanted: number, made: number): Error {
  return new Error(`the load ended after ${made} requests of its section; ${wanted} were awaited`);
}
