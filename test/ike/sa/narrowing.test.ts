/** Narrowing of traffic selectors (RFC 7296 2.9), with the OPAQUE ports of RFC 7296 3.13.1 among them. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { selectorsMatch, type TrafficSelector } from "../../../src/esp/selector.ts";
import { isNarrowingOf, narrow } from "../../../src/ike/sa/narrowing.ts";

const ANY = { startPort: 0, endPort: 0xffff };
const OPAQUE = { startPort: 0xffff, endPort: 0 };
/** 10.0.0.`first` to 10.0.0.`last`. */
const range = (
  ports: { startPort: number; endPort: number },
  first = 0,
  last = 255,
  protocol = 17,
): TrafficSelector => ({
  type: 7,
  protocol,
  ...ports,
  startAddress: Buffer.of(10, 0, 0, first),
  endAddress: Buffer.of(10, 0, 0, last),
});

/** Small ranges, so that they meet often; ports from a few numbers, and OPAQUE. */
const selector = fc
  .record({
    protocol: fc.constantFrom(0, 6, 17),
    ports: fc.oneof(
      fc.constantFrom(ANY, OPAQUE),
      fc.tuple(fc.nat(4), fc.nat(4)).map(([a, b]) => ({ startPort: Math.min(a, b), endPort: Math.max(a, b) })),
    ),
    ends: fc.tuple(fc.nat(5), fc.nat(5)),
  })
  .map(({ protocol, ports, ends: [a, b] }) => range(ports, Math.min(a, b), Math.max(a, b), protocol));
const selectors = fc.array(selector, { maxLength: 4 });
/** A packet's end; -1 where it shows no port. */
const packet = fc.record({ protocol: fc.constantFrom(6, 17), host: fc.nat(6), port: fc.integer({ min: -1, max: 5 }) });

test("what is left of an offer carries just the packets that both sides allow", () => {
  fc.assert(
    fc.property(selectors, selectors, fc.array(packet, { maxLength: 20 }), (offered, allowed, packets) => {
      const left = narrow(offered, allowed);
      if (left.length > 0) assert.ok(isNarrowingOf(left, offered) && isNarrowingOf(left, allowed));
      for (const { protocol, host, port } of packets) {
        const covers = (by: readonly TrafficSelector[]) =>
          selectorsMatch(by, protocol, Buffer.of(10, 0, 0, host), port);
        assert.equal(covers(left), covers(offered) && covers(allowed), JSON.stringify({ protocol, host, port }));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("packets without ports are offered to a side that allows any port, and not to one that names some", () => {
  assert.deepEqual(narrow([range(OPAQUE)], [range(ANY, 1, 2)]), [range(OPAQUE, 1, 2)]);
  assert.deepEqual(narrow([range(ANY)], [range(OPAQUE, 1, 2)]), [range(OPAQUE, 1, 2)]);
  assert.deepEqual(narrow([range(OPAQUE)], [range(OPAQUE)]), [range(OPAQUE)]);
  assert.deepEqual(narrow([range(OPAQUE)], [range({ startPort: 0, endPort: 80 })]), []);
  assert.ok(!isNarrowingOf([range(OPAQUE)], [range({ startPort: 1, endPort: 0xffff })]));
});
