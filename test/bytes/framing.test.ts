import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Bytes, copyOf } from "../../src/bytes/bytes.ts";
import { MessageStream } from "../../src/bytes/framing.ts";
import { DecodeError } from "../../src/bytes/reader.ts";
import { octets } from "../ike/codec/arbitrary.ts";

/** Two octets of kind, two of the whole message's length: 4 to 1000. */
const HEAD = 4;
function lengthOf(start: Bytes): number {
  assert.equal(start.length, HEAD);
  const length = start.readUInt16BE(2);
  if (length < HEAD || length > 1000) throw new DecodeError("length", 2, `${length} octets`);
  return length;
}

function message(body: Bytes): Bytes {
  const head = Buffer.alloc(HEAD, 7);
  head.writeUInt16BE(HEAD + body.length, 2);
  return Buffer.concat([head, body]);
}

/** The octets cut at these places. */
function cutAt(bytes: Bytes, places: readonly number[]): Bytes[] {
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

test("messages come out whole and in order, however the stream is cut", () => {
  const messages = fc.array(octets(0, 60).map(message), { maxLength: 8 });
  fc.assert(
    fc.property(messages, fc.array(fc.nat(), { maxLength: 30 }), (list, places) => {
      const stream = new MessageStream(HEAD, lengthOf);
      const chunks = cutAt(Buffer.concat(list), places);
      assert.deepEqual(
        chunks.flatMap((chunk) => stream.push(chunk)),
        list,
      );
    }),
    { numRuns: 500 },
  );
});

test("a message is given as soon as its last octet is there, and not before", () => {
  const stream = new MessageStream(HEAD, lengthOf);
  const whole = message(Buffer.from("hello"));
  for (const octet of whole.subarray(0, -1)) assert.deepEqual(stream.push(Buffer.from([octet])), []);
  assert.deepEqual(stream.push(whole.subarray(-1)), [whole]);
  assert.deepEqual(stream.push(Buffer.alloc(0)), []);
  assert.deepEqual(stream.push(message(Buffer.alloc(0))), [message(Buffer.alloc(0))]);
});

test("a message that comes in one piece is a view of it", () => {
  const chunk = copyOf(Buffer.concat([message(Buffer.from("a")), message(Buffer.from("b"))]));
  for (const view of new MessageStream(HEAD, lengthOf).push(chunk)) assert.equal(view.buffer, chunk.buffer);
});

test("a wrong length is refused as soon as its octets are there, also behind a good message", () => {
  for (const length of [0, 3, 1001, 0xffff]) {
    const bad = Buffer.alloc(HEAD);
    bad.writeUInt16BE(length, 2);
    const stream = new MessageStream(HEAD, lengthOf);
    assert.deepEqual(stream.push(bad.subarray(0, 3)), []);
    assert.throws(() => stream.push(bad.subarray(3)), DecodeError);
    assert.throws(() => new MessageStream(HEAD, lengthOf).push(Buffer.concat([message(EMPTY), bad])), DecodeError);
  }
});

test("a long message in many pieces is put together once", () => {
  let asked = 0;
  const stream = new MessageStream(HEAD, (start) => {
    asked += 1;
    return lengthOf(start);
  });
  const whole = message(Buffer.alloc(900, 1));
  const chunks = cutAt(
    whole,
    Array.from({ length: 300 }, (_, i) => i * 3),
  );
  assert.deepEqual(
    chunks.flatMap((chunk) => stream.push(chunk)),
    [whole],
  );
  assert.ok(asked <= 3, `asked for the length ${asked} times`);
});

const EMPTY = Buffer.alloc(0);
