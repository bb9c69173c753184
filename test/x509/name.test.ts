import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DerReader, Tag } from "../../src/der/reader.ts";
import { element, oid, sequence, setOf, utf8String } from "../../src/der/writer.ts";
import { makeName, readName } from "../../src/x509/name.ts";
import { Oid } from "../../src/x509/oids.ts";

const read = (der: Buffer) => readName(new DerReader(der), "name");
const rdn = (type: string, value: Buffer) => setOf(sequence(oid(type), value));
const commonName = (value: Buffer) => read(sequence(rdn(Oid.commonName, value)));

test("names read back with all their attributes, in order", () => {
  const attribute = fc.record(
    {
      type: fc.constantFrom(Oid.commonName, Oid.organization, Oid.organizationalUnit, Oid.locality),
      value: fc.string({ unit: "grapheme", maxLength: 40 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(attribute, { maxLength: 8 }), (attributes) => {
      const made = makeName(attributes);
      const back = read(made.der);
      assert.deepEqual(back.attributes, attributes);
      assert.ok(back.equals(made));
    }),
  );
});

test("names are the same whatever the case, the spacing and the string type, and differ in attribute or order", () => {
  const utf8 = commonName(utf8String("Operator  Root CA"));
  const printable = commonName(element(Tag.PRINTABLE_STRING, Buffer.from("operator root ca")));
  const bmp = commonName(element(Tag.BMP_STRING, Buffer.from("Operator Root CA", "utf16le").swap16()));
  assert.ok(utf8.equals(printable));
  assert.ok(printable.equals(bmp));
  assert.ok(!utf8.equals(commonName(utf8String("Operator Root CB"))));
  const a = { type: Oid.commonName, value: "a" };
  const b = { type: Oid.organization, value: "b" };
  assert.ok(!makeName([a, b]).equals(makeName([b, a])));
  assert.ok(!makeName([a]).equals(makeName([a, b])));
});

test("a name shown to a person hides nothing and cannot pass for another", () => {
  const shown = (text: string) => commonName(utf8String(text)).toString();
  assert.equal(shown("Zürich"), "CN=Zürich");
  assert.equal(shown("\u001b[31mred\u202e\n"), "CN=?[31mred??");
  assert.equal(shown("a, O=Operator"), "CN=a\\, O=Operator");
});

test("more attributes than the limit are refused", () => {
  const many = Array.from({ length: 33 }, (_, i) => ({ type: Oid.organizationalUnit, value: `${i}` }));
  assert.throws(() => read(makeName(many).der), /more than 32 attributes/);
});

test("a BMPString of an odd length reads without its last octet", () => {
  assert.equal(commonName(element(Tag.BMP_STRING, Buffer.from("004100", "hex"))).commonName, "A");
});
