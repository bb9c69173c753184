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
  type ReceivedResponse,
  type ResponderId,
  type SingleResponse,
  sameCertId,
} from "../x509/ocsp.ts";
import { Oid } from "../x509/oids.ts";
import { verifySignature } from "../x509/signature.ts";
import { describePathRefusal, validatePath } from "./path.ts";
import type { SignatureCache } from "./signatureCache.ts";

/** A response, the certificate it should be about, and how strictly to judge it. */
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
  /** The nonce that was sent; a response that carries another is refused. */
  nonce?: Bytes;
  /** Whether a response must carry the nonce; responders that sign in advance leave it out (RFC 9654 2.1). */
  nonceRequired?: boolean;
  /** Responders trusted by configuration besides the issuer and those it delegates to (RFC 6960 2.6). */
  trustedResponders: readonly Certificate[];
  allowWeakAlgorithms: boolean;
  /**
   * What becomes of a delegated signer without id-pkix-ocsp-nocheck, whose own status is to be checked (RFC 6960
   * 4.2.2.2.1): it is trusted as it stands, or `report`ed for whoever can check it, or its answer is worth nothing.
   */
  delegates?: "trust" | "report" | "refuse";
  /** Remembers delegated signers' certificates, which come back with every response. */
  signatureCache?: SignatureCache;
}

/** What a verdict rests on. */
export interface OcspEvidence {
  responder: string;
  producedAt: Milliseconds;
  thisUpdate: Milliseconds;
  nextUpdate: Milliseconds | undefined;
  /** It carries the nonce that was sent, and so was made for this request. */
  withNonce: boolean;
}

/** Why a response says nothing about the certificate. */
export type OcspProblem =
  | { reason: "Malformed"; detail: string }
  | { reason: "NotSuccessful"; status: number }
  | { reason: "OtherCertificate" }
  | { reason: "UntrustedResponder"; responder: string; detail: string }
  | { reason: "BadSignature"; responder: string }
  /** A delegated signer whose own status nobody can tell, where such are refused. */
  | { reason: "UncheckedDelegate"; responder: string }
  /** It was all right until then, and said this. */
  | { reason: "Stale"; nextUpdate: Milliseconds; time: Milliseconds; said: OcspStatement }
  | { reason: "FromTheFuture"; at: Milliseconds; time: Milliseconds }
  | { reason: "NonceMismatch" }
  | { reason: "NonceMissing" };

/**
 * What a valid response says; `at` in milliseconds since 1970, `reasonCode` a CRLReason. `delegate`, where it is to be
 * reported, is the certificate of a signer that the issuer delegated to and whose own status is to be checked: it lacks
 * id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1).
 */
export type OcspStatement = (
  | { status: "good" }
  | { status: "revoked"; at: Milliseconds; reasonCode: number | undefined }
  | { status: "unknown" }
) & { evidence: OcspEvidence; delegate?: Certificate };

/** What is to be made of a response. */
export type OcspVerdict = OcspStatement | { status: "invalid"; problem: OcspProblem };

/** Judges a response as received; never throws for what a peer sends. */
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
  const single = newestAbout(basic, check);
  if (single === undefined) return invalid({ reason: "OtherCertificate" });
  const problem =
    checkTimes(basic, single, check) ??
    checkNonce(basic, check) ??
    checkCritical(basic, single) ??
    checkStrength(basic, check);
  if (problem !== undefined) return invalid(problem);
  const signed = checkSigner(basic, check);
  if ("problem" in signed) return invalid(signed.problem);
  const delegate = delegateToCheck(signed.signer, check);
  const { delegates = "trust" } = check;
  if (delegate !== undefined && delegates === "refuse")
    return invalid({ reason: "UncheckedDelegate", responder: delegate.subject.toString() });
  const said = statementOf(basic, single, signed.signer, check, delegates === "report" ? delegate : undefined);
  const nextUpdate = single.nextUpdate ?? single.thisUpdate + check.maxAge;
  const { time, tolerance } = check;
  return time > nextUpdate + tolerance ? invalid({ reason: "Stale", nextUpdate, time, said }) : said;
}

function statementOf(
  basic: BasicOcspResponse,
  { status, thisUpdate, nextUpdate }: SingleResponse,
  signer: Certificate,
  { nonce }: OcspCheck,
  reported: Certificate | undefined,
): OcspStatement {
  const evidence: OcspEvidence = {
    responder: signer.subject.toString(),
    producedAt: basic.producedAt,
    thisUpdate,
    nextUpdate,
    withNonce: nonce !== undefined && basic.nonce !== undefined,
  };
  const delegate = reported === undefined ? {} : { delegate: reported };
  return status.kind === "revoked"
    ? { status: "revoked", at: status.at, reasonCode: status.reason, evidence, ...delegate }
    : { status: status.kind, evidence, ...delegate };
}

/** The signer, if its own status is to be checked: the issuer delegated to it, without id-pkix-ocsp-nocheck. */
function delegateToCheck(signer: Certificate, { issuer, trustedResponders }: OcspCheck): Certificate | undefined {
  const known = [issuer, ...trustedResponders].some(({ der }) => sameBytes(der, signer.der));
  return known || signer.extensions.ocspNoCheck ? undefined : signer;
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
    case "UncheckedDelegate":
      return `the OCSP response is signed by "${problem.responder}", whose certificate lacks id-pkix-ocsp-nocheck, so that its own status would have to be checked (RFC 6960 4.2.2.2.1)`;
    case "Stale":
      return `the OCSP response was good until ${new Date(problem.nextUpdate).toISOString()}; it is ${new Date(problem.time).toISOString()}`;
    case "FromTheFuture":
      return `the OCSP response says it is from ${new Date(problem.at).toISOString()}; it is ${new Date(problem.time).toISOString()}: check the clock`;
    case "NonceMismatch":
      return "the OCSP response carries another nonce than the request: it may be a replay";
    case "NonceMissing":
      return "the OCSP response lacks the nonce of the request, which is required: the responder signs in advance, or it is a replay";
  }
}

/** A response may hold several answers about one certificate; the newest counts. */
function newestAbout(basic: BasicOcspResponse, { certificate, issuer }: OcspCheck): ReceivedResponse | undefined {
  const wanted = { sha1: certIdOf(certificate, issuer, "sha1"), sha256: certIdOf(certificate, issuer, "sha256") };
  return basic.responses
    .filter(({ id }) => sameCertId(id, wanted[id.hash]))
    .reduce<ReceivedResponse | undefined>(
      (a, b) => (a !== undefined && a.thisUpdate >= b.thisUpdate ? a : b),
      undefined,
    );
}

function checkTimes(
  { producedAt }: BasicOcspResponse,
  { thisUpdate, nextUpdate }: SingleResponse,
  { time, tolerance }: OcspCheck,
): OcspProblem | undefined {
  const at = Math.max(producedAt, thisUpdate);
  if (at > time + tolerance) return { reason: "FromTheFuture", at, time };
  if (nextUpdate !== undefined && nextUpdate < thisUpdate)
    return { reason: "Malformed", detail: "its nextUpdate is before its thisUpdate" };
  return undefined;
}

function checkNonce({ nonce }: BasicOcspResponse, check: OcspCheck): OcspProblem | undefined {
  if (check.nonce === undefined) return undefined;
  if (nonce === undefined) return check.nonceRequired === true ? { reason: "NonceMissing" } : undefined;
  return sameBytes(check.nonce, nonce) ? undefined : { reason: "NonceMismatch" };
}

function checkCritical(basic: BasicOcspResponse, single: ReceivedResponse): OcspProblem | undefined {
  const critical = basic.extensions
    .filter(({ critical, oid }) => critical && oid !== Oid.ocspNonce)
    .map(({ oid }) => oid);
  const [unknown] = [...critical, ...single.unknownCritical];
  if (unknown === undefined) return undefined;
  return { reason: "Malformed", detail: `its critical extension ${unknown} is not processed here` };
}

function checkStrength(basic: BasicOcspResponse, { allowWeakAlgorithms }: OcspCheck): OcspProblem | undefined {
  const weak = basic.signatureAlgorithm.known?.digest === "sha1" && !allowWeakAlgorithms;
  return weak
    ? { reason: "UntrustedResponder", responder: idText(basic.responderId), detail: "it signs with SHA-1" }
    : undefined;
}

/**
 * The signer is the issuer itself, one trusted by configuration, or one the issuer delegated to (RFC 6960 4.2.2.2). A
 * name may fit several certificates, such as those of an old and a new key; the one whose key fits decides.
 */
function checkSigner(basic: BasicOcspResponse, check: OcspCheck): { signer: Certificate } | { problem: OcspProblem } {
  let problem: OcspProblem | undefined;
  for (const candidate of [check.issuer, ...check.trustedResponders, ...basic.certificates]) {
    if (!isNamed(basic.responderId, candidate)) continue;
    const responder = candidate.subject.toString();
    const refused = mayAnswer(candidate, check);
    if (refused !== undefined) problem ??= { reason: "UntrustedResponder", responder, detail: refused };
    else if (isSignedBy(basic, candidate)) return { signer: candidate };
    else problem = { reason: "BadSignature", responder };
  }
  const responder = idText(basic.responderId);
  const detail = "its certificate is neither in the response nor trusted";
  return { problem: problem ?? { reason: "UntrustedResponder", responder, detail } };
}

/** Why `candidate` may not answer for the issuer, or undefined if it may. */
function mayAnswer(candidate: Certificate, check: OcspCheck): string | undefined {
  const { issuer, time, trustedResponders, allowWeakAlgorithms, signatureCache } = check;
  if (sameBytes(candidate.der, issuer.der)) return undefined;
  if (trustedResponders.some((trusted) => sameBytes(trusted.der, candidate.der))) {
    const current = time >= candidate.notBefore && time < candidate.notAfter + 1000;
    return current ? undefined : "it is trusted by configuration, but its certificate is not valid at this time";
  }
  const verdict = validatePath({
    leaf: candidate,
    intermediates: [],
    anchors: [issuer],
    time,
    purpose: "ocspSigning",
    maxPath: 1,
    allowWeakAlgorithms,
    ...(signatureCache === undefined ? {} : { signatureCache }),
  });
  return verdict.valid ? undefined : describePathRefusal(verdict.refusal);
}

function isSignedBy({ signatureAlgorithm, tbs, signature }: BasicOcspResponse, { publicKey }: Certificate): boolean {
  return publicKey !== undefined && verifySignature(signatureAlgorithm, publicKey, tbs, signature);
}

function idText(id: ResponderId): string {
  return "byName" in id ? id.byName.toString() : `key ${id.byKey.toString("hex")}`;
}

function isNamed(id: ResponderId, certificate: Certificate): boolean {
  if ("byName" in id) return id.byName.equals(certificate.subject);
  return sameBytes(id.byKey, createHash("sha1").update(certificate.publicKeyBits).digest());
}

function invalid(problem: OcspProblem): OcspVerdict {
  return { status: "invalid", problem };
}
