import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareBytes, copyOf, EMPTY, sameBytes, sameSecret } from "../../src/bytes/bytes.ts";
import { octets } from "../ike/codec/arbitrary.ts";

test("a copy has the same octets and shares no memory, also with the pool that small buffers come from", () => {
  const original = Buffer.from([1, 2, 3]);
  const copy = copyOf(original);
  assert.deepEqual(copy, original);
  assert.notEqual(copy.buffer, original.buffer);
  assert.equal(copy.buffer.byteLength, 3);
  original[0] = 9;
  assert.equal(copy[0], 1);
  assert.ok(Buffer.isBuffer(copyOf(new Uint8Array([1]))));
});

test("octet strings are the same if every octet and the length are, for secrets as for others", () => {
  fc.assert(
    fc.property(octets(0, 6), octets(0, 6), (a, b) => {
      const isSame = a.toString("hex") === b.toString("hex");
      assert.equal(sameBytes(a, b), isSame);
      assert.equal(sameSecret(a, b), isSame);
      assert.equal(sameSecret(a, Buffer.from(a)), true);
    }),
  );
  assert.equal(sameSecret(Buffer.from([1, 2, 3]), Buffer.from([1, 2])), false);
  assert.equal(EMPTY.length, 0);
});

test("octet strings are ordered as unsigned numbers, shorter first", () => {
  const ordered = ["", "00", "0000", "01", "0100", "7f", "80", "ff", "ff00"].map((text) => Buffer.from(text, "hex"));
  for (const [i, a] of ordered.entries())
    for (const [j, b] of ordered.entries()) assert.equal(compareBytes(a, b), Math.sign(i - j));
});
