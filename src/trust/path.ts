/**
 * Building and validating certification paths (RFC 5280 6.1) under the limit of TS 33.320 7.2.3 and 7.2.4.
 *
 * No I/O and no clock: the caller brings certificates, anchors and the time. Name constraints and policies are not
 * processed; where such an extension is critical the path is refused, never waved through.
 */
import { sameBytes } from "../bytes/bytes.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import { Oid } from "../x509/oids.ts";
import { verifySignature } from "../x509/signature.ts";
import type { SignatureCache } from "./signatureCache.ts";

/** What the end entity's key is to be used for. */
export type Purpose = "ike" | "ocspSigning" | "tlsServer" | "tlsClient";

export interface PathRequest {
  leaf: Certificate;
  /** What the peer sent besides; order and surplus do not matter. */
  intermediates: readonly Certificate[];
  anchors: readonly Certificate[];
  time: Milliseconds;
  purpose: Purpose;
  /** Certificates of the path without the anchor, as RFC 5280 6.1 counts; four by TS 33.320 7.2.3-2 and 7.2.4-2. */
  maxPath: number;
  /** SHA-1 signatures and RSA keys below 2048 bits, for old devices (TS 33.310 6.1.1). */
  allowWeakAlgorithms: boolean;
  signatureCache?: SignatureCache;
}

export type PathRefusal =
  | { reason: "PathTooLong"; length: number; limit: number }
  | { reason: "NoPathToTrustAnchor"; subject: string; issuer: string }
  | { reason: "NotYetValid"; subject: string; notBefore: Milliseconds; time: Milliseconds }
  | { reason: "Expired"; subject: string; notAfter: Milliseconds; time: Milliseconds }
  | { reason: "BadSignature"; subject: string }
  | { reason: "NotACa"; subject: string }
  | { reason: "PathLengthExceeded"; subject: string; allowed: number }
  | { reason: "KeyUsageMissing"; subject: string; usage: string }
  | { reason: "PurposeNotAllowed"; subject: string; purpose: Purpose }
  | { reason: "UnknownCriticalExtension"; subject: string; oid: string }
  | { reason: "WeakAlgorithm"; subject: string; algorithm: string };

export type PathVerdict = { valid: true; path: readonly Certificate[] } | { valid: false; refusal: PathRefusal };

/** A valid path, end entity first and anchor last, or the most telling reason why there is none. */
export function validatePath(request: PathRequest): PathVerdict {
  // TS 33.320 7.2.3-1, 7.2.4-1: a peer never sends more than four.
  const sent = 1 + request.intermediates.length;
  if (sent > request.maxPath)
    return { valid: false, refusal: { reason: "PathTooLong", length: sent, limit: request.maxPath } };
  const search: Search = { request, budget: MAX_CANDIDATES, best: undefined };
  const path = extend(search, [request.leaf]);
  if (path !== undefined) return { valid: true, path };
  const refusal = search.best?.refusal ?? {
    reason: "NoPathToTrustAnchor",
    subject: request.leaf.subject.toString(),
    issuer: request.leaf.issuer.toString(),
  };
  return { valid: false, refusal };
}

/** One line for a person: what was wrong, and where. */
export function describePathRefusal(refusal: PathRefusal): string {
  switch (refusal.reason) {
    case "PathTooLong":
      return `the path has ${refusal.length} certificates, at most ${refusal.limit} are allowed (TS 33.320 7.2.3, 7.2.4)`;
    case "NoPathToTrustAnchor":
      return `no path from "${refusal.subject}" to a trusted root; its issuer "${refusal.issuer}" is neither among the certificates received nor trusted`;
    case "NotYetValid":
      return `"${refusal.subject}" is not valid before ${iso(refusal.notBefore)}; it is ${iso(refusal.time)}`;
    case "Expired":
      return `"${refusal.subject}" expired at ${iso(refusal.notAfter)}; it is ${iso(refusal.time)}`;
    case "BadSignature":
      return `the signature on "${refusal.subject}" does not verify under its issuer's key`;
    case "NotACa":
      return `"${refusal.subject}" issued a certificate but is no CA`;
    case "PathLengthExceeded":
      return `"${refusal.subject}" allows ${refusal.allowed} CAs below it, and there are more`;
    case "KeyUsageMissing":
      return `the key usage of "${refusal.subject}" lacks ${refusal.usage}`;
    case "PurposeNotAllowed":
      return `the extended key usage of "${refusal.subject}" does not allow ${refusal.purpose}`;
    case "UnknownCriticalExtension":
      return `"${refusal.subject}" has the critical extension ${refusal.oid}, which is not processed here`;
    case "WeakAlgorithm":
      return `"${refusal.subject}" uses ${refusal.algorithm}, which is too weak; allowWeakAlgorithms accepts it for old devices`;
  }
}

interface Search {
  request: PathRequest;
  /** Candidates still to be tried; bounds the work that decoys can cause. */
  budget: number;
  /** The refusal that got furthest. */
  best: { depth: number; refusal: PathRefusal } | undefined;
}

function extend(search: Search, path: readonly Certificate[]): readonly Certificate[] | undefined {
  const { request } = search;
  const last = path.at(-1)!;
  const note = (refusal: PathRefusal | undefined) => {
    if (refusal !== undefined && (search.best === undefined || path.length > search.best.depth))
      search.best = { depth: path.length, refusal };
    return refusal === undefined;
  };
  if (!note(checkOne(last, path.length - 1, request))) return undefined;
  for (const anchor of request.anchors) {
    if (!mayIssue(anchor, last)) continue;
    if (--search.budget < 0) return undefined;
    // A trusted root stands by configuration, but not past its time and not for more than it says.
    const refusal = checkIssuer(anchor, path, request) ?? checkSignature(last, anchor, request);
    if (note(refusal)) return [...path, anchor];
  }
  if (path.length >= request.maxPath) return undefined;
  for (const candidate of request.intermediates) {
    if (!mayIssue(candidate, last) || path.some((used) => sameBytes(used.der, candidate.der))) continue;
    if (--search.budget < 0) return undefined;
    const refusal = checkIssuer(candidate, path, request) ?? checkSignature(last, candidate, request);
    if (!note(refusal)) continue;
    const found = extend(search, [...path, candidate]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Issuer by name and, where both sides have one, by key identifier (RFC 5280 4.2.1.1). */
function mayIssue(issuer: Certificate, subject: Certificate): boolean {
  if (!issuer.subject.equals(subject.issuer)) return false;
  const wanted = subject.extensions.authorityKeyId;
  const has = issuer.extensions.subjectKeyId;
  return wanted === undefined || has === undefined || sameBytes(wanted, has);
}

function checkOne(
  certificate: Certificate,
  depth: number,
  { time, purpose, allowWeakAlgorithms }: PathRequest,
): PathRefusal | undefined {
  const subject = certificate.subject.toString();
  // Bounds are inclusive (RFC 5280 4.1.2.5); notAfter names a whole second.
  if (time < certificate.notBefore) return { reason: "NotYetValid", subject, notBefore: certificate.notBefore, time };
  if (time >= certificate.notAfter + 1000) return { reason: "Expired", subject, notAfter: certificate.notAfter, time };
  const [unknown] = certificate.extensions.unknownCritical;
  if (unknown !== undefined) return { reason: "UnknownCriticalExtension", subject, oid: unknown };
  const weak = allowWeakAlgorithms ? undefined : weakness(certificate);
  if (weak !== undefined) return { reason: "WeakAlgorithm", subject, algorithm: weak };
  return depth === 0 ? checkPurpose(certificate, purpose, subject) : undefined;
}

function checkPurpose({ extensions }: Certificate, purpose: Purpose, subject: string): PathRefusal | undefined {
  const usage = extensions.keyUsage;
  // TS 33.310 6.1.3: digitalSignature or nonRepudiation for IKE; RFC 4945 5.1.3.2 agrees.
  const mayDo =
    usage === undefined ||
    usage.digitalSignature ||
    ((purpose === "ike" || purpose === "ocspSigning") && usage.nonRepudiation) ||
    (purpose === "tlsServer" && usage.keyEncipherment);
  if (!mayDo) return { reason: "KeyUsageMissing", subject, usage: "digitalSignature" };
  const extended = extensions.extendedKeyUsage;
  // RFC 6960 4.2.2.2: a delegated responder must say so; for the others absence means no restriction.
  if (extended === undefined)
    return purpose === "ocspSigning" ? { reason: "PurposeNotAllowed", subject, purpose } : undefined;
  return extended.some((usage) => ALLOWED[purpose].includes(usage))
    ? undefined
    : { reason: "PurposeNotAllowed", subject, purpose };
}

/** May `issuer` stand above `path`? (RFC 5280 6.1.4 k-n) */
function checkIssuer(
  issuer: Certificate,
  path: readonly Certificate[],
  { time }: PathRequest,
): PathRefusal | undefined {
  const subject = issuer.subject.toString();
  if (time < issuer.notBefore) return { reason: "NotYetValid", subject, notBefore: issuer.notBefore, time };
  if (time >= issuer.notAfter + 1000) return { reason: "Expired", subject, notAfter: issuer.notAfter, time };
  const { basicConstraints, keyUsage } = issuer.extensions;
  if (basicConstraints?.ca !== true) return { reason: "NotACa", subject };
  // Self-issued certificates do not count against the path length (RFC 5280 6.1.4 l).
  const below = path.slice(1).filter((certificate) => !certificate.isSelfIssued).length;
  if (basicConstraints.pathLength !== undefined && below > basicConstraints.pathLength)
    return { reason: "PathLengthExceeded", subject, allowed: basicConstraints.pathLength };
  if (keyUsage !== undefined && !keyUsage.keyCertSign)
    return { reason: "KeyUsageMissing", subject, usage: "keyCertSign" };
  return undefined;
}

function checkSignature(
  certificate: Certificate,
  issuer: Certificate,
  { signatureCache }: PathRequest,
): PathRefusal | undefined {
  const verifies = () => {
    const key = issuer.publicKey;
    return (
      key !== undefined && verifySignature(certificate.signatureAlgorithm, key, certificate.tbs, certificate.signature)
    );
  };
  const valid =
    signatureCache === undefined || certificate.extensions.basicConstraints?.ca !== true
      ? verifies()
      : signatureCache.remember(certificate, issuer, verifies);
  return valid ? undefined : { reason: "BadSignature", subject: certificate.subject.toString() };
}

function weakness(certificate: Certificate): string | undefined {
  const { known } = certificate.signatureAlgorithm;
  if (known?.digest === "sha1") return "a SHA-1 signature";
  if (known === undefined) return `the signature algorithm ${certificate.signatureAlgorithm.oid}`;
  const key = certificate.publicKey;
  const bits = key?.asymmetricKeyDetails?.modulusLength;
  if (key === undefined) return "a public key that cannot be read";
  return bits !== undefined && bits < MIN_RSA_BITS ? `an RSA key of ${bits} bits` : undefined;
}

function iso(time: Milliseconds): string {
  return new Date(time).toISOString();
}

const MIN_RSA_BITS = 2048;
/** Issuers tried for one end entity before the search gives up. */
const MAX_CANDIDATES = 64;

/** Key purposes that serve; IKE takes what RFC 4945 5.1.3.12 and TS 33.310 6.1.3b name. */
const ALLOWED: Record<Purpose, readonly string[]> = {
  ike: [Oid.ipsecIke, Oid.anyExtendedKeyUsage, Oid.ikeIntermediate, Oid.ipsecEndSystem, Oid.ipsecTunnel, Oid.ipsecUser],
  ocspSigning: [Oid.ocspSigning],
  tlsServer: [Oid.serverAuth, Oid.anyExtendedKeyUsage],
  tlsClient: [Oid.clientAuth, Oid.anyExtendedKeyUsage],
};
