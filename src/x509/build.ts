/** Making certificates and CRLs (RFC 5280 4.1, 5.1). */
import { createHash, type KeyObject } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import { DerReader, inside, Tag } from "../der/reader.ts";
import {
  bitString,
  boolean,
  element,
  explicit,
  implicit,
  integer,
  namedBits,
  octetString,
  oid,
  sequence,
  time,
} from "../der/writer.ts";
import { type RevokedEntry, revokedCertificates } from "./crlEntries.ts";
import type { Name } from "./name.ts";
import { Oid } from "./oids.ts";
import type { Signer } from "./signature.ts";

/** One extension to put into a certificate or CRL. */
export interface NewExtension {
  oid: string;
  critical: boolean;
  /** DER of the extension's own type. */
  value: Bytes;
}

/** What a certificate is to say (RFC 5280 4.1.2). */
export interface NewCertificate {
  /** Big-endian, positive. */
  serial: Bytes;
  issuer: Name;
  subject: Name;
  /** Milliseconds since 1970. */
  notBefore: number;
  notAfter: number;
  publicKey: KeyObject;
  extensions: readonly NewExtension[];
  signer: Signer;
}

/** DER of a signed version 3 certificate. */
export function buildCertificate(made: NewCertificate): Bytes {
  const tbs = sequence(
    explicit(0, integer(2)),
    integer(made.serial),
    made.signer.algorithm,
    made.issuer.der,
    sequence(time(made.notBefore), time(made.notAfter)),
    made.subject.der,
    spkiOf(made.publicKey),
    explicit(3, sequence(...made.extensions.map(extension))),
  );
  return signed(tbs, made.signer);
}

/** What a CRL is to say (RFC 5280 5.1.2). */
export interface NewCrl {
  issuer: Name;
  thisUpdate: number;
  nextUpdate: number;
  number: number;
  entries: readonly RevokedEntry[];
  authorityKeyId: Bytes;
  /** Besides authorityKeyIdentifier and cRLNumber. */
  extensions?: readonly NewExtension[];
  signer: Signer;
}

/** DER of a signed version 2 CRL. */
export function buildCrl(made: NewCrl): Bytes {
  const extensions = [
    authorityKeyIdentifier(made.authorityKeyId),
    { oid: Oid.crlNumber, critical: false, value: integer(made.number) },
    ...(made.extensions ?? []),
  ];
  const tbs = sequence(
    integer(1),
    made.signer.algorithm,
    made.issuer.der,
    time(made.thisUpdate),
    time(made.nextUpdate),
    ...revokedCertificates(made.entries),
    explicit(0, sequence(...extensions.map(extension))),
  );
  return signed(tbs, made.signer);
}

/** The SIGNED form that certificates and CRLs share: content, algorithm, signature (RFC 5280 4.1.1). */
export function signed(tbs: Bytes, signer: Signer): Bytes {
  return sequence(tbs, signer.algorithm, bitString(signer.sign(tbs)));
}

function spkiOf(key: KeyObject): Bytes {
  return key.export({ format: "der", type: "spki" });
}

/** SHA-1 of the public key's bits: the usual key identifier (RFC 5280 4.2.1.2 method 1). */
export function keyIdOf(key: KeyObject): Bytes {
  const spki = inside(new DerReader(spkiOf(key)).expect(Tag.SEQUENCE, "spki"));
  spki.element("algorithm");
  return createHash("sha1").update(spki.bitString("subjectPublicKey")).digest();
}

/** DER of one Extension (RFC 5280 4.1). */
export function extension({ oid: id, critical, value }: NewExtension): Bytes {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value));
}

/** RFC 5280 4.2.1.1: key identifier of the issuer. */
export const authorityKeyIdentifier = (keyId: Bytes): NewExtension => ({
  oid: Oid.authorityKeyIdentifier,
  critical: false,
  value: sequence(implicit(0, keyId)),
});
/** RFC 5280 4.2.1.2. */
export const subjectKeyIdentifier = (keyId: Bytes): NewExtension => ({
  oid: Oid.subjectKeyIdentifier,
  critical: false,
  value: octetString(keyId),
});

/** RFC 5280 4.2.1.9, critical; `pathLength` counts the CAs allowed below, undefined being any number. */
export const basicConstraints = (ca: boolean, pathLength?: number): NewExtension => ({
  oid: Oid.basicConstraints,
  critical: true,
  value: sequence(...(ca ? [boolean(true)] : []), ...(pathLength === undefined ? [] : [integer(pathLength)])),
});

/** Names of RFC 5280 4.2.1.3. */
export type KeyUsageBit =
  | "digitalSignature"
  | "nonRepudiation"
  | "keyEncipherment"
  | "dataEncipherment"
  | "keyAgreement"
  | "keyCertSign"
  | "cRLSign";

/** RFC 5280 4.2.1.3, critical. */
export const keyUsage = (...bits: readonly KeyUsageBit[]): NewExtension => ({
  oid: Oid.keyUsage,
  critical: true,
  value: namedBits(KEY_USAGE_ORDER.map((bit) => bits.includes(bit))),
});

/** RFC 5280 4.2.1.12, by object identifiers. */
export const extendedKeyUsage = (...usages: readonly string[]): NewExtension => ({
  oid: Oid.extendedKeyUsage,
  critical: false,
  value: sequence(...usages.map(oid)),
});

/** `ip` holds 4 or 16 octets each. */
export const subjectAltName = (names: {
  dns?: readonly string[];
  ip?: readonly Bytes[];
  email?: readonly string[];
}): NewExtension => ({
  oid: Oid.subjectAltName,
  critical: false,
  value: sequence(
    ...(names.email ?? []).map((text) => implicit(1, Buffer.from(text, "latin1"))),
    ...(names.dns ?? []).map((text) => implicit(2, Buffer.from(text, "latin1"))),
    ...(names.ip ?? []).map((octets) => implicit(7, octets)),
  ),
});

/** RFC 5280 4.2.1.13: one complete CRL at a URL. */
export const crlDistributionPoint = (url: string): NewExtension => ({
  oid: Oid.crlDistributionPoints,
  critical: false,
  value: sequence(sequence(pointName(url))),
});

/** RFC 5280 5.2.6: where a complete CRL's delta CRLs are. */
export const freshestCrl = (url: string): NewExtension => ({
  ...crlDistributionPoint(url),
  oid: Oid.freshestCrl,
});

/** RFC 5280 5.2.5, critical: the CRL covers only the certificates that name this distribution point. */
export const issuingDistributionPoint = (url: string): NewExtension => ({
  oid: Oid.issuingDistributionPoint,
  critical: true,
  value: sequence(pointName(url)),
});

/** RFC 5280 5.2.4, critical: the CRL tells the changes since the complete CRL of this number. */
export const deltaCrlIndicator = (baseNumber: number): NewExtension => ({
  oid: Oid.deltaCrlIndicator,
  critical: true,
  value: integer(baseNumber),
});

function pointName(url: string): Bytes {
  return explicit(0, explicit(0, implicit(6, Buffer.from(url, "latin1"))));
}

/** RFC 5280 4.2.2.1: URLs of the OCSP responder and of the issuer's certificate. */
export const authorityInfoAccess = (access: { ocsp?: string; caIssuers?: string }): NewExtension => ({
  oid: Oid.authorityInfoAccess,
  critical: false,
  value: sequence(
    ...(access.ocsp === undefined ? [] : [sequence(oid(Oid.adOcsp), implicit(6, Buffer.from(access.ocsp, "latin1")))]),
    ...(access.caIssuers === undefined
      ? []
      : [sequence(oid(Oid.adCaIssuers), implicit(6, Buffer.from(access.caIssuers, "latin1")))]),
  ),
});

/** A delegated responder whose own status is not asked for (RFC 6960 4.2.2.2.1). */
export const ocspNoCheck = (): NewExtension => ({ oid: Oid.ocspNoCheck, critical: false, value: element(Tag.NULL) });

/** In a response: certificates that are not revoked may be called so, such as those never issued (RFC 6960 4.4.8). */
export const ocspExtendedRevoke = (): NewExtension => ({
  oid: Oid.ocspExtendedRevoke,
  critical: false,
  value: element(Tag.NULL),
});

const KEY_USAGE_ORDER: readonly KeyUsageBit[] = [
  "digitalSignature",
  "nonRepudiation",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
];
