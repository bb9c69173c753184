import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../../src/bytes/reader.ts";
import { type Attributes, encodeAttributes } from "../../../src/eap/aka/attributes.ts";
import {
  decodeAkaMessage,
  decryptAttributes,
  EncryptedIn,
  encodeAkaMessage,
  encryptAttributes,
  macIsRight,
} from "../../../src/eap/aka/message.ts";
import { AKA, AKA_PRIME } from "../../../src/eap/aka/variant.ts";
import { attributes, mutated, octets, withOwnLength } from "../arbitrary.ts";

const BLOCK = Buffer.alloc(16, 3);
const K_AUT = Buffer.alloc(16, 9);
const K_ENCR = Buffer.alloc(16, 8);
const CHALLENGE: Attributes = { AT_RAND: BLOCK, AT_AUTN: BLOCK };

/** A packet of any subtype with any attributes, whether or not they belong together. */
const anyPacket = fc
  .tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 2, 4, 5, 12, 13, 14), fc.constantFrom(23, 50), attributes)
  .map(([code, subtype, type, some]) =>
    withOwnLength(Buffer.concat([Buffer.from([code, 1, 0, 0, type, subtype, 0, 0]), encodeAttributes(some)])),
  );

test("random, strange and damaged packets give a message or a DecodeError", () => {
  fc.assert(
    fc.property(fc.oneof(octets(5, 100), anyPacket, mutated(anyPacket)).map(withOwnLength), (bytes) => {
      if (bytes.length < 4) return;
      for (const kind of ["request", "response"] as const) {
        for (const variant of [AKA, AKA_PRIME]) {
          try {
            decodeAkaMessage(kind, variant, bytes);
          } catch (error) {
            assert.ok(error instanceof DecodeError, String(error));
          }
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("AT_MAC covers the whole packet with itself blanked, and what the message adds", () => {
  for (const [variant, hash] of [
    [AKA, "sha1"],
    [AKA_PRIME, "sha256"],
  ] as const) {
    const extra = Buffer.from("nonce");
    const packet = encodeAkaMessage("request", variant, 5, "challenge", CHALLENGE, { kAut: K_AUT, extra });
    const blank = Buffer.from(packet);
    blank.fill(0, packet.length - 16);
    const expected = createHmac(hash, K_AUT).update(blank).update(extra).digest().subarray(0, 16);
    assert.deepEqual(packet.subarray(packet.length - 16), expected);
    const message = decodeAkaMessage("request", variant, packet);
    assert.equal(message.macOffset, packet.length - 16);
    assert.ok(macIsRight(variant, K_AUT, packet, message.macOffset, extra));
  }
});

test("AT_MAC is right wherever it stands, and wrong after any change of packet, key or addition", () => {
  const extra = Buffer.from("x");
  const attributesBefore = { AT_MAC: Buffer.alloc(16), ...CHALLENGE };
  const packet = encodeAkaMessage("request", AKA, 5, "challenge", attributesBefore);
  const { macOffset } = decodeAkaMessage("request", AKA, packet);
  assert.equal(macOffset, 12);
  createHmac("sha1", K_AUT).update(packet).update(extra).digest().copy(packet, macOffset, 0, 16);
  assert.ok(macIsRight(AKA, K_AUT, packet, macOffset, extra));
  for (let i = 0; i < packet.length; i++) {
    if (i === 2 || i === 3) continue; // the length field; see the next test
    const damaged = Buffer.from(packet);
    damaged[i]! ^= 1;
    assert.ok(!macIsRight(AKA, K_AUT, damaged, macOffset, extra), `octet ${i}`);
  }
  assert.ok(!macIsRight(AKA, K_AUT, packet, macOffset));
  assert.ok(!macIsRight(AKA, K_ENCR, packet, macOffset, extra));
  assert.ok(!macIsRight(AKA_PRIME, K_AUT, packet, macOffset, extra));
  assert.ok(!macIsRight(AKA, K_AUT, packet, undefined, extra));
});

test("octets behind the packet are no part of what AT_MAC covers", () => {
  const packet = encodeAkaMessage("request", AKA, 5, "challenge", CHALLENGE, { kAut: K_AUT });
  const padded = Buffer.concat([packet, Buffer.alloc(3)]);
  const { macOffset } = decodeAkaMessage("request", AKA, padded);
  assert.ok(macIsRight(AKA, K_AUT, padded, macOffset));
});

test("encrypted attributes come back, padded to whole blocks", () => {
  const some: fc.Arbitrary<Attributes> = fc.record(
    {
      AT_NEXT_PSEUDONYM: octets(0, 60),
      AT_NEXT_REAUTH_ID: octets(0, 60),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(some, (inner) => {
      const encrypted = encryptAttributes(K_ENCR, BLOCK, inner);
      assert.equal(encrypted.AT_ENCR_DATA.length % 16, 0);
      const { AT_PADDING: _, ...rest } = decryptAttributes(K_ENCR, encrypted, EncryptedIn.challenge);
      assert.deepEqual(rest, inner);
    }),
  );
});

test("attributes decrypted with another key or IV, or damaged, give attributes or a DecodeError", () => {
  const encrypted = encryptAttributes(K_ENCR, BLOCK, { AT_COUNTER: 1, AT_NONCE_S: BLOCK });
  fc.assert(
    fc.property(octets(16, 16), octets(16, 16), (key, iv) => {
      try {
        decryptAttributes(key, { ...encrypted, AT_IV: iv }, EncryptedIn.reauthenticationRequest);
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    }),
  );
});

test("AT_IV without AT_ENCR_DATA or the other way round is refused", () => {
  const { AT_IV, AT_ENCR_DATA } = encryptAttributes(K_ENCR, BLOCK, { AT_COUNTER: 1 });
  assert.throws(() => decryptAttributes(K_ENCR, { AT_IV }, EncryptedIn.notification), DecodeError);
  assert.throws(() => decryptAttributes(K_ENCR, { AT_ENCR_DATA }, EncryptedIn.notification), DecodeError);
});

test("AT_COUNTER is no part of an encrypted challenge", () => {
  const encrypted = encryptAttributes(K_ENCR, BLOCK, { AT_COUNTER: 1 });
  assert.throws(() => decryptAttributes(K_ENCR, encrypted, EncryptedIn.challenge), /AT_COUNTER .* does not belong/);
});

test("a message without an attribute that it must carry is refused", () => {
  const incomplete = encodeAkaMessage("request", AKA, 1, "challenge", { AT_RAND: BLOCK }, { kAut: K_AUT });
  assert.throws(() => decodeAkaMessage("request", AKA, incomplete), /AT_AUTN is missing/);
  const noMac = encodeAkaMessage("request", AKA, 1, "challenge", CHALLENGE);
  assert.throws(() => decodeAkaMessage("request", AKA, noMac), /AT_MAC is missing/);
  const noIdentity = encodeAkaMessage("response", AKA, 1, "identity", {});
  assert.throws(() => decodeAkaMessage("response", AKA, noIdentity), /AT_IDENTITY is missing/);
});

test("a subtype that belongs to the other direction, or to nobody, is refused", () => {
  const error = encodeAkaMessage("response", AKA, 1, "clientError", { AT_CLIENT_ERROR_CODE: 0 });
  assert.equal(decodeAkaMessage("response", AKA, error).subtype, "clientError");
  assert.throws(() => decodeAkaMessage("request", AKA, error), /14 is no subtype of a EAP-AKA request/);
  assert.throws(() => decodeAkaMessage("request", AKA, Buffer.from("0101000817630000", "hex")), /99 is no subtype/);
  assert.throws(() => decodeAkaMessage("request", AKA, Buffer.from("01010007170500", "hex")), /needs 8 octets/);
});

test("AT_KDF belongs to EAP-AKA' alone, AT_BIDDING to EAP-AKA alone", () => {
  const kdf = { ...CHALLENGE, AT_KDF: [1] };
  const bidding = { ...CHALLENGE, AT_BIDDING: 0x8000 };
  for (const [variant, fits, foreign] of [
    [AKA, bidding, kdf],
    [AKA_PRIME, kdf, bidding],
  ] as const) {
    const good = encodeAkaMessage("request", variant, 1, "challenge", fits, { kAut: K_AUT });
    assert.equal(decodeAkaMessage("request", variant, good).subtype, "challenge");
    const bad = encodeAkaMessage("request", variant, 1, "challenge", foreign, { kAut: K_AUT });
    assert.throws(() => decodeAkaMessage("request", variant, bad), /does not belong in EAP-AKA/);
  }
});
