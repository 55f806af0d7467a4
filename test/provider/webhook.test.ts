// Proves, over real sockets, that an alert is one POST in Slack's form, that every failure comes back as a reason that is bounded
// in time and holds nothing of the address or the answer, and that no redirect is followed. Not that Slack takes it, nor TLS.
import { once } from "node:events";
import * as http from "node:http";
import * as net from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { postAlert } from "../../components/notify/webhook";
import { close, listen } from "../../local/cloud/faults";

const PATH = "/services/T0SECRET/B0SECRET/hook-secret-0123456789";
const BODY = "answer-body-marker";

interface Seen {
  method: string | undefined;
  path: string | undefined;
  type: string | undefined;
  body: string;
}
type Answer = (response: http.ServerResponse, request: http.IncomingMessage) => void;

describe("postAlert", () => {
  const seen: Seen[] = [];
  let server: http.Server;
  let port = 0;
  /** Of each request the next one; of those after the last, the last again. */
  let answers: Answer[] = [];

  beforeEach(async () => {
    seen.length = 0;
    server = http.createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (part: string) => (body += part));
      request.on("end", () => {
        seen.push({ method: request.method, path: request.url, type: request.headers["content-type"], body });
        (answers[seen.length - 1] ?? answers.at(-1))?.(response, request);
      });
    });
    port = await listen(server);
  });
  afterEach(() => close(server));

  const url = (at = port) => `http://127.0.0.1:${at}${PATH}`;
  const status =
    (code: number, headers: Record<string, string> = {}): Answer =>
    (response) => {
      response.writeHead(code, headers).end(`${BODY} ${PATH}`);
    };
  const reset: Answer = (_response, request) => {
    request.socket.resetAndDestroy();
  };

  function expectNoSecret(reason: string | undefined): void {
    expect(reason).toMatch(/^the webhook/);
    for (const secret of ["SECRET", "hook-secret", "127.0.0.1", String(port), BODY])
      expect(reason).not.toContain(secret);
  }

  it("posts one JSON text, in which nothing is a mention or a link", async () => {
    answers = [status(200)];
    expect(await postAlert(url(), 'rounds-db: "old" & <!channel> → Ärger')).toBeUndefined();
    expect(seen).toEqual([
      {
        method: "POST",
        path: PATH,
        type: "application/json",
        body: JSON.stringify({ text: 'rounds-db: "old" &amp; &lt;!channel&gt; → Ärger' }),
      },
    ]);
  });

  it("cuts a long text and says so", async () => {
    answers = [status(200)];
    expect(await postAlert(url(), `${"a".repeat(3999)}bc`)).toBeUndefined();
    expect(seen[0]?.body).toBe(JSON.stringify({ text: `${"a".repeat(3999)}…` }));
  });

  it.each([
    [400, "it is revoked or wrong; make a new one at the chat's settings, and set it with"],
    [404, "it is revoked or wrong; make a new one at the chat's settings, and set it with"],
    [429, "too many messages"],
    [500, "it failed at its own end"],
    [503, "it failed at its own end"],
  ])("says status %i, without another try", async (code, advice) => {
    answers = [status(code)];
    const reason = await postAlert(url(), "a gate failed");
    expect(reason).toContain(`the webhook answered status ${code}: ${advice}`);
    expectNoSecret(reason);
    expect(seen).toHaveLength(1);
  });

  it.each([301, 302, 307, 308])("does not follow a redirect (%i)", async (code) => {
    answers = [status(code, { location: `/elsewhere${PATH}` }), status(200)];
    const reason = await postAlert(url(), "a gate failed");
    expect(reason).toContain("the webhook answered with a redirect");
    expectNoSecret(reason);
    expect(seen.map(({ path }) => path)).toEqual([PATH]);
  });

  it("tries once more after a broken connection", async () => {
    answers = [reset, status(200)];
    expect(await postAlert(url(), "a gate failed")).toBeUndefined();
    expect(seen).toHaveLength(2);
  });

  it("gives up after the second broken connection", async () => {
    answers = [reset];
    const reason = await postAlert(url(), "a gate failed");
    expect(reason).toMatch(/^the webhook could not be reached \((ECONNRESET|UND_ERR_SOCKET)\)/);
    expectNoSecret(reason);
    expect(seen).toHaveLength(2);
  });

  it("says that nobody listens", async () => {
    await close(server);
    const reason = await postAlert(url(), "a gate failed");
    expect(reason).toContain("the webhook could not be reached (ECONNREFUSED)");
    expectNoSecret(reason);
  });

  it("waits no longer than it may for an answer that does not come", async () => {
    answers = [() => undefined];
    const begun = performance.now();
    const reason = await postAlert(url(), "a gate failed", 400);
    expect(performance.now() - begun).toBeLessThan(2000);
    expect(reason).toBe("the webhook did not answer within 400 ms");
    expect(seen).toHaveLength(1);
  });

  it("does not begin the time again for its second try", async () => {
    answers = [reset, () => undefined];
    const begun = performance.now();
    expect(await postAlert(url(), "a gate failed", 600)).toBe("the webhook did not answer within 600 ms");
    expect(performance.now() - begun).toBeLessThan(1100);
    expect(seen).toHaveLength(2);
  });

  it("does not wait for the end of an answer's body", async () => {
    answers = [(response) => void response.writeHead(200).write("o")];
    const begun = performance.now();
    expect(await postAlert(url(), "a gate failed")).toBeUndefined();
    expect(performance.now() - begun).toBeLessThan(2000);
  });

  it("says that something else than a web server answers", async () => {
    const other = net.createServer((socket) => void socket.on("error", () => undefined).end(`${BODY}\r\n`));
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    const at = (other.address() as net.AddressInfo).port;
    const reason = await postAlert(url(at), "a gate failed");
    other.close();
    expect(reason).toContain("not in HTTP");
    expect(reason).not.toContain(String(at));
    expectNoSecret(reason);
  });

  it.each([
    ["http://hooks.example.com/hook-secret", "is not https"],
    ["http://127.0.0.1.example.com/hook-secret", "is not https"],
    ["ftp://127.0.0.1/hook-secret", "is not https"],
    ["https://user:hook-secret@hooks.example.com/", "carries a user name or password"],
    ["hook-secret", "is no URL"],
    ["", "is no URL"],
  ])("refuses the address %j before anything is sent", async (address, what) => {
    const reason = await postAlert(address, "a gate failed");
    expect(reason).toBe(`the webhook's address ${what}; set it with \`pulumi config set --secret alertWebhook\``);
  });
});
