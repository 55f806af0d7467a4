// Proves that 1,000 edits in a row, of every action and with reasons, leave a stack file's comments, order and quotes as they were,
// and exactly the wanted stamps. That Pulumi reads the result the same is in test/engine/stack-edits.test.ts.
import { expect, it } from "vitest";
import { commentsOf, edited, EDITED_FILE, shapeOf } from "./stack-edits-fixture";

it("1,000 random rotations, retirements and rollbacks", { timeout: 240_000 }, () => {
  const { text, done, refused } = edited(1000, 20261120);
  expect(shapeOf(text)).toEqual(shapeOf(EDITED_FILE));
  for (const comment of commentsOf(EDITED_FILE)) expect(text).toContain(comment);
  expect(done.rotate + done.retire + done.rollback).toBe(1000);
  expect(Math.min(done.rotate, done.retire, done.rollback)).toBeGreaterThan(150);
  expect(refused).toBeGreaterThan(50);
});
