/** The status of a peer's path by the OCSP responses that it brings itself, in IKE (RFC 4806) or stapled in TLS (RFC 6066 8). */
import type { Bytes } from "../bytes/bytes.ts";
import type { Milliseconds } from "../sim/environment.ts";
import { checkOcspResponse, describeOcspProblem, type OcspVerdict } from "../trust/ocsp.ts";
import type { SignatureCache } from "../trust/signatureCache.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { PathStatus, PeerRefusal } from "./trustedEnvironment.ts";

/** Certificates of a path: none, the end entity, or all below the root. */
export type StatusScope = "off" | "leaf" | "path";

export interface InBandPolicy {
  /** Which certificates the peer's own responses are to cover. */
  inBandOcsp: StatusScope;
  /** Whose status is asked for elsewhere, where the peer sent no valid response; `off`: that refuses the peer. */
  askedOcsp?: StatusScope;
  /** Responders trusted by configuration (RFC 4806 3.1). */
  trustedResponders: readonly Certificate[];
  ocspTolerance: Milliseconds;
  ocspMaxAge: Milliseconds;
  /** What becomes of the answers of a delegated signer without id-pkix-ocsp-nocheck. */
  ocspDelegates: "trust" | "refuse";
  allowWeakAlgorithms: boolean;
  signatureCache?: SignatureCache;
}

export interface InBandRefusal extends PeerRefusal {
  reason: "NoValidOcspResponse" | "CertificateRevoked" | "CertificateUnknown";
}

/**
 * Which certificates the responses call good, and which must still be asked about. 7.2.3-4: checking is on and no valid
 * response came means abort, whatever the certificate points to, unless policy has another way to get one.
 */
export function checkInBand(
  responses: readonly Bytes[],
  path: readonly Certificate[],
  policy: InBandPolicy,
  time: Milliseconds,
): PathStatus | InBandRefusal {
  const { inBandOcsp, askedOcsp = "off" } = policy;
  const inBand = depthOf(inBandOcsp, path);
  const answered: number[] = [];
  const unanswered: number[] = [];
  let goodUntil = Number.POSITIVE_INFINITY;
  for (let at = 0; at < Math.max(inBand, depthOf(askedOcsp, path)); at++) {
    const certificate = path[at]!;
    const verdict = at < inBand ? statusOf(certificate, path[at + 1]!, responses, policy, time) : undefined;
    if (verdict?.status === "good") {
      answered.push(at);
      goodUntil = Math.min(goodUntil, runsOut(verdict, policy.ocspMaxAge));
    } else if (verdict?.status === "revoked" || verdict?.status === "unknown") {
      return refusalBy(certificate, verdict, " in-band");
    } else if (askedOcsp !== "off") {
      unanswered.push(at);
    } else {
      return noneCame(certificate, verdict);
    }
  }
  return { answered, unanswered, ...(answered.length === 0 ? {} : { goodUntil }) };
}

/** When a good answer is worth nothing any more. */
export function runsOut({ evidence }: Answer, maxAge: Milliseconds): Milliseconds {
  return evidence.nextUpdate ?? evidence.thisUpdate + maxAge;
}

/** What a responder's answer that is not good says of the certificate; `how` stands behind the responder's name. */
export function refusalBy(
  { subject }: Certificate,
  answer: Extract<Answer, { status: "revoked" | "unknown" }>,
  how: " in-band" | "",
): InBandRefusal {
  const certificate = subject.toString();
  const { responder } = answer.evidence;
  if (answer.status === "unknown")
    return {
      reason: "CertificateUnknown",
      message: `"${responder}" does not know "${certificate}"`,
      evidence: { certificate, status: answer.status, evidence: answer.evidence },
    };
  return {
    reason: "CertificateRevoked",
    message: `"${certificate}" was revoked at ${new Date(answer.at).toISOString()}, says "${responder}"${how}`,
    evidence: {
      certificate,
      status: answer.status,
      at: answer.at,
      reasonCode: answer.reasonCode,
      evidence: answer.evidence,
    },
  };
}

function noneCame(
  { subject }: Certificate,
  verdict: Extract<OcspVerdict, { status: "invalid" }> | undefined,
): InBandRefusal {
  const certificate = subject.toString();
  if (verdict === undefined)
    return {
      reason: "NoValidOcspResponse",
      message: `no OCSP response for "${certificate}" came in-band (TS 33.320 7.2.3, 8.3.2.1)`,
      evidence: { certificate },
    };
  const { problem } = verdict;
  return {
    reason: "NoValidOcspResponse",
    message: `no valid OCSP response for "${certificate}" came in-band: ${describeOcspProblem(problem)} (TS 33.320 7.2.3, 8.3.2.1)`,
    evidence: { certificate, problem },
  };
}

function depthOf(scope: StatusScope, path: readonly Certificate[]): number {
  return scope === "off" ? 0 : scope === "leaf" ? 1 : path.length - 1;
}

/**
 * The newest verdict that any of the responses gives: one that is worth nothing does not spoil the others, and a good one
 * from before does not hide that the certificate was revoked since.
 */
function statusOf(
  certificate: Certificate,
  issuer: Certificate,
  responses: readonly Bytes[],
  policy: InBandPolicy,
  time: Milliseconds,
): OcspVerdict | undefined {
  let newest: Answer | undefined;
  let invalid: Extract<OcspVerdict, { status: "invalid" }> | undefined;
  for (const response of responses) {
    const verdict = checkOcspResponse({
      response,
      certificate,
      issuer,
      time,
      tolerance: policy.ocspTolerance,
      maxAge: policy.ocspMaxAge,
      trustedResponders: policy.trustedResponders,
      allowWeakAlgorithms: policy.allowWeakAlgorithms,
      delegates: policy.ocspDelegates,
      ...(policy.signatureCache === undefined ? {} : { signatureCache: policy.signatureCache }),
    });
    if (verdict.status === "invalid") {
      if (invalid === undefined || verdict.problem.reason !== "OtherCertificate") invalid = verdict;
    } else {
      if (newest === undefined || supersedes(verdict, newest)) newest = verdict;
    }
  }
  return newest ?? invalid;
}

/** Of two of the same time the one that is not good. */
function supersedes(answer: Answer, other: Answer): boolean {
  const later = answer.evidence.thisUpdate - other.evidence.thisUpdate;
  return later > 0 || (later === 0 && other.status === "good");
}

type Answer = Exclude<OcspVerdict, { status: "invalid" }>;
