import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { cidrRange, parseIp, rangeBlocks } from "../../src/bytes/ip.ts";

/** Two addresses of one family, the lower first; near each other or anywhere. */
const ranges = fc.oneof(
  fc
    .tuple(fc.bigInt(0n, 2n ** 32n - 301n), fc.bigInt(0n, 300n))
    .map(([start, more]) => [4, start, start + more] as const),
  fc
    .tuple(fc.bigInt(0n, 2n ** 32n - 1n), fc.bigInt(0n, 2n ** 32n - 1n))
    .map(([a, b]) => [4, ...ordered(a, b)] as const),
  fc
    .tuple(fc.bigInt(0n, 2n ** 128n - 1n), fc.bigInt(0n, 2n ** 128n - 1n))
    .map(([a, b]) => [16, ...ordered(a, b)] as const),
);

test("the blocks of a range cover it one after the other without gap or surplus, and no two could be one", () => {
  fc.assert(
    fc.property(ranges, ([length, first, last]) => {
      const blocks = rangeBlocks(bytesOf(first, length), bytesOf(last, length), 1_000);
      let next = first;
      for (const [index, block] of blocks.entries()) {
        const { start, end } = cidrRange(block);
        assert.deepEqual(start, block.address, "aligned");
        assert.equal(numberOf(start), next);
        next = numberOf(end) + 1n;
        const before = blocks[index - 1];
        if (before?.prefix === block.prefix)
          assert.notEqual(
            numberOf(before.address) >> BigInt(length * 8 - block.prefix + 1),
            numberOf(start) >> BigInt(length * 8 - block.prefix + 1),
            "halves of one block",
          );
      }
      assert.equal(next, last + 1n);
      assert.ok(blocks.length <= 2 * length * 8);
    }),
    { numRuns: 300 },
  );
});

test("no more blocks are made than the limit, and those are the first ones", () => {
  const [start, end] = [parseIp("10.0.0.1")!, parseIp("10.255.255.254")!];
  const all = rangeBlocks(start, end, 1_000);
  assert.equal(all.length, 46);
  for (const limit of [0, 1, 7, 46]) assert.deepEqual(rangeBlocks(start, end, limit), all.slice(0, limit));
  assert.deepEqual(rangeBlocks(end, start, 1_000), [], "a range that ends before it begins is none");
});

function bytesOf(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(length * 2, "0"), "hex");
}

function numberOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}

function ordered(a: bigint, b: bigint): [bigint, bigint] {
  return a < b ? [a, b] : [b, a];
}
