/** Any RADIUS packet, for property tests. */
import fc from "fast-check";
import type { Attribute, RadiusPacket } from "../../../src/radius/codec/packet.ts";

/** Of any length in the range: without `size`, fast-check keeps to a few octets. */
export const octets = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength, size: "max" }).map((bytes) => Buffer.from(bytes));

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true });
const u8 = fc.integer({ min: 0, max: 255 });

const attribute: fc.Arbitrary<Attribute> = fc.oneof(
  record({ type: u8.filter((type) => type !== 26), vendor: fc.constant(0), value: octets(0, 253) }),
  record({ type: u8, vendor: fc.integer({ min: 1, max: 0xffffffff }), value: octets(0, 247) }),
);

export const attributes = fc.array(attribute, { maxLength: 12, size: "max" });

export const packet: fc.Arbitrary<RadiusPacket> = record({
  code: u8,
  identifier: u8,
  authenticator: octets(16, 16),
  attributes,
});

/** `bytes` with some octets changed, and perhaps cut or lengthened. */
export function mutated(bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = record({ at: fc.nat(), to: u8 });
  return fc
    .tuple(bytes, fc.array(change, { maxLength: 6 }), fc.option(fc.nat(), { freq: 4 }), octets(0, 8))
    .map(([original, changes, cut, tail]) => {
      const copy = Buffer.from(original);
      for (const { at, to } of changes) if (copy.length > 0) copy[at % copy.length] = to;
      return Buffer.concat([cut === null ? copy : copy.subarray(0, cut % (copy.length + 1)), tail]);
    });
}

/** The length field made to agree with the octets. */
export function withOwnLength(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length >= 4) copy.writeUInt16BE(copy.length, 2);
  return copy;
}
