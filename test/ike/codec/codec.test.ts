import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../../src/bytes/reader.ts";
import {
  type DecodedMessage,
  decodeMessage,
  decodePayloads,
  LIMITS,
  UnsupportedVersionError,
} from "../../../src/ike/codec/decode.ts";
import { describePayload } from "../../../src/ike/codec/describe.ts";
import { encodeMessage, encodePayloads } from "../../../src/ike/codec/encode.ts";
import { peekHeader, spiFromBytes, spiToBytes } from "../../../src/ike/codec/header.ts";
import type { IkeHeader, IkeSpi, Payload, SaPayload } from "../../../src/ike/codec/message.ts";
import { ExchangeType, PayloadType, Protocol, TransformType } from "../../../src/ike/codec/numbers.ts";
import { header, mutated, octets, payload, payloads, withOwnLength } from "./arbitrary.ts";

const HEADER: IkeHeader = {
  initiatorSpi: "0102030405060708" as IkeSpi,
  responderSpi: "0000000000000000" as IkeSpi,
  exchangeType: ExchangeType.IKE_SA_INIT,
  fromInitiator: true,
  response: false,
  messageId: 0,
};
const EMPTY = Buffer.alloc(0);

test("every message that can be encoded decodes to itself", () => {
  fc.assert(
    fc.property(header, payloads, (head, content) => {
      const decoded = decodeMessage(encodeMessage(head, content));
      assert.deepEqual(decoded, { header: head, payloads: content, encrypted: undefined });
    }),
    { numRuns: 1000 },
  );
});

test("every payload chain that can be encoded decodes to itself", () => {
  fc.assert(
    fc.property(payloads, (content) => {
      const { firstType, bytes } = encodePayloads(content);
      assert.deepEqual(decodePayloads(firstType, bytes), content);
    }),
  );
});

test("an IKE_SA_INIT request has the octets that RFC 7296 3 draws", () => {
  const content: Payload[] = [
    {
      kind: "SA",
      proposals: [
        {
          number: 1,
          protocol: Protocol.IKE,
          spi: EMPTY,
          transforms: [
            { type: TransformType.ENCR, id: 12, keyLength: 128 },
            { type: TransformType.PRF, id: 5 },
          ],
        },
      ],
    },
    { kind: "KE", group: 31, data: Buffer.from("aabb", "hex") },
    { kind: "Nonce", data: Buffer.alloc(16, 0xcc) },
    { kind: "N", protocol: 0, spi: EMPTY, type: 16430, data: EMPTY },
  ];
  const expected = [
    "0102030405060708 0000000000000000 21 20 22 08 00000000 0000006c", // header
    "22 00 0020", // SA, next KE, 32 octets
    "00 00 001c 01 01 00 02", // last proposal, 28 octets, number 1, IKE, no SPI, 2 transforms
    "03 00 000c 01 00 000c 800e 0080", // more, ENCR AES_CBC, key length 128
    "00 00 0008 02 00 0005", // last, PRF HMAC_SHA2_256
    "28 00 000a 001f 0000 aabb", // KE, next Nonce
    `29 00 0014 ${"cc".repeat(16)}`, // Nonce, next N
    "00 00 0008 00 00 402e", // N(IKEV2_FRAGMENTATION_SUPPORTED)
  ];
  const octets = Buffer.from(expected.join("").replaceAll(" ", ""), "hex");
  octets.writeUInt32BE(octets.length, 24);
  assert.equal(encodeMessage(HEADER, content).toString("hex"), octets.toString("hex"));
});

test("random octets give a message or a DecodeError", () => {
  fc.assert(
    fc.property(octets(0, 300), (bytes) => {
      decodesOrRefuses(() => decodeMessage(bytes));
      decodesOrRefuses(() => decodeMessage(withOwnLength(bytes)));
    }),
    { numRuns: 1000 },
  );
});

test("a damaged message gives a message or a DecodeError", () => {
  const message = fc.tuple(header, payloads).map(([head, content]) => encodeMessage(head, content));
  fc.assert(
    fc.property(mutated(message).map(withOwnLength), (bytes) => {
      const decoded = decodesOrRefuses(() => decodeMessage(bytes));
      if (decoded !== undefined) assert.ok(weightOf(decoded) <= bytes.length, "no more values than octets");
    }),
    { numRuns: 2000 },
  );
});

test("random and damaged payload chains give payloads or a DecodeError", () => {
  const chain = payloads.map((content) => encodePayloads(content).bytes);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), fc.oneof(octets(0, 200), mutated(chain)), (first, bytes) => {
      decodesOrRefuses(() => decodePayloads(first, bytes));
    }),
    { numRuns: 2000 },
  );
});

test("what decodes can be described and encoded again", () => {
  const message = fc.tuple(header, payloads).map(([head, content]) => encodeMessage(head, content));
  fc.assert(
    fc.property(mutated(message).map(withOwnLength), (bytes) => {
      const decoded = decodesOrRefuses(() => decodeMessage(bytes));
      if (decoded === undefined) return;
      for (const one of decoded.payloads) assert.match(describePayload(one), /^[\x20-\x7e]+$/);
      const again = decodeMessage(encodeMessage(decoded.header, decoded.payloads));
      assert.deepEqual(again.payloads, decoded.payloads);
    }),
    { numRuns: 1000 },
  );
});

test("a description holds neither control characters nor secrets of a payload", () => {
  fc.assert(
    fc.property(payload, (one) => {
      assert.match(describePayload(one), /^[\x20-\x7e]+$/);
    }),
  );
  const secret = Buffer.alloc(32, 0xa5);
  for (const one of [
    { kind: "KE", group: 31, data: secret },
    { kind: "AUTH", method: 14, data: secret },
    { kind: "Nonce", data: secret },
    { kind: "EAP", data: secret },
  ] as Payload[]) {
    assert.doesNotMatch(describePayload(one), /a5a5/);
  }
});

test("a datagram whose length field differs from its length is refused", () => {
  const bytes = encodeMessage(HEADER, []);
  refused(() => decodeMessage(Buffer.concat([bytes, Buffer.alloc(1)])), /IKE length/);
  refused(() => decodeMessage(bytes.subarray(0, 27)), /IKE header/);
});

test("a major version above 2 is told apart from other errors, one below is malformed", () => {
  const bytes = encodeMessage(HEADER, []);
  bytes[17] = 0x30;
  assert.throws(() => decodeMessage(bytes), UnsupportedVersionError);
  assert.deepEqual(peekHeader(bytes), HEADER);
  bytes[17] = 0x10;
  refused(() => decodeMessage(bytes), /major version 1/);
  // RFC 7296 2.5: the minor version is ignored.
  bytes[17] = 0x2f;
  assert.deepEqual(decodeMessage(bytes).payloads, []);
});

test("peekHeader answers nothing for a datagram too short and never throws", () => {
  fc.assert(
    fc.property(octets(0, 60), (bytes) => {
      assert.equal(peekHeader(bytes) === undefined, bytes.length < 28);
    }),
  );
});

test("SPIs go to octets and back, from any offset", () => {
  fc.assert(
    fc.property(octets(0, 9), octets(8, 8), (before, spi) => {
      assert.deepEqual(spiToBytes(spiFromBytes(Buffer.concat([before, spi]), before.length)), spi);
    }),
  );
});

test("a critical payload of an unknown type keeps its critical bit, a known one is taken as known", () => {
  const bytes = encodeMessage(HEADER, [{ kind: "unknown", type: 200, critical: true, data: Buffer.from([1]) }]);
  assert.deepEqual(decodeMessage(bytes).payloads[0], {
    kind: "unknown",
    type: 200,
    critical: true,
    data: Buffer.from([1]),
  });
  const known = encodeMessage(HEADER, [{ kind: "V", data: Buffer.from([1]) }]);
  known[29] = 0x80;
  assert.equal(decodeMessage(known).payloads[0]!.kind, "V");
});

test("SK ends the outer chain and its octets are a view of the packet", () => {
  const body = Buffer.alloc(40, 7);
  const bytes = outer(PayloadType.SK, Buffer.concat([Buffer.from([PayloadType.IDi, 0, 0, 44]), body]));
  const { encrypted } = decodeMessage(bytes);
  assert.deepEqual(encrypted, { kind: "SK", firstInner: PayloadType.IDi, body, bodyOffset: 32 });
  assert.equal(encrypted!.body.buffer, bytes.buffer);
  refused(() => decodeMessage(outer(PayloadType.SK, Buffer.concat([Buffer.from([0, 0, 0, 8]), body]))), /after SK/);
});

test("an encrypted payload within an encrypted payload is refused", () => {
  const inner = Buffer.concat([Buffer.from([0, 0, 0, 12]), Buffer.alloc(8)]);
  refused(() => decodePayloads(PayloadType.SK, inner), /within an encrypted payload/);
  refused(() => decodePayloads(PayloadType.SKF, inner), /within an encrypted payload/);
});

test("fragment numbers run from 1 to the total, which has a limit (RFC 7383 2.5)", () => {
  const fragment = (number: number, total: number) => {
    const skf = Buffer.alloc(24);
    skf.writeUInt16BE(24, 2);
    skf.writeUInt16BE(number, 4);
    skf.writeUInt16BE(total, 6);
    return decodeMessage(outer(PayloadType.SKF, skf)).encrypted;
  };
  const last = fragment(LIMITS.fragments, LIMITS.fragments);
  assert.ok(last?.kind === "SKF" && last.fragmentNumber === 64 && last.totalFragments === 64 && last.bodyOffset === 36);
  for (const [number, total] of [
    [0, 1],
    [2, 1],
    [1, 0],
    [1, LIMITS.fragments + 1],
  ] as const) {
    refused(() => fragment(number, total), /fragment \d+ of \d+/);
  }
});

test("a message with more parts than its limits allow is refused, one at the limit is not", () => {
  const vendor: Payload = { kind: "V", data: EMPTY };
  atLimit("payloads", LIMITS.payloads, (count) => new Array<Payload>(count).fill(vendor));
  const certificate: Payload = { kind: "CERT", encoding: 4, data: EMPTY };
  atLimit("CERT", LIMITS.certificates, (count) => new Array<Payload>(count).fill(certificate));
  const proposal = { number: 1, protocol: 1, spi: EMPTY, transforms: [] };
  atLimit("SA", LIMITS.proposals, (count) => [
    { kind: "SA", proposals: new Array<typeof proposal>(count).fill(proposal) },
  ]);
  const transform = { type: 1, id: 12 };
  atLimit("Proposal.transforms", LIMITS.transforms, (count) => [
    { kind: "SA", proposals: [{ ...proposal, transforms: new Array<typeof transform>(count).fill(transform) }] },
  ]);
  const address = Buffer.alloc(4);
  const selector = {
    type: 7,
    protocol: 0,
    startPort: 0,
    endPort: 0,
    startAddress: address,
    endAddress: address,
  } as const;
  atLimit("TS.count", LIMITS.selectors, (count) => [
    { kind: "TSi", selectors: new Array<typeof selector>(count).fill(selector) },
  ]);
  const attribute = { type: 1, value: EMPTY };
  atLimit("CP", LIMITS.configAttributes, (count) => [
    { kind: "CP", cfgType: 1, attributes: new Array<typeof attribute>(count).fill(attribute) },
  ]);
  atLimit("D.count", LIMITS.deletedSpis, (count) => [
    { kind: "D", protocol: 3, spis: new Array<Buffer>(count).fill(address) },
  ]);
});

test("the flags say who began the IKE SA and whether it is a response (RFC 7296 3.1)", () => {
  const flags = (fromInitiator: boolean, response: boolean) =>
    encodeMessage({ ...HEADER, fromInitiator, response }, [])[19];
  assert.deepEqual(
    [flags(false, false), flags(true, false), flags(false, true), flags(true, true)],
    [0, 8, 0x20, 0x28],
  );
});

test("lengths, counts and markers that do not fit are refused, each by its name", () => {
  for (const [what, type, chain, field] of [
    ["payload length below its header", PayloadType.V, "00000003", "payload length"],
    ["payload longer than the message", PayloadType.V, "00000006 00", "payload body"],
    ["octets after the last payload", PayloadType.V, "00000004 00", "message after last payload"],
    ["no octets where a payload is announced", PayloadType.V, "2b000004", "next payload"],
    ["no proposal at all", PayloadType.SA, "00000004", "Proposal.last"],
    ["proposal marker", PayloadType.SA, "0000000c 01000008 01010000", "Proposal.last"],
    ["proposal length below its header", PayloadType.SA, "0000000c 00000007 01010000", "Proposal.length"],
    ["octets after the last proposal", PayloadType.SA, "0000000d 00000008 01010000 00", "SA"],
    ["octets after the last transform", PayloadType.SA, "0000000d 00000009 01010000 00", "Proposal"],
    ["fewer transforms than counted", PayloadType.SA, "0000000c 00000008 01010001", "Transform.last"],
    ["first transform marked last", PayloadType.SA, sa(2, "00000008 02000005 00000008 02000005"), "Transform.last"],
    ["last transform marked as followed", PayloadType.SA, sa(1, "03000008 02000005"), "Transform.last"],
    ["transform length below its header", PayloadType.SA, sa(1, "00000007 02000005"), "Transform.length"],
    [
      "more attributes than allowed",
      PayloadType.SA,
      sa(1, `0000001c 0100000c ${"800e0080".repeat(5)}`),
      "Transform.attributes",
    ],
    ["TLV attribute beyond its transform", PayloadType.SA, sa(1, "0000000c 0100000c 00110004"), "Attribute.value"],
    ["SPI beyond its notification", PayloadType.N, "00000008 03040001", "N.spi"],
    ["fewer SPIs than counted", PayloadType.D, "0000000c 03040002 00000001", "D.spi"],
    ["octets after the last SPI", PayloadType.D, "0000000d 03040001 00000001 00", "D"],
    ["selector length below its header", PayloadType.TSi, "00000010 01000000 07000007 0000ffff", "TS.length"],
    ["IPv4 selector with IPv6 length", PayloadType.TSi, `00000030 01000000 07000028 0000ffff ${"00".repeat(32)}`, "TS"],
    ["octets after the last selector", PayloadType.TSi, "00000009 00000000 00", "TS"],
    ["configuration attribute beyond its payload", PayloadType.CP, "0000000c 01000000 00010001", "CP.value"],
    ["SKF too short for its numbers", PayloadType.SKF, "00000006 0001", "SKF.totalFragments"],
  ] as const) {
    assert.throws(
      () => decodeMessage(outer(type, Buffer.from(chain.replaceAll(" ", ""), "hex"))),
      (error: unknown) => error instanceof DecodeError && error.field === field,
      what,
    );
  }
});

test("a nonce shorter than 16 or longer than 256 octets is refused (RFC 7296 3.9)", () => {
  for (const length of [0, 15, 257]) {
    refused(() => decodeMessage(encodeMessage(HEADER, [{ kind: "Nonce", data: Buffer.alloc(length) }])), /Nonce/);
  }
});

test("a transform attribute that is not known rules the transform out instead of the message", () => {
  for (const attribute of ["800f0100", "00110002abcd"]) {
    const value = Buffer.from(attribute, "hex");
    const transform = Buffer.concat([Buffer.from([0, 0, 0, 8 + value.length, 1, 0, 0, 12]), value]);
    const proposal = Buffer.concat([Buffer.from([0, 0, 0, 8 + transform.length, 1, 1, 0, 1]), transform]);
    const sa = Buffer.concat([Buffer.from([0, 0, 0, 4 + proposal.length]), proposal]);
    const [decoded] = decodePayloads(PayloadType.SA, sa) as [SaPayload];
    assert.deepEqual(decoded.proposals[0]!.transforms, [{ type: 1, id: 12, keyLength: 0xffff }]);
  }
});

test("a traffic selector of an unknown type is passed over (RFC 7296 3.13.1)", () => {
  const ts = Buffer.from("0000001c 01000000 0900 0014 00000000 000000000000000000000000".replaceAll(" ", ""), "hex");
  assert.deepEqual(decodePayloads(PayloadType.TSi, ts), [{ kind: "TSi", selectors: [] }]);
});

/** An SA payload in hex with one proposal that says it has `count` transforms. */
function sa(count: number, transforms: string): string {
  const proposal = 8 + transforms.replaceAll(" ", "").length / 2;
  const hex = (length: number) => length.toString(16).padStart(4, "0");
  return `0000${hex(4 + proposal)} 0000${hex(proposal)} 010100${count.toString(16).padStart(2, "0")} ${transforms}`;
}

function atLimit(field: string, limit: number, make: (count: number) => Payload[]): void {
  assert.doesNotThrow(() => decodeMessage(encodeMessage(HEADER, make(limit))), `${limit} of ${field}`);
  assert.throws(
    () => decodeMessage(encodeMessage(HEADER, make(limit + 1))),
    (error: unknown) => error instanceof DecodeError && error.field === field,
    `${limit + 1} of ${field}`,
  );
}

function outer(firstType: number, payload: Buffer): Buffer {
  const bytes = Buffer.concat([encodeMessage(HEADER, []), payload]);
  bytes[16] = firstType;
  return withOwnLength(bytes);
}

function refused(decode: () => unknown, message: RegExp): void {
  assert.throws(decode, (error: unknown) => error instanceof DecodeError && message.test(error.message));
}

function decodesOrRefuses<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    assert.ok(error instanceof DecodeError, `${error}`);
    return undefined;
  }
}

/** How many values a decoder made out of a message. */
function weightOf({ payloads }: DecodedMessage): number {
  let weight = payloads.length;
  for (const one of payloads) {
    if (one.kind === "SA") for (const proposal of one.proposals) weight += 1 + proposal.transforms.length;
    else if (one.kind === "D") weight += one.spis.filter((spi) => spi.length > 0).length;
    else if (one.kind === "TSi" || one.kind === "TSr") weight += one.selectors.length;
    else if (one.kind === "CP") weight += one.attributes.length;
  }
  return weight;
}
