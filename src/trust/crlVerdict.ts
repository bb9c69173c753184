/** What CRLs say of a certificate, what that rests on, and why they may say nothing (RFC 5280 6.3). */
import type { Milliseconds } from "../sim/environment.ts";

/** The CRL that a verdict rests on. */
export interface CrlEvidence {
  issuer: string;
  /** cRLNumber in decimal; undefined for a CRL without. */
  number: string | undefined;
  thisUpdate: Milliseconds;
  nextUpdate: Milliseconds;
  /** The delta CRL that brought it up to date. */
  delta?: { number: string | undefined; thisUpdate: Milliseconds; nextUpdate: Milliseconds };
}

/** Why a CRL says nothing about the certificate. */
export type CrlProblem =
  | { reason: "NoCrl"; issuer: string }
  | { reason: "Malformed"; detail: string }
  | { reason: "OtherIssuer"; issuer: string; expected: string }
  | { reason: "OutOfScope"; issuer: string; detail: string }
  | { reason: "ReasonsNotCovered"; issuer: string; reasons: readonly string[] }
  | { reason: "DeltaWithoutBase"; issuer: string }
  | { reason: "IssuerMayNotSign"; issuer: string }
  | { reason: "IssuerNotTrusted"; issuer: string; detail: string }
  | { reason: "WeakAlgorithm"; issuer: string }
  | { reason: "BadSignature"; issuer: string }
  | { reason: "UnknownCriticalExtension"; oid: string }
  | { reason: "FromTheFuture"; thisUpdate: Milliseconds; time: Milliseconds }
  | { reason: "Stale"; nextUpdate: Milliseconds; time: Milliseconds };

/** One line for a person. */
export function describeCrlProblem(problem: CrlProblem): string {
  switch (problem.reason) {
    case "NoCrl":
      return `there is no CRL for certificates of "${problem.issuer}"`;
    case "Malformed":
      return `the CRL is malformed: ${problem.detail}`;
    case "OtherIssuer":
      return `the CRL is from "${problem.issuer}" or under another of its keys; the certificate's issuer is "${problem.expected}"`;
    case "OutOfScope":
      return `the CRL of "${problem.issuer}" does not cover the certificate: ${problem.detail}`;
    case "ReasonsNotCovered":
      return `the CRLs of "${problem.issuer}" do not cover revocation for ${problem.reasons.join(", ")}`;
    case "DeltaWithoutBase":
      return `the CRL of "${problem.issuer}" is a delta CRL, and there is no complete CRL that it continues`;
    case "IssuerMayNotSign":
      return `the key usage of "${problem.issuer}" does not allow it to sign CRLs`;
    case "IssuerNotTrusted":
      return `the CRL's issuer "${problem.issuer}" has no valid path: ${problem.detail}`;
    case "WeakAlgorithm":
      return `the CRL of "${problem.issuer}" is signed with SHA-1; allowWeakAlgorithms accepts it`;
    case "BadSignature":
      return `the CRL's signature does not verify under the key of "${problem.issuer}"`;
    case "UnknownCriticalExtension":
      return `the CRL has the critical extension ${problem.oid}, which is not processed here`;
    case "FromTheFuture":
      return `the CRL says it is from ${iso(problem.thisUpdate)}; it is ${iso(problem.time)}: check the clock`;
    case "Stale":
      return `the CRL was good until ${iso(problem.nextUpdate)}; it is ${iso(problem.time)}`;
  }
}

function iso(time: Milliseconds): string {
  return new Date(time).toISOString();
}
