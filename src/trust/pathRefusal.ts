/** Why there is no valid path, one reason per cause (RFC 5280 6.1, TS 33.320 7.2.3, 7.2.4). */
import type { Milliseconds } from "../sim/environment.ts";
import { type CrlEvidence, type CrlProblem, describeCrlProblem } from "./crlVerdict.ts";
import type { Purpose } from "./pathRules.ts";

/** One reason against one candidate path; `subject` is the certificate to look at. */
export type PathRefusal =
  | { reason: "PathTooLong"; length: number; limit: number }
  | { reason: "NoPathToTrustAnchor"; subject: string; issuer: string }
  | { reason: "SearchLimitReached"; limit: number; of: "candidate issuers" | "signature checks" }
  | { reason: "NotYetValid"; subject: string; notBefore: Milliseconds; time: Milliseconds }
  | { reason: "Expired"; subject: string; notAfter: Milliseconds; time: Milliseconds }
  | { reason: "BadSignature"; subject: string }
  | { reason: "NotACa"; subject: string }
  | { reason: "PathLengthExceeded"; subject: string; allowed: number }
  | { reason: "KeyUsageMissing"; subject: string; usage: string }
  | { reason: "PurposeNotAllowed"; subject: string; purpose: Purpose }
  | { reason: "UnknownCriticalExtension"; subject: string; oid: string }
  | { reason: "WeakAlgorithm"; subject: string; algorithm: string }
  | {
      reason: "NameNotPermitted";
      subject: string;
      name: string;
      because: "not within a permitted subtree" | "excluded";
    }
  | { reason: "NameConstraintUnprocessable"; subject: string; detail: string }
  | { reason: "AnyPolicyMapped"; subject: string }
  | { reason: "NoAcceptablePolicy"; subject: string; acceptable: readonly string[] }
  | { reason: "NameMismatch"; subject: string; expected: string; certified: readonly string[] }
  | { reason: "Revoked"; subject: string; at: Milliseconds; reasonCode: number | undefined; evidence: CrlEvidence }
  | { reason: "StatusUndetermined"; subject: string; problems: readonly CrlProblem[] };

/** One line for a person: what was wrong, and where. */
export function describePathRefusal(refusal: PathRefusal): string {
  switch (refusal.reason) {
    case "PathTooLong":
      return `the path has ${refusal.length} certificates, at most ${refusal.limit} are allowed (TS 33.320 7.2.3, 7.2.4)`;
    case "NoPathToTrustAnchor":
      return `no path from "${refusal.subject}" to a trusted root; its issuer "${refusal.issuer}" is neither among the certificates received nor trusted`;
    case "SearchLimitReached":
      return `the search for a path ended at its limit of ${refusal.limit} ${refusal.of}; leave out certificates that do not belong to the path`;
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
    case "NameNotPermitted":
      return `a CA above "${refusal.subject}" constrains names, and "${refusal.name}" is ${refusal.because}`;
    case "NameConstraintUnprocessable":
      return `the name constraints above "${refusal.subject}" cannot be processed: ${refusal.detail}`;
    case "AnyPolicyMapped":
      return `"${refusal.subject}" maps anyPolicy, which RFC 5280 6.1.4 forbids`;
    case "NoAcceptablePolicy":
      return `a policy is required, and ${policiesText(refusal.acceptable)} holds from the root down to "${refusal.subject}"`;
    case "NameMismatch":
      return `"${refusal.subject}" is for ${refusal.certified.join(", ") || "nobody"}, not for ${refusal.expected} (TS 33.320 7.2.2)`;
    case "Revoked":
      return `"${refusal.subject}" was revoked at ${iso(refusal.at)}, says ${crlText(refusal.evidence)}`;
    case "StatusUndetermined":
      return `no CRL tells the status of "${refusal.subject}": ${refusal.problems.map(describeCrlProblem).join("; ")}`;
  }
}

function policiesText(acceptable: readonly string[]): string {
  return acceptable.length === 0 ? "none" : `none of ${acceptable.join(", ")}`;
}

function crlText({ number, issuer, delta }: CrlEvidence): string {
  const changed = delta === undefined ? "" : ` with delta CRL ${delta.number ?? "without number"}`;
  return `CRL ${number ?? "without number"}${changed} of "${issuer}"`;
}

function iso(time: Milliseconds): string {
  return new Date(time).toISOString();
}
