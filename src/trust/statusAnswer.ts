/** What sources say of a certificate, and the evidence that every verdict carries. */
import type { Milliseconds } from "../sim/environment.ts";
import type { Method, Origin, Trouble } from "./revocationPolicy.ts";

/** What an answer rests on; times in milliseconds since 1970. */
export type StatusEvidence =
  | {
      kind: "crl";
      /** Where it came from. */
      url: string;
      issuer: string;
      /** cRLNumber in decimal; undefined for a CRL without. */
      number: string | undefined;
      thisUpdate: Milliseconds;
      nextUpdate: Milliseconds;
      /** cRLNumber of the delta CRL that brought it up to date. */
      delta?: string;
      /** When it was fetched, or found to be unchanged. */
      obtainedAt: Milliseconds;
    }
  | {
      kind: "ocsp";
      url: string;
      responder: string;
      producedAt: Milliseconds;
      thisUpdate: Milliseconds;
      /** Until when it is used: nextUpdate, or what policy allows where there is none. */
      nextUpdate: Milliseconds;
      obtainedAt: Milliseconds;
      /** The response carried the nonce of our request. */
      fresh: boolean;
    };

/** An address that was asked in vain: why, in one word and in a sentence. */
export interface Attempt {
  url: string;
  reason: string;
  message: string;
}

/** What one method's source says. */
export type StatusAnswer =
  | { status: "good"; evidence: StatusEvidence }
  | {
      status: "revoked";
      evidence: StatusEvidence;
      revokedAt: Milliseconds;
      /** CRLReason (RFC 5280 5.3.1); undefined is `unspecified`. */
      reasonCode: number | undefined;
      invalidityDate: Milliseconds | undefined;
    }
  | { status: "unknown"; evidence: StatusEvidence | undefined; attempts: readonly Attempt[] }
  /** It said good as long as it was current. */
  | { status: "stale"; evidence: StatusEvidence; attempts: readonly Attempt[] }
  | { status: "unreachable"; attempts: readonly Attempt[] }
  | { status: "noSource" };

/** A method's answer, and whose server gave it. */
export interface Finding {
  method: Method;
  /** Undefined where there is no source. */
  origin: Origin | undefined;
  answer: StatusAnswer;
}

/** What was found of one certificate, and what it comes to. */
export interface CertificateStatus {
  subject: string;
  issuer: string;
  /** Hexadecimal, as lists of revoked certificates show it. */
  serial: string;
  decision: CertificateDecision;
  /** The last finding of each method that was asked. */
  findings: readonly Finding[];
}

export type CertificateDecision =
  | { kind: "notChecked"; because: "methods" | "scope" }
  /** Another certificate of the path was found revoked before all answers were there. */
  | { kind: "undecided" }
  | { kind: "good" }
  /** Accepted though a method was in trouble; `until` is when grace ends. */
  | { kind: "tolerated"; troubles: readonly MethodTrouble[]; until: Milliseconds | undefined }
  | { kind: "refused"; refusal: StatusRefusal };

export interface MethodTrouble {
  method: Method;
  trouble: Trouble;
}

/** Why a certificate's status makes it unacceptable. */
export type StatusRefusal =
  | {
      reason: "CertificateRevoked";
      subject: string;
      serial: string;
      origin: Origin | undefined;
      revokedAt: Milliseconds;
      reasonCode: number | undefined;
      evidence: StatusEvidence;
    }
  | {
      reason: "StatusUnknown" | "StatusStale" | "StatusUnreachable" | "NoStatusSource";
      subject: string;
      serial: string;
      method: Method;
      attempts: readonly Attempt[];
      /** When the time of grace ended, where policy grants one. */
      graceEnded: Milliseconds | undefined;
    };

/** The verdict on a whole path; `reliableUntil` is when the first piece of evidence runs out. */
export type StatusVerdict =
  | { accepted: true; reliableUntil: Milliseconds | undefined; certificates: readonly CertificateStatus[] }
  | { accepted: false; refusal: StatusRefusal; certificates: readonly CertificateStatus[] };

/** One line for a person: what was wrong, and what to look at. */
export function describeStatusRefusal(refusal: StatusRefusal): string {
  const who = `"${refusal.subject}" (serial ${refusal.serial})`;
  if (refusal.reason === "CertificateRevoked") {
    const reason = CRL_REASONS[refusal.reasonCode ?? 0] ?? `reason ${refusal.reasonCode}`;
    return `${who} was revoked at ${iso(refusal.revokedAt)} for ${reason}, says ${describeStatusEvidence(refusal.evidence)}`;
  }
  const grace = refusal.graceEnded === undefined ? "" : `; the time of grace ended at ${iso(refusal.graceEnded)}`;
  const tried = refusal.attempts.map(({ url, message }) => `${url}: ${message}`).join("; ");
  return `${SENTENCES[refusal.reason](who, refusal.method.toUpperCase())}${grace}${tried === "" ? "" : ` (${tried})`}`;
}

/** "CRL 17 of "O=Vendor, CN=CA" from 2026-06-01T00:00:00.000Z (http://...)". */
export function describeStatusEvidence(evidence: StatusEvidence): string {
  const from = `of ${iso(evidence.thisUpdate)}, obtained at ${iso(evidence.obtainedAt)} from ${evidence.url}`;
  if (evidence.kind === "ocsp") return `OCSP responder "${evidence.responder}" in its response ${from}`;
  const delta = evidence.delta === undefined ? "" : ` with delta CRL ${evidence.delta}`;
  return `CRL ${evidence.number ?? "without number"}${delta} of "${evidence.issuer}" ${from}`;
}

/** How old what an answer rests on is, milliseconds. */
export function ageOf(evidence: StatusEvidence, now: Milliseconds): Milliseconds {
  return now - evidence.thisUpdate;
}

function iso(time: Milliseconds): string {
  return new Date(time).toISOString();
}

const SENTENCES = {
  StatusUnknown: (who, method) => `${method} does not know the status of ${who}`,
  StatusStale: (who, method) => `what ${method} says of ${who} is out of date`,
  StatusUnreachable: (who, method) => `no valid answer of ${method} about ${who}`,
  NoStatusSource: (who, method) =>
    `no ${method} source for ${who}: none is configured, and none that it names may be asked`,
} satisfies Record<string, (who: string, method: string) => string>;

/** RFC 5280 5.3.1. */
const CRL_REASONS: readonly (string | undefined)[] = [
  "an unspecified reason",
  "key compromise",
  "CA compromise",
  "change of affiliation",
  "being superseded",
  "cessation of operation",
  "certificate hold",
  undefined,
  "removal from the CRL",
  "privilege withdrawn",
  "AA compromise",
];
