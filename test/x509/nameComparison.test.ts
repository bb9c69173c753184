import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DerReader, Tag } from "../../src/der/reader.ts";
import { element, integer, oid, sequence, setOf, utf8String } from "../../src/der/writer.ts";
import { makeName, type Name, readName } from "../../src/x509/name.ts";
import { Oid } from "../../src/x509/oids.ts";

const read = (der: Buffer) => readName(new DerReader(der), "name");
const attribute = (type: string, value: Buffer) => sequence(oid(type), value);
const commonName = (value: Buffer) => read(sequence(setOf(attribute(Oid.commonName, value))));
const utf8 = (text: string) => commonName(utf8String(text));
const utf16 = (text: string) => element(Tag.BMP_STRING, Buffer.from(text, "utf16le").swap16());
const utf32 = (text: string) =>
  element(Tag.UNIVERSAL_STRING, Buffer.concat([...text].map((one) => uint32(one.codePointAt(0)!))));

const SAME: readonly (readonly [string, Name, Name])[] = [
  ["spaces before, after and between", utf8("  Operator \t  CA "), utf8("Operator CA")],
  ["other separators than the space", utf8("Operator\u00a0\u2003CA"), utf8("Operator CA")],
  ["characters that stand for nothing", utf8("Oper\u00ada\u200dtor\ufeff"), utf8("Operator")],
  ["full case folding", utf8("STRASSE"), utf8("Straße")],
  ["composed and decomposed letters", utf8("Zu\u0308rich"), utf8("ZÜRICH")],
  ["compatibility forms", utf8("ＣＡ①"), utf8("ca1")],
  ["T61String as Latin-1", commonName(element(Tag.T61_STRING, Buffer.from("Zürich", "latin1"))), utf8("zürich")],
  ["UniversalString", commonName(utf32("Op 🗼")), utf8("op 🗼")],
  ["BMPString", commonName(utf16("Zürich")), utf8("zürich")],
  ["VisibleString", commonName(element(Tag.VISIBLE_STRING, Buffer.from("A b"))), utf8("a  B")],
  ["two values without text", utf8(""), utf8("  ")],
];
for (const [what, a, b] of SAME)
  test(`names that differ in ${what} only are the same`, () => {
    assert.ok(a.equals(b) && b.equals(a));
    assert.equal(a.key, b.key);
  });

const OTHER: readonly (readonly [string, Name, Name])[] = [
  ["a letter", utf8("Operator CA"), utf8("Operator CB")],
  ["a space within a word", utf8("Operator CA"), utf8("OperatorCA")],
  ["the dot on an i", utf8("ı"), utf8("i")],
  ["octets that are no UTF-8", commonName(element(Tag.UTF8_STRING, bytes("c1"))), commonName(malformed("fe"))],
  ["a lone surrogate", commonName(element(Tag.BMP_STRING, bytes("d800"))), commonName(element(0x1e, bytes("d801")))],
  ["private characters", utf8("\ue000"), commonName(utf16("\ue000"))],
  ["octets above ASCII in a PrintableString", commonName(element(Tag.PRINTABLE_STRING, bytes("e4"))), utf8("ä")],
  ["the type of a value that is no text", commonName(integer(5)), commonName(element(Tag.OCTET_STRING, bytes("05")))],
];
for (const [what, a, b] of OTHER)
  test(`names that differ in ${what} are not the same`, () => {
    assert.ok(!a.equals(b) && !b.equals(a));
    assert.notEqual(a.key, b.key);
  });

test("attributes of one RDN are compared in any order, and are not those of two RDNs", () => {
  const [a, b] = [attribute(Oid.commonName, utf8String("a")), attribute(Oid.organization, utf8String("b"))];
  const ordered = read(sequence(element(Tag.SET, a, b)));
  const reversed = read(sequence(element(Tag.SET, b, a)));
  const apart = read(sequence(setOf(a), setOf(b)));
  assert.ok(ordered.equals(reversed));
  assert.ok(!ordered.equals(apart));
});

test("a name is within itself, within what it continues, and within nothing else", () => {
  const named = (...values: readonly string[]) =>
    makeName(values.map((value) => ({ type: Oid.organizationalUnit, value })));
  const device = named("Vendor", "Femto", "ap-1");
  for (const base of [named(), named("vendor"), named("Vendor", " FEMTO"), device]) assert.ok(device.isWithin(base));
  for (const base of [named("Femto"), named("Vendor", "Fem"), named("Vendor", "Femto", "ap-1", "x")])
    assert.ok(!device.isWithin(base));
});

test("names of any text are the same after a change of case, of spaces and of string type, and their keys agree", () => {
  const text = fc.string({ unit: fc.constantFrom(..."aZ ßÜ1,\n=\t"), maxLength: 12 });
  fc.assert(
    fc.property(text, text, (one, other) => {
      const spaced = ` ${one.toUpperCase().replaceAll(" ", "  ")} `;
      assert.ok(utf8(one).equals(commonName(utf16(spaced))));
      assert.equal(utf8(one).equals(utf8(other)), utf8(one).key === utf8(other).key);
    }),
  );
});

function bytes(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

function malformed(hex: string): Buffer {
  return element(Tag.UTF8_STRING, bytes(hex));
}

function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}
