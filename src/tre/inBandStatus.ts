/** OCSP responses that a peer brings itself, in IKE (RFC 4806) or stapled in TLS (RFC 6066 8). */
import type { Bytes } from "../bytes/bytes.ts";
import type { Milliseconds } from "../sim/environment.ts";
import { checkOcspResponse, describeOcspProblem, type OcspVerdict } from "../trust/ocsp.ts";
import type { SignatureCache } from "../trust/signatureCache.ts";
import type { Certificate } from "../x509/certificate.ts";
import { type Refused, refuse } from "./peerRefusal.ts";

export interface InBandPolicy {
  /** In-band OCSP: not looked at, required for the end entity, or required for the path below the root. */
  inBandOcsp: "off" | "leaf" | "path";
  /** Responders trusted by configuration (RFC 4806 3.1). */
  trustedResponders: readonly Certificate[];
  ocspTolerance: Milliseconds;
  ocspMaxAge: Milliseconds;
  allowWeakAlgorithms: boolean;
  signatureCache?: SignatureCache;
}

/** TS 33.320 7.2.3-4, 8.3.2.1-2: checking is on and no valid response came means abort, whatever the certificate points to. */
export function checkInBand(
  responses: readonly Bytes[],
  path: readonly Certificate[],
  policy: InBandPolicy,
  time: Milliseconds,
): string | Refused {
  if (policy.inBandOcsp === "off") return "not checked";
  const depth = policy.inBandOcsp === "leaf" ? 1 : path.length - 1;
  for (let i = 0; i < depth; i++) {
    const certificate = path[i]!;
    const name = certificate.subject.toString();
    const verdict = statusOf(certificate, path[i + 1]!, responses, policy, time);
    if (verdict === undefined)
      return refuse("NoValidOcspResponse", `no OCSP response for "${name}" came in-band (TS 33.320 7.2.3, 8.3.2.1)`, {
        certificate: name,
      });
    if (verdict.status === "invalid")
      return refuse(
        "NoValidOcspResponse",
        `no valid OCSP response for "${name}" came in-band: ${describeOcspProblem(verdict.problem)} (TS 33.320 7.2.3, 8.3.2.1)`,
        { certificate: name, problem: verdict.problem },
      );
    if (verdict.status === "revoked")
      return refuse(
        "CertificateRevoked",
        `"${name}" was revoked at ${new Date(verdict.at).toISOString()}, says "${verdict.evidence.responder}" in-band`,
        { certificate: name, ...verdict },
      );
    if (verdict.status === "unknown")
      return refuse("CertificateUnknown", `"${verdict.evidence.responder}" does not know "${name}"`, {
        certificate: name,
        ...verdict,
      });
  }
  return "in-band good";
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
  let invalid: OcspVerdict | undefined;
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
