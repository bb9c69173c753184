/**
 * A certificate's status by one complete CRL (RFC 5280 6.3): the issuer's own, current, and nothing in it that is not
 * processed here. Delta and indirect CRLs carry critical extensions and are refused for that.
 */
import { sameBytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { Crl, CrlEntry } from "../x509/crl.ts";
import { verifySignature } from "../x509/signature.ts";

/** A question to a CRL. */
export interface CrlCheck {
  crl: Crl;
  certificate: Certificate;
  /** The certificate's issuer, validated. */
  issuer: Certificate;
  time: Milliseconds;
  /** How far the CA's clock and ours may differ. */
  tolerance: Milliseconds;
  allowWeakAlgorithms: boolean;
}

/** What a verdict rests on. */
export interface CrlEvidence {
  issuer: string;
  thisUpdate: Milliseconds;
  nextUpdate: Milliseconds;
}

/** Why a CRL says nothing about the certificate. */
export type CrlProblem =
  | { reason: "Malformed"; detail: string }
  | { reason: "OtherIssuer"; issuer: string; expected: string }
  | { reason: "IssuerMayNotSign"; issuer: string }
  | { reason: "WeakAlgorithm"; issuer: string }
  | { reason: "BadSignature"; issuer: string }
  | { reason: "UnknownCriticalExtension"; oid: string }
  | { reason: "FromTheFuture"; thisUpdate: Milliseconds; time: Milliseconds }
  | { reason: "Stale"; nextUpdate: Milliseconds; time: Milliseconds };

/** What the CRL says; `at` in milliseconds since 1970, `reasonCode` a CRLReason. */
export type CrlVerdict =
  | { status: "good"; evidence: CrlEvidence }
  | { status: "revoked"; at: Milliseconds; reasonCode: number | undefined; evidence: CrlEvidence }
  | { status: "invalid"; problem: CrlProblem };

/** Judges `certificate` by `crl`; reads all its entries, so that none goes by unread that would make it invalid. */
export function checkCrl(check: CrlCheck): CrlVerdict {
  const { crl, certificate, issuer, time, tolerance, allowWeakAlgorithms } = check;
  const invalid = (problem: CrlProblem): CrlVerdict => ({ status: "invalid", problem });
  const name = crl.issuer.toString();
  const { authorityKeyId } = crl;
  const issuerKeyId = issuer.extensions.subjectKeyId;
  const otherKey = authorityKeyId !== undefined && issuerKeyId !== undefined && !sameBytes(authorityKeyId, issuerKeyId);
  if (!crl.issuer.equals(issuer.subject) || !certificate.issuer.equals(issuer.subject) || otherKey)
    return invalid({ reason: "OtherIssuer", issuer: name, expected: certificate.issuer.toString() });
  // RFC 5280 6.3.3 f: a key usage, where there is one, must allow signing CRLs.
  if (issuer.extensions.keyUsage?.cRLSign === false) return invalid({ reason: "IssuerMayNotSign", issuer: name });
  const [unknown] = crl.unknownCritical;
  if (unknown !== undefined) return invalid({ reason: "UnknownCriticalExtension", oid: unknown });
  if (crl.thisUpdate > time + tolerance) return invalid({ reason: "FromTheFuture", thisUpdate: crl.thisUpdate, time });
  // RFC 5280 5.1.2.5: nextUpdate is mandatory; a CRL without one would be good for ever.
  const nextUpdate = crl.nextUpdate ?? crl.thisUpdate;
  if (time > nextUpdate + tolerance) return invalid({ reason: "Stale", nextUpdate, time });
  if (crl.signatureAlgorithm.known?.digest === "sha1" && !allowWeakAlgorithms)
    return invalid({ reason: "WeakAlgorithm", issuer: name });
  const key = issuer.publicKey;
  if (key === undefined || !verifySignature(crl.signatureAlgorithm, key, crl.tbs, crl.signature))
    return invalid({ reason: "BadSignature", issuer: name });

  const evidence: CrlEvidence = { issuer: name, thisUpdate: crl.thisUpdate, nextUpdate };
  let found: CrlEntry | undefined;
  try {
    for (const entry of crl.entries()) {
      const [critical] = entry.unknownCritical;
      if (critical !== undefined) return invalid({ reason: "UnknownCriticalExtension", oid: critical });
      if (sameBytes(entry.serial, certificate.serial)) found = entry;
    }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return invalid({ reason: "Malformed", detail: error.message });
  }
  if (found === undefined) return { status: "good", evidence };
  return { status: "revoked", at: found.revokedAt, reasonCode: found.reason, evidence };
}

/** One line for a person. */
export function describeCrlProblem(problem: CrlProblem): string {
  switch (problem.reason) {
    case "Malformed":
      return `the CRL is malformed: ${problem.detail}`;
    case "OtherIssuer":
      return `the CRL is from "${problem.issuer}" or under another of its keys; the certificate's issuer is "${problem.expected}"`;
    case "IssuerMayNotSign":
      return `the key usage of "${problem.issuer}" does not allow it to sign CRLs`;
    case "WeakAlgorithm":
      return `the CRL of "${problem.issuer}" is signed with SHA-1; allowWeakAlgorithms accepts it`;
    case "BadSignature":
      return `the CRL's signature does not verify under the key of "${problem.issuer}"`;
    case "UnknownCriticalExtension":
      return `the CRL has the critical extension ${problem.oid}, which is not processed here`;
    case "FromTheFuture":
      return `the CRL says it is from ${new Date(problem.thisUpdate).toISOString()}; it is ${new Date(problem.time).toISOString()}: check the clock`;
    case "Stale":
      return `the CRL was good until ${new Date(problem.nextUpdate).toISOString()}; it is ${new Date(problem.time).toISOString()}`;
  }
}
