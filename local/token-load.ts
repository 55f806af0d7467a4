/** Clients of the local Worker's `/v1/rounds`: each token that one request is given is shown at the next. */
import type { Conversation } from "./load";

let clients = 0;

/** @param url The Worker's own, ending in `/`. */
export function tokenConversation(url: string): Conversation {
  clients += 1;
  // Where pools are sticky, a client that signs in one is to verify in another: it changes its vantage at each request.
  const vantages = [`a${clients}`, `b${clients}`];
  let token: string | undefined;
  let turn = 0;
  return {
    next() {
      turn += 1;
      const headers = { "x-vantage": vantages[turn % 2] ?? "", "content-length": "0" };
      if (token === undefined) return { method: "POST", url: `${url}v1/rounds/start`, headers };
      return { method: "POST", url: `${url}v1/rounds/next`, headers: { ...headers, authorization: `Bearer ${token}` } };
    },
    heard(status, body) {
      token = status === 200 ? tokenIn(body) : undefined;
      return token !== undefined;
    },
  };
}

function tokenIn(body: string): string | undefined {
  const { token } = JSON.parse(body) as { token?: unknown };
  return typeof token === "string" ? token : undefined;
}
