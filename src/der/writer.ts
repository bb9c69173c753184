/** DER from the inside out: each function gives the octets of one element (X.690). */
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, Tag } from "./reader.ts";

/** An element of any type. */
export function element(tag: number, ...content: readonly Bytes[]): Bytes {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([header(tag, length), ...content]);
}

/** SEQUENCE of elements in their order. */
export const sequence = (...content: readonly Bytes[]): Bytes => element(Tag.SEQUENCE, ...content);

/** SET OF in DER order (X.690 11.6). */
export const setOf = (...content: readonly Bytes[]): Bytes => element(Tag.SET, ...[...content].sort(Buffer.compare));

/** [n] EXPLICIT around whole elements, or IMPLICIT over a constructed type's content. */
export const explicit = (n: number, ...content: readonly Bytes[]): Bytes =>
  element(contextTag(n, "constructed"), ...content);

/** [n] IMPLICIT over a primitive type's content. */
export const implicit = (n: number, content: Bytes): Bytes => element(contextTag(n, "primitive"), content);

/** A non-negative integer, from a number or big-endian octets. */
export function integer(value: number | Bytes): Bytes {
  let octets =
    typeof value === "number"
      ? Buffer.from(value.toString(16).padStart(2 * Math.ceil(value.toString(16).length / 2), "0"), "hex")
      : value;
  let skip = 0;
  while (skip < octets.length - 1 && octets[skip] === 0) skip++;
  octets = octets.subarray(skip);
  return octets[0]! >= 0x80 ? element(Tag.INTEGER, ZERO, octets) : element(Tag.INTEGER, octets);
}

/** ENUMERATED below 128. */
export const enumerated = (value: number): Bytes => element(Tag.ENUMERATED, Buffer.from([value]));
/** BOOLEAN: FF for true (X.690 11.1). */
export const boolean = (value: boolean): Bytes => element(Tag.BOOLEAN, Buffer.from([value ? 0xff : 0]));
/** NULL. */
export const nullValue = (): Bytes => element(Tag.NULL);
/** OCTET STRING. */
export const octetString = (content: Bytes): Bytes => element(Tag.OCTET_STRING, content);
/** BIT STRING of whole octets. */
export const bitString = (content: Bytes): Bytes => element(Tag.BIT_STRING, ZERO, content);
/** UTF8String. */
export const utf8String = (text: string): Bytes => element(Tag.UTF8_STRING, Buffer.from(text, "utf8"));

/** Named bits, the first bit of the list being bit 0; trailing zeros are left out (X.690 11.2.2). */
export function namedBits(bits: readonly boolean[]): Bytes {
  const last = bits.lastIndexOf(true);
  const octets = Buffer.alloc(Math.ceil((last + 1) / 8));
  for (let bit = 0; bit <= last; bit++)
    if (bits[bit] === true) octets[bit >> 3] = octets[bit >> 3]! | (0x80 >> (bit & 7));
  return element(Tag.BIT_STRING, Buffer.from([last < 0 ? 0 : 7 - (last & 7)]), octets);
}

/** OBJECT IDENTIFIER from dotted text with arcs below 2^53. */
export function oid(dotted: string): Bytes {
  const arcs = dotted.split(".").map(Number);
  const octets: number[] = [];
  for (const arc of [arcs[0]! * 40 + arcs[1]!, ...arcs.slice(2)]) {
    const groups = [arc & 0x7f];
    for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128))
      groups.unshift((rest & 0x7f) | 0x80);
    octets.push(...groups);
  }
  return element(Tag.OID, Buffer.from(octets));
}

/** UTCTime up to 2049, GeneralizedTime from then on (RFC 5280 4.1.2.5); milliseconds are cut off. */
export function time(at: number): Bytes {
  const text = timeText(at);
  return text.startsWith("19") || (text.startsWith("20") && text < "2050")
    ? element(Tag.UTC_TIME, Buffer.from(text.slice(2)))
    : element(Tag.GENERALIZED_TIME, Buffer.from(text));
}

/** GeneralizedTime of milliseconds since 1970, which are cut off to seconds; what OCSP uses throughout. */
export const generalizedTime = (at: number): Bytes => element(Tag.GENERALIZED_TIME, Buffer.from(timeText(at)));

function timeText(at: number): string {
  return `${new Date(at).toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
}

function header(tag: number, length: number): Bytes {
  if (length < 0x80) return Buffer.from([tag, length]);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest & 0xff);
  return Buffer.from([tag, 0x80 | octets.length, ...octets]);
}

const ZERO = Buffer.from([0]);
