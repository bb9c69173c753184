import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../src/bytes/reader.ts";
import { decodeEap, type EapPacket, encodeEap, trimEap } from "../../src/eap/packet.ts";
import { mutated, octets, packet, withOwnLength } from "./arbitrary.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

test("every packet that can be encoded decodes to itself", () => {
  fc.assert(
    fc.property(packet, (one) => {
      assert.deepEqual(decodeEap(encodeEap(one)), one);
    }),
    { numRuns: 1000 },
  );
});

test("packets have the octets that RFC 3748 draws", () => {
  const examples: [EapPacket, string][] = [
    [{ kind: "request", id: 7, content: { kind: "identity", text: Buffer.alloc(0) } }, "01 07 0005 01"],
    [{ kind: "response", id: 7, content: { kind: "identity", text: Buffer.from("ab") } }, "02 07 0007 01 6162"],
    [{ kind: "response", id: 9, content: { kind: "nak", desired: [50, 23] } }, "02 09 0007 03 3217"],
    [{ kind: "response", id: 9, content: { kind: "nak", desired: [] } }, "02 09 0006 03 00"],
    [
      { kind: "response", id: 1, content: { kind: "expandedNak", desired: [] } },
      "02 01 0014 fe 000000 00000003 fe 000000 00000000",
    ],
    [
      { kind: "request", id: 1, content: { kind: "method", type: 23, body: Buffer.from([5, 0, 0]) } },
      "01 01 0008 17 050000",
    ],
    [{ kind: "success", id: 255 }, "03 ff 0004"],
    [{ kind: "failure", id: 0 }, "04 00 0004"],
  ];
  for (const [decoded, encoded] of examples) {
    assert.equal(encodeEap(decoded).toString("hex"), encoded.replaceAll(" ", ""));
    assert.deepEqual(decodeEap(hex(encoded)), decoded);
  }
});

test("random and damaged octets give a packet or a DecodeError", () => {
  fc.assert(
    fc.property(fc.oneof(octets(0, 80), mutated(packet.map(encodeEap))), (bytes) => {
      for (const input of [bytes, withOwnLength(bytes)]) {
        try {
          const decoded = decodeEap(input);
          assert.deepEqual(decodeEap(encodeEap(decoded)), decoded);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }
    }),
    { numRuns: 3000 },
  );
});

test("octets beyond the length field are padding of the layer below", () => {
  const bytes = hex("01 07 0005 01 ffff");
  assert.deepEqual(decodeEap(bytes), { kind: "request", id: 7, content: { kind: "identity", text: Buffer.alloc(0) } });
  assert.equal(trimEap(bytes).toString("hex"), "0107000501");
});

test("a length field beyond the octets there are, or short of the header, is refused", () => {
  assert.throws(() => decodeEap(hex("01 07 0006 01")), /EAP.data/);
  assert.throws(() => decodeEap(hex("01 07 0003 01")), /less than its own header/);
  assert.throws(() => decodeEap(hex("01 07 00")), /EAP.length/);
});

test("a request or response without a type, a type 0, a code beyond 4 and a success with data are refused", () => {
  assert.throws(() => decodeEap(hex("01 07 0004")), /EAP.type/);
  assert.throws(() => decodeEap(hex("02 07 0005 00")), /0 is no type/);
  assert.throws(() => decodeEap(hex("05 07 0004")), /5 is none of/);
  assert.throws(() => decodeEap(hex("03 07 0005 01")), /octets too many/);
});

test("a Nak is a response only, and a Nak of nothing but zeros desires nothing", () => {
  assert.throws(() => decodeEap(hex("01 07 0006 03 32")), /Nak belongs in a response/);
  const nothing = { kind: "response", id: 7, content: { kind: "nak", desired: [] } };
  assert.deepEqual(decodeEap(hex("02 07 0007 03 0000")), nothing);
  assert.deepEqual(decodeEap(hex("02 07 0005 03")), nothing);
});

test("an expanded Nak holds expanded types only", () => {
  assert.throws(() => decodeEap(hex("02 07 0014 fe 000000 00000003 17 000000 00000000")), /not an expanded type/);
});
