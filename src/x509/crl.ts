/** Certificate revocation lists, read without copying (RFC 5280 5.1). */
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, type DerElement, DerReader, inside, Tag } from "../der/reader.ts";
import { type Extension, readExtensions } from "./extensions.ts";
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
  /** Critical entry extensions, of which none is processed; the CRL says nothing then (RFC 5280 5.3). */
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
  authorityKeyId: Bytes | undefined;
  extensions: readonly Extension[];
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
  const find = (oid: string) => extensions.find((extension) => extension.oid === oid);
  const number = find(Oid.crlNumber);
  const keyId = find(Oid.authorityKeyIdentifier);
  return {
    der,
    tbs: tbs.whole,
    issuer,
    thisUpdate,
    nextUpdate,
    number: number === undefined ? undefined : new DerReader(number.value, number.offset).integer("cRLNumber"),
    authorityKeyId:
      keyId === undefined
        ? undefined
        : new DerReader(keyId.value, keyId.offset)
            .sequence("authorityKeyIdentifier")
            .optional(contextTag(0, "primitive"), "keyIdentifier")?.content,
    extensions,
    unknownCritical: extensions.filter((extension) => extension.critical).map((extension) => extension.oid),
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
    yield {
      serial,
      revokedAt,
      reason: reason === undefined ? undefined : new DerReader(reason.value, reason.offset).enumerated("reasonCode"),
      unknownCritical: extensions
        .filter(({ oid, critical }) => critical && oid !== Oid.reasonCode)
        .map(({ oid }) => oid),
    };
  }
}

/** Octets of a CRL; an entry takes about 40. */
const MAX_CRL = 256 * 1024 * 1024;
