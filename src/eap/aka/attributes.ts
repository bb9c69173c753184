/**
 * Attributes of EAP-AKA and EAP-AKA' (RFC 4187 8, 10; RFC 9048 3.1, 3.2, 4): one table says number, form and limits of
 * each, and both directions and the TypeScript type follow from it.
 *
 * Attributes come and go as one object keyed by their names. Only AT_KDF may repeat; any other that comes twice is
 * refused, as is an unknown one below 128 (RFC 4187 8.1). An unknown one from 128 on is passed over. AT_VERSION_LIST and
 * AT_SELECTED_VERSION share the number space but belong to EAP-SIM (RFC 4186): here they are unknown and not skippable.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";

/** Writes and reads what follows type and length; `read` has exactly the attribute's octets and must take them all. */
interface Form<T> {
  read(reader: Reader, name: string): T;
  write(writer: Writer, value: T): void;
}

/** Two reserved octets, ignored on reception, then exactly `length` octets. */
const octets = (length: number): Form<Bytes> => ({
  read(reader, name) {
    reader.skip(2, `${name}.reserved`);
    return reader.take(length, name);
  },
  write: (writer, value) => writer.u16(0).bytes(exactly(value, length)),
});

/** No reserved octets: AT_AUTS fills its attribute. */
const bareOctets = (length: number): Form<Bytes> => ({
  read: (reader, name) => reader.take(length, name),
  write: (writer, value) => writer.bytes(exactly(value, length)),
});

/** Two reserved octets, then as many octets as the attribute holds, of which `allows` says how many there may be. */
const filling = (allows: (length: number) => boolean): Form<Bytes> => ({
  read(reader, name) {
    reader.skip(2, `${name}.reserved`);
    if (!allows(reader.remaining))
      reader.fail(name, `holds ${reader.remaining} octets, which is no length it can have`);
    return reader.rest();
  },
  write: (writer, value) => writer.u16(0).bytes(value),
});

const u16: Form<number> = {
  read: (reader, name) => reader.u16(name),
  write: (writer, value) => writer.u16(value),
};

/** Two reserved octets: the attribute's presence is all it says. */
const flag: Form<true> = {
  read(reader, name) {
    reader.skip(2, `${name}.reserved`);
    return true;
  },
  write: (writer) => writer.u16(0),
};

/** Actual length in octets, the octets, zeros up to a multiple of four. */
const counted: Form<Bytes> = {
  read(reader, name) {
    const length = reader.u16(`${name}.length`);
    return readPadded(reader, name, length);
  },
  write: (writer, value) => writer.u16(value.length).bytes(value).zeros(padding(value.length)),
};

/** RES: its length is in bits, which must be whole octets here; 4 to 16 octets (RFC 4187 10.8). */
const response: Form<Bytes> = {
  read(reader, name) {
    const bits = reader.u16(`${name}.length`);
    if (bits % 8 !== 0 || bits < 32 || bits > 128)
      reader.fail(`${name}.length`, `${bits} bits, RFC 4187 10.8 allows 32 to 128`);
    return readPadded(reader, name, bits / 8);
  },
  write: (writer, value) =>
    writer
      .u16(value.length * 8)
      .bytes(value)
      .zeros(padding(value.length)),
};

/** Zeros; the value is how many, with the header 4, 8 or 12 octets (RFC 4187 10.12). */
const zeros: Form<number> = {
  read(reader, name) {
    if (reader.remaining > 10) reader.fail(name, `${reader.remaining + 2} octets, at most 12 are needed`);
    const value = reader.rest();
    if (value.some((octet) => octet !== 0)) reader.fail(name, "holds something other than zeros");
    return value.length;
  },
  write: (writer, value) => writer.zeros(value),
};

interface Attribute<T> {
  type: number;
  form: Form<T>;
  repeats?: boolean;
}

const ATTRIBUTES = {
  AT_RAND: { type: 1, form: octets(16) },
  AT_AUTN: { type: 2, form: octets(16) },
  AT_RES: { type: 3, form: response },
  AT_AUTS: { type: 4, form: bareOctets(14) },
  AT_PADDING: { type: 6, form: zeros },
  AT_PERMANENT_ID_REQ: { type: 10, form: flag },
  AT_MAC: { type: 11, form: octets(16) },
  AT_NOTIFICATION: { type: 12, form: u16 },
  AT_ANY_ID_REQ: { type: 13, form: flag },
  AT_IDENTITY: { type: 14, form: counted },
  AT_FULLAUTH_ID_REQ: { type: 17, form: flag },
  AT_COUNTER: { type: 19, form: u16 },
  AT_COUNTER_TOO_SMALL: { type: 20, form: flag },
  AT_NONCE_S: { type: 21, form: octets(16) },
  AT_CLIENT_ERROR_CODE: { type: 22, form: u16 },
  AT_KDF_INPUT: { type: 23, form: counted },
  AT_KDF: { type: 24, form: u16, repeats: true },
  AT_IV: { type: 129, form: octets(16) },
  AT_ENCR_DATA: { type: 130, form: filling((length) => length > 0 && length % 16 === 0) },
  AT_NEXT_PSEUDONYM: { type: 132, form: counted },
  AT_NEXT_REAUTH_ID: { type: 133, form: counted },
  AT_CHECKCODE: { type: 134, form: filling((length) => length === 0 || length === 20 || length === 32) },
  AT_RESULT_IND: { type: 135, form: flag },
  AT_BIDDING: { type: 136, form: u16 },
} as const;

export type AttributeName = keyof typeof ATTRIBUTES;

type ValueOf<A> = A extends { form: Form<infer T>; repeats: true }
  ? readonly T[]
  : A extends { form: Form<infer T> }
    ? T
    : never;

/** Attributes by name; an attribute that is not there has no key. */
export type Attributes = { -readonly [N in AttributeName]?: ValueOf<(typeof ATTRIBUTES)[N]> };

/** Where an attribute's value begins in the octets it was decoded from; kept for AT_MAC alone. */
export interface DecodedAttributes {
  attributes: Attributes;
  /** First octet of the 16 that AT_MAC holds, counted from the start of the decoded octets; undefined without AT_MAC. */
  macOffset: number | undefined;
}

/**
 * Decodes attributes up to the end of `bytes`; throws DecodeError. `allowed` names what may stand here: any other known
 * attribute is refused (RFC 4187 10.1), skippable or not, because a known one in the wrong place is an error.
 */
export function decodeAttributes(bytes: Bytes, allowed: ReadonlySet<AttributeName>, base = 0): DecodedAttributes {
  const reader = new Reader(bytes, base);
  const attributes: Record<string, unknown> = {};
  let macOffset: number | undefined;
  for (let count = 1; !reader.atEnd; count++) {
    if (count > MAX_ATTRIBUTES) reader.fail("attributes", `more than ${MAX_ATTRIBUTES}`);
    const type = reader.u8("attribute type");
    const words = reader.u8("attribute length");
    if (words === 0) reader.fail("attribute length", `0 in attribute ${type}`);
    const body = reader.sub(4 * words - 2, `attribute ${type}`);
    const name = NAMES.get(type);
    if (name === undefined) {
      if (type < FIRST_SKIPPABLE) body.fail(`attribute ${type}`, "unknown and not skippable (RFC 4187 8.1)");
      continue;
    }
    if (!allowed.has(name)) body.fail(name, "does not belong in this message (RFC 4187 10.1)");
    const { form, repeats }: Attribute<unknown> = ATTRIBUTES[name];
    const before = attributes[name];
    if (before !== undefined && repeats !== true) body.fail(name, "comes twice");
    if (name === "AT_MAC") macOffset = body.base - base + 2;
    const value = form.read(body, name);
    body.end(name);
    if (repeats !== true) attributes[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else attributes[name] = [value];
  }
  return { attributes: attributes as Attributes, macOffset };
}

/** Names of the attributes in `bytes`, as far as they can be read; for people. */
export function attributeNames(bytes: Bytes): string[] {
  const names: string[] = [];
  for (let at = 0; at + 1 < bytes.length && names.length < MAX_ATTRIBUTES; at += 4 * Math.max(1, bytes[at + 1]!))
    names.push(NAMES.get(bytes[at]!) ?? `attribute ${bytes[at]}`);
  return names;
}

/** Encodes attributes in the order of their keys. Throws RangeError for a value that does not fit its attribute. */
export function encodeAttributes(attributes: Attributes): Bytes {
  const writer = new Writer(256);
  for (const [name, value] of Object.entries(attributes)) {
    const { type, form, repeats }: Attribute<unknown> = ATTRIBUTES[name as AttributeName];
    for (const one of repeats === true && Array.isArray(value) ? value : [value]) {
      const start = writer.length;
      writer.u8(type).u8(0);
      form.write(writer, one);
      const words = (writer.length - start) / 4;
      if (!Number.isInteger(words) || words > MAX_WORDS)
        throw new RangeError(`${name} of ${writer.length - start} octets does not fit an attribute`);
      writer.patchU8(start + 1, words);
    }
  }
  return writer.view();
}

/** Octets of zeros that bring `length` to a multiple of four. */
function padding(length: number): number {
  return (4 - (length % 4)) % 4;
}

function readPadded(reader: Reader, name: string, length: number): Bytes {
  const value = reader.take(length, name);
  if (reader.remaining !== padding(length))
    reader.fail(name, `${reader.remaining} octets of padding after ${length} octets, ${padding(length)} belong there`);
  // Padding is ignored on reception: RFC 4187 10 asks the sender for zeros, and nobody to check.
  reader.skip(reader.remaining, name);
  return value;
}

function exactly(value: Bytes, length: number): Bytes {
  if (value.length !== length) throw new RangeError(`${value.length} octets where ${length} belong`);
  return value;
}

const FIRST_SKIPPABLE = 128;
const MAX_WORDS = 255;
/** In one message; no message that RFC 4187 10.1 allows comes near it. */
const MAX_ATTRIBUTES = 64;
const NAMES = new Map(
  Object.entries(ATTRIBUTES).map(([name, attribute]) => [attribute.type as number, name as AttributeName]),
);
