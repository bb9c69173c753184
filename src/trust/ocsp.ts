/** Judging an OCSP response (RFC 6960 3.2, 4.2.2): is it about this certificate, from somebody who may say so, and fresh? */
import { createHash } from "node:crypto";
import { type Bytes, sameBytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import {
  type BasicOcspResponse,
  certIdOf,
  parseOcspResponse,
  type ResponderId,
  type SingleResponse,
  sameCertId,
} from "../x509/ocsp.ts";
import { Oid } from "../x509/oids.ts";
import { verifySignature } from "../x509/signature.ts";
import { describePathRefusal, validatePath } from "./path.ts";

export interface OcspCheck {
  /** DER, as received. */
  response: Bytes;
  certificate: Certificate;
  issuer: Certificate;
  time: Milliseconds;
  /** How far the responder's clock and ours may differ. */
  tolerance: Milliseconds;
  /** How old a response without nextUpdate may be (RFC 6960 4.2.2.1 calls newer information always available then). */
  maxAge: Milliseconds;
  /** The nonce that was sent; a response that carries another is refused, one without is not (RFC 8954 2). */
  nonce?: Bytes;
  /** Responders trusted by configuration besides the issuer and those it delegates to (RFC 6960 2.6). */
  trustedResponders: readonly Certificate[];
  allowWeakAlgorithms: boolean;
}

export interface OcspEvidence {
  responder: string;
  producedAt: Milliseconds;
  thisUpdate: Milliseconds;
  nextUpdate: Milliseconds | undefined;
}

export type OcspProblem =
  | { reason: "Malformed"; detail: string }
  | { reason: "NotSuccessful"; status: number }
  | { reason: "OtherCertificate" }
  | { reason: "UntrustedResponder"; responder: string; detail: string }
  | { reason: "BadSignature"; responder: string }
  | { reason: "Stale"; nextUpdate: Milliseconds; time: Milliseconds }
  | { reason: "FromTheFuture"; thisUpdate: Milliseconds; time: Milliseconds }
  | { reason: "NonceMismatch" };

export type OcspVerdict =
  | { status: "good"; evidence: OcspEvidence }
  | { status: "revoked"; at: Milliseconds; reasonCode: number | undefined; evidence: OcspEvidence }
  | { status: "unknown"; evidence: OcspEvidence }
  | { status: "invalid"; problem: OcspProblem };

export function checkOcspResponse(check: OcspCheck): OcspVerdict {
  let basic: BasicOcspResponse;
  try {
    const response = parseOcspResponse(check.response);
    if (response.basic === undefined) return invalid({ reason: "NotSuccessful", status: response.status });
    basic = response.basic;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return invalid({ reason: "Malformed", detail: error.message });
  }
  const single = basic.responses.find((one) =>
    sameCertId(one.id, certIdOf(check.certificate, check.issuer, one.id.hash)),
  );
  if (single === undefined) return invalid({ reason: "OtherCertificate" });
  const fresh = checkFreshness(single, check);
  if (fresh !== undefined) return invalid(fresh);
  if (check.nonce !== undefined && basic.nonce !== undefined && !sameBytes(check.nonce, basic.nonce))
    return invalid({ reason: "NonceMismatch" });
  const critical = basic.extensions.find((extension) => extension.critical && extension.oid !== Oid.ocspNonce);
  if (critical !== undefined)
    return invalid({
      reason: "Malformed",
      detail: `critical response extension ${critical.oid} is not processed here`,
    });

  const responder = findResponder(basic, check);
  if ("problem" in responder) return invalid(responder.problem);
  const key = responder.certificate.publicKey;
  const name = responder.certificate.subject.toString();
  if (!check.allowWeakAlgorithms && basic.signatureAlgorithm.known?.digest === "sha1")
    return invalid({ reason: "UntrustedResponder", responder: name, detail: "it signs with SHA-1" });
  if (key === undefined || !verifySignature(basic.signatureAlgorithm, key, basic.tbs, basic.signature))
    return invalid({ reason: "BadSignature", responder: name });
  const evidence: OcspEvidence = {
    responder: name,
    producedAt: basic.producedAt,
    thisUpdate: single.thisUpdate,
    nextUpdate: single.nextUpdate,
  };
  const { status } = single;
  return status.kind === "revoked"
    ? { status: "revoked", at: status.at, reasonCode: status.reason, evidence }
    : { status: status.kind, evidence };
}

/** One line for a person. */
export function describeOcspProblem(problem: OcspProblem): string {
  switch (problem.reason) {
    case "Malformed":
      return `the OCSP response is malformed: ${problem.detail}`;
    case "NotSuccessful":
      return `the OCSP responder answered with status ${problem.status} instead of a response`;
    case "OtherCertificate":
      return "the OCSP response is about another certificate";
    case "UntrustedResponder":
      return `the OCSP response is signed by "${problem.responder}", which may not answer for this CA: ${problem.detail}`;
    case "BadSignature":
      return `the OCSP response's signature does not verify under the key of "${problem.responder}"`;
    case "Stale":
      return `the OCSP response was good until ${new Date(problem.nextUpdate).toISOString()}; it is ${new Date(problem.time).toISOString()}`;
    case "FromTheFuture":
      return `the OCSP response says it is from ${new Date(problem.thisUpdate).toISOString()}; it is ${new Date(problem.time).toISOString()}: check the clock`;
    case "NonceMismatch":
      return "the OCSP response carries another nonce than the request: it may be a replay";
  }
}

function checkFreshness(single: SingleResponse, { time, tolerance, maxAge }: OcspCheck): OcspProblem | undefined {
  if (single.thisUpdate > time + tolerance) return { reason: "FromTheFuture", thisUpdate: single.thisUpdate, time };
  const until = single.nextUpdate ?? single.thisUpdate + maxAge;
  return time > until + tolerance ? { reason: "Stale", nextUpdate: until, time } : undefined;
}

/** The issuer itself, one trusted by configuration, or one the issuer delegated to (RFC 6960 4.2.2.2). */
function findResponder(
  basic: BasicOcspResponse,
  check: OcspCheck,
): { certificate: Certificate } | { problem: OcspProblem } {
  const named = (certificate: Certificate) => isNamed(basic.responderId, certificate);
  const trusted = [check.issuer, ...check.trustedResponders].find(named);
  if (trusted !== undefined) return { certificate: trusted };
  const delegated = basic.certificates.find(named);
  const asNamed =
    "byName" in basic.responderId
      ? basic.responderId.byName.toString()
      : `key ${basic.responderId.byKey.toString("hex")}`;
  if (delegated === undefined)
    return {
      problem: { reason: "UntrustedResponder", responder: asNamed, detail: "its certificate is not in the response" },
    };
  const verdict = validatePath({
    leaf: delegated,
    intermediates: [],
    anchors: [check.issuer],
    time: check.time,
    purpose: "ocspSigning",
    maxPath: 1,
    allowWeakAlgorithms: check.allowWeakAlgorithms,
  });
  if (verdict.valid) return { certificate: delegated };
  return {
    problem: { reason: "UntrustedResponder", responder: asNamed, detail: describePathRefusal(verdict.refusal) },
  };
}

function isNamed(id: ResponderId, certificate: Certificate): boolean {
  if ("byName" in id) return id.byName.equals(certificate.subject);
  return sameBytes(id.byKey, createHash("sha1").update(certificate.publicKeyBits).digest());
}

function invalid(problem: OcspProblem): OcspVerdict {
  return { status: "invalid", problem };
}
