import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../../src/bytes/reader.ts";
import {
  type AttributeName,
  type Attributes,
  decodeAttributes,
  encodeAttributes,
} from "../../../src/eap/aka/attributes.ts";
import { attributes, mutated, octets } from "../arbitrary.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const ALL = new Set<AttributeName>([
  "AT_RAND",
  "AT_AUTN",
  "AT_RES",
  "AT_AUTS",
  "AT_PADDING",
  "AT_PERMANENT_ID_REQ",
  "AT_MAC",
  "AT_NOTIFICATION",
  "AT_ANY_ID_REQ",
  "AT_IDENTITY",
  "AT_FULLAUTH_ID_REQ",
  "AT_COUNTER",
  "AT_COUNTER_TOO_SMALL",
  "AT_NONCE_S",
  "AT_CLIENT_ERROR_CODE",
  "AT_KDF_INPUT",
  "AT_KDF",
  "AT_IV",
  "AT_ENCR_DATA",
  "AT_NEXT_PSEUDONYM",
  "AT_NEXT_REAUTH_ID",
  "AT_CHECKCODE",
  "AT_RESULT_IND",
  "AT_BIDDING",
]);
const decode = (text: string) => decodeAttributes(hex(text), ALL).attributes;
const refused = (text: string, why: RegExp) =>
  assert.throws(
    () => decode(text),
    (error) => error instanceof DecodeError && why.test(error.message),
  );

test("all attributes that can be encoded decode to themselves, in their order", () => {
  fc.assert(
    fc.property(attributes, (some) => {
      const encoded = encodeAttributes(some);
      assert.equal(encoded.length % 4, 0);
      const decoded = decodeAttributes(encoded, ALL);
      assert.deepEqual(decoded.attributes, some);
      assert.deepEqual(Object.keys(decoded.attributes), Object.keys(some));
      const { macOffset } = decoded;
      assert.equal(macOffset === undefined, some.AT_MAC === undefined);
      if (macOffset !== undefined) assert.deepEqual(encoded.subarray(macOffset, macOffset + 16), some.AT_MAC);
    }),
    { numRuns: 1000 },
  );
});

test("random and damaged octets give attributes or a DecodeError, and never more attributes than words", () => {
  fc.assert(
    fc.property(fc.oneof(octets(0, 120), mutated(attributes.map(encodeAttributes))), (bytes) => {
      try {
        const decoded = decodeAttributes(bytes, ALL).attributes;
        assert.ok(Object.keys(decoded).length * 4 <= bytes.length);
        assert.deepEqual(decodeAttributes(encodeAttributes(decoded), ALL).attributes, decoded);
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test("each attribute has the octets that RFC 4187 and RFC 9048 draw", () => {
  const sixteen = "000102030405060708090a0b0c0d0e0f";
  const examples: [Attributes, string][] = [
    [{ AT_RAND: hex(sixteen) }, `01 05 0000 ${sixteen}`],
    [{ AT_AUTN: hex(sixteen) }, `02 05 0000 ${sixteen}`],
    [{ AT_RES: hex("0102030405") }, "03 03 0028 0102030405 000000"],
    [{ AT_AUTS: hex("0102030405060708090a0b0c0d0e") }, "04 04 0102030405060708090a0b0c0d0e"],
    [{ AT_PADDING: 2 }, "06 01 0000"],
    [{ AT_PADDING: 10 }, "06 03 00000000000000000000"],
    [{ AT_PERMANENT_ID_REQ: true }, "0a 01 0000"],
    [{ AT_MAC: hex(sixteen) }, `0b 05 0000 ${sixteen}`],
    [{ AT_NOTIFICATION: 32768 }, "0c 01 8000"],
    [{ AT_ANY_ID_REQ: true }, "0d 01 0000"],
    [{ AT_IDENTITY: Buffer.from("0abc@") }, "0e 03 0005 3061626340 000000"],
    [{ AT_FULLAUTH_ID_REQ: true }, "11 01 0000"],
    [{ AT_COUNTER: 258 }, "13 01 0102"],
    [{ AT_COUNTER_TOO_SMALL: true }, "14 01 0000"],
    [{ AT_NONCE_S: hex(sixteen) }, `15 05 0000 ${sixteen}`],
    [{ AT_CLIENT_ERROR_CODE: 0 }, "16 01 0000"],
    [{ AT_KDF_INPUT: Buffer.from("WLAN") }, "17 02 0004 574c414e"],
    [{ AT_KDF: [1, 2] }, "18 01 0001 18 01 0002"],
    [{ AT_IV: hex(sixteen) }, `81 05 0000 ${sixteen}`],
    [{ AT_ENCR_DATA: hex(sixteen) }, `82 05 0000 ${sixteen}`],
    [{ AT_NEXT_PSEUDONYM: Buffer.from("2x") }, "84 02 0002 3278 0000"],
    [{ AT_NEXT_REAUTH_ID: Buffer.from("4xyz") }, "85 02 0004 3478797a"],
    [{ AT_CHECKCODE: Buffer.alloc(0) }, "86 01 0000"],
    [{ AT_CHECKCODE: hex(`${sixteen}01020304`) }, `86 06 0000 ${sixteen}01020304`],
    [{ AT_RESULT_IND: true }, "87 01 0000"],
    [{ AT_BIDDING: 0x8000 }, "88 01 8000"],
  ];
  for (const [decoded, encoded] of examples) {
    assert.equal(encodeAttributes(decoded).toString("hex"), encoded.replaceAll(" ", ""));
    assert.deepEqual(decode(encoded), decoded);
  }
  assert.deepEqual(new Set(examples.flatMap(([decoded]) => Object.keys(decoded))), ALL);
});

test("an unknown attribute from 128 on is passed over, one below is refused", () => {
  assert.deepEqual(decode("ff 02 0000 00000000 13 01 0001"), { AT_COUNTER: 1 });
  assert.deepEqual(decode("80 01 0000"), {});
  refused("7f 01 0000", /attribute 127 .* not skippable/);
  refused("0f 02 0002 0001 0000", /attribute 15 .* not skippable/);
});

test("an attribute that comes twice is refused, except AT_KDF", () => {
  refused("13 01 0001 13 01 0001", /AT_COUNTER .* twice/);
  refused("87 01 0000 87 01 0000", /AT_RESULT_IND .* twice/);
  assert.deepEqual(decode("18 01 0002 13 01 0005 18 01 0001"), { AT_KDF: [2, 1], AT_COUNTER: 5 });
});

test("an attribute that does not belong where it stands is refused", () => {
  assert.throws(() => decodeAttributes(hex("13 01 0001"), new Set(["AT_MAC"])), /AT_COUNTER .* does not belong/);
});

test("a length of zero, beyond the end, or other than the attribute's is refused", () => {
  refused("13 00 0001", /attribute length .* 0 in attribute 19/);
  refused("13 02 0001", /needs 6 octets/);
  refused("13 02 0001 0000 0000", /AT_COUNTER .* octets too many/);
  refused(`01 04 0000 ${"00".repeat(12)}`, /AT_RAND .* needs 16 octets/);
  refused("13", /attribute length/);
});

test("a counted attribute whose length does not fit its words is refused", () => {
  refused("0e 02 0005 61626364", /AT_IDENTITY .* needs 5 octets/);
  refused("0e 03 0004 61626364 00000000", /4 octets of padding after 4 octets/);
  assert.deepEqual(decode("0e 01 0000"), { AT_IDENTITY: Buffer.alloc(0) });
});

test("RES of fewer than 32, more than 128 or a broken number of bits is refused", () => {
  refused("03 02 0018 01020300", /24 bits/);
  refused(`03 06 0088 ${"01".repeat(17)} 000000`, /136 bits/);
  refused("03 03 0021 0102030405 000000", /33 bits/);
});

test("padding of more than twelve octets, or with anything in it, is refused", () => {
  refused(`06 04 ${"00".repeat(14)}`, /at most 12 are needed/);
  refused("06 01 0001", /something other than zeros/);
});

test("encrypted data is whole blocks, a checkcode is empty or a hash", () => {
  refused("82 01 0000", /AT_ENCR_DATA .* holds 0 octets/);
  refused(`82 04 0000 ${"00".repeat(12)}`, /AT_ENCR_DATA .* holds 12 octets/);
  refused(`86 05 0000 ${"00".repeat(16)}`, /AT_CHECKCODE .* holds 16 octets/);
});

test("a message with attributes without end is refused early", () => {
  refused("ff010000".repeat(65), /more than 64/);
  assert.deepEqual(decode("ff010000".repeat(64)), {});
});

test("a value that does not fit its attribute is the caller's mistake", () => {
  assert.throws(() => encodeAttributes({ AT_RAND: Buffer.alloc(15) }), RangeError);
  assert.throws(() => encodeAttributes({ AT_IDENTITY: Buffer.alloc(1017) }), RangeError);
  assert.equal(encodeAttributes({ AT_IDENTITY: Buffer.alloc(1016) }).length, 1020);
  assert.throws(() => encodeAttributes({ AT_ENCR_DATA: Buffer.alloc(15) }), RangeError);
});
