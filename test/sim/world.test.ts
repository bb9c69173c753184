import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../src/sim/random.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { type Address, forSeeds, forSeedsSettled, type Link, PERFECT_LINK, World } from "../../src/sim/world.ts";

const A: Address = { address: "192.0.2.1", port: 500 };
const B: Address = { address: "192.0.2.2", port: 4500 };
const BAD_LINK: Link = { loss: 0.2, duplicate: 0.2, delay: [1, 50] };

describe("virtual time", () => {
  test("stands still until it is run, and then goes to the moment of each event", () => {
    const world = new World(1);
    const start = world.now();
    const seen: [string, number][] = [];
    const note = (what: string) => () => seen.push([what, world.now() - start]);
    world.after(30, note("c"));
    world.after(10, note("a"));
    world.after(20, note("b"));
    world.after(10, note("a, scheduled later"));
    world.after(-5, note("at once"));
    assert.deepEqual(seen, []);
    world.run(25);
    assert.deepEqual(seen, [
      ["at once", 0],
      ["a", 10],
      ["a, scheduled later", 10],
      ["b", 20],
    ]);
    assert.equal(world.now() - start, 25);
    world.run(5);
    assert.deepEqual(seen.at(-1), ["c", 30]);
    world.run(1000);
    assert.equal(world.now() - start, 1030);
  });

  test("does not run what was taken back", () => {
    const world = new World(1);
    const seen: string[] = [];
    const takeBack = world.after(10, () => seen.push("taken back"));
    world.after(10, () => seen.push("kept"));
    takeBack();
    world.run(20);
    takeBack();
    assert.deepEqual(seen, ["kept"]);
  });

  test("runs what an event schedules, within the limit", () => {
    const world = new World(1);
    let ticks = 0;
    const tick = () => {
      ticks += 1;
      world.after(10, tick);
    };
    tick();
    world.run(100);
    assert.equal(ticks, 11);
  });

  test("stops as soon as what is waited for holds, and says whether it came", () => {
    const world = new World(1);
    const start = world.now();
    let done = false;
    world.after(10, () => {
      done = true;
    });
    world.after(20, () => assert.fail("too far"));
    assert.equal(
      world.runUntil(() => done, 15),
      true,
    );
    assert.equal(world.now() - start, 10);
    assert.equal(
      world.runUntil(() => done, 0),
      true,
      "holds already",
    );
    assert.equal(
      new World(1).runUntil(() => false, 1000),
      false,
      "nothing is left to happen",
    );
    const late = new World(1);
    let came = false;
    late.after(11, () => {
      came = true;
    });
    assert.equal(
      late.runUntil(() => came, 10),
      false,
    );
    assert.equal(
      late.runUntil(() => came, 1),
      true,
    );
  });
});

describe("virtual time for parties that answer through promises", () => {
  test("lets everything that waits for a promise have its turn between two events", async () => {
    const world = new World(1);
    const start = world.now();
    const seen: [string, number][] = [];
    const answer = async (what: string) => {
      for (let i = 0; i < 5; i++) await Promise.resolve();
      seen.push([what, world.now() - start]);
      if (what === "first") world.after(5, () => void answer("between"));
    };
    world.after(10, () => void answer("first"));
    world.after(20, () => void answer("last"));
    assert.equal(await world.runUntilSettled(() => seen.length === 3, 100), true);
    assert.deepEqual(seen, [
      ["first", 10],
      ["between", 15],
      ["last", 20],
    ]);
    assert.equal(world.now() - start, 20, "no further than what was waited for");
  });

  test("takes events of one moment one by one, so that none sees what a later one's promise does", async () => {
    const world = new World(1);
    let open = 0;
    const party = () => {
      assert.equal(open, 0);
      open += 1;
      void Promise.resolve().then(() => {
        open -= 1;
      });
    };
    for (let i = 0; i < 3; i++) world.after(10, party);
    assert.equal(await world.runUntilSettled(() => false, 9), false);
    world.after(1, () => assert.equal(open, 0));
    let atTheLimit = false;
    world.after(1, () => {
      atTheLimit = true;
    });
    assert.equal(await world.runUntilSettled(() => atTheLimit, 1), true, "what happens at the limit happens");
    assert.equal(open, 0);
  });

  test("says that it did not come, when time is up or nothing is left to happen", async () => {
    const world = new World(1);
    const start = world.now();
    world.after(60, () => assert.fail("too late"));
    assert.equal(await world.runUntilSettled(() => false, 50), false);
    assert.equal(world.now() - start, 50);
    assert.equal(
      await world.runUntilSettled(() => world.now() - start >= 55, 5),
      true,
      "time itself may be waited for",
    );
  });

  test("names the seed that failed", async () => {
    const seen: number[] = [];
    await forSeedsSettled(3, undefined, async (seed) => void seen.push(seed));
    await forSeedsSettled(3, "9", async (seed) => void seen.push(seed));
    assert.deepEqual(seen, [1, 2, 3, 9]);
    const failing = forSeedsSettled(3, undefined, async (seed) => {
      if (seed === 2) throw new Error("lost");
    });
    await assert.rejects(failing, /^Error: seed 2 failed; replay it with FEMTOGATE_SEED=2: lost$/);
  });
});

describe("a perfect link", () => {
  test("delivers each datagram once, in order, with sender, receiver and marker", () => {
    const world = new World(1);
    const seen: unknown[] = [];
    world.attach(B.address, (packet, from, to, marker) => seen.push([packet.toString(), from, to, marker]));
    for (const text of ["one", "two"]) world.send(Buffer.from(text), A, B, "natT");
    world.send(Buffer.from("nobody is there"), B, A, "");
    assert.equal(
      world.runUntil(() => seen.length === 2, 10),
      true,
    );
    world.run(10);
    assert.deepEqual(seen, [
      ["one", A, B, "natT"],
      ["two", A, B, "natT"],
    ]);
    assert.equal(world.sent, 3);
  });

  test("delivers what was sent, whatever the sender does to its buffer and a receiver to its own", () => {
    const world = new World(1, { ...PERFECT_LINK, duplicate: 1 });
    const seen: string[] = [];
    const addresses: unknown[] = [];
    world.attach(B.address, (packet, from) => {
      seen.push(packet.toString());
      addresses.push({ ...from });
      packet.fill(0);
      from.port = 1;
    });
    const packet = Buffer.from("hello");
    world.send(packet, A, B, "");
    packet.fill(0);
    world.run(10);
    assert.deepEqual(seen, ["hello", "hello"]);
    assert.deepEqual(addresses, [A, A]);
  });

  test("lets a tap change, drop and readdress, as an attacker or a NAT does", () => {
    const world = new World(1);
    const seen: unknown[] = [];
    world.attach(B.address, (packet, from) => seen.push([packet.toString(), from.port]));
    const sender = { ...A };
    world.tap = (packet, from) => {
      if (packet.toString() === "drop me") return "drop";
      from.port = 62_000;
      return Buffer.from(packet.toString().toUpperCase());
    };
    world.send(Buffer.from("drop me"), sender, B, "");
    world.send(Buffer.from("change me"), sender, B, "");
    world.run(10);
    assert.deepEqual([seen, sender, world.sent], [[["CHANGE ME", 62_000]], A, 2]);
  });
});

describe("a bad link", () => {
  test("loses, repeats and delays as often as it says", () => {
    const world = new World("rates", { loss: 0.3, duplicate: 0, delay: [5, 9] });
    const start = world.now();
    const delays: number[] = [];
    world.attach(B.address, () => delays.push(world.now() - start));
    for (let i = 0; i < 2000; i++) world.send(Buffer.alloc(1), A, B, "");
    world.run(100);
    assert.ok(Math.abs(delays.length - 1400) < 100, `${delays.length} of 2000 arrived`);
    assert.deepEqual([...new Set(delays)].sort(), [5, 6, 7, 8, 9], "both ends of the range, and nothing beyond");
    world.link = { loss: 0, duplicate: 0.25, delay: [1, 1] };
    delays.length = 0;
    for (let i = 0; i < 2000; i++) world.send(Buffer.alloc(1), A, B, "");
    world.run(100);
    assert.ok(Math.abs(delays.length - 2500) < 100, `${delays.length} for 2000 arrived`);
  });

  test("reorders", () => {
    const order = trace(7).map(([packet]) => packet);
    assert.notDeepEqual(order, order.toSorted());
  });
});

describe("a run", () => {
  test("repeats exactly from its seed", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        assert.deepEqual(trace(seed), trace(seed));
      }),
      { numRuns: 20 },
    );
  });

  test("differs from seed to seed", () => {
    const runs = new Set(Array.from({ length: 20 }, (_, seed) => JSON.stringify(trace(seed))));
    assert.equal(runs.size, 20);
  });

  test("is the same today as when this was written, so that seeds can be quoted", () => {
    assert.equal(seededRandom(1).bytes(8).toString("hex"), SEED_1);
    assert.equal(new World(1).random.bytes(8).toString("hex"), SEED_1);
    assert.equal(new Date(new World(1).now()).toISOString(), "2026-01-01T00:00:00.000Z");
  });
});

describe("seeded randomness", () => {
  test("gives the same octets however they are asked for", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 70 }), { maxLength: 12 }), (counts) => {
        const total = counts.reduce((a, b) => a + b, 0);
        const [parts, whole] = [seededRandom("x"), seededRandom("x")];
        const pieces = counts.map((count) => {
          const piece = parts.bytes(count);
          assert.equal(piece.length, count);
          return piece;
        });
        assert.deepEqual(Buffer.concat(pieces), whole.bytes(total));
      }),
    );
  });

  test("does not hand out the same memory twice", () => {
    const random = seededRandom("memory");
    const first = random.bytes(16);
    const copy = Buffer.from(first);
    random.bytes(16).fill(0);
    assert.deepEqual(first, copy);
  });

  test("stays below its limit and reaches everything under it, and chances come out as given", () => {
    const random = seededRandom("below");
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 6000; i++) counts[random.below(6)]! += 1;
    assert.equal(counts.length, 6);
    for (const count of counts) assert.ok(Math.abs(count - 1000) < 150, counts.join());
    const hits = Array.from({ length: 2000 }, () => random.chance(0.1)).filter(Boolean).length;
    assert.ok(Math.abs(hits - 200) < 60, `${hits}`);
    assert.equal(random.chance(0), false);
    assert.equal(random.chance(1), true);
  });
});

describe("many seeds", () => {
  test("are run one after the other, or the one alone that is to be replayed", () => {
    const seen: number[] = [];
    forSeeds(4, undefined, (seed) => seen.push(seed));
    forSeeds(4, "77", (seed) => seen.push(seed));
    assert.deepEqual(seen, [1, 2, 3, 4, 77]);
  });

  test("name the one that failed, how to replay it, and why", () => {
    const cause = new Error("lost its way");
    const run = () =>
      forSeeds(9, undefined, (seed) => {
        if (seed === 3) throw cause;
      });
    assert.throws(run, { message: "seed 3 failed; replay it with FEMTOGATE_SEED=3: lost its way", cause });
    const thrown = () =>
      forSeeds(1, undefined, () => {
        throw "a text";
      });
    assert.throws(thrown, /seed 1 failed.*: a text/);
  });
});

test("the system's timers run once, or not at all if taken back, and one that is too long for Node does not fire at once", async () => {
  const { timers } = systemEnvironment;
  const seen: string[] = [];
  const takeBack = timers.after(0, () => seen.push("taken back"));
  const tooLong = timers.after(2 ** 40, () => seen.push("too long"));
  takeBack();
  await new Promise<void>((resolve) => timers.after(0, resolve));
  tooLong();
  assert.deepEqual(seen, []);
});

test("the system's randomness gives as many octets as asked for, never the same memory twice", () => {
  const { random, clock } = systemEnvironment;
  const seen = new Set<string>();
  for (const count of [0, 1, 16, 4095, 4096, 4097, 10_000, 32]) {
    const octets = random.bytes(count);
    assert.equal(octets.length, count);
    if (count >= 16) seen.add(octets.subarray(0, 16).toString("hex"));
  }
  assert.equal(seen.size, 6);
  const first = random.bytes(16);
  const copy = Buffer.from(first);
  random.bytes(16).fill(0);
  assert.deepEqual(first, copy);
  assert.ok(clock.now() > Date.UTC(2026, 0, 1));
});

/** What arrives where and when over a bad link: number, moment. */
function trace(seed: number): [packet: number, at: number][] {
  const world = new World(seed, BAD_LINK);
  const start = world.now();
  const seen: [number, number][] = [];
  world.attach(B.address, (packet) => seen.push([packet.readUInt8(), world.now() - start]));
  for (let i = 0; i < 40; i++) world.after(i, () => world.send(Buffer.from([i]), A, B, ""));
  world.run(1000);
  return seen;
}

const SEED_1 = "f15d470aef7a095e";

test("a timer of months runs when it is due, and is taken back at any time", (t) => {
  const HOUR = 3600_000;
  const MONTHS = 90 * 24;
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const seen: string[] = [];
  systemEnvironment.timers.after(MONTHS * HOUR, () => seen.push("due"));
  const takeBack = systemEnvironment.timers.after(MONTHS * HOUR, () => seen.push("taken back"));
  const pass = (hours: number) => {
    for (let hour = 0; hour < hours; hour++) t.mock.timers.tick(HOUR);
  };
  pass(MONTHS / 2);
  takeBack();
  pass(MONTHS / 2 - 1);
  assert.deepEqual(seen, []);
  // The mock begins what a timer starts at the end of the tick.
  pass(5);
  assert.deepEqual(seen, ["due"]);
});
