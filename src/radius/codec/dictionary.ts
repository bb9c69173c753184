/**
 * RADIUS attributes as data: number and format; the types of values follow from it.
 *
 * Sources: RFC 2865, 2866, 2868 (with tag 0), 2869, 3162 and 6911 (IPv6), 3579 (EAP), 5176 (dynamic authorization), 2548 (Microsoft).
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { formatIp, parseIp } from "../../bytes/ip.ts";
import type { Milliseconds } from "../../sim/environment.ts";
import { VENDOR_MICROSOFT } from "./numbers.ts";

/** Data formats of RFC 2865 5 and RFC 3162 2, and what they are here. */
export interface FormatValues {
  /** UTF-8. */
  text: string;
  octets: Bytes;
  /** Canonical text. */
  ipv4: string;
  ipv6: string;
  integer: number;
  time: Milliseconds;
}

const attribute = <const F extends keyof FormatValues>(type: number, format: F) => ({ type, vendor: 0, format });
const microsoft = <const F extends keyof FormatValues>(type: number, format: F) => ({
  type,
  vendor: VENDOR_MICROSOFT,
  format,
});

export const ATTRIBUTES = {
  "User-Name": attribute(1, "text"),
  "NAS-IP-Address": attribute(4, "ipv4"),
  "NAS-Port": attribute(5, "integer"),
  "Service-Type": attribute(6, "integer"),
  "Framed-IP-Address": attribute(8, "ipv4"),
  "Filter-Id": attribute(11, "text"),
  "Framed-MTU": attribute(12, "integer"),
  "Reply-Message": attribute(18, "text"),
  State: attribute(24, "octets"),
  Class: attribute(25, "octets"),
  "Session-Timeout": attribute(27, "integer"),
  "Idle-Timeout": attribute(28, "integer"),
  "Called-Station-Id": attribute(30, "text"),
  "Calling-Station-Id": attribute(31, "text"),
  "NAS-Identifier": attribute(32, "text"),
  "Proxy-State": attribute(33, "octets"),
  "Acct-Status-Type": attribute(40, "integer"),
  "Acct-Input-Octets": attribute(42, "integer"),
  "Acct-Output-Octets": attribute(43, "integer"),
  "Acct-Session-Id": attribute(44, "text"),
  "Acct-Session-Time": attribute(46, "integer"),
  "Acct-Input-Packets": attribute(47, "integer"),
  "Acct-Output-Packets": attribute(48, "integer"),
  "Acct-Terminate-Cause": attribute(49, "integer"),
  "Acct-Input-Gigawords": attribute(52, "integer"),
  "Acct-Output-Gigawords": attribute(53, "integer"),
  "Event-Timestamp": attribute(55, "time"),
  "NAS-Port-Type": attribute(61, "integer"),
  "Tunnel-Type": attribute(64, "integer"),
  "Tunnel-Medium-Type": attribute(65, "integer"),
  "EAP-Message": attribute(79, "octets"),
  "Message-Authenticator": attribute(80, "octets"),
  "Tunnel-Client-Endpoint": attribute(66, "text"),
  "Acct-Interim-Interval": attribute(85, "integer"),
  "NAS-IPv6-Address": attribute(95, "ipv6"),
  "Framed-Interface-Id": attribute(96, "octets"),
  "Framed-IPv6-Prefix": attribute(97, "octets"),
  "Error-Cause": attribute(101, "integer"),
  "Framed-IPv6-Address": attribute(168, "ipv6"),
  "MS-MPPE-Send-Key": microsoft(16, "octets"),
  "MS-MPPE-Recv-Key": microsoft(17, "octets"),
} as const;

export type AttributeName = keyof typeof ATTRIBUTES;
export type AttributeValue<N extends AttributeName> = FormatValues[(typeof ATTRIBUTES)[N]["format"]];

interface Format<T> {
  /** Octets of every value, where that is fixed. */
  exactly?: number;
  /** Undefined for octets that mean nothing in this format. */
  decode(value: Bytes): T | undefined;
  encode(value: T): Bytes;
}

export const FORMATS: { readonly [F in keyof FormatValues]: Format<FormatValues[F]> } = {
  text: { decode: utf8, encode: (text) => Buffer.from(text, "utf8") },
  octets: { decode: (value) => value, encode: (value) => value },
  ipv4: { exactly: 4, decode: formatIp, encode: (text) => address(text, 4) },
  ipv6: { exactly: 16, decode: formatIp, encode: (text) => address(text, 16) },
  integer: { exactly: 4, decode: (value) => value.readUInt32BE(), encode: unsigned32 },
  time: {
    exactly: 4,
    decode: (value) => value.readUInt32BE() * 1000,
    encode: (at) => unsigned32(Math.floor(at / 1000)),
  },
};

/** Name of an attribute by its number; undefined for one that is not in the dictionary. */
export function attributeName(type: number, vendor: number): AttributeName | undefined {
  return BY_NUMBER.get(vendor * 256 + type);
}

function utf8(value: Bytes): string | undefined {
  try {
    return UTF8.decode(value);
  } catch {
    return undefined;
  }
}

function address(text: string, length: number): Bytes {
  const octets = parseIp(text);
  if (octets?.length !== length) throw new TypeError(`"${text}" is no IPv${length === 4 ? 4 : 6} address`);
  return octets;
}

function unsigned32(value: number): Bytes {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const BY_NUMBER = new Map(
  (Object.keys(ATTRIBUTES) as AttributeName[]).map((name) => [
    ATTRIBUTES[name].vendor * 256 + ATTRIBUTES[name].type,
    name,
  ]),
);
