import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import test from "node:test";
import fc from "fast-check";
import { cidrRange, formatIp, netmask, parseCidr, parseIp, rangeBlocks } from "../../src/bytes/ip.ts";

const octets = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }));

test("every address survives its text, and the text is the canonical one (RFC 5952)", () => {
  fc.assert(
    fc.property(octets, (address) => {
      const text = formatIp(address);
      assert.deepEqual(parseIp(text), Buffer.from(address));
      if (address.length === 16) assert.equal(text, new URL(`http://[${text}]`).hostname.slice(1, -1));
    }),
    { numRuns: 2_000 },
  );
  assert.equal(formatIp(parseIp("2001:DB8:0:0:1:0:0:1")!), "2001:db8::1:0:0:1");
  assert.equal(
    formatIp(parseIp("2001:db8:0:1:1:1:1:1")!),
    "2001:db8:0:1:1:1:1:1",
    "one group of zeros is not shortened",
  );
  assert.equal(formatIp(parseIp("::ffff:192.0.2.1")!), "::ffff:c000:201");
});

test("what is taken for an address is one for the system as well, and the other way round", () => {
  const texts = fc.oneof(
    fc.stringMatching(/^[0-9a-f:.]{1,24}$/),
    fc
      .array(fc.constantFrom(":", "::", "0", "1", "ffff", "12345", "192.0.2.1", "256", ".", "g"), { maxLength: 12 })
      .map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const parsed = parseIp(text);
      assert.equal(parsed?.length === 4, isIPv4(text), text);
      assert.equal(parsed?.length === 16, isIPv6(text), text);
    }),
    { numRuns: 5_000 },
  );
});

test("a block has the addresses that share its prefix; a bare address is a block of itself", () => {
  assert.deepEqual(rangeOf("10.64.7.9/21"), ["10.64.0.0", "10.64.7.255"]);
  assert.deepEqual(rangeOf("10.64.7.9"), ["10.64.7.9", "10.64.7.9"]);
  assert.deepEqual(rangeOf("0.0.0.0/0"), ["0.0.0.0", "255.255.255.255"]);
  assert.deepEqual(rangeOf("2001:db8::1/33"), ["2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"]);
  for (const text of ["10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0/8", "::/129", "/8", "", "10.0.0.0/"])
    assert.equal(parseCidr(text), undefined, text);
  assert.deepEqual(
    [0, 1, 20, 32].map((prefix) => formatIp(netmask(prefix))),
    ["0.0.0.0", "128.0.0.0", "255.255.240.0", "255.255.255.255"],
  );
});

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

function rangeOf(text: string): string[] {
  const { start, end } = cidrRange(parseCidr(text)!);
  return [formatIp(start), formatIp(end)];
}

function bytesOf(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(length * 2, "0"), "hex");
}

function numberOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}

function ordered(a: bigint, b: bigint): [bigint, bigint] {
  return a < b ? [a, b] : [b, a];
}
