/**
 * The verdict on a peer's credentials: path, signature, identity, name, in-band status (TS 33.320 7.2.2 to 7.2.5).
 *
 * A device runs it inside its TrE, a gateway in its own process; both by the same rules and each by its own policy.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Clock, Milliseconds } from "../sim/environment.ts";
import { checkOcspResponse, describeOcspProblem, type OcspVerdict } from "../trust/ocsp.ts";
import { describePathRefusal, type PathRefusal, validatePath } from "../trust/path.ts";
import { lint } from "../trust/profiles/lint.ts";
import type { CertificateProfile, Release } from "../trust/profiles/rule.ts";
import { checkServerName, hasAddress, hasDns } from "../trust/serverName.ts";
import type { SignatureCache } from "../trust/signatureCache.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { namesOf } from "../x509/extensions.ts";
import { type AuthProblem, AuthSignatureError, verifyAuth } from "./authSignature.ts";
import { IdType, identityText } from "./identity.ts";
import type { PeerCredentials, PeerRefusal } from "./trustedEnvironment.ts";

export interface VerifierPolicy {
  clock: Clock;
  roots: readonly Certificate[];
  /** Certificates a path may have, without the root (TS 33.320 7.2.3-2, 7.2.4-2). */
  maxPath: number;
  /** Hash algorithms accepted in AUTH, as announced (RFC 7427 4). */
  acceptedHashes: readonly number[];
  allowWeakAlgorithms: boolean;
  /** True for a device: the certificate must carry the name it connected to (TS 33.320 7.2.2-4). */
  checkServerName: boolean;
  /** In-band OCSP: not looked at, required for the end entity, or required for the path below the root. */
  inBandOcsp: "off" | "leaf" | "path";
  /** Responders trusted by configuration (RFC 4806 3.1). */
  trustedResponders: readonly Certificate[];
  ocspTolerance: Milliseconds;
  ocspMaxAge: Milliseconds;
  signatureCache?: SignatureCache;
  /** Refuses end entities that break a rule of their profile (TS 33.320 7.2.5.2.1-1); undefined: profiles do not count. */
  profile?: ProfilePolicy | undefined;
}

/** Which profile the peer's certificate must keep, in which release, and how bad a breach must be to count. */
export interface ProfilePolicy {
  certificate: CertificateProfile;
  release: Release;
  least: "error" | "warning";
}

/** Every reason for which credentials are refused. */
export type CredentialsProblem =
  | PathRefusal["reason"]
  | "NoCertificate"
  | "MalformedCertificate"
  /** OpenSSL can make no key of the end entity's SubjectPublicKeyInfo. */
  | "UnreadableKey"
  /** The AUTH payload: does not verify, is of a method or hash that is not accepted, does not fit the key, is no AUTH. */
  | "WrongAuth"
  | "UnsupportedMethod"
  | "HashNotAccepted"
  | "KeyMismatch"
  | "MalformedAuth"
  /** IDi or IDr does not stand in the certificate (TS 33.320 7.2.5.2.1-2). */
  | "IdentityMismatch"
  /** The certificate is not for the name or address connected to (TS 33.320 7.2.2-4). */
  | "NameMismatch"
  /** The certificate breaks a rule of TS 33.310 6.1.3 or of TS 33.320's additions (7.2.5.2.1-1). */
  | "ProfileViolated"
  | "NoValidOcspResponse"
  | "CertificateRevoked"
  | "CertificateUnknown";

export interface CredentialsRefusal extends PeerRefusal {
  reason: CredentialsProblem;
}

/** A peer whose path, signature, identity and in-band status hold; `path` ends with the root. */
export interface VerifiedCredentials {
  path: readonly Certificate[];
  names: readonly string[];
  ocsp: string;
}

export type CredentialsVerdict =
  | { valid: true; verified: VerifiedCredentials }
  | { valid: false; refusal: CredentialsRefusal };

/** What is judged of a peer besides its AUTH. */
export type PeerCertificates = Pick<
  PeerCredentials,
  "idType" | "idData" | "certificates" | "ocspResponses" | "connectedTo"
>;

/** The verdict by `policy`; never throws for what a peer sends. */
export function verifyCredentials(credentials: PeerCredentials, policy: VerifierPolicy): CredentialsVerdict {
  return verifyCertificates(credentials, policy, (leaf) => checkSignature(credentials, leaf, policy));
}

/**
 * The verdict on a peer whose proof of possession is left to `checkProof`, which comes after the path; for looking into
 * certificates without their owner. Never throws for what a peer sends.
 */
export function verifyCertificates(
  credentials: PeerCertificates,
  policy: VerifierPolicy,
  checkProof: (leaf: Certificate) => CredentialsVerdict | undefined = () => undefined,
): CredentialsVerdict {
  let certificates: Certificate[];
  try {
    certificates = credentials.certificates.map((der) => policy.signatureCache?.read(der) ?? parseCertificate(der));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return refuse("MalformedCertificate", `a certificate of the peer cannot be read: ${error.message}`);
  }
  const [leaf, ...others] = certificates;
  if (leaf === undefined) return refuse("NoCertificate", "the peer sent no X.509 certificate");
  // A peer that sends its root along does no harm: it is no part of the path and never trusted for being sent.
  const intermediates = others.filter(
    (certificate) => !(certificate.isSelfIssued && policy.roots.some((root) => root.der.equals(certificate.der))),
  );
  const time = policy.clock.now();
  const verdict = validatePath({
    leaf,
    intermediates,
    anchors: policy.roots,
    time,
    purpose: "ike",
    maxPath: policy.maxPath,
    allowWeakAlgorithms: policy.allowWeakAlgorithms,
    ...(policy.signatureCache === undefined ? {} : { signatureCache: policy.signatureCache }),
  });
  if (!verdict.valid)
    return refuse(verdict.refusal.reason, describePathRefusal(verdict.refusal), { ...verdict.refusal });
  const proof = checkProof(leaf);
  if (proof !== undefined) return proof;
  const identity = checkIdentity(credentials, leaf, policy);
  if (identity !== undefined) return identity;
  const conformance = checkProfile(credentials, verdict.path, policy.profile);
  if (conformance !== undefined) return conformance;
  const status = checkInBand(credentials.ocspResponses, verdict.path, policy, time);
  if (typeof status !== "string") return status;
  return {
    valid: true,
    verified: { path: verdict.path, names: namesOf(leaf.extensions.subjectAltName), ocsp: status },
  };
}

function checkSignature(
  credentials: PeerCredentials,
  leaf: Certificate,
  policy: VerifierPolicy,
): CredentialsVerdict | undefined {
  const key = leaf.publicKey;
  if (key === undefined) return refuse("UnreadableKey", `the public key of "${leaf.subject}" cannot be read`);
  try {
    verifyAuth(key, credentials.authMethod, credentials.authData, credentials.octets, policy.acceptedHashes);
    return undefined;
  } catch (error) {
    if (!(error instanceof AuthSignatureError)) throw error;
    return refuse(AUTH_PROBLEMS[error.reason], error.message);
  }
}

/** 7.2.5.2.1-1: the profile wins where RFC 5280 would let a certificate pass. */
function checkProfile(
  { idType, idData }: PeerCertificates,
  [leaf, issuer]: readonly Certificate[],
  profile: ProfilePolicy | undefined,
): CredentialsVerdict | undefined {
  if (profile === undefined || leaf === undefined) return undefined;
  const { certificate: name, release, least } = profile;
  const circumstances = { identity: identityText(idType, idData), ...(issuer === undefined ? {} : { issuer }) };
  const findings = lint({ certificate: leaf, profile: name, release, circumstances });
  const counting = findings.filter(({ severity }) => severity === "error" || severity === least);
  const [first] = counting;
  if (first === undefined) return undefined;
  const more = counting.length === 1 ? "" : `, and ${counting.length - 1} more`;
  return refuse(
    "ProfileViolated",
    `the certificate of "${leaf.subject}" breaks rule ${first.rule}: ${first.found} (${first.clause})${more}`,
    { certificate: leaf.subject.toString(), findings: counting },
  );
}

/** The identity claimed in IDi or IDr stands in the certificate (TS 33.320 7.2.5.2.1-2), and it is who was meant. */
function checkIdentity(
  { idType, idData, connectedTo }: PeerCertificates,
  leaf: Certificate,
  policy: VerifierPolicy,
): CredentialsVerdict | undefined {
  if (!certifies(leaf, idType, idData)) {
    const claimed = identityText(idType, idData);
    const certified = namesOf(leaf.extensions.subjectAltName);
    return refuse(
      "IdentityMismatch",
      `the peer claims to be ${claimed}, its certificate is for ${certified.join(", ") || "nobody"} (TS 33.320 7.2.5.2.1)`,
      { claimed, certified },
    );
  }
  const mismatch = policy.checkServerName ? checkServerName(leaf, connectedTo) : undefined;
  if (mismatch === undefined) return undefined;
  return refuse(
    "NameMismatch",
    `connected to ${mismatch.expected}, but the certificate is for ${mismatch.certified.join(", ") || "nobody"} (TS 33.320 7.2.2)`,
    { ...mismatch },
  );
}

function certifies(leaf: Certificate, idType: number, idData: Bytes): boolean {
  switch (idType) {
    case IdType.FQDN:
      return hasDns(leaf, idData.toString("latin1"));
    case IdType.IPV4_ADDR:
      return idData.length === 4 && hasAddress(leaf, idData);
    case IdType.IPV6_ADDR:
      return idData.length === 16 && hasAddress(leaf, idData);
    default:
      return false;
  }
}

/** TS 33.320 7.2.3-4: checking is on and no valid response came means abort, whatever the certificate points to. */
function checkInBand(
  responses: readonly Bytes[],
  path: readonly Certificate[],
  policy: VerifierPolicy,
  time: Milliseconds,
): string | CredentialsVerdict {
  if (policy.inBandOcsp === "off") return "not checked";
  const depth = policy.inBandOcsp === "leaf" ? 1 : path.length - 1;
  for (let i = 0; i < depth; i++) {
    const certificate = path[i]!;
    const name = certificate.subject.toString();
    const verdict = statusOf(certificate, path[i + 1]!, responses, policy, time);
    if (verdict === undefined)
      return refuse("NoValidOcspResponse", `no OCSP response for "${name}" came in-band (TS 33.320 7.2.3)`, {
        certificate: name,
      });
    if (verdict.status === "invalid")
      return refuse(
        "NoValidOcspResponse",
        `no valid OCSP response for "${name}" came in-band: ${describeOcspProblem(verdict.problem)} (TS 33.320 7.2.3)`,
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
  policy: VerifierPolicy,
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

function refuse(
  reason: CredentialsProblem,
  message: string,
  evidence?: Record<string, unknown>,
): { valid: false; refusal: CredentialsRefusal } {
  return { valid: false, refusal: { reason, message, ...(evidence === undefined ? {} : { evidence }) } };
}

const AUTH_PROBLEMS: Record<AuthProblem, CredentialsProblem> = {
  UnsupportedMethod: "UnsupportedMethod",
  HashNotAccepted: "HashNotAccepted",
  KeyMismatch: "KeyMismatch",
  Malformed: "MalformedAuth",
  BadSignature: "WrongAuth",
};
