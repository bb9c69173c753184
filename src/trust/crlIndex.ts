/**
 * Look-ups in a CRL without copying it: an open-addressing table of offsets over the CRL's own octets.
 *
 * A million entries need 17 MB beside the CRL. A Map of serial numbers takes 114 MB and 1.7 s of CPU; a sorted array is as
 * small, but takes 20 cache misses a look-up where this takes one or two. The hash is keyed, so that nobody can make
 * serial numbers that collide.
 *
 * What is indexed is not judged: signature, time and scope of the CRL are the business of crl.ts.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DerReader } from "../der/reader.ts";
import type { Milliseconds, Random } from "../sim/environment.ts";
import type { Crl } from "../x509/crl.ts";
import { type Name, readName } from "../x509/name.ts";
import { type DecodedEntry, decodeEntry } from "./crlEntryScan.ts";
import { buildTable, type CrlTable, findEntry } from "./crlTable.ts";

/** A revoked certificate, decoded where it lies when a field is asked for. */
export class IndexedEntry {
  readonly #der: Bytes;
  readonly #offset: number;
  #decoded: DecodedEntry | undefined;

  constructor(der: Bytes, offset: number) {
    this.#der = der;
    this.#offset = offset;
  }

  get serial(): Bytes {
    return this.#decode().serial;
  }

  /** revocationDate, milliseconds since 1970. */
  get revokedAt(): Milliseconds {
    return this.#decode().revokedAt;
  }

  /** CRLReason (RFC 5280 5.3.1); undefined is `unspecified`. */
  get reason(): number | undefined {
    return this.#decode().reason;
  }

  /** Since when the key is suspected to be compromised (RFC 5280 5.3.2), milliseconds since 1970. */
  get invalidityDate(): Milliseconds | undefined {
    return this.#decode().invalidityDate;
  }

  /** Named by this entry (RFC 5280 5.3.3); undefined where the entries before it say who issued its certificate. */
  get certificateIssuer(): Name | undefined {
    return this.#decode().certificateIssuer?.[0];
  }

  /** Critical extensions that are not processed; `CrlIndex.unknownCritical` tells of those of all entries. */
  get unknownCritical(): readonly string[] {
    const { unknownCritical } = this.#decode();
    return unknownCritical === undefined ? [] : [unknownCritical];
  }

  #decode(): DecodedEntry {
    this.#decoded ??= decodeEntry(this.#der, this.#offset, this.#der.length).entry;
    return this.#decoded;
  }
}

/** The entries of one CRL, all of them checked. */
export class CrlIndex {
  readonly crl: Crl;
  /** SubjectPublicKeyInfo that the CRL's signature was verified under, on another thread perhaps. */
  readonly verifiedUnder: Bytes | undefined;
  readonly #table: CrlTable;
  /** By number: 0 is the CRL's own issuer, the others come from certificateIssuer extensions. */
  readonly #issuers: readonly (readonly Name[])[];
  /** Numbers of the issuers asked for, by the DER of their names; only an indirect CRL needs it. */
  readonly #numbers = new Map<string, readonly number[]>();

  /** `table` must be of this very CRL. */
  constructor(crl: Crl, table: CrlTable, verifiedUnder?: Bytes) {
    this.crl = crl;
    this.verifiedUnder = verifiedUnder;
    this.#table = table;
    this.#issuers = [[crl.issuer], ...table.issuers.map(readNames)];
  }

  /**
   * Checks and indexes all entries; throws DerError for a malformed one. Takes some 0.2 s for a million, so it belongs
   * on another thread for anything large; `table` then brings it over. `random` gives the hash's key.
   */
  static build(crl: Crl, random: Random): CrlIndex {
    return new CrlIndex(crl, buildTable(crl, random));
  }

  /** Different certificates listed. */
  get size(): number {
    return this.#table.size;
  }

  /** A critical entry extension that is not processed here: the CRL must not be used then (RFC 5280 5.3). */
  get unknownCritical(): string | undefined {
    return this.#table.unknownCritical;
  }

  get table(): CrlTable {
    return this.#table;
  }

  /**
   * The entry for the certificate with this serial number (content of the INTEGER) that `certificateIssuer` issued (RFC
   * 5280 5.3.3), by default the CRL's own issuer; undefined if it is not listed. Of several the first counts.
   */
  lookUp(serial: Bytes, certificateIssuer: Name = this.crl.issuer): IndexedEntry | undefined {
    const { der } = this.crl;
    for (const number of this.#numbersOf(certificateIssuer)) {
      const entry = findEntry(this.#table, der, serial, number);
      if (entry !== 0) return new IndexedEntry(der, entry);
    }
    return undefined;
  }

  /** Numbers of the issuers that this name stands for; several if a CRL spells one name in several ways. */
  #numbersOf(name: Name): readonly number[] {
    if (this.#issuers.length === 1) return this.crl.issuer.equals(name) ? OWN_ISSUER : NO_ISSUER;
    const text = name.der.toString("latin1");
    let numbers = this.#numbers.get(text);
    if (numbers === undefined) {
      numbers = this.#issuers.flatMap((names, number) => (names.some((own) => own.equals(name)) ? [number] : []));
      if (this.#numbers.size >= MAX_REMEMBERED) this.#numbers.clear();
      this.#numbers.set(text, numbers);
    }
    return numbers;
  }
}

function readNames(der: Uint8Array): Name[] {
  const reader = new DerReader(Buffer.from(der.buffer, der.byteOffset, der.length));
  const names: Name[] = [];
  while (!reader.atEnd) names.push(readName(reader, "certificateIssuer"));
  return names;
}

const OWN_ISSUER: readonly number[] = [0];
const NO_ISSUER: readonly number[] = [];
/** Issuers whose numbers are remembered; whoever presents certificates must not grow it without end. */
const MAX_REMEMBERED = 4096;
