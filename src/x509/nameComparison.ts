/**
 * When two attribute values of a name are the same (RFC 5280 7.1): strings are prepared after RFC 4518 and compared, so
 * that case, runs of spaces and the string type make no difference; everything else is compared octet for octet.
 *
 * Case is folded by way of upper case, which gives the full foldings of RFC 3454 table B.2 ("ß" and "SS" are the same).
 * Characters that RFC 4518 2.4 prohibits, and octets that are no text in their type's encoding, make a value comparable
 * by its octets only: two different broken values must never be taken for the same.
 */
import { type DerElement, Tag } from "../der/reader.ts";

/** Text of a DirectoryString or IA5String for people, with replacement characters for what cannot be read. */
export function shownText({ tag, content }: DerElement): string {
  const text = DECODERS.get(tag)?.(content);
  if (text !== undefined) return text;
  if (tag !== Tag.BMP_STRING) return content.toString("utf8");
  return utf16Text(content.subarray(0, content.length & ~1));
}

/** What two values must share to be the same. */
export function comparable(value: DerElement): string {
  const text = DECODERS.get(value.tag)?.(value.content);
  const prepared = text === undefined ? undefined : prepare(text);
  return prepared === undefined ? `#${value.whole.toString("hex")}` : `=${prepared}`;
}

/** RFC 4518 2.2 to 2.6; undefined for text that may not be compared as text. */
function prepare(text: string): string | undefined {
  // ASCII without control characters, which nearly all names are.
  if (PLAIN.test(text)) return squeeze(text).toLowerCase();
  const mapped = text.replace(SPACES, " ").replace(NOTHING, "");
  const folded = mapped.replace(/[^ı]+/gu, (part) => part.toUpperCase().toLowerCase()).normalize("NFKC");
  return PROHIBITED.test(folded) ? undefined : squeeze(folded);
}

/** RFC 4518 2.6.1: spaces before and after do not count, and several count as one. */
function squeeze(text: string): string {
  return text.replace(/ +/g, " ").replace(/^ | $/g, "");
}

/** UCS-2, of whose surrogates no characters may be made (X.680 41.15). */
function decodeBmp(octets: Buffer): string | undefined {
  if (octets.length % 2 !== 0) return undefined;
  const text = utf16Text(octets);
  return /[\ud800-\udfff]/.test(text) ? undefined : text;
}

function utf16Text(octets: Buffer): string {
  return Buffer.from(octets).swap16().toString("utf16le");
}

function decodeUniversal(octets: Buffer): string | undefined {
  if (octets.length % 4 !== 0) return undefined;
  let text = "";
  for (let at = 0; at < octets.length; at += 4) {
    const code = octets.readUInt32BE(at);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
    text += String.fromCodePoint(code);
  }
  return text;
}

function decodeAscii(octets: Buffer): string | undefined {
  return octets.every((octet) => octet < 0x80) ? octets.toString("latin1") : undefined;
}

const DECODERS = new Map<number, (octets: Buffer) => string | undefined>([
  // Replacement characters for what is no UTF-8 make it incomparable as text.
  [Tag.UTF8_STRING, (octets) => octets.toString("utf8")],
  [Tag.PRINTABLE_STRING, decodeAscii],
  [Tag.NUMERIC_STRING, decodeAscii],
  [Tag.IA5_STRING, decodeAscii],
  [Tag.VISIBLE_STRING, decodeAscii],
  // T.61 as everybody uses it: Latin-1.
  [Tag.T61_STRING, (octets) => octets.toString("latin1")],
  [Tag.BMP_STRING, decodeBmp],
  [Tag.UNIVERSAL_STRING, decodeUniversal],
]);

const PLAIN = /^[\x20-\x7e]*$/;
/** RFC 4518 2.2: what becomes a space. */
const SPACES = /[\t-\r\u0085\p{Z}]/gu;
/** RFC 4518 2.2: what is left out: control and format characters, soft hyphen, variation selectors and their like. */
const NOTHING = /\u034f|\ufffc|[\p{Cc}\p{Cf}]|[\u180b-\u180d]|[\ufe00-\ufe0f]/gu;
/** RFC 4518 2.4: unassigned, private use, lone surrogates, the replacement character. */
const PROHIBITED = /[\p{Cn}\p{Co}\p{Cs}\ufffd]/u;
