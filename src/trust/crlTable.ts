/**
 * The table behind a CrlIndex: open addressing over the octets of a CRL, two words a slot (hash, offset of the entry).
 *
 * Fast path: nothing is allocated per entry, everything is a 32-bit integer that V8 keeps unboxed. Checking, hashing and
 * inserting are three loops: in one, each insert's cache miss waits for the next hash (0.21 s of CPU for a million
 * entries instead of 0.13 s).
 */
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import { DerReader } from "../der/reader.ts";
import type { Random } from "../sim/environment.ts";
import type { Crl } from "../x509/crl.ts";
import { decodeEntry, endOfUsualEntry, entryRange } from "./crlEntryScan.ts";
import { type HashKey, halfSipHash, hashKey } from "./halfSipHash.ts";

/** The table as plain values, for handing over between threads; the buffer of `slots` can be transferred. */
export interface CrlTable {
  slots: Int32Array<ArrayBuffer>;
  key: HashKey;
  /** Different certificates listed. */
  size: number;
  /** Slots that a look-up must go on after the first. */
  longestProbe: number;
  /** A critical entry extension that is not processed here. */
  unknownCritical: string | undefined;
  /** DER of the directory names of issuers 1 and up, those of one issuer joined. */
  issuers: readonly Uint8Array[];
}

/** Checks all entries of `crl` and makes the table; throws DerError for a malformed one. */
export function buildTable(crl: Crl, random: Random): CrlTable {
  const survey = surveyEntries(crl);
  const bits = Math.max(MIN_BITS, Math.ceil(Math.log2(survey.entries.length * 2)));
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const key = hashKey(random.bytes(8));
    const slots = new Int32Array(2 << bits);
    const filled = fill(slots, crl.der, survey, key);
    if (filled === undefined) continue;
    const { unknownCritical, issuers } = survey;
    return { slots, key, ...filled, unknownCritical, issuers };
  }
  return new DerReader(crl.der).fail("revokedCertificates", `serial numbers collide under ${MAX_ATTEMPTS} hash keys`);
}

/** Offset of the entry for this serial number and issuer within `der`, or 0. */
export function findEntry(table: CrlTable, der: Bytes, serial: Bytes, issuer: number): number {
  const { slots, key, longestProbe } = table;
  const tag = tagOf(serial, 0, serial.length, issuer, key);
  const mask = slots.length / 2 - 1;
  for (let probe = 0, slot = tag & mask; probe <= longestProbe; probe++, slot = (slot + 1) & mask) {
    const entry = slots[slot * 2 + 1]!;
    if (entry === 0) return 0;
    if (slots[slot * 2] === tag && isSerial(der, entry, serial)) return entry;
  }
  return 0;
}

/** From `start` on, entries are of certificates by the issuer of this number (RFC 5280 5.3.3). */
interface IssuerRun {
  start: number;
  issuer: number;
}

interface Survey {
  /** Offsets of all entries within the CRL. */
  entries: Int32Array;
  unknownCritical: string | undefined;
  /** In their order; the first is the CRL's own issuer, 0. */
  runs: IssuerRun[];
  issuers: Bytes[];
}

/** Checks all entries and notes where they are. */
function surveyEntries(crl: Crl): Survey {
  const { der } = crl;
  const { start, end } = entryRange(crl);
  const runs: IssuerRun[] = [{ start, issuer: 0 }];
  const issuers: Bytes[] = [];
  const numbers = new Map<string, number>();
  let unknownCritical: string | undefined;
  let entries = new Int32Array(Math.ceil((end - start) / USUAL_ENTRY));
  let count = 0;
  for (let at = start; at < end; ) {
    if (count === entries.length) {
      const longer = new Int32Array(Math.max(64, count * 2));
      longer.set(entries);
      entries = longer;
    }
    entries[count++] = at;
    const usual = endOfUsualEntry(der, at, end);
    if (usual !== 0) {
      at = usual;
      continue;
    }
    const { entry, end: next } = decodeEntry(der, at, end);
    unknownCritical ??= entry.unknownCritical;
    if (entry.certificateIssuer !== undefined) {
      const names = copyOf(Buffer.concat(entry.certificateIssuer.map((name) => name.der)));
      const text = names.toString("latin1");
      let issuer = numbers.get(text);
      if (issuer === undefined) {
        if (issuers.length >= MAX_ISSUERS)
          new DerReader(der, at).fail("certificateIssuer", `more than ${MAX_ISSUERS} different ones in one CRL`);
        issuer = issuers.push(names);
        numbers.set(text, issuer);
      }
      if (runs.at(-1)!.issuer !== issuer) runs.push({ start: at, issuer });
    }
    at = next;
  }
  return { entries: entries.subarray(0, count), unknownCritical, runs, issuers };
}

/** Puts all entries into `slots`; undefined if one would need too long a probe. */
function fill(
  slots: Int32Array,
  der: Bytes,
  { entries, runs }: Survey,
  key: HashKey,
): Pick<CrlTable, "size" | "longestProbe"> | undefined {
  const mask = slots.length / 2 - 1;
  const tags = tagsOf(der, entries, runs, key);
  let size = 0;
  let longestProbe = 0;
  next: for (let i = 0; i < entries.length; i++) {
    const tag = tags[i]!;
    let slot = tag & mask;
    let probe = 0;
    while (slots[slot * 2 + 1] !== 0) {
      // Of several entries for one certificate the first counts.
      if (slots[slot * 2] === tag && isSerial(der, slots[slot * 2 + 1]!, serialOf(der, entries[i]!))) continue next;
      if (++probe > MAX_PROBES) return undefined;
      slot = (slot + 1) & mask;
    }
    size += 1;
    if (probe > longestProbe) longestProbe = probe;
    slots[slot * 2] = tag;
    slots[slot * 2 + 1] = entries[i]!;
  }
  return { size, longestProbe };
}

function tagsOf(der: Bytes, entries: Int32Array, runs: readonly IssuerRun[], key: HashKey): Int32Array {
  const tags = new Int32Array(entries.length);
  let run = 0;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    while (run + 1 < runs.length && runs[run + 1]!.start <= entry) run += 1;
    const serial = serialAt(der, entry);
    tags[i] = tagOf(der, serial, serial + der[serial - 1]!, runs[run]!.issuer, key);
  }
  return tags;
}

/** Entries with one serial number and different issuers have different tags: an odd factor maps no two numbers to one. */
function tagOf(bytes: Bytes, start: number, end: number, issuer: number, key: HashKey): number {
  return halfSipHash(bytes, start, end, key) ^ Math.imul(issuer, 0x9e3779b1);
}

/** Start of the serial number's content in the entry at `entry`; its length, below 128, is the octet before. */
function serialAt(der: Bytes, entry: number): number {
  const length = der[entry + 1]!;
  return entry + 4 + (length < 0x80 ? 0 : length & 0x7f);
}

function serialOf(der: Bytes, entry: number): Bytes {
  const at = serialAt(der, entry);
  return der.subarray(at, at + der[at - 1]!);
}

/** True if the serial number of the entry at `entry` is these octets. */
function isSerial(der: Bytes, entry: number, serial: Bytes): boolean {
  const { length } = serial;
  const at = serialAt(der, entry);
  if (der[at - 1] !== length) return false;
  for (let i = 0; i < length; i++) if (der[at + i] !== serial[i]) return false;
  return true;
}

/** Octets of an entry without extensions: what the list of offsets is first made for. */
const USUAL_ENTRY = 36;
/** Slots an entry may be pushed on. At half load and a million entries the longest way is some 70. */
const MAX_PROBES = 256;
/** Log2 of the least number of slots. */
const MIN_BITS = 3;
/** Keys tried before giving up; chance alone never needs a second. */
const MAX_ATTEMPTS = 4;
/** Different issuers in one indirect CRL. */
const MAX_ISSUERS = 4096;
