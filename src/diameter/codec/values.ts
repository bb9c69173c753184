/** Basic and derived AVP data formats (RFC 6733 4.2, 4.3) as values of this program. */
import type { Bytes } from "../../bytes/bytes.ts";
import { formatIp, parseIp } from "../../bytes/ip.ts";
import type { Milliseconds } from "../../sim/environment.ts";

/** AVP data formats and what they are here. */
export interface BasicValues {
  OctetString: Bytes;
  UTF8String: string;
  /** An FQDN or realm, compared without regard to case by whoever routes. */
  DiameterIdentity: string;
  DiameterURI: string;
  IPFilterRule: string;
  Integer32: number;
  Unsigned32: number;
  Enumerated: number;
  Unsigned64: bigint;
  /** An IPv4 or IPv6 address in its canonical text. */
  Address: string;
  Time: Milliseconds;
}

export type BasicType = keyof BasicValues;

interface Format<T> {
  /** Octets of the shortest value; what a Failed-AVP for a missing AVP is filled with (RFC 6733 7.5). */
  least: number;
  /** Octets of every value, where that is fixed. */
  exactly?: number;
  /** Undefined for octets that mean nothing in this format; lengths are checked before. */
  decode(data: Bytes): T | undefined;
  encode(value: T): Bytes;
}

export const FORMATS: { readonly [T in BasicType]: Format<BasicValues[T]> } = {
  OctetString: { least: 0, decode: (data) => data, encode: (value) => value },
  UTF8String: { least: 0, decode: utf8, encode: (text) => Buffer.from(text, "utf8") },
  DiameterIdentity: { least: 1, decode: identity, encode: (text) => Buffer.from(text, "latin1") },
  DiameterURI: { least: 1, decode: visibleAscii, encode: (text) => Buffer.from(text, "latin1") },
  IPFilterRule: { least: 1, decode: visibleAscii, encode: (text) => Buffer.from(text, "latin1") },
  Integer32: { least: 4, exactly: 4, decode: (data) => data.readInt32BE(), encode: int32 },
  Enumerated: { least: 4, exactly: 4, decode: (data) => data.readInt32BE(), encode: int32 },
  Unsigned32: { least: 4, exactly: 4, decode: (data) => data.readUInt32BE(), encode: unsigned32 },
  Unsigned64: { least: 8, exactly: 8, decode: (data) => data.readBigUInt64BE(), encode: unsigned64 },
  Address: { least: 6, decode: address, encode: encodeAddress },
  Time: { least: 4, exactly: 4, decode: time, encode: encodeTime },
};

function utf8(data: Bytes): string | undefined {
  try {
    return UTF8.decode(data);
  } catch {
    return undefined;
  }
}

function identity(data: Bytes): string | undefined {
  const text = data.toString("latin1");
  return data.length <= MAX_IDENTITY && /^[A-Za-z0-9._-]+$/.test(text) ? text : undefined;
}

function visibleAscii(data: Bytes): string | undefined {
  const text = data.toString("latin1");
  return /^[\x20-\x7e]+$/.test(text) ? text : undefined;
}

/** AddressType of two octets, then the address (RFC 6733 4.3.1). */
function address(data: Bytes): string | undefined {
  const family = data.readUInt16BE();
  const octets = data.subarray(2);
  const expected = family === FAMILY_IPV4 ? 4 : family === FAMILY_IPV6 ? 16 : -1;
  return octets.length === expected ? formatIp(octets) : undefined;
}

function encodeAddress(text: string): Bytes {
  const octets = parseIp(text);
  if (octets === undefined) throw new TypeError(`"${text}" is no IP address`);
  return Buffer.concat([Buffer.from([0, octets.length === 4 ? FAMILY_IPV4 : FAMILY_IPV6]), octets]);
}

/** Seconds since 1900; from 2036 on the counter starts anew with its first bit clear (RFC 6733 4.3.1, RFC 5905 6). */
function time(data: Bytes): Milliseconds {
  const seconds = data.readUInt32BE();
  return (seconds + (seconds >= 2 ** 31 ? 0 : 2 ** 32) - SECONDS_1900_TO_1970) * 1000;
}

function encodeTime(at: Milliseconds): Bytes {
  return unsigned32((Math.floor(at / 1000) + SECONDS_1900_TO_1970) % 2 ** 32);
}

function int32(value: number): Bytes {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function unsigned32(value: number): Bytes {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function unsigned64(value: bigint): Bytes {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** RFC 6733 gives no limit; a name of the DNS has 255 octets at most (RFC 1035 2.3.4). */
const MAX_IDENTITY = 255;
const FAMILY_IPV4 = 1;
const FAMILY_IPV6 = 2;
const SECONDS_1900_TO_1970 = 2_208_988_800;
