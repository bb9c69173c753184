import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fqdnIdentity, IdType, identityText } from "../../src/tre/identity.ts";
import { octets } from "../ike/codec/arbitrary.ts";

test("ID types have the numbers of RFC 7296 3.5", () => {
  const numbers = { IPV4_ADDR: 1, FQDN: 2, RFC822_ADDR: 3, IPV6_ADDR: 5, DER_ASN1_DN: 9, DER_ASN1_GN: 10, KEY_ID: 11 };
  assert.deepEqual({ ...IdType }, numbers);
});

test("an FQDN's identity is its text, and reads as that", () => {
  const { idType, idData } = fqdnIdentity("ap-0001.example");
  assert.deepEqual([idType, idData.toString()], [IdType.FQDN, "ap-0001.example"]);
  assert.equal(identityText(idType, idData), "ap-0001.example");
});

test("identities read as people write them, others as octets", () => {
  const hex = (text: string) => Buffer.from(text, "hex");
  assert.equal(identityText(IdType.IPV4_ADDR, hex("c0000201")), "192.0.2.1");
  assert.equal(identityText(IdType.IPV6_ADDR, hex("20010db8000000000000000000000001")), "2001:db8::1");
  assert.equal(identityText(IdType.IPV4_ADDR, hex("c00002")), "address 0xc00002");
  assert.equal(identityText(IdType.RFC822_ADDR, Buffer.from("ap@example")), "ap@example");
  assert.equal(identityText(IdType.KEY_ID, hex("0102")), "id type 11 0x0102");
  assert.equal(identityText(200, hex("")), "id type 200 0x");
});

test("whatever a peer sends as its identity is one short line that no terminal obeys", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), octets(0, 2000), (idType, idData) => {
      const text = identityText(idType, idData);
      assert.match(text, /^[\x20-\x7e]*$/);
      assert.ok(text.length <= 255);
    }),
  );
  assert.equal(identityText(IdType.FQDN, Buffer.from("a\u001b[31m\r\n\0ü")), "a?[31m?????");
});
