/**
 * A strict, zero-copy reader of DER (X.690 10, 11): definite lengths in their shortest form, no depth of its own.
 *
 * Callers descend element by element along a known structure, so that depth is bounded by the structure and work by the
 * input's length.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";

/** Input that is not DER, or not the structure that was expected. */
export class DerError extends DecodeError {
  override readonly name = "DerError";
}

/** Identifier octets of the universal types (X.690 8.1.2), constructed where the type is. */
export const Tag = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OID: 0x06,
  ENUMERATED: 0x0a,
  UTF8_STRING: 0x0c,
  NUMERIC_STRING: 0x12,
  PRINTABLE_STRING: 0x13,
  T61_STRING: 0x14,
  IA5_STRING: 0x16,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  VISIBLE_STRING: 0x1a,
  UNIVERSAL_STRING: 0x1c,
  BMP_STRING: 0x1e,
  SEQUENCE: 0x30,
  SET: 0x31,
} as const;

/** Tag of [n] in context: constructed for EXPLICIT and structured types, primitive for IMPLICIT strings. */
export function contextTag(n: number, form: "constructed" | "primitive"): number {
  return (form === "constructed" ? 0xa0 : 0x80) | n;
}

/** One element; its octets are views of the input, made when they are asked for, which for most elements is never. */
export class DerElement {
  readonly tag: number;
  readonly #input: Bytes;
  readonly #base: number;
  readonly #start: number;
  readonly #contentStart: number;
  readonly #end: number;

  /** `base` is how far the first octet of `input` is from the start of the outermost input. */
  constructor(input: Bytes, base: number, start: number, contentStart: number, end: number) {
    this.tag = input[start]!;
    this.#input = input;
    this.#base = base;
    this.#start = start;
    this.#contentStart = contentStart;
    this.#end = end;
  }

  /** Header and content. */
  get whole(): Bytes {
    return this.#input.subarray(this.#start, this.#end);
  }

  get content(): Bytes {
    return this.#input.subarray(this.#contentStart, this.#end);
  }

  /** Octets from the start of the outermost input to the content. */
  get offset(): number {
    return this.#base + this.#contentStart;
  }

  /** A reader over the content. */
  reader(): DerReader {
    return new DerReader(this.#input, this.#base, this.#contentStart, this.#end);
  }
}

/** Reads elements one after the other; every method throws DerError and names `field` in it. */
export class DerReader {
  readonly #bytes: Bytes;
  readonly #base: number;
  readonly #end: number;
  #at: number;

  /** Reads `bytes` from `start` to `end`; `base` is how far they lie from the start of the outermost input. */
  constructor(bytes: Bytes, base = 0, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#base = base;
    this.#at = start;
    this.#end = end;
  }

  get atEnd(): boolean {
    return this.#at >= this.#end;
  }

  /** The next element's tag, or -1 at the end. */
  peek(): number {
    return this.atEnd ? -1 : this.#bytes[this.#at]!;
  }

  element(field: string): DerElement {
    const bytes = this.#bytes;
    const start = this.#at;
    if (start + 2 > this.#end) this.fail(field, "ends before a tag and a length");
    const tag = bytes[start]!;
    if ((tag & 0x1f) === 0x1f) this.fail(field, "tag numbers above 30 are not used in these structures");
    let length = bytes[start + 1]!;
    let content = start + 2;
    if (length >= 0x80) {
      const count = length & 0x7f;
      if (count === 0) this.fail(field, "indefinite length, which DER forbids");
      if (count > 4) this.fail(field, `length in ${count} octets`);
      if (content + count > this.#end) this.fail(field, "ends within a length");
      length = bytes.readUIntBE(content, count);
      if (length < 0x80 || (count > 1 && length < 2 ** (8 * (count - 1))))
        this.fail(field, "length not in its shortest form");
      content += count;
    }
    if (length > this.#end - content) this.fail(field, `needs ${length} octets, ${this.#end - content} left`);
    const end = content + length;
    this.#at = end;
    return new DerElement(bytes, this.#base, start, content, end);
  }

  expect(tag: number, field: string): DerElement {
    if (this.peek() !== tag)
      this.fail(
        field,
        this.atEnd ? "is missing" : `has tag 0x${this.peek().toString(16)} where 0x${tag.toString(16)} belongs`,
      );
    return this.element(field);
  }

  optional(tag: number, field: string): DerElement | undefined {
    return this.peek() === tag ? this.element(field) : undefined;
  }

  sequence(field: string): DerReader {
    return inside(this.expect(Tag.SEQUENCE, field));
  }

  /** Content of an INTEGER in two's complement, shortest form. */
  integer(field: string): Bytes {
    const { content } = this.expect(Tag.INTEGER, field);
    if (content.length === 0) this.fail(field, "INTEGER without content");
    if (
      content.length > 1 &&
      ((content[0] === 0 && content[1]! < 0x80) || (content[0] === 0xff && content[1]! >= 0x80))
    )
      this.fail(field, "INTEGER not in its shortest form");
    return content;
  }

  /** A non-negative INTEGER below 2^31. */
  smallInteger(field: string): number {
    const content = this.integer(field);
    if (content.length > 4 || content[0]! >= 0x80) this.fail(field, "INTEGER out of range");
    return content.readUIntBE(0, content.length);
  }

  /** An ENUMERATED of one octet, which is all that these structures have. */
  enumerated(field: string): number {
    const { content } = this.expect(Tag.ENUMERATED, field);
    if (content.length !== 1 || content[0]! >= 0x80) this.fail(field, "ENUMERATED out of range");
    return content[0]!;
  }

  oid(field: string): string {
    return decodeOid(this.expect(Tag.OID, field), field);
  }

  boolean(field: string): boolean {
    const { content } = this.expect(Tag.BOOLEAN, field);
    if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff))
      this.fail(field, "BOOLEAN that is neither 00 nor FF");
    return content[0] === 0xff;
  }

  octetString(field: string): Bytes {
    return this.expect(Tag.OCTET_STRING, field).content;
  }

  /** A BIT STRING of whole octets, as signatures and keys are. */
  bitString(field: string): Bytes {
    const { content } = this.expect(Tag.BIT_STRING, field);
    if (content.length === 0 || content[0] !== 0) this.fail(field, "BIT STRING that does not end on an octet");
    return content.subarray(1);
  }

  /** UTCTime or GeneralizedTime in the forms of RFC 5280 4.1.2.5, as milliseconds since 1970. */
  time(field: string): number {
    const element = this.element(field);
    return decodeTime(element, field);
  }

  end(field: string): void {
    if (!this.atEnd) this.fail(field, `${this.#end - this.#at} octets too many`);
  }

  fail(field: string, problem: string): never {
    throw new DerError(field, this.#base + this.#at, problem);
  }
}

/** A reader over what an element holds. */
export function inside(element: DerElement): DerReader {
  return element.reader();
}

/** Dotted text of an OBJECT IDENTIFIER. */
function decodeOid(element: DerElement, field: string): string {
  const { content } = element;
  const fail = (problem: string) => {
    throw new DerError(field, element.offset, problem);
  };
  if (content.length === 0 || content.length > MAX_OID_OCTETS) fail(`OBJECT IDENTIFIER of ${content.length} octets`);
  const known = OID_CACHE.get(content.toString("latin1"));
  if (known !== undefined) return known;
  const arcs: bigint[] = [];
  let value = 0n;
  let starting = true;
  for (const octet of content) {
    if (starting && octet === 0x80) fail("OBJECT IDENTIFIER arc not in its shortest form");
    value = (value << 7n) | BigInt(octet & 0x7f);
    starting = (octet & 0x80) === 0;
    if (starting) {
      arcs.push(value);
      value = 0n;
    }
  }
  if (!starting) fail("OBJECT IDENTIFIER ends within an arc");
  const first = arcs[0]! < 40n ? 0n : arcs[0]! < 80n ? 1n : 2n;
  const text = [first, arcs[0]! - first * 40n, ...arcs.slice(1)].join(".");
  if (OID_CACHE.size < OID_CACHE_LIMIT) OID_CACHE.set(content.toString("latin1"), text);
  return text;
}

function decodeTime(element: DerElement, field: string): number {
  const text = element.content.toString("latin1");
  const fail = (): never => {
    throw new DerError(
      field,
      element.offset,
      `time "${text.slice(0, 20).replace(/[^\x20-\x7e]/g, "?")}" is not in the form of RFC 5280`,
    );
  };
  const match =
    (element.tag === Tag.UTC_TIME ? UTC : element.tag === Tag.GENERALIZED_TIME ? GENERALIZED : undefined)?.exec(text) ??
    fail();
  const [, yearText, ...rest] = match;
  const [month, day, hour, minute, second] = rest.map(Number) as [number, number, number, number, number];
  const short = Number(yearText);
  // RFC 5280 4.1.2.5.1: two-digit years from 50 belong to the twentieth century.
  const year = element.tag === Tag.UTC_TIME ? short + (short >= 50 ? 1900 : 2000) : short;
  const at = Date.UTC(year, month - 1, day, hour, minute, second);
  const back = new Date(at);
  const real = back.getUTCMonth() === month - 1 && back.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  if (!real) fail();
  return year < 100 ? back.setUTCFullYear(year) : at;
}

const UTC = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const MAX_OID_OCTETS = 128;
const OID_CACHE = new Map<string, string>();
/** Identifiers remembered; a peer's inventions must not grow it without end. */
const OID_CACHE_LIMIT = 512;
