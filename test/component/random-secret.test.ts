// Proves exactly what a RandomSecret registers, under which names, and what of it is secret, under mocks. Not proven: that
// the engine keeps a value over later edits (test/engine), nor any provider.
import * as random from "@pulumi/random";
import { expect, it } from "vitest";
import { RandomSecret } from "../../components";
import { registeredBy, valueOf } from "./registered";

const credential = {
  kind: "random" as const,
  name: "session-key",
  length: 40,
  generations: ["2026-11-21.2", "2026-11-20"],
  deliver: [{ worker: "rounds-api", as: "SESSION_KEY", previousAs: "SESSION_KEY_PREVIOUS" }],
  output: false,
};

it("mints a value and a tag for each generation, and never again", async () => {
  const registered = await registeredBy(() => new RandomSecret("session-key", { credential }));

  const [component, ...children] = registered;
  expect(component).toMatchObject({ what: "rollover:random:RandomSecret session-key", parent: "", inputs: {} });
  const password = { inputs: { length: 40, special: false }, secretOutputs: ["bcryptHash", "result"] };
  const tag = { inputs: { byteLength: 8 }, secretOutputs: [] };
  const same = { parent: "session-key", secrets: [], after: [], retained: false };
  const ignored = ["length", "special", "byteLength"];
  expect(children).toHaveLength(4);
  expect(children).toEqual(
    expect.arrayContaining([
      { what: "random:index/randomPassword:RandomPassword session-key@2026-11-21.2", ...password, ...same, ignored },
      { what: "random:index/randomPassword:RandomPassword session-key@2026-11-20", ...password, ...same, ignored },
      { what: "random:index/randomId:RandomId session-key@2026-11-21.2", ...tag, ...same, ignored },
      { what: "random:index/randomId:RandomId session-key@2026-11-20", ...tag, ...same, ignored },
    ]),
  );
});

it("hands out secret values and public tags, current first", async () => {
  let secret: RandomSecret | undefined;
  await registeredBy(() => (secret = new RandomSecret("session-key", { credential })));

  const generations = await Promise.all(
    (secret?.generations ?? []).map(async ({ stamp, tag, value }) => ({
      stamp,
      tag: await valueOf(tag),
      value: await valueOf(value),
    })),
  );
  expect(generations).toEqual(
    ["2026-11-21.2", "2026-11-20"].map((stamp) => ({
      stamp,
      tag: { value: `tag-of-session-key@${stamp}`, secret: false },
      value: { value: `password-of-session-key@${stamp}`, secret: true },
    })),
  );
});

it("mints nothing before what it is to wait for", async () => {
  const registered = await registeredBy(() => {
    const before = new random.RandomId("before", { byteLength: 1 });
    return new RandomSecret("session-key", { credential, after: [before] });
  });
  const children = registered.filter(({ parent }) => parent === "session-key");
  expect(children.map(({ after }) => after)).toEqual(children.map(() => ["random:index/randomId:RandomId before"]));
  expect(children).toHaveLength(4);
});
