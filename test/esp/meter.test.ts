import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChildSaSpec, PlaneEvent } from "../../src/esp/dataPlane.ts";
import { SaMeter } from "../../src/esp/meter.ts";
import { specPair } from "./specs.ts";

test("counts octets and packets of each direction, replays, failures and what was held back", () => {
  const { meter, levels } = metered();
  meter.inbound(100);
  meter.inbound(50);
  meter.outbound(7);
  for (let i = 0; i < 3; i++) meter.replayed();
  for (let i = 0; i < 4; i++) meter.integrityFailure();
  for (let i = 0; i < 5; i++) meter.held();
  assert.deepEqual(meter.usage(), {
    inboundBytes: 150,
    inboundPackets: 2,
    outboundBytes: 7,
    outboundPackets: 1,
    replayed: 3,
    integrityFailures: 4,
    held: 5,
  });
  assert.deepEqual(levels, []);
});

for (const direction of ["inbound", "outbound"] as const) {
  test(`announces soft once when ${direction} octets reach the limit`, () => {
    const { meter, levels } = metered({ softBytes: 1000 });
    meter[direction](999);
    assert.deepEqual(levels, []);
    meter[direction](1);
    assert.deepEqual(levels, ["soft"]);
    meter[direction](5000);
    assert.deepEqual([levels, meter.exhausted], [["soft"], false]);
  });

  test(`announces soft, then hard, once each when ${direction} packets reach their limits`, () => {
    const { meter, levels } = metered({ softPackets: 2, hardPackets: 4 });
    const after = [1, 2, 3, 4, 5].map(() => {
      meter[direction](1);
      return [levels.join(), meter.exhausted];
    });
    assert.deepEqual(after, [
      ["", false],
      ["soft", false],
      ["soft", false],
      ["soft,hard", true],
      ["soft,hard", true],
    ]);
  });
}

test("the two directions do not add up", () => {
  const { meter, levels } = metered({ softBytes: 100, softPackets: 10 });
  for (let i = 0; i < 9; i++) {
    meter.inbound(11);
    meter.outbound(11);
  }
  assert.deepEqual(levels, []);
});

test("a hard limit that comes before the soft one is told alone, and nothing after it", () => {
  const { meter, levels } = metered({ softPackets: 5, hardPackets: 1 });
  for (let i = 0; i < 9; i++) meter.outbound(1);
  assert.deepEqual(levels, ["hard"]);
});

test("can be exhausted whatever the limits are, once", () => {
  const { meter, levels } = metered();
  assert.equal(meter.exhausted, false);
  meter.exhaust();
  meter.exhaust();
  meter.outbound(1);
  assert.deepEqual([levels, meter.exhausted], [["hard"], true]);
});

test("limits changed after installation change nothing", () => {
  const limits = { softPackets: 2 };
  const { meter, levels } = metered(limits);
  limits.softPackets = 1;
  meter.outbound(1);
  assert.deepEqual(levels, []);
});

function metered(limits?: NonNullable<ChildSaSpec["limits"]>) {
  const levels: string[] = [];
  const onEvent = (event: PlaneEvent) => {
    assert.ok(event.kind === "limit" && event.id === 7);
    levels.push(event.level);
  };
  const { left } = specPair({ id: 7, ...(limits === undefined ? {} : { limits }) });
  return { meter: new SaMeter(left, onEvent), levels };
}
