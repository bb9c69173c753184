/** Certificate revocation lists, read without copying (RFC 5280 5.1). */
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, type DerElement, DerReader, inside, Tag } from "../der/reader.ts";
import {
  type DistributionPoint,
  type IssuingDistributionPoint,
  readDistributionPoints,
  readIssuingDistributionPoint,
} from "./distributionPoints.ts";
import { type Extension, readExtensions } from "./extensions.ts";
import { readGeneralNames } from "./generalNames.ts";
import { type Name, readName } from "./name.ts";
import { Oid } from "./oids.ts";
import { readSignatureAlgorithm, type SignatureAlgorithm } from "./signature.ts";

/** One revoked certificate (RFC 5280 5.1.2.6). */
export interface CrlEntry {
  serial: Bytes;
  /** Milliseconds since 1970. */
  revokedAt: number;
  /** CRLReason (RFC 5280 5.3.1). */
  reason: number | undefined;
  /** In an indirect CRL, who issued this certificate and the following ones, until it says so anew (RFC 5280 5.3.3). */
  certificateIssuer: Name | undefined;
  /** Critical entry extensions that are not processed; the CRL says nothing then (RFC 5280 5.3). */
  unknownCritical: readonly string[];
}

/** A CRL as read; times in milliseconds since 1970. */
export interface Crl {
  der: Bytes;
  tbs: Bytes;
  issuer: Name;
  thisUpdate: number;
  nextUpdate: number | undefined;
  number: Bytes | undefined;
  /** Number of the complete CRL that this one tells the changes since; undefined for a complete one (5.2.4). */
  baseNumber: Bytes | undefined;
  issuingDistributionPoint: IssuingDistributionPoint | undefined;
  /** Where this complete CRL's delta CRLs are (RFC 5280 5.2.6). */
  freshestCrl: readonly DistributionPoint[];
  authorityKeyId: Bytes | undefined;
  extensions: readonly Extension[];
  /** Critical extensions that are not processed; the CRL says nothing then (RFC 5280 5.2). */
  unknownCritical: readonly string[];
  signatureAlgorithm: SignatureAlgorithm;
  signature: Bytes;
  /** Entries in their order, decoded one at a time as they are asked for; throws DerError at a malformed one. */
  entries(): Iterable<CrlEntry>;
}

/** Reads a CRL's frame as views of `der`; its entries are read when they are asked for. Throws DerError. */
export function parseCrl(der: Bytes): Crl {
  if (der.length > MAX_CRL)
    new DerReader(der).fail("CertificateList", `${der.length} octets, at most ${MAX_CRL} are read`);
  const outer = new DerReader(der);
  const list = outer.sequence("CertificateList");
  outer.end("CertificateList");
  const tbs = list.expect(Tag.SEQUENCE, "tbsCertList");
  const signatureAlgorithm = readSignatureAlgorithm(list, "signatureAlgorithm");
  const signature = list.bitString("signatureValue");
  list.end("CertificateList");
  const body = inside(tbs);
  if (body.peek() === Tag.INTEGER && body.smallInteger("version") !== 1)
    body.fail("version", "a CRL is version 1 or 2");
  if (!readSignatureAlgorithm(body, "signature").der.equals(signatureAlgorithm.der))
    body.fail("signature", "differs from signatureAlgorithm");
  const issuer = readName(body, "issuer");
  const thisUpdate = body.time("thisUpdate");
  const nextUpdate =
    body.peek() === Tag.UTC_TIME || body.peek() === Tag.GENERALIZED_TIME ? body.time("nextUpdate") : undefined;
  const revoked = body.optional(Tag.SEQUENCE, "revokedCertificates");
  const wrapped = body.optional(contextTag(0, "constructed"), "crlExtensions");
  body.end("tbsCertList");
  const extensions =
    wrapped === undefined ? [] : readExtensions(inside(wrapped).sequence("crlExtensions"), "crlExtensions");
  const read = <T>(oid: string, decode: (reader: DerReader) => T): T | undefined => {
    const found = extensions.find((extension) => extension.oid === oid);
    if (found === undefined) return undefined;
    const reader = new DerReader(found.value, found.offset);
    const value = decode(reader);
    reader.end(oid);
    return value;
  };
  return {
    der,
    tbs: tbs.whole,
    issuer,
    thisUpdate,
    nextUpdate,
    number: read(Oid.crlNumber, (reader) => reader.integer("cRLNumber")),
    baseNumber: read(Oid.deltaCrlIndicator, (reader) => reader.integer("baseCRLNumber")),
    issuingDistributionPoint: read(Oid.issuingDistributionPoint, readIssuingDistributionPoint),
    freshestCrl: read(Oid.freshestCrl, (reader) => readDistributionPoints(reader, "freshestCRL")) ?? [],
    authorityKeyId: read(
      Oid.authorityKeyIdentifier,
      (reader) =>
        reader.sequence("authorityKeyIdentifier").optional(contextTag(0, "primitive"), "keyIdentifier")?.content,
    ),
    extensions,
    unknownCritical: extensions
      .filter(({ critical, oid }) => critical && !PROCESSED.includes(oid))
      .map(({ oid }) => oid),
    signatureAlgorithm,
    signature,
    entries: () => readEntries(revoked),
  };
}

function* readEntries(revoked: DerElement | undefined): Iterable<CrlEntry> {
  if (revoked === undefined) return;
  const list = inside(revoked);
  while (!list.atEnd) {
    const entry = list.sequence("revokedCertificate");
    const serial = entry.integer("userCertificate");
    const revokedAt = entry.time("revocationDate");
    const extensions = entry.atEnd ? [] : readExtensions(entry.sequence("crlEntryExtensions"), "crlEntryExtensions");
    entry.end("revokedCertificate");
    const reason = extensions.find((extension) => extension.oid === Oid.reasonCode);
    const issuer = extensions.find((extension) => extension.oid === Oid.certificateIssuer);
    yield {
      serial,
      revokedAt,
      reason: reason === undefined ? undefined : new DerReader(reason.value, reason.offset).enumerated("reasonCode"),
      certificateIssuer: issuer && readCertificateIssuer(issuer),
      unknownCritical: extensions
        .filter(({ oid, critical }) => critical && !PROCESSED_IN_ENTRIES.includes(oid))
        .map(({ oid }) => oid),
    };
  }
}

/** RFC 5280 5.3.3: the one directory name among the issuer's names. */
function readCertificateIssuer({ value, offset }: Extension): Name {
  const reader = new DerReader(value, offset);
  const names = readGeneralNames(reader.sequence("certificateIssuer"), "certificateIssuer");
  reader.end("certificateIssuer");
  return names.directory[0] ?? reader.fail("certificateIssuer", "names no directory name");
}

const PROCESSED: readonly string[] = [
  Oid.crlNumber,
  Oid.deltaCrlIndicator,
  Oid.issuingDistributionPoint,
  Oid.freshestCrl,
  Oid.authorityKeyIdentifier,
];
const PROCESSED_IN_ENTRIES: readonly string[] = [Oid.reasonCode, Oid.certificateIssuer];
/** Octets of a CRL; an entry takes about 40. */
const MAX_CRL = 256 * 1024 * 1024;
