import assert from "node:assert/strict";
import test from "node:test";
import { StrangerLog } from "../../src/observe/strangerLog.ts";

test("a flood gets its burst of lines and then a steady few, and each tells how many were left out", () => {
  let now = 0;
  const limited = new StrangerLog({ now: () => now });
  const written: { suppressed?: number; tail: string }[] = [];
  const say = (count: number) => {
    for (let i = 0; i < count; i++) limited.say((more, tail) => written.push({ ...more, tail }));
    return written.splice(0);
  };
  const first = say(10_000);
  assert.equal(first.length, 500);
  assert.deepEqual(first.at(-1), { tail: "" });
  now = 1_000;
  const second = say(10_000);
  assert.equal(second.length, 20);
  assert.deepEqual(second[0], { suppressed: 9_500, tail: "; 9500 such lines before it were left out" });
  assert.deepEqual(second[1], { tail: "" });
  // However long the quiet, and whatever the clock does, a burst is all there is.
  now = 3600_000;
  assert.equal(say(1_000).length, 500);
  now = 0;
  assert.equal(say(10).length, 0);
});

test("who comes one at a time is told one at a time", () => {
  let now = 0;
  const limited = new StrangerLog({ now: () => now });
  let written = 0;
  for (let i = 0; i < 2_000; i++) {
    now += 50;
    limited.say(() => (written += 1));
  }
  assert.equal(written, 2_000);
});
