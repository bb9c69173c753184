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

/** A peer's certificates and the rules they are judged by. */
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

/** Why there is no valid path; `subject` is the certificate to look at. */
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

/** The path, end entity first and anchor last, or why there is none. */
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
      return `"${refusal.subject}" uses ${refusal.algorithm}, which is too weak or not known here; allowWeakAlgorithms accepts SHA-1 and short keys of old devices`;
  }
}

interface Search {
  request: PathRequest;
  /** Candidates still to be tried; bounds the work that decoys can cause. */
  budget: number;
  /** The refusal that got furthest. */
  best: { depth: number; refusal: PathRefusal } | undefined;
}

/**
 * Goes up from the end entity by names and conditions only; signatures are verified once an anchor is reached, and from
 * there downwards. A stranger's certificates then cost one failed verification each time, and never enter the cache.
 */
function extend(search: Search, path: readonly Certificate[]): readonly Certificate[] | undefined {
  const { request } = search;
  const last = path.at(-1)!;
  const passes = (refusal: PathRefusal | undefined) => {
    if (refusal !== undefined && (search.best === undefined || path.length > search.best.depth))
      search.best = { depth: path.length, refusal };
    return refusal === undefined;
  };
  const refusal = checkAny(last, request) ?? (path.length === 1 ? checkPurpose(last, request.purpose) : undefined);
  if (!passes(refusal ?? checkSignatureStrength(last, request))) return undefined;
  for (const anchor of request.anchors) {
    if (!mayFollow(anchor, path)) continue;
    if (--search.budget < 0) return undefined;
    const whole = [...path, anchor];
    // A trusted root stands by configuration, but not past its time and not for more than it says.
    if (passes(checkAny(anchor, request) ?? checkIssuer(anchor, path) ?? checkSignatures(whole, request))) return whole;
  }
  if (path.length >= request.maxPath) return undefined;
  for (const candidate of request.intermediates) {
    if (!mayFollow(candidate, path)) continue;
    if (--search.budget < 0) return undefined;
    if (!passes(checkIssuer(candidate, path))) continue;
    const found = extend(search, [...path, candidate]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Issuer by name and, where both sides have one, by key identifier (RFC 5280 4.2.1.1); none stands twice in a path. */
function mayFollow(issuer: Certificate, path: readonly Certificate[]): boolean {
  const subject = path.at(-1)!;
  if (!issuer.subject.equals(subject.issuer)) return false;
  const wanted = subject.extensions.authorityKeyId;
  const has = issuer.extensions.subjectKeyId;
  if (wanted !== undefined && has !== undefined && !sameBytes(wanted, has)) return false;
  return !path.some((used) => sameBytes(used.der, issuer.der));
}

/** What must hold for every certificate of a path, the anchor among them. */
function checkAny(certificate: Certificate, { time, allowWeakAlgorithms }: PathRequest): PathRefusal | undefined {
  const { notBefore, notAfter } = certificate;
  const subject = certificate.subject.toString();
  // TS 33.320 7.2.3-3, 7.2.4-3. Bounds are inclusive (RFC 5280 4.1.2.5); notAfter names a whole second.
  if (time < notBefore) return { reason: "NotYetValid", subject, notBefore, time };
  if (time >= notAfter + 1000) return { reason: "Expired", subject, notAfter, time };
  const [unknown] = certificate.extensions.unknownCritical;
  if (unknown !== undefined) return { reason: "UnknownCriticalExtension", subject, oid: unknown };
  const weak = allowWeakAlgorithms ? undefined : weakKey(certificate);
  return weak === undefined ? undefined : { reason: "WeakAlgorithm", subject, algorithm: weak };
}

function checkPurpose(certificate: Certificate, purpose: Purpose): PathRefusal | undefined {
  const { extensions } = certificate;
  const subject = certificate.subject.toString();
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
function checkIssuer(issuer: Certificate, path: readonly Certificate[]): PathRefusal | undefined {
  const subject = issuer.subject.toString();
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

function checkSignatures(
  path: readonly Certificate[],
  { purpose, signatureCache }: PathRequest,
): PathRefusal | undefined {
  for (let at = path.length - 2; at >= 0; at--) {
    const certificate = path[at]!;
    const issuer = path[at + 1]!;
    const verifies = () => verifiesUnder(certificate, issuer);
    // End entities come and go; the few CAs and OCSP signers above and beside them come back with every peer.
    const recurs = at > 0 || purpose === "ocspSigning";
    const valid =
      recurs && signatureCache !== undefined ? signatureCache.remember(certificate, issuer, verifies) : verifies();
    if (!valid) return { reason: "BadSignature", subject: certificate.subject.toString() };
  }
  return undefined;
}

function verifiesUnder({ signatureAlgorithm, tbs, signature }: Certificate, issuer: Certificate): boolean {
  const key = issuer.publicKey;
  return key !== undefined && verifySignature(signatureAlgorithm, key, tbs, signature);
}

function checkSignatureStrength(
  certificate: Certificate,
  { allowWeakAlgorithms }: PathRequest,
): PathRefusal | undefined {
  const { known, oid } = certificate.signatureAlgorithm;
  const subject = certificate.subject.toString();
  if (known === undefined)
    return { reason: "WeakAlgorithm", subject, algorithm: `the unknown signature algorithm ${oid}` };
  if (known.digest !== "sha1" || allowWeakAlgorithms) return undefined;
  return { reason: "WeakAlgorithm", subject, algorithm: "a SHA-1 signature" };
}

/** TS 33.310 6.1.1: RSA from 2048 bits, elliptic curves from 256. */
function weakKey({ keyDescription: key }: Certificate): string | undefined {
  switch (key.kind) {
    case "rsa":
      return key.bits < MIN_RSA_BITS ? `an RSA key of ${key.bits} bits` : undefined;
    case "ec":
      return key.curve === undefined || !CURVES.includes(key.curve)
        ? `the curve ${key.curve ?? "spelled out"}`
        : undefined;
    case "other":
      return `a key of the algorithm ${key.algorithm}`;
  }
}

function iso(time: Milliseconds): string {
  return new Date(time).toISOString();
}

const MIN_RSA_BITS = 2048;
const CURVES: readonly string[] = [Oid.p256, Oid.p384, Oid.p521];
/** Issuers tried for one end entity before the search gives up. */
const MAX_CANDIDATES = 64;

/** Key purposes that serve; IKE takes what RFC 4945 5.1.3.12 and TS 33.310 6.1.3b name. */
const ALLOWED: Record<Purpose, readonly string[]> = {
  ike: [Oid.ipsecIke, Oid.anyExtendedKeyUsage, Oid.ikeIntermediate, Oid.ipsecEndSystem, Oid.ipsecTunnel, Oid.ipsecUser],
  ocspSigning: [Oid.ocspSigning],
  tlsServer: [Oid.serverAuth, Oid.anyExtendedKeyUsage],
  tlsClient: [Oid.clientAuth, Oid.anyExtendedKeyUsage],
};
