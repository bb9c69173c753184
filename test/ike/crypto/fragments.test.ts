import assert from "node:assert/strict";
import { test } from "node:test";
import { DecodeError } from "../../../src/bytes/reader.ts";
import { Reassembly } from "../../../src/ike/crypto/fragments.ts";

const part = (text: string) => Buffer.from(text);

test("fragments come together in their order, with the first one's inner payload", () => {
  const reassembly = new Reassembly("q1");
  assert.equal(reassembly.add(3, 3, 0, part("c")), undefined);
  assert.equal(reassembly.add(1, 3, 35, part("a")), undefined);
  assert.deepEqual(reassembly.add(2, 3, 0, part("b")), { firstInner: 35, bytes: part("abc") });
});

test("a fragment received twice counts once, and the first copy stays", () => {
  const reassembly = new Reassembly("q1");
  reassembly.add(1, 2, 35, part("a"));
  assert.equal(reassembly.add(1, 2, 36, part("x")), undefined);
  assert.deepEqual(reassembly.add(2, 2, 0, part("b")), { firstInner: 35, bytes: part("ab") });
});

test("a larger total begins anew, a smaller one is ignored (RFC 7383 2.6)", () => {
  const reassembly = new Reassembly("q1");
  reassembly.add(1, 2, 35, part("long"));
  assert.equal(reassembly.add(1, 3, 35, part("a")), undefined);
  assert.equal(reassembly.add(2, 2, 0, part("old")), undefined);
  assert.equal(reassembly.add(2, 3, 0, part("b")), undefined);
  assert.deepEqual(reassembly.add(3, 3, 0, part("c")), { firstInner: 35, bytes: part("abc") });
});

test("a single fragment is a whole message", () => {
  assert.deepEqual(new Reassembly("q1").add(1, 1, 35, part("a")), { firstInner: 35, bytes: part("a") });
});

test("what was added does not change with the packet it came in", () => {
  const reassembly = new Reassembly("q1");
  const packet = part("a");
  reassembly.add(1, 2, 35, packet);
  packet.fill(0);
  assert.deepEqual(reassembly.add(2, 2, 0, part("b"))?.bytes, part("ab"));
});

test("fragments of more than 64 KiB together are refused, and beginning anew starts the count again", () => {
  const reassembly = new Reassembly("q1");
  const half = Buffer.alloc(32_768);
  reassembly.add(1, 3, 35, half);
  reassembly.add(2, 3, 0, half);
  assert.throws(() => reassembly.add(3, 3, 0, Buffer.alloc(1)), DecodeError);
  assert.equal(reassembly.add(1, 4, 35, half), undefined);
  assert.equal(reassembly.add(2, 4, 0, half), undefined);
});
