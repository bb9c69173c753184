import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../src/bytes/reader.ts";
import { DerError, DerReader, inside, Tag } from "../../src/der/reader.ts";
import * as write from "../../src/der/writer.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const reader = (text: string) => new DerReader(hex(text));
const octets = (maxLength: number) =>
  fc.uint8Array({ maxLength, size: "max" }).map((array) => Buffer.from(array.buffer, array.byteOffset, array.length));

test("an element of any length reads back whole, in the shortest form of its length", () => {
  for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000]) {
    const content = Buffer.alloc(length, 0xa5);
    const der = write.octetString(content);
    const lengthOctets = length < 128 ? 1 : length < 256 ? 2 : length < 65_536 ? 3 : 4;
    assert.equal(der.length, 1 + lengthOctets + length);
    const read = new DerReader(der);
    assert.deepEqual(read.octetString("content"), content);
    read.end("all");
  }
});

test("what is read are views of the input, not copies", () => {
  const der = write.sequence(write.octetString(hex("0102")));
  const read = new DerReader(der).sequence("sequence").octetString("octets");
  assert.equal(read.buffer, der.buffer);
});

test("indefinite, over-long and over-wide lengths are refused, as DER demands", () => {
  for (const [text, why] of [
    ["30 80 00 00", /indefinite/],
    ["04 81 05 0102030405", /shortest/],
    ["04 82 0005 0102030405", /shortest/],
    ["04 82 00ff 00", /shortest/],
    ["04 85 0000000001 00", /length in 5 octets/],
    ["04 ff", /length in 127 octets/],
    ["04 82 01", /within a length/],
    ["04 05 0102", /needs 5 octets, 2 left/],
    ["04 84 ffffffff 00", /needs 4294967295 octets/],
    ["04", /before a tag and a length/],
    ["", /before a tag and a length/],
    ["1f 81 00 00", /tag numbers above 30/],
  ] as const)
    assert.throws(() => reader(text).element("it"), isDerError(why), text);
});

test("a refusal names the field, and the octet counted from the outermost input", () => {
  const outer = reader("30 06 04 01 aa 02 01 05");
  const inner = outer.sequence("outer");
  inner.octetString("first");
  assert.throws(
    () => inner.oid("second"),
    (error) =>
      error instanceof DerError &&
      error.field === "second" &&
      error.offset === 5 &&
      /0x2 where 0x6/.test(error.message),
  );
  inner.integer("second");
  assert.throws(() => inner.oid("third"), isDerError(/third at octet 8: is missing/));
});

test("integers are accepted in their shortest form only, and small ones are bounded", () => {
  assert.deepEqual(reader("02 01 00").integer("i"), hex("00"));
  assert.deepEqual(reader("02 02 0080").integer("i"), hex("0080"));
  assert.deepEqual(reader("02 01 80").integer("i"), hex("80"));
  for (const text of ["02 00", "02 02 007f", "02 02 ff80"]) assert.throws(() => reader(text).integer("i"), DerError);
  assert.equal(reader("02 04 7fffffff").smallInteger("i"), 0x7fffffff);
  for (const text of ["02 01 ff", "02 05 0080000000"]) assert.throws(() => reader(text).smallInteger("i"), DerError);
});

test("booleans are 00 or FF, bit strings of signatures end on an octet, enumerations have one octet", () => {
  assert.equal(reader("01 01 ff").boolean("b"), true);
  assert.equal(reader("01 01 00").boolean("b"), false);
  assert.throws(() => reader("01 01 01").boolean("b"), DerError);
  assert.throws(() => reader("01 02 ffff").boolean("b"), DerError);
  assert.deepEqual(reader("03 02 00aa").bitString("bits"), hex("aa"));
  assert.throws(() => reader("03 02 04a0").bitString("bits"), DerError);
  assert.throws(() => reader("03 00").bitString("bits"), DerError);
  assert.equal(reader("0a 01 05").enumerated("e"), 5);
  for (const text of ["0a 00", "0a 02 0001", "0a 01 80"]) assert.throws(() => reader(text).enumerated("e"), DerError);
});

test("object identifiers read back as they were written", () => {
  const arc = fc.nat(0x7fffffff);
  const dotted = fc
    .tuple(
      fc.oneof(fc.tuple(fc.constantFrom(0, 1), fc.nat(39)), fc.tuple(fc.constant(2), arc)),
      fc.array(arc, { maxLength: 12 }),
    )
    .map(([first, rest]) => [...first, ...rest].join("."));
  fc.assert(fc.property(dotted, (text) => assert.equal(new DerReader(write.oid(text)).oid("oid"), text)));
  assert.deepEqual(write.oid("1.2.840.113549.1.1.11"), hex("06092a864886f70d01010b"));
  for (const text of ["06 00", "06 02 8001", "06 01 80", `06 8181 ${"01".repeat(129)}`])
    assert.throws(() => reader(text).oid("oid"), DerError);
});

test("times read back to the second, as UTCTime up to 2049 and GeneralizedTime from then on", () => {
  const second = fc.integer({ min: Date.UTC(1950, 0, 1) / 1000, max: Date.UTC(9999, 11, 31, 23, 59, 59) / 1000 });
  fc.assert(
    fc.property(second, (seconds) => {
      const der = write.time(seconds * 1000);
      assert.equal(new DerReader(der).time("time"), seconds * 1000);
      assert.equal(der[0], seconds < Date.UTC(2050, 0, 1) / 1000 ? Tag.UTC_TIME : Tag.GENERALIZED_TIME);
      assert.equal(new DerReader(write.generalizedTime(seconds * 1000)).time("time"), seconds * 1000);
    }),
    { numRuns: 1000 },
  );
});

test("two-digit years from 50 are of the twentieth century", () => {
  const utc = (text: string) => new DerReader(write.element(Tag.UTC_TIME, Buffer.from(text))).time("time");
  assert.equal(utc("491231235959Z"), Date.UTC(2049, 11, 31, 23, 59, 59));
  assert.equal(utc("500101000000Z"), Date.UTC(1950, 0, 1));
});

test("times in other forms, and days that do not exist, are refused", () => {
  for (const [tag, text] of [
    [Tag.UTC_TIME, "2601010000Z"],
    [Tag.UTC_TIME, "260101000000+0100"],
    [Tag.UTC_TIME, "260230000000Z"],
    [Tag.UTC_TIME, "261301000000Z"],
    [Tag.UTC_TIME, "260101240000Z"],
    [Tag.UTC_TIME, "260101006000Z"],
    [Tag.UTC_TIME, "260101000060Z"],
    [Tag.UTC_TIME, "260101000000Z\n"],
    [Tag.GENERALIZED_TIME, "20260101000000.5Z"],
    [Tag.GENERALIZED_TIME, "20260101000000"],
    [Tag.GENERALIZED_TIME, "20250229000000Z"],
    [Tag.PRINTABLE_STRING, "20260101000000Z"],
  ] as const)
    assert.throws(
      () => new DerReader(write.element(tag, Buffer.from(text))).time("time"),
      isDerError(/not in the form/),
      text,
    );
});

test("integers are written with the sign octet they need and none more", () => {
  for (const [value, expected] of [
    [0, "020100"],
    [127, "02017f"],
    [128, "02020080"],
    [256, "02020100"],
    [hex("00000080"), "02020080"],
    [hex("7f"), "02017f"],
  ] as const)
    assert.equal(write.integer(value).toString("hex"), expected);
  fc.assert(
    fc.property(fc.nat(0x7fffffff), (value) =>
      assert.equal(new DerReader(write.integer(value)).smallInteger("i"), value),
    ),
  );
});

test("named bits lose their trailing zeros, and sets are sorted", () => {
  assert.equal(write.namedBits([true, false, false, false, false, true, true]).toString("hex"), "03020186");
  assert.equal(write.namedBits([false, false]).toString("hex"), "030100");
  assert.deepEqual(write.setOf(hex("020102"), hex("020101")), hex("3106020101020102"));
});

test("random octets give elements or a DerError, and nothing is read past the end", () => {
  const walk = (read: DerReader, depth: number): number => {
    let count = 0;
    while (!read.atEnd) {
      const element = read.element("any");
      count += 1 + ((element.tag & 0x20) !== 0 && depth < 8 ? walk(inside(element), depth + 1) : 0);
    }
    return count;
  };
  fc.assert(
    fc.property(octets(200), (bytes) => {
      try {
        assert.ok(walk(new DerReader(bytes), 0) <= bytes.length / 2);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

test("each typed read of random octets gives a value or a DerError", () => {
  const reads: ((read: DerReader) => unknown)[] = [
    (read) => read.integer("x"),
    (read) => read.smallInteger("x"),
    (read) => read.enumerated("x"),
    (read) => read.oid("x"),
    (read) => read.boolean("x"),
    (read) => read.bitString("x"),
    (read) => read.time("x"),
    (read) => read.sequence("x"),
  ];
  const tags = [
    Tag.INTEGER,
    Tag.ENUMERATED,
    Tag.OID,
    Tag.BOOLEAN,
    Tag.BIT_STRING,
    Tag.UTC_TIME,
    Tag.GENERALIZED_TIME,
    Tag.SEQUENCE,
  ];
  fc.assert(
    fc.property(fc.constantFrom(...tags), octets(24), fc.constantFrom(...reads), (tag, content, read) => {
      try {
        read(new DerReader(write.element(tag, content)));
      } catch (error) {
        assert.ok(error instanceof DerError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

function isDerError(pattern: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof DerError && error instanceof DecodeError && pattern.test(error.message);
}
