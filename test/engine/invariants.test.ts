// Proves that a scene which ends with a secret in the clear, or with something left to do, fails whoever ends it, and that it is
// ended all the same. Where secrets are looked for, and in which forms, engine/leaks proves by planting them.
import * as fs from "node:fs";
import { expect, it } from "vitest";
import { must, startScene } from "../../local/scene";
import { secretOf, usualCredentials } from "./rounds";

it("finds a secret of an earlier update, and an edit that no update has made", async () => {
  const scene = await startScene({
    needs: ["workers"],
    credentials: { "session-key": usualCredentials("2026-11-20")["session-key"] },
    worker: { settle: "0s", answers: 3 },
  });
  await must(scene.stack.up());
  const earlier = secretOf(scene, "SESSION_KEY");
  scene.generations("session-key", ["2026-11-21"]);
  await must(scene.stack.up());
  expect(secretOf(scene, "SESSION_KEY")).not.toBe(earlier);

  fs.appendFileSync(scene.stack.transcript, JSON.stringify({ note: earlier }));
  scene.generations("session-key", ["2026-11-22"]);
  const error = await scene.end().catch((reason: unknown) => String(reason));
  expect(error).toContain("no changes were expected");
  expect(error).toMatch(
    /session-key@2026-11-20.* stands in transcript: transcript\.txt, form plain|SESSION_KEY stands in /,
  );
  expect(error).not.toContain(earlier);
  expect(fs.existsSync(scene.dir)).toBe(false);
});
