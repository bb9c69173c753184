/**
 * The revokedCertificates of a CRL where they lie (RFC 5280 5.1.2.6): finding, checking and decoding entries by offset.
 *
 * A list of a million entries is checked once, entry by entry, before anything is looked up in it. Usual entries (a
 * serial number, a UTCTime, reasonCode and invalidityDate) are checked by hand without making an object; all others, and
 * every error, go through the DER reader, so that there is one set of rules and one set of messages. The reader alone
 * would take some two seconds for the million.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, DerReader, inside, Tag } from "../der/reader.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { Crl } from "../x509/crl.ts";
import { readExtensions } from "../x509/extensions.ts";
import { type Name, readName } from "../x509/name.ts";
import { Oid } from "../x509/oids.ts";
import { readSignatureAlgorithm } from "../x509/signature.ts";

/** A revoked certificate with its entry extensions (RFC 5280 5.3); times in milliseconds since 1970. */
export interface DecodedEntry {
  serial: Bytes;
  revokedAt: Milliseconds;
  /** CRLReason; undefined is `unspecified`. */
  reason: number | undefined;
  invalidityDate: Milliseconds | undefined;
  /** Directory names of certificateIssuer, which stand for this entry and those after it (RFC 5280 5.3.3). */
  certificateIssuer: readonly Name[] | undefined;
  /** A critical extension that is not processed here: the whole CRL says nothing then (RFC 5280 5.3). */
  unknownCritical: string | undefined;
}

/** Start and end of the entries within `crl.der`, both 0 for a CRL without any. */
export function entryRange(crl: Crl): { start: number; end: number } {
  const base = crl.tbs.byteOffset - crl.der.byteOffset;
  const outer = new DerReader(crl.tbs, base);
  const body = outer.sequence("tbsCertList");
  body.optional(Tag.INTEGER, "version");
  readSignatureAlgorithm(body, "signature");
  body.expect(Tag.SEQUENCE, "issuer");
  body.time("thisUpdate");
  if (body.peek() === Tag.UTC_TIME || body.peek() === Tag.GENERALIZED_TIME) body.time("nextUpdate");
  const revoked = body.optional(Tag.SEQUENCE, "revokedCertificates");
  return revoked === undefined
    ? { start: 0, end: 0 }
    : { start: revoked.offset, end: revoked.offset + revoked.content.length };
}

/** End of the entry at `start` if it is of a usual form and all of it is right, else 0: ask `decodeEntry` then. */
export function endOfUsualEntry(bytes: Bytes, start: number, end: number): number {
  const length = bytes[start + 1]!;
  const stop = start + 2 + length;
  if (bytes[start] !== Tag.SEQUENCE || length >= 0x80 || stop > end || bytes[start + 2] !== Tag.INTEGER) return 0;
  const octets = bytes[start + 3]!;
  if (octets === 0 || octets >= 0x80) return 0;
  const first = bytes[start + 4]!;
  if (octets > 1 && (first === 0 || first === 0xff) && first >> 7 === bytes[start + 5]! >> 7) return 0;
  const date = start + 4 + octets;
  if (bytes[date] !== Tag.UTC_TIME || bytes[date + 1] !== 13) return 0;
  if (!isTime(bytes, date + 2) || bytes[date + 14] !== 0x5a) return 0;
  const extensions = date + 15;
  if (extensions === stop) return stop;
  if (bytes[extensions] !== Tag.SEQUENCE || extensions + 2 + bytes[extensions + 1]! !== stop) return 0;
  let seen = 0;
  for (let at = extensions + 2; at < stop; ) {
    // SEQUENCE { OID 2.5.29.n, OCTET STRING }: not critical, since that is the default and left out in DER.
    const next = at + 2 + bytes[at + 1]!;
    const known =
      bytes[at] === Tag.SEQUENCE &&
      next <= stop &&
      bytes[at + 2] === Tag.OID &&
      bytes[at + 3] === 3 &&
      bytes[at + 4] === 0x55 &&
      bytes[at + 5] === 0x1d &&
      bytes[at + 7] === Tag.OCTET_STRING &&
      at + 9 + bytes[at + 8]! === next;
    if (!known) return 0;
    const arc = bytes[at + 6]!;
    if (arc === REASON_CODE) {
      if (bytes[at + 8] !== 3 || bytes[at + 9] !== Tag.ENUMERATED || bytes[at + 10] !== 1 || bytes[at + 11]! >= 0x80)
        return 0;
    } else if (arc === INVALIDITY_DATE) {
      const dated =
        bytes[at + 8] === 17 &&
        bytes[at + 9] === Tag.GENERALIZED_TIME &&
        bytes[at + 10] === 15 &&
        bytes[at + 25] === 0x5a;
      // Centuries other than ours are left to the reader.
      if (!dated || bytes[at + 11] !== 0x32 || bytes[at + 12] !== 0x30 || !isTime(bytes, at + 13)) return 0;
    } else return 0;
    const bit = 1 << (arc & 7);
    if ((seen & bit) !== 0) return 0;
    seen |= bit;
    at = next;
  }
  return stop;
}

/** Decodes the entry at `start`; throws DerError for one that is malformed. */
export function decodeEntry(bytes: Bytes, start: number, end: number): { entry: DecodedEntry; end: number } {
  const whole = new DerReader(bytes.subarray(start, end), start).expect(Tag.SEQUENCE, "revokedCertificate");
  const fields = inside(whole);
  const serial = fields.integer("userCertificate");
  if (serial.length > MAX_SERIAL)
    fields.fail("userCertificate", `serial number of ${serial.length} octets, at most ${MAX_SERIAL} are read`);
  const entry: DecodedEntry = {
    serial,
    revokedAt: fields.time("revocationDate"),
    reason: undefined,
    invalidityDate: undefined,
    certificateIssuer: undefined,
    unknownCritical: undefined,
  };
  const list = fields.atEnd ? [] : readExtensions(fields.sequence("crlEntryExtensions"), "crlEntryExtensions");
  fields.end("revokedCertificate");
  for (const { oid, critical, value, offset } of list) {
    const reader = new DerReader(value, offset);
    if (oid === Oid.reasonCode) entry.reason = reader.enumerated("reasonCode");
    else if (oid === INVALIDITY_DATE_OID) entry.invalidityDate = reader.time("invalidityDate");
    else if (oid === CERTIFICATE_ISSUER_OID) entry.certificateIssuer = readIssuers(reader);
    else {
      if (critical) entry.unknownCritical ??= oid;
      continue;
    }
    reader.end(oid);
  }
  return { entry, end: start + whole.whole.length };
}

/** RFC 5280 5.3.3: one or more names, of which the directory names are what certificates carry. */
function readIssuers(reader: DerReader): Name[] {
  const names = reader.sequence("certificateIssuer");
  const found: Name[] = [];
  for (let count = 0; !names.atEnd; count++) {
    if (count >= MAX_ISSUER_NAMES) names.fail("certificateIssuer", `more than ${MAX_ISSUER_NAMES} names`);
    const name = names.element("certificateIssuer");
    if (name.tag === contextTag(4, "constructed")) found.push(readName(inside(name), "certificateIssuer"));
  }
  return found;
}

/** True for YYMMDDHHMMSS at `at` that is a real date and time, the year being of 1950 to 2049. */
function isTime(bytes: Bytes, at: number): boolean {
  const year = twoDigits(bytes, at);
  const month = twoDigits(bytes, at + 2);
  const day = twoDigits(bytes, at + 4);
  const leapDay = month === 2 && day === 29 && (year & 3) === 0;
  return (
    year >= 0 &&
    month >= 1 &&
    day >= 1 &&
    (leapDay || day <= (DAYS[month] ?? 0)) &&
    twoDigits(bytes, at + 6) >>> 0 < 24 &&
    twoDigits(bytes, at + 8) >>> 0 < 60 &&
    twoDigits(bytes, at + 10) >>> 0 < 60
  );
}

/** Value of two decimal digits; negative for anything else. */
function twoDigits(bytes: Bytes, at: number): number {
  const tens = bytes[at]! - 0x30;
  const ones = bytes[at + 1]! - 0x30;
  return tens >>> 0 > 9 || ones >>> 0 > 9 ? -1 : tens * 10 + ones;
}

const DAYS = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/** Last arcs of the extensions below 2.5.29. */
const REASON_CODE = 21;
const INVALIDITY_DATE = 24;
const INVALIDITY_DATE_OID = "2.5.29.24";
const CERTIFICATE_ISSUER_OID = "2.5.29.29";
/** Octets of a serial number: RFC 5280 4.1.2.2 wants 20 at most, old CAs made longer ones. */
const MAX_SERIAL = 127;
/** Names in one certificateIssuer. */
const MAX_ISSUER_NAMES = 16;
