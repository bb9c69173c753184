/**
 * RADIUS packets as octets (RFC 2865 3 and 5).
 *
 * Attributes stay undecoded in a packet, so that unknown ones survive; `attributeOf` reads one by its name. A
 * Vendor-Specific attribute that follows the recommended format (RFC 2865 5.26) becomes one attribute for each of the
 * vendor's, any other stays type 26. Integrity is another matter: see `authenticators.ts`.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { MessageStream } from "../../bytes/framing.ts";
import { DecodeError, Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { ATTRIBUTES, type AttributeName, type AttributeValue, FORMATS } from "./dictionary.ts";

export interface Attribute {
  /** The vendor's own number where `vendor` is not 0. */
  type: number;
  vendor: number;
  value: Bytes;
}

export interface RadiusPacket {
  code: number;
  identifier: number;
  /** 16 octets. */
  authenticator: Bytes;
  attributes: readonly Attribute[];
}

export const HEADER_LENGTH = 20;
const MAX_PACKET = 4096;
export const AUTHENTICATOR_LENGTH = 16;

/** Value octets of one attribute. */
export const MAX_VALUE = 253;

/**
 * Decodes one packet; what follows its length is padding (RFC 2865 3). Throws DecodeError. Values are views of `bytes`.
 */
export function decodePacket(bytes: Bytes): RadiusPacket {
  if (bytes.length < HEADER_LENGTH)
    throw new DecodeError("RADIUS header", 0, `needs ${HEADER_LENGTH} octets, ${bytes.length} there`);
  const length = checkLength(bytes);
  if (length > bytes.length) throw new DecodeError("RADIUS length", 2, `says ${length}, ${bytes.length} there`);
  const reader = new Reader(bytes.subarray(HEADER_LENGTH, length), HEADER_LENGTH);
  return {
    code: bytes[0]!,
    identifier: bytes[1]!,
    authenticator: bytes.subarray(4, HEADER_LENGTH),
    attributes: readAttributes(reader),
  };
}

/** Packets out of a stream, by the length in their first four octets (RFC 6614 2.1, RFC 6613 2.6.4). */
export function packetStream(): MessageStream {
  return new MessageStream(4, checkLength);
}

/** The length field in the first four octets of a packet; throws DecodeError if no packet has it. */
function checkLength(bytes: Bytes): number {
  const length = bytes.readUInt16BE(2);
  if (length < HEADER_LENGTH || length > MAX_PACKET)
    throw new DecodeError("RADIUS length", 2, `${length} is not from ${HEADER_LENGTH} to ${MAX_PACKET}`);
  return length;
}

/** The octets of a packet; throws RangeError if it would be longer than 4096. */
export function encodePacket({ code, identifier, authenticator, attributes }: RadiusPacket): Bytes {
  const writer = new Writer(512);
  writer.u8(code).u8(identifier).u16(0).bytes(authenticator);
  for (const { type, vendor, value } of attributes) {
    if (value.length > MAX_VALUE - (vendor === 0 ? 0 : VENDOR_HEADER))
      throw new RangeError(`RADIUS attribute ${type} has ${value.length} octets, too many for one attribute`);
    if (vendor === 0) writer.u8(type).u8(2 + value.length);
    else
      writer
        .u8(VENDOR_SPECIFIC)
        .u8(2 + VENDOR_HEADER + value.length)
        .u32(vendor)
        .u8(type)
        .u8(2 + value.length);
    writer.bytes(value);
  }
  if (writer.length > MAX_PACKET)
    throw new RangeError(`RADIUS packet of ${writer.length} octets, ${MAX_PACKET} at most`);
  writer.patchU16(2, writer.length);
  return writer.view();
}

/** One attribute by its name in the dictionary. */
export function attribute<N extends AttributeName>(name: N, value: AttributeValue<N>): Attribute {
  const { type, vendor, format } = ATTRIBUTES[name];
  const encode = FORMATS[format].encode as (value: AttributeValue<N>) => Bytes;
  return { type, vendor, value: encode(value) };
}

/** The first attribute of that name, decoded; undefined if there is none. Throws DecodeError for octets not of its format. */
export function attributeOf<N extends AttributeName>(packet: RadiusPacket, name: N): AttributeValue<N> | undefined {
  const first = packet.attributes.find((one) => isNamed(one, name));
  return first === undefined ? undefined : decodeValue(first, name);
}

/** All attributes of that name in their order; throws DecodeError as `attributeOf`. */
export function attributesOf<N extends AttributeName>(packet: RadiusPacket, name: N): AttributeValue<N>[] {
  return packet.attributes.filter((one) => isNamed(one, name)).map((one) => decodeValue(one, name));
}

export function isNamed({ type, vendor }: Attribute, name: AttributeName): boolean {
  return ATTRIBUTES[name].type === type && ATTRIBUTES[name].vendor === vendor;
}

function decodeValue<N extends AttributeName>({ value }: Attribute, name: N): AttributeValue<N> {
  const format = FORMATS[ATTRIBUTES[name].format];
  if (format.exactly !== undefined && value.length !== format.exactly)
    throw new DecodeError(name, 0, `${value.length} octets, it has ${format.exactly}`);
  const decoded = format.decode(value);
  if (decoded === undefined) throw new DecodeError(name, 0, `holds no ${ATTRIBUTES[name].format}`);
  return decoded as AttributeValue<N>;
}

function readAttributes(reader: Reader): Attribute[] {
  const attributes: Attribute[] = [];
  while (!reader.atEnd) {
    const type = reader.u8("attribute type");
    const length = reader.u8("attribute length");
    if (length < 2) reader.fail("attribute length", `${length} is less than its own header`);
    const value = reader.take(length - 2, "attribute value");
    if (type !== VENDOR_SPECIFIC || !readVendorAttributes(value, attributes))
      attributes.push({ type, vendor: 0, value });
  }
  return attributes;
}

/** False, and nothing added, if the value is not in the recommended format. */
function readVendorAttributes(value: Bytes, attributes: Attribute[]): boolean {
  if (value.length < 4 + 2) return false;
  const vendor = value.readUInt32BE();
  if (vendor === 0) return false;
  const found: Attribute[] = [];
  for (let at = 4; at < value.length; ) {
    const length = at + 1 < value.length ? value[at + 1]! : 0;
    if (length < 2 || at + length > value.length) return false;
    found.push({ type: value[at]!, vendor, value: value.subarray(at + 2, at + length) });
    at += length;
  }
  attributes.push(...found);
  return true;
}

const VENDOR_SPECIFIC = 26;
/** Vendor-Id, vendor type and length. */
const VENDOR_HEADER = 6;
