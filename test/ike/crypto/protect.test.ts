import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../../src/bytes/reader.ts";
import { decodeMessage, decodePayloads } from "../../../src/ike/codec/decode.ts";
import { encodePayloads } from "../../../src/ike/codec/encode.ts";
import type { IkeHeader, IkeSpi, Payload } from "../../../src/ike/codec/message.ts";
import { Encr, ExchangeType, Integ, PayloadType } from "../../../src/ike/codec/numbers.ts";
import { Reassembly } from "../../../src/ike/crypto/fragments.ts";
import type { IkeKeys } from "../../../src/ike/crypto/kdf.ts";
import {
  IntegrityError,
  ivLength,
  openEncrypted,
  protectedLength,
  protectFragments,
  protectMessage,
  type SenderRole,
} from "../../../src/ike/crypto/protect.ts";
import { describeSuite, type IkeSuite } from "../../../src/ike/crypto/suite.ts";
import { mutated, octets, payloads, withOwnLength } from "../codec/arbitrary.ts";
import { keysFor, suites } from "./suites.ts";

const HEADER: IkeHeader = {
  initiatorSpi: "1111111111111111" as IkeSpi,
  responderSpi: "2222222222222222" as IkeSpi,
  exchangeType: ExchangeType.IKE_AUTH,
  fromInitiator: true,
  response: false,
  messageId: 1,
};
const CONTENT: Payload[] = [
  { kind: "IDi", idType: 2, data: Buffer.from("ap-0001.example") },
  { kind: "AUTH", method: 14, data: Buffer.alloc(70, 9) },
];

for (const suite of suites) {
  const name = describeSuite(suite);
  const keys = keysFor(suite);

  test(`${name}: what one side protects the other opens, whatever its length`, () => {
    const iv = octets(ivLength(suite), ivLength(suite));
    const role = fc.constantFrom<SenderRole>("initiator", "responder");
    fc.assert(
      fc.property(payloads, iv, role, (content, oneIv, sender) => {
        const encoded = encodePayloads(content);
        const packet = protectMessage(HEADER, encoded, suite, keys, sender, oneIv);
        assert.equal(packet.length, protectedLength(suite, encoded.bytes.length));
        const opened = open(packet, suite, keys, sender);
        assert.deepEqual(decodePayloads(opened.firstInner, opened.plaintext), content);
      }),
      { numRuns: 30 },
    );
  });

  test(`${name}: a message with any octet changed, cut or added does not verify`, () => {
    const packet = sealed(suite, keys);
    for (let at = 0; at < packet.length; at++) {
      const changed = Buffer.from(packet);
      changed[at]! ^= 0x41;
      refused(() => open(changed, suite, keys, "initiator"));
    }
    for (let length = 29; length < packet.length; length++) {
      const cut = withOwnLength(packet.subarray(0, length));
      if (length >= 32) cut.writeUInt16BE(length - 28, 30);
      refused(() => open(cut, suite, keys, "initiator"));
    }
  });

  test(`${name}: a message does not verify under the other direction's keys or another SA's`, () => {
    const packet = sealed(suite, keys);
    assert.throws(() => open(packet, suite, keys, "responder"), IntegrityError);
    assert.throws(() => open(packet, suite, keysFor(suite, 2), "initiator"), IntegrityError);
  });
}

test("AES-GCM: SK lies as RFC 5282 draws it", () => {
  const suite = suites.find(({ encr }) => encr.id === Encr.AES_GCM_16 && encr.keyLength === 256)!;
  const keys = keysFor(suite);
  const { firstType, bytes } = encodePayloads(CONTENT);
  const iv = Buffer.from("0000000000000007", "hex");
  const packet = protectMessage(HEADER, { firstType, bytes }, suite, keys, "initiator", iv);
  assert.equal(packet[16], PayloadType.SK);
  assert.equal(packet[28], PayloadType.IDi);
  assert.equal(packet.readUInt32BE(24), packet.length);
  assert.equal(packet.readUInt16BE(30), packet.length - 28);
  // Key is all but the last 4 octets of SK_ei, nonce is those 4 and the IV, header and generic header are AAD.
  const nonce = Buffer.concat([keys.ei.subarray(32), packet.subarray(32, 40)]);
  const decipher = createDecipheriv("aes-256-gcm", keys.ei.subarray(0, 32), nonce);
  decipher.setAAD(packet.subarray(0, 32));
  decipher.setAuthTag(packet.subarray(-16));
  const plain = Buffer.concat([decipher.update(packet.subarray(40, -16)), decipher.final()]);
  assert.deepEqual(plain, Buffer.concat([bytes, Buffer.alloc(1)]));
});

test("AES-CBC with HMAC: the integrity check covers all before it, padding fills the block (RFC 7296 3.14)", () => {
  const suite = suites.find(
    ({ encr, integ }) => encr.id === Encr.AES_CBC && encr.keyLength === 256 && integ === Integ.HMAC_SHA2_256_128,
  )!;
  const keys = keysFor(suite);
  const { firstType, bytes } = encodePayloads(CONTENT);
  const iv = Buffer.alloc(16, 5);
  const packet = protectMessage(HEADER, { firstType, bytes }, suite, keys, "responder", iv);
  const mac = createHmac("sha256", keys.ar).update(packet.subarray(0, -16)).digest().subarray(0, 16);
  assert.deepEqual(packet.subarray(-16), mac);
  assert.deepEqual(packet.subarray(32, 48), iv);
  const decipher = createDecipheriv("aes-256-cbc", keys.er, iv).setAutoPadding(false);
  const plain = decipher.update(packet.subarray(48, -16));
  assert.deepEqual(plain.subarray(0, bytes.length), bytes);
  assert.equal(plain.at(-1), plain.length - bytes.length - 1);
  assert.ok(plain.length - bytes.length <= 16);
});

test("padding longer than the plaintext is malformed, though authentic", () => {
  const suite = suites[0]!;
  const keys = keysFor(suite);
  // With AES-GCM the last octet is the pad length: one octet of content in its place claims 200 octets of padding.
  const packet = protectMessage(
    HEADER,
    { firstType: 0, bytes: Buffer.alloc(0) },
    suite,
    keys,
    "initiator",
    Buffer.alloc(8),
  );
  const forged = sealWithPadLength(packet, keys, 200);
  const error = caught(() => open(forged, suite, keys, "initiator"));
  assert.ok(error instanceof DecodeError && !(error instanceof IntegrityError));
  assert.match(error.message, /SK.padLength/);
});

test("a message without an encrypted payload cannot be opened", () => {
  const plain = Buffer.alloc(28);
  plain[17] = 0x20;
  refused(() => open(withOwnLength(plain), suites[0]!, keysFor(suites[0]!), "initiator"));
});

test("a damaged protected message or random octets never open and give DecodeError", () => {
  const suite = suites[0]!;
  const keys = keysFor(suite);
  const packet = sealed(suite, keys);
  fc.assert(
    fc.property(fc.oneof(mutated(fc.constant(packet)), octets(28, 200)).map(withOwnLength), (bytes) => {
      if (bytes.equals(packet)) return;
      refused(() => open(bytes, suite, keys, "initiator"));
    }),
    { numRuns: 1000 },
  );
});

for (const suite of [suites[0]!, suites.find(({ encr }) => encr.id === Encr.AES_CBC)!, suites.at(-1)!]) {
  test(`${describeSuite(suite)}: fragments keep to their size, come together in any order, and only the first names the inner payload`, () => {
    const keys = keysFor(suite);
    let ivs = 0;
    const makeIv = () => Buffer.alloc(ivLength(suite), ++ivs);
    // From here up, 8000 octets stay within the fragment limit under every suite.
    const size = fc.integer({ min: 256, max: 1500 });
    const content = fc
      .nat(8000)
      .map((length) => Buffer.from(Array.from({ length }, (_, index) => (index * 31) & 0xff)));
    fc.assert(
      fc.property(content, size, fc.nat(), (bytes, maxDatagram, order) => {
        ivs = 0;
        const encoded = { firstType: PayloadType.IDi as number, bytes };
        const packets = protectFragments(HEADER, encoded, suite, keys, "initiator", makeIv, maxDatagram);
        assert.equal(ivs, packets.length);
        const reassembly = new Reassembly("q1");
        const shuffled = packets
          .map((packet, index) => ({ packet, rank: ((index + 1) * (order + 1)) % 65_537 }))
          .sort((a, b) => a.rank - b.rank);
        let whole: { firstInner: number; bytes: Buffer } | undefined;
        for (const { packet } of shuffled) {
          assert.equal(whole, undefined);
          assert.ok(packet.length <= maxDatagram);
          const decoded = decodeMessage(packet);
          assert.ok(decoded.encrypted?.kind === "SKF");
          const { fragmentNumber, totalFragments } = decoded.encrypted;
          const opened = openEncrypted(packet, decoded, suite, keys, "initiator");
          assert.equal(opened.firstInner, fragmentNumber === 1 ? PayloadType.IDi : PayloadType.none);
          whole = reassembly.add(fragmentNumber, totalFragments, opened.firstInner, opened.plaintext);
        }
        assert.deepEqual(whole, { firstInner: PayloadType.IDi, bytes });
      }),
      { numRuns: 50 },
    );
  });
}

test("a fragment's number and total are authentic (RFC 7383 2.5)", () => {
  for (const suite of [suites[0]!, suites.at(-1)!]) {
    const keys = keysFor(suite);
    const encoded = { firstType: PayloadType.IDi, bytes: Buffer.alloc(1000) };
    const iv = () => Buffer.alloc(ivLength(suite), 1);
    const [first] = protectFragments(HEADER, encoded, suite, keys, "initiator", iv, 500);
    for (const at of [33, 35]) {
      const changed = Buffer.from(first!);
      changed[at]! += 1;
      refused(() => open(changed, suite, keys, "initiator"));
    }
  }
});

test("a message that would take more fragments than a peer must accept is not sent", () => {
  const suite = suites[0]!;
  const encoded = { firstType: PayloadType.IDi, bytes: Buffer.alloc(64_000) };
  const iv = () => Buffer.alloc(8);
  assert.throws(() => protectFragments(HEADER, encoded, suite, keysFor(suite), "initiator", iv, 500), RangeError);
});

function sealed(suite: IkeSuite, keys: IkeKeys): Buffer {
  return protectMessage(HEADER, encodePayloads(CONTENT), suite, keys, "initiator", Buffer.alloc(ivLength(suite), 4));
}

function open(packet: Buffer, suite: IkeSuite, keys: IkeKeys, sender: SenderRole) {
  return openEncrypted(packet, decodeMessage(packet), suite, keys, sender);
}

function refused(run: () => unknown): void {
  assert.throws(run, DecodeError);
}

function caught(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** A one-octet plaintext under the initiator's AES-GCM key, as a faulty peer might send it. */
function sealWithPadLength(template: Buffer, keys: IkeKeys, padLength: number): Buffer {
  const packet = Buffer.from(template);
  const { encr, salt } = keys.prepared.initiator;
  const cipher = createCipheriv("aes-128-gcm", encr, Buffer.concat([salt, packet.subarray(32, 40)]));
  cipher.setAAD(packet.subarray(0, 32));
  cipher.update(Buffer.from([padLength])).copy(packet, 40);
  cipher.final();
  cipher.getAuthTag().copy(packet, 41);
  return packet;
}
