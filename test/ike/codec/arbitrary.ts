/** Any IKE message that can be encoded, for property tests. */
import fc from "fast-check";
import type { IkeHeader, IkeSpi, Payload, Proposal } from "../../../src/ike/codec/message.ts";
import { PayloadType } from "../../../src/ike/codec/numbers.ts";

/** Of any length in the range: without `size`, fast-check keeps to a few octets. */
export const octets = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength, size: "max" }).map((bytes) => Buffer.from(bytes));

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true });

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const data = octets(0, 40);
const spi = octets(8, 8).map((bytes) => bytes.toString("hex") as IkeSpi);

export const header: fc.Arbitrary<IkeHeader> = record({
  initiatorSpi: spi,
  responderSpi: spi,
  exchangeType: u8,
  fromInitiator: fc.boolean(),
  response: fc.boolean(),
  messageId: fc.integer({ min: 0, max: 0xffff_ffff }),
});

const transform = fc.record(
  { type: u8, id: u16, keyLength: u16 },
  { requiredKeys: ["type", "id"], noNullPrototype: true },
);

const proposal: fc.Arbitrary<Proposal> = record({
  number: u8,
  protocol: u8,
  spi: octets(0, 8),
  transforms: fc.array(transform, { maxLength: 6 }),
});

const selector = fc.constantFrom<[7 | 8, number]>([7, 4], [8, 16]).chain(([type, size]) =>
  record({
    type: fc.constant(type),
    protocol: u8,
    startPort: u16,
    endPort: u16,
    startAddress: octets(size, size),
    endAddress: octets(size, size),
  }),
);

const knownTypes = new Set<number>(Object.values(PayloadType));

export const payload: fc.Arbitrary<Payload> = fc.oneof(
  record({ kind: fc.constant("SA" as const), proposals: fc.array(proposal, { minLength: 1, maxLength: 4 }) }),
  record({ kind: fc.constant("KE" as const), group: u16, data }),
  record({ kind: fc.constantFrom("IDi" as const, "IDr" as const), idType: u8, data }),
  record({ kind: fc.constantFrom("CERT" as const, "CERTREQ" as const), encoding: u8, data }),
  record({ kind: fc.constant("AUTH" as const), method: u8, data }),
  record({ kind: fc.constant("Nonce" as const), data: octets(16, 256) }),
  record({ kind: fc.constant("N" as const), protocol: u8, spi: octets(0, 8), type: u16, data }),
  fc.integer({ min: 0, max: 8 }).chain((size) =>
    record({
      kind: fc.constant("D" as const),
      protocol: u8,
      spis: fc.array(octets(size, size), { maxLength: 4 }),
    }),
  ),
  record({ kind: fc.constantFrom("V" as const, "EAP" as const), data }),
  record({
    kind: fc.constantFrom("TSi" as const, "TSr" as const),
    selectors: fc.array(selector, { maxLength: 4 }),
  }),
  record({
    kind: fc.constant("CP" as const),
    cfgType: u8,
    attributes: fc.array(record({ type: fc.integer({ min: 0, max: 0x7fff }), value: data }), { maxLength: 4 }),
  }),
  record({
    kind: fc.constant("unknown" as const),
    type: u8.filter((type) => !knownTypes.has(type)),
    critical: fc.boolean(),
    data,
  }),
) as fc.Arbitrary<Payload>;

/** At most as many as a message may have of CERT. */
export const payloads = fc.array(payload, { maxLength: 12, size: "max" });

/** `bytes` with some octets changed, and perhaps cut or lengthened. */
export function mutated(bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = record({ at: fc.nat(), to: u8 });
  return fc
    .tuple(bytes, fc.array(change, { maxLength: 6 }), fc.option(fc.nat(), { freq: 4 }), octets(0, 4))
    .map(([original, changes, cut, tail]) => {
      const copy = Buffer.from(original);
      for (const { at, to } of changes) if (copy.length > 0) copy[at % copy.length] = to;
      return Buffer.concat([cut === null ? copy : copy.subarray(0, cut % (copy.length + 1)), tail]);
    });
}

/** The header's length field made to agree, so that a changed message gets past the first check. */
export function withOwnLength(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length >= 28) copy.writeUInt32BE(copy.length, 24);
  return copy;
}
