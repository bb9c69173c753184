import assert from "node:assert/strict";
import { test } from "node:test";
import { RecheckQueue } from "../../src/revocation/recheckQueue.ts";
import { VirtualTime } from "./virtualTime.ts";

function queue(seed: string, work: (item: string, time: VirtualTime) => Promise<void> = async () => undefined) {
  const time = new VirtualTime(seed);
  const ran: { item: string; at: number }[] = [];
  const began = time.world.now();
  const items = new RecheckQueue<string>(time.world, time.timers, (item) => {
    ran.push({ item, at: time.world.now() - began });
    return work(item, time);
  });
  return { time, began, items, ran };
}

test("each item runs at its time, at most a second early, and the last time said for it counts", async () => {
  const { time, began, items, ran } = queue("times");
  items.at("late", began + 60_500);
  items.at("early", began + 10_000);
  items.at("moved", began + 5_000);
  items.at("moved", began + 30_000);
  await time.run(120_000);
  assert.deepEqual(
    ran.map(({ item }) => item),
    ["early", "moved", "late"],
  );
  for (const [index, due] of [10_000, 30_000, 60_500].entries()) {
    assert.ok(ran[index]!.at <= due && ran[index]!.at > due - 1000, `${ran[index]!.at} for ${due}`);
  }
});

test("what is due at once runs at once, and no longer at its time", async () => {
  const { time, began, items, ran } = queue("now");
  items.at("a", began + 10_000);
  items.now("a");
  await time.run(60_000);
  assert.deepEqual(ran, [{ item: "a", at: 0 }]);
});

test("what is forgotten does not run, be it due later or waiting for its turn", async () => {
  const { time, began, items, ran } = queue("forget");
  items.at("later", began + 5_000);
  items.forget("later");
  for (let index = 0; index < 100; index++) items.now(`${index}`);
  items.forget("99");
  items.forget("never there");
  await time.run(60_000);
  assert.equal(ran.length, 99);
  assert.ok(!ran.some(({ item }) => item === "99" || item === "later"));
});

test("of a crowd that waits for others never more run at a time than the limit", async () => {
  let running = 0;
  let most = 0;
  const { time, items, ran } = queue("crowd", async (item, world) => {
    most = Math.max(most, ++running);
    await world.delay(100 + ((Number(item) * 7919) % 1000));
    running -= 1;
  });
  for (let index = 0; index < 2000; index++) items.now(`${index}`);
  await time.run(60_000);
  assert.equal(new Set(ran.map(({ item }) => item)).size, 2000);
  assert.equal(most, 256);
});

test("a crowd that only computes runs in handfuls, the loop having its turn between them", async () => {
  const { time, items, ran } = queue("computing");
  for (let index = 0; index < 2000; index++) items.now(`${index}`);
  assert.equal(ran.length, 0);
  await time.run(0);
  const turns = time.turns;
  await time.run(60_000);
  assert.equal(ran.length, 2000);
  assert.ok(time.turns - turns >= 2000 / 32, `${time.turns - turns} turns of the loop`);
});

test("a queue that is closed runs nothing more", async () => {
  const { time, began, items, ran } = queue("closed");
  items.at("a", began + 1000);
  for (let index = 0; index < 100; index++) items.now(`${index}`);
  const before = ran.length;
  items[Symbol.dispose]();
  items.now("b");
  items.at("c", began + 1000);
  await time.run(60_000);
  assert.equal(ran.length, before);
});
