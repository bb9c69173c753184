import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import fc from "fast-check";
import { DecodeError, Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { octets } from "../ike/codec/arbitrary.ts";

const OCTETS = Buffer.from("0102030405060708090a", "hex");

describe("a reader", () => {
  test("reads big-endian numbers and counts what it has read", () => {
    const numbers = new Reader(Buffer.concat([OCTETS, OCTETS]));
    assert.equal(numbers.u8("a"), 0x01);
    assert.equal(numbers.u16("b"), 0x0203);
    assert.equal(numbers.u24("c"), 0x040506);
    assert.equal(numbers.u32("d"), 0x0708090a);
    assert.equal(numbers.u64("e"), 0x0102030405060708n);
    assert.deepEqual([numbers.position, numbers.remaining, numbers.atEnd], [18, 2, false]);
    numbers.skip(2, "f");
    assert.deepEqual([numbers.position, numbers.remaining, numbers.atEnd], [20, 0, true]);
    numbers.end("g");
  });

  test("gives views of its octets and copies none", () => {
    const reader = new Reader(OCTETS);
    for (const view of [reader.take(3, "a"), reader.sub(3, "b").rest(), reader.rest()])
      assert.equal(view.buffer, OCTETS.buffer);
    const array = new Uint8Array([9, 1, 2, 3, 4]).subarray(1);
    const taken = new Reader(array).take(2, "a");
    assert.deepEqual([...taken], [1, 2]);
    assert.equal(taken.buffer, array.buffer);
    assert.ok(Buffer.isBuffer(taken));
  });

  test("refuses to read beyond its end, names the field and the place, and stays where it was", () => {
    const short = new Reader(OCTETS.subarray(0, 7), 100);
    short.skip(6, "start");
    const reads: [(reader: Reader) => unknown, number][] = [
      [(reader) => reader.u16("field"), 2],
      [(reader) => reader.u24("field"), 3],
      [(reader) => reader.u32("field"), 4],
      [(reader) => reader.u64("field"), 8],
      [(reader) => reader.take(2, "field"), 2],
      [(reader) => reader.sub(2, "field"), 2],
      [(reader) => reader.skip(1e9, "field"), 1e9],
    ];
    for (const [read, needed] of reads) {
      assert.throws(
        () => read(short),
        (error) => {
          assert.ok(error instanceof DecodeError);
          assert.deepEqual([error.field, error.offset], ["field", 106]);
          assert.equal(error.message, `field at octet 106: needs ${needed} octets, 1 left`);
          return true;
        },
      );
      assert.equal(short.remaining, 1);
    }
    assert.equal(short.u8("last"), 7);
    assert.throws(() => short.u8("field"), /needs 1 octets, 0 left/);
  });

  test("refuses lengths that are none", () => {
    for (const length of [-1, Number.NaN, -Infinity, Infinity])
      assert.throws(() => new Reader(OCTETS).take(length, "field"), DecodeError);
    assert.equal(new Reader(OCTETS).take(0, "field").length, 0);
    assert.equal(new Reader(OCTETS).take(OCTETS.length, "field").length, OCTETS.length);
  });

  test("gives a reader of a part that ends with the part and knows where it stands in the whole", () => {
    const outer = new Reader(OCTETS, 50);
    outer.skip(2, "start");
    const inner = outer.sub(3, "part");
    assert.deepEqual([inner.base, inner.remaining, outer.position], [52, 3, 5]);
    assert.equal(inner.u8("a"), 3);
    const innermost = inner.sub(1, "b");
    assert.deepEqual([innermost.base, innermost.u8("c")], [53, 4]);
    assert.throws(() => inner.u16("d"), /^DecodeError: d at octet 54: needs 2 octets, 1 left$/);
    assert.throws(() => inner.end("e"), /^DecodeError: e at octet 54: 1 octets too many$/);
    assert.equal(outer.u8("f"), 6);
  });

  test("fails where it stands, in the caller's words", () => {
    const reader = new Reader(OCTETS, 10);
    reader.skip(3, "start");
    assert.throws(
      () => reader.fail("Proposal.spiSize", "5 octets"),
      /^DecodeError: Proposal.spiSize at octet 13: 5 octets$/,
    );
  });

  test("never throws anything but DecodeError, and allocates nothing, whatever is asked of it", () => {
    const ask = fc.tuple(
      fc.constantFrom("u8", "u16", "u24", "u32", "u64", "take", "sub", "skip", "rest", "end"),
      fc.oneof(fc.integer({ min: -2, max: 12 }), fc.integer()),
    );
    const allocations = (["alloc", "allocUnsafe", "allocUnsafeSlow"] as const).map((name) => mock.method(Buffer, name));
    fc.assert(
      fc.property(octets(0, 20), fc.array(ask), (bytes, asks) => {
        for (const { mock } of allocations) mock.resetCalls();
        let reader = new Reader(bytes);
        for (const [what, length] of asks) {
          try {
            if (what === "take" || what === "skip") reader[what](length, "field");
            else if (what === "sub") reader = reader.sub(length, "field");
            else reader[what as "u8"]("field");
          } catch (error) {
            assert.ok(error instanceof DecodeError);
          }
          assert.ok(reader.position + reader.remaining === reader.bytes.length && reader.remaining >= 0);
        }
        for (const { mock } of allocations) assert.equal(mock.callCount(), 0);
      }),
    );
    for (const { mock } of allocations) mock.restore();
  });
});

type Write =
  | [kind: "u8" | "u16" | "u24" | "u32", value: number]
  | ["u64", bigint]
  | ["bytes", Buffer]
  | ["zeros", number];

const writes: fc.Arbitrary<Write[]> = fc.array(
  fc.oneof(
    ...([1, 2, 3, 4] as const).map((size) =>
      fc.integer({ min: 0, max: 2 ** (8 * size) - 1 }).map((value): Write => [`u${size * 8}` as "u8", value]),
    ),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value): Write => ["u64", value]),
    octets(0, 40).map((value): Write => ["bytes", value]),
    fc.integer({ min: 0, max: 40 }).map((value): Write => ["zeros", value]),
  ),
  { maxLength: 30, size: "max" },
);

describe("a writer", () => {
  test("writes what a reader reads, whatever size it expected", () => {
    fc.assert(
      fc.property(writes, fc.integer({ min: 0, max: 100 }), (list, expected) => {
        const writer = new Writer(expected);
        for (const write of list) {
          const before = writer.length;
          if (write[0] === "bytes") writer.bytes(write[1]);
          else if (write[0] === "u64") writer.u64(write[1]);
          else writer[write[0]](write[1]);
          assert.ok(writer.length >= before);
        }
        const reader = new Reader(writer.view());
        for (const write of list) {
          if (write[0] === "bytes") assert.deepEqual(reader.take(write[1].length, "bytes"), write[1]);
          else if (write[0] === "zeros") assert.deepEqual(reader.take(write[1], "zeros"), Buffer.alloc(write[1]));
          else assert.equal(reader[write[0]]("number"), write[1]);
        }
        reader.end("all");
      }),
    );
  });

  test("fills in lengths once their content is known", () => {
    const writer = new Writer(0).u8(0).u16(0).u32(0).u8(9);
    writer.patchU8(0, 0xff);
    writer.patchU16(1, 0x0102);
    writer.patchU32(3, 0x03040506);
    assert.equal(writer.view().toString("hex"), "ff01020304050609");
  });

  test("refuses a value that its field cannot hold rather than cut it", () => {
    const writer = new Writer();
    for (const write of [
      () => writer.u8(256),
      () => writer.u8(-1),
      () => writer.u16(0x1_0000),
      () => writer.u24(0x100_0000),
      () => writer.u32(0x1_0000_0000),
      () => writer.u64(2n ** 64n),
    ])
      assert.throws(write, RangeError);
    const patched = new Writer().u32(0);
    assert.throws(() => patched.patchU8(0, 256), RangeError);
    assert.throws(() => patched.patchU16(0, 0x1_0000), RangeError);
  });

  test("fills in only what was written before", () => {
    const writer = new Writer(100).u16(0);
    assert.throws(() => writer.patchU16(1, 5), RangeError);
    assert.throws(() => writer.patchU8(2, 5), RangeError);
    assert.throws(() => writer.patchU32(0, 5), RangeError);
  });
});
