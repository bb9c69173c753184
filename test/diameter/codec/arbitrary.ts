/** Any Diameter message, raw or by a grammar, for property tests. */
import fc from "fast-check";
import { formatIp } from "../../../src/bytes/ip.ts";
import type { Avp } from "../../../src/diameter/codec/avp.ts";
import { AVPS, type AvpDefinition, type AvpName, type Grammar } from "../../../src/diameter/codec/dictionary.ts";
import type { Values } from "../../../src/diameter/codec/grammar.ts";
import type { DiameterHeader } from "../../../src/diameter/codec/message.ts";
import type { BasicType } from "../../../src/diameter/codec/values.ts";

/** Of any length in the range: without `size`, fast-check keeps to a few octets. */
export const octets = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength, size: "max" }).map((bytes) => Buffer.from(bytes));

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true });
const u24 = fc.integer({ min: 0, max: 0xffffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });

export const header: fc.Arbitrary<DiameterHeader> = record<DiameterHeader>({
  request: fc.boolean(),
  proxiable: fc.boolean(),
  error: fc.boolean(),
  retransmitted: fc.boolean(),
  command: u24,
  application: u32,
  hopByHop: u32,
  endToEnd: u32,
}).map((head) => ({ ...head, error: head.error && !head.request }));

const avp: fc.Arbitrary<Avp> = record({
  code: u32,
  vendor: fc.oneof(fc.constant(0), u32),
  mandatory: fc.boolean(),
  data: octets(0, 60),
});

export const avps = fc.array(avp, { maxLength: 20, size: "max" });

const identity = fc.stringMatching(/^[a-z0-9]{1,8}(\.[a-z0-9-]{1,8}){0,3}$/);
const visible = fc.stringMatching(/^[\x20-\x7e]{1,40}$/);
const address = fc.oneof(octets(4, 4), octets(16, 16)).map(formatIp);

const BASIC: Record<BasicType, fc.Arbitrary<unknown>> = {
  OctetString: octets(0, 100),
  UTF8String: fc.string({ unit: "grapheme", maxLength: 40 }).filter((text) => text.isWellFormed()),
  DiameterIdentity: identity,
  DiameterURI: visible,
  IPFilterRule: visible,
  Integer32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  Enumerated: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  Unsigned32: u32,
  Unsigned64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  Address: address,
  // What 32 bits of seconds can say: from 1968 to 2104.
  Time: fc.integer({ min: -61_505_152, max: 4_233_462_143 }).map((seconds) => seconds * 1000),
};

/** Any values that `grammar` allows, by AVP name. */
export function valuesOf<G extends Grammar>(grammar: G): fc.Arbitrary<Values<G>> {
  const model: Record<string, fc.Arbitrary<unknown>> = {};
  for (const name of [...grammar.required, ...grammar.optional]) model[name] = anyValue(name as AvpName);
  for (const name of grammar.repeated)
    model[name] = fc.array(anyValue(name as AvpName), { minLength: 1, maxLength: 3 });
  const values = fc.record(model, { requiredKeys: [...grammar.required], noNullPrototype: true });
  return values as fc.Arbitrary<unknown> as fc.Arbitrary<Values<G>>;
}

function anyValue(name: AvpName): fc.Arbitrary<unknown> {
  const definition: AvpDefinition = AVPS[name];
  if (definition.format === "AnyAvps") return fc.array(avp, { maxLength: 3 });
  return definition.format === "Grouped" ? valuesOf(definition.members) : BASIC[definition.format];
}

/** `bytes` with some octets changed, and perhaps cut or lengthened. */
export function mutated(bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) });
  return fc
    .tuple(bytes, fc.array(change, { maxLength: 6 }), fc.option(fc.nat(), { freq: 4 }), octets(0, 8))
    .map(([original, changes, cut, tail]) => {
      const copy = Buffer.from(original);
      for (const { at, to } of changes) if (copy.length > 0) copy[at % copy.length] = to;
      return Buffer.concat([cut === null ? copy : copy.subarray(0, cut % (copy.length + 1)), tail]);
    });
}

/** Version and length made to agree with the octets, so that a changed message gets past the first checks. */
export function withOwnLength(bytes: Buffer): Buffer {
  const copy = Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  if (copy.length >= 4) copy.writeUInt32BE(0x0100_0000 + copy.length, 0);
  return copy;
}

/** A group nested in a group, `depth` times. */
export function nested(depth: number, code: number): Avp {
  let innermost: Avp = { code, vendor: 0, mandatory: false, data: Buffer.alloc(0) };
  for (let i = 1; i < depth; i++) {
    const inner = Buffer.alloc(8 + innermost.data.length);
    inner.writeUInt32BE(code, 0);
    inner.writeUInt32BE(inner.length, 4);
    inner.set(innermost.data, 8);
    innermost = { ...innermost, data: inner };
  }
  return innermost;
}
