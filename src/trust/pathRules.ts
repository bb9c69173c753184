/**
 * What must hold of one certificate whatever path it stands in: time, algorithms, extensions, and what it is for.
 *
 * These rules need no signature and no certificate above, so that the search for a path applies them first and leaves
 * whatever breaks one.
 */
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import { Oid } from "../x509/oids.ts";
import type { PathRefusal } from "./pathRefusal.ts";

/** What a key is to be used for; `any` asks for nothing, `crlSigning` is for those who sign CRLs of other CAs. */
export type Purpose = "ike" | "ocspSigning" | "tlsServer" | "tlsClient" | "crlSigning" | "any";

/** When, and how strictly. */
export interface Rules {
  time: Milliseconds;
  /** SHA-1, RSA from 1024 bits, DSA and other curves, for old devices (TS 33.310 6.1.1). */
  allowWeakAlgorithms: boolean;
}

/** What must hold for every certificate of a path, the anchor among them. */
export function checkStanding(certificate: Certificate, { time, allowWeakAlgorithms }: Rules): PathRefusal | undefined {
  const { notBefore, notAfter } = certificate;
  // TS 33.320 7.2.3-3, 7.2.4-3. Bounds are inclusive (RFC 5280 4.1.2.5); notAfter names a whole second.
  if (time < notBefore) return { reason: "NotYetValid", subject: subjectOf(certificate), notBefore, time };
  if (time >= notAfter + 1000) return { reason: "Expired", subject: subjectOf(certificate), notAfter, time };
  const [unknown] = certificate.extensions.unknownCritical;
  if (unknown !== undefined)
    return { reason: "UnknownCriticalExtension", subject: subjectOf(certificate), oid: unknown };
  const weak = weakKey(certificate, allowWeakAlgorithms);
  return weak === undefined ? undefined : weakAlgorithm(certificate, weak);
}

/** The algorithm of the signature on a certificate; that on an anchor proves nothing and may be any. */
export function checkSignatureStrength(
  certificate: Certificate,
  { allowWeakAlgorithms }: Rules,
): PathRefusal | undefined {
  const { known, oid } = certificate.signatureAlgorithm;
  if (known === undefined) return weakAlgorithm(certificate, `the unknown signature algorithm ${oid}`);
  if (allowWeakAlgorithms) return undefined;
  return known.digest === "sha1" ? weakAlgorithm(certificate, "a SHA-1 signature") : undefined;
}

/** May the end entity's key be used for this? */
export function checkPurpose(certificate: Certificate, purpose: Purpose): PathRefusal | undefined {
  if (purpose === "any") return undefined;
  const { keyUsage: usage, extendedKeyUsage: extended } = certificate.extensions;
  if (purpose === "crlSigning") {
    // RFC 5280 6.3.3 f: a key usage, where there is one, must allow signing CRLs.
    if (usage === undefined || usage.cRLSign) return undefined;
    return { reason: "KeyUsageMissing", subject: subjectOf(certificate), usage: "cRLSign" };
  }
  // TS 33.310 6.1.3: digitalSignature or nonRepudiation for IKE; RFC 4945 5.1.3.2 agrees.
  const mayDo =
    usage === undefined ||
    usage.digitalSignature ||
    ((purpose === "ike" || purpose === "ocspSigning") && usage.nonRepudiation) ||
    (purpose === "tlsServer" && usage.keyEncipherment);
  if (!mayDo) return { reason: "KeyUsageMissing", subject: subjectOf(certificate), usage: "digitalSignature" };
  // RFC 6960 4.2.2.2: a delegated responder must say so; for the others absence means no restriction.
  const allowed = extended === undefined ? purpose !== "ocspSigning" : extended.some((use) => serves(use, purpose));
  return allowed ? undefined : { reason: "PurposeNotAllowed", subject: subjectOf(certificate), purpose };
}

/**
 * May `issuer` stand above `path`, which is given end entity first? (RFC 5280 6.1.4 k to n)
 *
 * An extended key usage of a CA restricts what is below it, as everybody handles it though RFC 5280 4.2.1.12 does not
 * say so. It does not bind who signs for the CA itself: its OCSP and CRL signers.
 */
export function checkIssuer(
  issuer: Certificate,
  path: readonly Certificate[],
  purpose: Purpose,
): PathRefusal | undefined {
  const { basicConstraints, keyUsage, extendedKeyUsage } = issuer.extensions;
  if (basicConstraints?.ca !== true) return { reason: "NotACa", subject: subjectOf(issuer) };
  const { pathLength } = basicConstraints;
  // Self-issued certificates do not count against the path length (RFC 5280 6.1.4 l).
  if (pathLength !== undefined && path.slice(1).filter(({ isSelfIssued }) => !isSelfIssued).length > pathLength)
    return { reason: "PathLengthExceeded", subject: subjectOf(issuer), allowed: pathLength };
  if (keyUsage !== undefined && !keyUsage.keyCertSign)
    return { reason: "KeyUsageMissing", subject: subjectOf(issuer), usage: "keyCertSign" };
  const bound = purpose === "ike" || purpose === "tlsServer" || purpose === "tlsClient";
  if (bound && extendedKeyUsage !== undefined && !extendedKeyUsage.some((use) => serves(use, purpose)))
    return { reason: "PurposeNotAllowed", subject: subjectOf(issuer), purpose };
  return undefined;
}

function serves(use: string, purpose: keyof typeof ALLOWED): boolean {
  return ALLOWED[purpose].includes(use);
}

/**
 * TS 33.310 6.1.1: RSA from 2048 bits, elliptic curves from 256. A curve spelled out instead of named is refused
 * whatever is allowed: its generator can be chosen to fit any public key (RFC 5480 2.1.1 forbids it).
 */
function weakKey({ keyDescription: key }: Certificate, allowWeak: boolean): string | undefined {
  switch (key.kind) {
    case "rsa":
      return key.bits < (allowWeak ? MIN_WEAK_BITS : MIN_RSA_BITS) ? `an RSA key of ${key.bits} bits` : undefined;
    case "ec":
      if (key.curve === undefined) return "a curve that is spelled out";
      return allowWeak || CURVES.includes(key.curve) ? undefined : `the curve ${key.curve}`;
    case "dsa":
      if (!allowWeak) return "a DSA key";
      return (key.bits ?? MIN_WEAK_BITS) < MIN_WEAK_BITS ? `a DSA key of ${key.bits} bits` : undefined;
    case "other":
      return allowWeak ? undefined : `a key of the algorithm ${key.algorithm}`;
  }
}

function weakAlgorithm(certificate: Certificate, algorithm: string): PathRefusal {
  return { reason: "WeakAlgorithm", subject: subjectOf(certificate), algorithm };
}

function subjectOf({ subject }: Certificate): string {
  return subject.toString();
}

const MIN_RSA_BITS = 2048;
/** Below this not even old devices are served. */
const MIN_WEAK_BITS = 1024;
const CURVES: readonly string[] = [Oid.p256, Oid.p384, Oid.p521];

/** Key purposes that serve; IKE takes what RFC 4945 5.1.3.12 and TS 33.310 6.1.3b name. */
const ALLOWED: Record<Exclude<Purpose, "crlSigning" | "any">, readonly string[]> = {
  ike: [Oid.ipsecIke, Oid.anyExtendedKeyUsage, Oid.ikeIntermediate, Oid.ipsecEndSystem, Oid.ipsecTunnel, Oid.ipsecUser],
  ocspSigning: [Oid.ocspSigning],
  tlsServer: [Oid.serverAuth, Oid.anyExtendedKeyUsage],
  tlsClient: [Oid.clientAuth, Oid.anyExtendedKeyUsage],
};
