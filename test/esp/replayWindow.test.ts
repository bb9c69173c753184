import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MAX_REPLAY_WINDOW, MIN_REPLAY_WINDOW, ReplayWindow } from "../../src/esp/replayWindow.ts";

const TWO_32 = 2 ** 32;

/** RFC 4303 3.4.3 by the letter: every number received is remembered for good. */
class NaiveWindow {
  readonly #size: number;
  readonly #seen = new Set<number>();
  #top = 0;

  constructor(size: number) {
    this.#size = size;
  }

  accepts(sequence: number): boolean {
    return sequence !== 0 && sequence > this.#top - this.#size && !this.#seen.has(sequence);
  }

  mark(sequence: number): void {
    this.#seen.add(sequence);
    this.#top = Math.max(this.#top, sequence);
  }
}

/** RFC 4303 A2.2 as it is written there: `tl`, `th` the halves of the right edge, `bl` the low half of the left one. */
function inferred(top: number, size: number, low: number): number | undefined {
  const tl = BigInt(top) % 2n ** 32n;
  const th = BigInt(top) / 2n ** 32n;
  const bl = (tl - BigInt(size) + 1n + 2n ** 32n) % 2n ** 32n;
  const seql = BigInt(low);
  const high = tl >= BigInt(size) - 1n ? (seql >= bl ? th : th + 1n) : seql >= bl ? th - 1n : th;
  return high < 0n ? undefined : Number(high * 2n ** 32n + seql);
}

const sizes = fc.oneof(
  fc.constantFrom(32, 33, 63, 64, 65, 127, 128, 1024, MAX_REPLAY_WINDOW),
  fc.integer({ min: MIN_REPLAY_WINDOW, max: 200 }),
);

/** Steps from the right edge: mostly in and about the window, at times far ahead. */
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: -70, max: 70 }) },
    { weight: 2, arbitrary: fc.integer({ min: -4200, max: 300 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 300_000 }) },
  ),
  { minLength: 1, maxLength: 120, size: "max" },
);

describe("the window accepts what a naive one accepts", () => {
  for (const [name, start] of [
    ["from the first packet on", 0],
    ["about 2^31", 2 ** 31 - 100],
    ["about 2^32, with ESN", TWO_32 - 100],
    ["far beyond 2^32, with ESN", TWO_32 * 1000 - 100],
  ] as const) {
    test(name, () => {
      fc.assert(
        fc.property(sizes, steps, (size, moves) => {
          const window = new ReplayWindow(size, true);
          const naive = new NaiveWindow(size);
          if (start > 0) {
            window.mark(start);
            naive.mark(start);
          }
          for (const move of moves) {
            const sequence = Math.max(0, window.top + move);
            assert.equal(window.accepts(sequence), naive.accepts(sequence), `${sequence}, right edge ${window.top}`);
            if (!window.accepts(sequence)) continue;
            window.mark(sequence);
            naive.mark(sequence);
            assert.equal(window.accepts(sequence), false);
          }
        }),
        { numRuns: 400 },
      );
    });
  }
});

test("a window of size n takes the n numbers up to its right edge, and none left of them", () => {
  for (const size of [32, 33, 64, 100, 1024, 4096]) {
    for (const top of [size, size + 1, 5000, 5024, 2 ** 20 + 31]) {
      const window = new ReplayWindow(size, false);
      window.mark(top);
      assert.equal(window.accepts(top), false, "the right edge itself was there");
      assert.equal(window.accepts(top - size), false, "just left of the window");
      const leftEdge = top - size + 1;
      for (let sequence = leftEdge; sequence < top; sequence++) {
        assert.equal(window.accepts(sequence), true, `${sequence} in the window of ${size} ending at ${top}`);
        window.mark(sequence);
        assert.equal(window.accepts(sequence), false);
      }
      assert.equal(window.accepts(top + 1), true, "right of the window");
      assert.equal(window.top, top);
    }
  }
});

test("zero is no sequence number, and the first is one (RFC 4303 3.3.3)", () => {
  const window = new ReplayWindow(64, false);
  assert.equal(window.accepts(0), false);
  assert.equal(window.accepts(1), true);
  assert.equal(window.top, 0);
});

test("a number is not taken as seen before it is marked", () => {
  const window = new ReplayWindow(64, false);
  for (let i = 0; i < 3; i++) assert.equal(window.accepts(1_000_000), true);
  assert.equal(window.accepts(1), true, "an unverified packet did not move the window");
});

test("a jump keeps what is still in the window marked, and forgets all else", () => {
  for (const jump of [1, 31, 32, 33, 63, 64, 65, 96, 128, 160, 1000, 2 ** 30, TWO_32 + 64]) {
    const window = new ReplayWindow(64, true);
    for (let sequence = 1; sequence <= 64; sequence++) window.mark(sequence);
    window.mark(64 + jump);
    for (let sequence = 64 + jump - 63; sequence < 64 + jump; sequence++)
      assert.equal(window.accepts(sequence), sequence > 64, `${sequence} after a jump of ${jump}`);
  }
});

describe("the upper half of an extended sequence number (RFC 4303 A2.2)", () => {
  test("is what the appendix says, for any right edge and window", () => {
    const tops = fc.oneof(
      fc.integer({ min: 0, max: 5000 }),
      fc.integer({ min: -5000, max: 5000 }).map((by) => TWO_32 + by),
      fc.integer({ min: -5000, max: 5000 }).map((by) => TWO_32 * 3 + by),
      fc.integer({ min: 0, max: 2 ** 50 }),
    );
    const near = fc.integer({ min: -5000, max: 5000 });
    fc.assert(
      fc.property(
        sizes,
        tops,
        near,
        fc.boolean(),
        fc.integer({ min: 0, max: TWO_32 - 1 }),
        (size, top, by, far, any) => {
          const window = new ReplayWindow(size, true);
          if (top > 0) window.mark(top);
          const low = far ? any : (((top + by) % TWO_32) + TWO_32) % TWO_32;
          assert.equal(window.infer(low), inferred(top, size, low), `low ${low}, right edge ${top}, window ${size}`);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("makes up the number that was sent, from the left edge of the window to almost 2^32 ahead", () => {
    for (const top of [TWO_32 - 1, TWO_32, TWO_32 + 10, TWO_32 + 63, TWO_32 + 64, 5 * TWO_32 - 7, 5 * TWO_32 + 7]) {
      const window = new ReplayWindow(64, true);
      window.mark(top);
      for (const sent of [top - 63, top - 1, top, top + 1, top + 1000, top - 63 + TWO_32 - 1])
        assert.equal(window.infer(sent % TWO_32), sent, `${sent}, right edge ${top}`);
    }
  });

  test("crosses 2^32 packet by packet, with stragglers from before", () => {
    const window = new ReplayWindow(32, true);
    window.mark(TWO_32 - 20);
    for (let sequence = TWO_32 - 19; sequence < TWO_32 + 50; sequence++) {
      if (sequence === TWO_32 - 5) continue;
      assert.equal(window.infer(sequence % TWO_32), sequence);
      assert.equal(window.accepts(sequence), true);
      window.mark(sequence);
      if (sequence === TWO_32 + 20) {
        assert.equal(window.infer(TWO_32 - 5), TWO_32 - 5);
        assert.equal(window.accepts(TWO_32 - 5), true);
      }
    }
  });

  test("does not exist for a number from before the first packet", () => {
    const window = new ReplayWindow(64, true);
    assert.equal(window.infer(0xffff_ffff), undefined);
    window.mark(10);
    assert.equal(window.infer(0xffff_fff0), undefined);
    assert.equal(window.infer(0xffff_0000), 0xffff_0000, "left of what the window reaches back to: ahead");
  });

  test("is zero without ESN", () => {
    const window = new ReplayWindow(64, false);
    window.mark(0xffff_fff0);
    assert.equal(window.infer(5), 5);
    assert.equal(window.accepts(5), false);
  });
});

test("sizes outside of 32 to 4096 packets are refused", () => {
  for (const size of [0, 31, 4097, 64.5, Number.NaN, -1, Infinity])
    assert.throws(() => new ReplayWindow(size, false), /not within 32\.\.4096/);
  new ReplayWindow(MIN_REPLAY_WINDOW, false);
  new ReplayWindow(MAX_REPLAY_WINDOW, true);
});
