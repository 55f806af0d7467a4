/**
 * The front of one Worker: its stable URL, and the stand-in for Cloudflare's edge. It has *slots*, each standing for an
 * isolate somewhere, which go from an old version to a new one at moments of their own; the old workerd process runs
 * until its last slot has gone and its last request is answered. So a switch fails no request, and while it lasts old
 * and new both answer. The front never retries.
 *
 * What it does not show: slots with one version share one real isolate, so module-scope state is shared.
 */
import * as http from "node:http";
import { pipeline } from "node:stream";
import { close, listen } from "../faults";
import type { Instance } from "./workerd";

/**
 * - `instant`: every slot switches before the API answers.
 * - `random`: the slots switch at random, the last after `withinMs`; each request meets any of them. `delaysMs` fixes when each of
 *   the eight switches, in place of chance.
 * - `sticky`: likewise, but a client always meets the same slot. The client is the header `x-vantage`, else the
 *   User-Agent (Node's `fetch` sends `node`), else the connection; clients are dealt to the pools in the order in which
 *   they first come. `delaysMs` fixes when each pool switches, in place of chance.
 */
export type Propagation =
  | { mode: "instant" }
  | { mode: "random"; withinMs: number; delaysMs?: number[] }
  | { mode: "sticky"; withinMs: number; pools: number; delaysMs?: number[] };

interface Slot {
  instance: Instance;
  timer?: NodeJS.Timeout;
}

const RANDOM_SLOTS = 8;
const SEED = 20_261_201;

export class Front {
  private slots: Slot[];
  private newest: Instance;
  private propagation: Propagation = { mode: "instant" };
  private readonly live = new Set<Instance>();
  private readonly ending = new Set<Promise<void>>();
  private readonly pools = new Map<string, number>();
  private readonly sockets = new WeakMap<object, number>();
  private dealt = 0;
  private readonly chance = drawing(SEED);
  private readonly server = http.createServer((request, response) => {
    this.forward(this.slotFor(request).instance, request, response);
  });

  private constructor(first: Instance) {
    this.newest = first;
    this.live.add(first);
    this.slots = [{ instance: first }];
    // Clients reuse connections at will; a close by the front would look like a fault.
    this.server.keepAliveTimeout = 0;
  }

  static async start(first: Instance): Promise<{ front: Front; url: string }> {
    const front = new Front(first);
    return { front, url: `http://127.0.0.1:${await listen(front.server)}` };
  }

  /** Ends a switch that is under way, and decides how later ones go. */
  setPropagation(propagation: Propagation): void {
    this.propagation = propagation;
    for (const slot of this.slots) clearTimeout(slot.timer);
    const count = { instant: 1, random: RANDOM_SLOTS, sticky: propagation.mode === "sticky" ? propagation.pools : 1 };
    this.slots = Array.from({ length: count[propagation.mode] }, () => ({ instance: this.newest }));
    this.pools.clear();
    this.dealt = 0;
    this.collect();
  }

  /** Begins the switch to a new instance. */
  show(instance: Instance): void {
    this.newest = instance;
    this.live.add(instance);
    const delays = this.delays();
    this.slots.forEach((slot, index) => {
      clearTimeout(slot.timer);
      const turn = (): void => {
        slot.instance = instance;
        this.collect();
      };
      const delay = delays[index] ?? 0;
      if (delay === 0) turn();
      else slot.timer = setTimeout(turn, delay);
    });
  }

  /** The version that each slot serves now. */
  versions(): string[] {
    return this.slots.map((slot) => slot.instance.versionId);
  }

  /** How many workerd processes run, those that are ending included. */
  instances(): number {
    return this.live.size + this.ending.size;
  }

  async stop(): Promise<void> {
    for (const slot of this.slots) clearTimeout(slot.timer);
    await close(this.server);
    await Promise.all([...this.ending, ...[...this.live].map((instance) => instance.dispose())]);
    this.live.clear();
  }

  private delays(): number[] {
    const { propagation, slots } = this;
    if (propagation.mode === "instant") return [];
    if (propagation.delaysMs) return propagation.delaysMs;
    const last = Math.floor(this.chance() * slots.length);
    return slots.map((_, index) => (index === last ? 1 : this.chance()) * propagation.withinMs);
  }

  private slotFor(request: http.IncomingMessage): Slot {
    const { slots } = this;
    const index = this.propagation.mode === "sticky" ? this.pool(request) : Math.floor(this.chance() * slots.length);
    return slots[index % slots.length] ?? { instance: this.newest };
  }

  private pool(request: http.IncomingMessage): number {
    const vantage = request.headers["x-vantage"] ?? request.headers["user-agent"];
    const known = vantage === undefined ? this.sockets.get(request.socket) : this.pools.get(String(vantage));
    if (known !== undefined) return known;
    const pool = this.dealt++;
    if (vantage === undefined) this.sockets.set(request.socket, pool);
    else this.pools.set(String(vantage), pool);
    return pool;
  }

  private forward(instance: Instance, request: http.IncomingMessage, response: http.ServerResponse): void {
    instance.inFlight += 1;
    const headers = endToEnd(request.headers);
    const { port, agent } = instance;
    const { method, url: path } = request;
    const upstream = http.request({ host: "127.0.0.1", port, agent, method, path, headers }, (answer) => {
      const { statusCode = 502 } = answer;
      response.writeHead(statusCode, { ...endToEnd(answer.headers), "x-served-version": instance.versionId });
      pipeline(answer, response, () => undefined);
    });
    upstream.on("error", () => {
      if (response.headersSent) response.destroy();
      else response.writeHead(502).end("the Worker's process dropped the request");
    });
    response.once("close", () => {
      upstream.destroy();
      instance.inFlight -= 1;
      this.collect();
    });
    pipeline(request, upstream, () => undefined);
  }

  /** Ends the processes that no slot serves and that answer nothing any more. */
  private collect(): void {
    const wanted = new Set([this.newest, ...this.slots.map((slot) => slot.instance)]);
    for (const instance of this.live) {
      if (wanted.has(instance) || instance.inFlight > 0) continue;
      this.live.delete(instance);
      const ending = instance.dispose().finally(() => this.ending.delete(ending));
      this.ending.add(ending);
    }
  }
}

/** Numbers from 0 to below 1, the same in every run: mulberry32. */
function drawing(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The headers that a proxy hands on: the others speak of one connection only. */
function endToEnd(headers: http.IncomingHttpHeaders): http.OutgoingHttpHeaders {
  const kept = { ...headers };
  delete kept.connection;
  delete kept["keep-alive"];
  return kept;
}
