/** Any EAP packet and any set of EAP-AKA attributes that can be encoded, and damaged octets, for property tests. */
import fc from "fast-check";
import type { Attributes } from "../../src/eap/aka/attributes.ts";
import type { EapContent, EapPacket } from "../../src/eap/packet.ts";

/** Of any length in the range: without `size`, fast-check keeps to a few octets. */
export const octets = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength, size: "max" }).map((bytes) => Buffer.from(bytes));

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true });

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const body = octets(0, 60);
const expandedType = record({
  vendor: fc.integer({ min: 1, max: 0xff_ffff }),
  type: fc.integer({ min: 0, max: 0xffff_ffff }),
});

const common: fc.Arbitrary<EapContent>[] = [
  record({ kind: fc.constantFrom("identity" as const, "notification" as const), text: body }),
  record({ kind: fc.constant("expanded" as const), type: expandedType, body }),
  record({
    kind: fc.constant("method" as const),
    type: fc.integer({ min: 4, max: 255 }).filter((type) => type !== 254),
    body,
  }),
];
const naks: fc.Arbitrary<EapContent>[] = [
  record({ kind: fc.constant("nak" as const), desired: fc.array(fc.integer({ min: 1, max: 255 }), { maxLength: 6 }) }),
  record({ kind: fc.constant("expandedNak" as const), desired: fc.array(expandedType, { maxLength: 4 }) }),
];

export const packet: fc.Arbitrary<EapPacket> = fc.oneof(
  record({ kind: fc.constant("request" as const), id: u8, content: fc.oneof(...common) }),
  record({ kind: fc.constant("response" as const), id: u8, content: fc.oneof(...common, ...naks) }),
  record({ kind: fc.constantFrom("success" as const, "failure" as const), id: u8 }),
);

const block = octets(16, 16);
const flag = fc.constant(true as const);
const text = octets(0, 100);

export const attributes: fc.Arbitrary<Attributes> = fc.record(
  {
    AT_RAND: block,
    AT_AUTN: block,
    AT_RES: octets(4, 16),
    AT_AUTS: octets(14, 14),
    AT_PADDING: fc.constantFrom(2, 6, 10),
    AT_PERMANENT_ID_REQ: flag,
    AT_MAC: block,
    AT_NOTIFICATION: u16,
    AT_ANY_ID_REQ: flag,
    AT_IDENTITY: text,
    AT_FULLAUTH_ID_REQ: flag,
    AT_COUNTER: u16,
    AT_COUNTER_TOO_SMALL: flag,
    AT_NONCE_S: block,
    AT_CLIENT_ERROR_CODE: u16,
    AT_KDF_INPUT: text,
    AT_KDF: fc.array(u16, { minLength: 1, maxLength: 5 }),
    AT_IV: block,
    AT_ENCR_DATA: fc.integer({ min: 1, max: 6 }).chain((blocks) => octets(16 * blocks, 16 * blocks)),
    AT_NEXT_PSEUDONYM: text,
    AT_NEXT_REAUTH_ID: text,
    AT_CHECKCODE: fc.constantFrom(0, 20, 32).chain((length) => octets(length, length)),
    AT_RESULT_IND: flag,
    AT_BIDDING: u16,
  },
  { requiredKeys: [], noNullPrototype: true },
);

/** Octets with a few changed, cut off, put in or doubled. */
export function mutated(source: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = fc.record({ at: fc.nat(), value: u8, kind: fc.constantFrom("set", "cut", "insert", "repeat") });
  return fc.tuple(source, fc.array(change, { minLength: 1, maxLength: 4 })).map(([bytes, changes]) => {
    let result = Buffer.from(bytes);
    for (const { at, value, kind } of changes) {
      const index = result.length === 0 ? 0 : at % result.length;
      if (kind === "set" && result.length > 0) result[index] = value;
      else if (kind === "cut") result = result.subarray(0, index);
      else if (kind === "insert")
        result = Buffer.concat([result.subarray(0, index), Buffer.from([value]), result.subarray(index)]);
      else result = Buffer.concat([result, result.subarray(index)]);
    }
    return result;
  });
}

/** With the length field of an EAP packet that fits, where there is room for one. */
export function withOwnLength(bytes: Buffer): Buffer {
  const result = Buffer.from(bytes);
  if (result.length >= 4) result.writeUInt16BE(result.length, 2);
  return result;
}
