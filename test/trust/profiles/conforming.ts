/** Certificates and CRLs that keep every rule of their profile, and the parts to spoil one at a time. */
import { generateKeyPairSync } from "node:crypto";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { bitString, enumerated, explicit, integer, octetString, oid, sequence, time } from "../../../src/der/writer.ts";
import type { CertificateProfile, Release } from "../../../src/trust/profiles/rule.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  buildCertificate,
  crlDistributionPoint,
  extendedKeyUsage,
  extension,
  keyUsage,
  type NewExtension,
  ocspNoCheck,
  subjectAltName,
  subjectKeyIdentifier,
} from "../../../src/x509/build.ts";
import { type Certificate, parseCertificate } from "../../../src/x509/certificate.ts";
import { type Crl, parseCrl } from "../../../src/x509/crl.ts";
import type { Name } from "../../../src/x509/name.ts";
import { Oid } from "../../../src/x509/oids.ts";
import { type Signer, signerOf } from "../../../src/x509/signature.ts";
import { DAY, type KeyPair, NOW, name } from "../../x509/made.ts";

export const DEVICE = "ap-0001.example";
export const HEMS = "hems.example";
export const SEGW = "segw.example";

const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 });
export const EC = generateKeyPairSync("ec", { namedCurve: "P-256" });

export interface Spoiling {
  subject?: Name;
  /** Instead of "CA", or of the subject for profiles that are self-signed. */
  issuer?: Name;
  keys?: KeyPair;
  serial?: Bytes;
  notAfter?: number;
  signer?: Signer;
  /** Extensions by object identifier: one to take the place of the profile's or stand besides, or none. */
  extensions?: Record<string, NewExtension | undefined>;
}

/** RSA and SHA-256 for release 9, P-256 for the newest. */
function keysOf(release: Release): KeyPair {
  return release === "R9" ? RSA : EC;
}

export function certificateOf(profile: CertificateProfile, release: Release, spoiling: Spoiling = {}): Certificate {
  const keys = spoiling.keys ?? keysOf(release);
  const subject = spoiling.subject ?? name(SUBJECTS[profile] ?? profile);
  const selfSigned = profile === "root-ca" || profile === "interconnection-ca";
  const extensions = new Map(EXTENSIONS[profile].map((each) => [each.oid, each]));
  for (const [id, replacement] of Object.entries(spoiling.extensions ?? {})) {
    if (replacement === undefined) extensions.delete(id);
    else extensions.set(id, replacement);
  }
  const der = buildCertificate({
    serial: spoiling.serial ?? Buffer.alloc(16, 0x5a),
    issuer: spoiling.issuer ?? (selfSigned ? subject : name("CA")),
    subject,
    notBefore: NOW,
    notAfter: spoiling.notAfter ?? NOW + 300 * DAY,
    publicKey: keys.publicKey,
    extensions: [...extensions.values()],
    signer: spoiling.signer ?? signerOf(keysOf(release).privateKey),
  });
  return parseCertificate(der);
}

/** A signer under an algorithm of any name; profiles do not look at signatures. */
export function signerUnder(algorithm: string): Signer {
  return { algorithm: sequence(oid(algorithm)), sign: () => Buffer.alloc(64, 1) };
}

/** With the version of `certificate` changed and its extensions left out. */
export function withoutExtensions(certificate: Certificate, version: 1 | 3): Certificate {
  const tbs = sequence(
    ...(version === 1 ? [] : [explicit(0, integer(2))]),
    integer(certificate.serial),
    certificate.signatureAlgorithm.der,
    certificate.issuer.der,
    sequence(time(certificate.notBefore), time(certificate.notAfter)),
    certificate.subject.der,
    certificate.spki,
  );
  return parseCertificate(sequence(tbs, certificate.signatureAlgorithm.der, bitString(certificate.signature)));
}

export interface CrlSpoiling {
  version?: 1 | 2;
  signer?: Signer;
  nextUpdate?: "absent";
  reason?: number;
  extensions?: Record<string, NewExtension | undefined>;
}

export function crlOf(release: Release, spoiling: CrlSpoiling = {}): Crl {
  const signer = spoiling.signer ?? signerOf(keysOf(release).privateKey);
  const extensions = new Map(
    [authorityKeyIdentifier(Buffer.alloc(20, 1)), { oid: Oid.crlNumber, critical: false, value: integer(7) }].map(
      (each) => [each.oid, each],
    ),
  );
  for (const [id, replacement] of Object.entries(spoiling.extensions ?? {})) {
    if (replacement === undefined) extensions.delete(id);
    else extensions.set(id, replacement);
  }
  const reason = { oid: Oid.reasonCode, critical: false, value: enumerated(spoiling.reason ?? 1) };
  const tbs = sequence(
    ...(spoiling.version === 1 ? [] : [integer(1)]),
    signer.algorithm,
    name("CA").der,
    time(NOW),
    ...(spoiling.nextUpdate === "absent" ? [] : [time(NOW + DAY)]),
    sequence(sequence(integer(5), time(NOW), sequence(extension(reason)))),
    explicit(0, sequence(...[...extensions.values()].map(extension))),
  );
  return parseCrl(sequence(tbs, signer.algorithm, bitString(signer.sign(tbs))));
}

/** An extension under a name that nobody knows. */
export function unknownExtension(critical: boolean): NewExtension {
  return { oid: "1.3.6.1.4.1.55555.1", critical, value: octetString(Buffer.of(1)) };
}

const KEY_IDS = [authorityKeyIdentifier(Buffer.alloc(20, 1)), subjectKeyIdentifier(Buffer.alloc(20, 2))];
const CA = [keyUsage("keyCertSign", "cRLSign"), ...KEY_IDS];
const ENTITY = [keyUsage("digitalSignature"), ...KEY_IDS];

const EXTENSIONS: Record<CertificateProfile, NewExtension[]> = {
  segw: [...ENTITY, extendedKeyUsage(Oid.ipsecIke), subjectAltName({ dns: [SEGW] })],
  "henb-ikev2": [...ENTITY, extendedKeyUsage(Oid.ipsecIke), subjectAltName({ dns: [DEVICE] })],
  "henb-tls": [...ENTITY, extendedKeyUsage(Oid.clientAuth), subjectAltName({ dns: [DEVICE] })],
  henb: [...ENTITY, extendedKeyUsage(Oid.ipsecIke, Oid.clientAuth), subjectAltName({ dns: [DEVICE] })],
  hems: [...ENTITY, extendedKeyUsage(Oid.serverAuth), subjectAltName({ dns: [HEMS] })],
  "root-ca": [basicConstraints(true), ...CA],
  "interconnection-ca": [basicConstraints(true, 1), ...CA],
  "seg-ca": [basicConstraints(true, 0), ...CA, crlDistributionPoint("http://crl.example/root.crl")],
  "tls-ca": [basicConstraints(true, 0), ...CA, crlDistributionPoint("http://crl.example/root.crl")],
  "ne-ca": [basicConstraints(true, 0), ...CA, crlDistributionPoint("ldap://dir.example/cn=root")],
  "ocsp-signer": [...ENTITY, extendedKeyUsage(Oid.ocspSigning), ocspNoCheck()],
};
const SUBJECTS: Partial<Record<CertificateProfile, string>> = {
  segw: SEGW,
  "henb-ikev2": DEVICE,
  "henb-tls": DEVICE,
  henb: DEVICE,
  hems: HEMS,
};
