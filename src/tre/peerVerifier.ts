/**
 * The verdict on a peer's credentials: path, signature, identity, name, in-band status (TS 33.320 7.2.2 to 7.2.5).
 *
 * A device runs it inside its TrE, a gateway in its own process; both by the same rules and each by its own policy.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Clock } from "../sim/environment.ts";
import { describePathRefusal, type PathRefusal, validatePath } from "../trust/path.ts";
import { lint } from "../trust/profiles/lint.ts";
import type { CertificateProfile, Release } from "../trust/profiles/rule.ts";
import { checkServerName, hasAddress, hasDns } from "../trust/serverName.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { namesOf } from "../x509/extensions.ts";
import { type AuthProblem, AuthSignatureError, verifyAuth } from "./authSignature.ts";
import { IdType, identityText } from "./identity.ts";
import { checkInBand, type InBandPolicy, type InBandRefusal } from "./inBandStatus.ts";
import type { PathStatus, PeerCredentials, PeerRefusal } from "./trustedEnvironment.ts";

export interface VerifierPolicy extends InBandPolicy {
  clock: Clock;
  roots: readonly Certificate[];
  /** Certificates a path may have, without the root (TS 33.320 7.2.3-2, 7.2.4-2). */
  maxPath: number;
  /** Hash algorithms accepted in AUTH, as announced (RFC 7427 4). */
  acceptedHashes: readonly number[];
  /** True for a device: the certificate must carry the name it connected to (TS 33.320 7.2.2-4). */
  checkServerName: boolean;
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
  | InBandRefusal["reason"];

export interface CredentialsRefusal extends PeerRefusal {
  reason: CredentialsProblem;
}

/** A peer whose path, signature, identity and in-band status hold; `path` ends with the root. */
export interface VerifiedCredentials {
  path: readonly Certificate[];
  names: readonly string[];
  /** For people. */
  ocsp: string;
  status: PathStatus;
}

export type CredentialsVerdict =
  | { valid: true; verified: VerifiedCredentials }
  | { valid: false; refusal: CredentialsRefusal };

/** The verdict by `policy`; never throws for what a peer sends. */
export function verifyCredentials(credentials: PeerCredentials, policy: VerifierPolicy): CredentialsVerdict {
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
  const signature = checkSignature(credentials, leaf, policy);
  if (signature !== undefined) return signature;
  const identity = checkIdentity(credentials, leaf, policy);
  if (identity !== undefined) return identity;
  const conformance = checkProfile(credentials, verdict.path, policy.profile);
  if (conformance !== undefined) return conformance;
  const status = checkInBand(credentials.ocspResponses, verdict.path, policy, time);
  if ("reason" in status) return { valid: false, refusal: status };
  const ocsp = status.answered.length > 0 ? "in-band good" : "not checked";
  return {
    valid: true,
    verified: { path: verdict.path, names: namesOf(leaf.extensions.subjectAltName), ocsp, status },
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
  { idType, idData }: PeerCredentials,
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
  { idType, idData, connectedTo }: PeerCredentials,
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
