import assert from "node:assert/strict";
import test from "node:test";
import { DeadlineTimer } from "../../src/sim/deadlineTimer.ts";
import { World } from "../../src/sim/world.ts";

test("a core is woken when it says, once, and not when it has changed its mind", () => {
  const world = new World(1);
  const start = world.now();
  const woken: number[] = [];
  const timer = new DeadlineTimer(world, world, () => woken.push(world.now() - start));
  timer.set(start + 100);
  timer.set(start + 100);
  world.run(150);
  assert.deepEqual(woken, [100]);
  timer.set(start + 1_000);
  timer.set(start + 200);
  world.run(1_500);
  assert.deepEqual(woken, [100, 200]);
  timer.set(start + 5_000);
  timer.set(Number.POSITIVE_INFINITY);
  world.run(10_000);
  assert.deepEqual(woken, [100, 200]);
});

test("what is overdue is done at once, and the same deadline may be set again", () => {
  const world = new World(1);
  let woken = 0;
  const timer = new DeadlineTimer(world, world, () => (woken += 1));
  const past = world.now() - 1_000;
  timer.set(past);
  world.run(1);
  timer.set(past);
  world.run(1);
  assert.equal(woken, 2);
});
