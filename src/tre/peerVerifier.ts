/**
 * The verdict on a peer's credentials: path, signature, identity, name, in-band status (TS 33.320 7.2.2 to 7.2.5).
 *
 * A device runs it inside its TrE, a gateway in its own process; both by the same rules and each by its own policy.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { checkServerName, hasAddress, hasDns } from "../trust/serverName.ts";
import type { Certificate } from "../x509/certificate.ts";
import { namesOf } from "../x509/extensions.ts";
import { type AuthProblem, AuthSignatureError, verifyAuth } from "./authSignature.ts";
import { IdType, identityText } from "./identity.ts";
import { checkInBand, type InBandPolicy } from "./inBandStatus.ts";
import { type PeerPathPolicy, validatePeerPath } from "./peerPath.ts";
import { checkProfile, type ProfilePolicy } from "./peerProfile.ts";
import { type CredentialsProblem, type Refused, refuse } from "./peerRefusal.ts";
import type { PathStatus, PeerCredentials } from "./trustedEnvironment.ts";

export interface VerifierPolicy extends PeerPathPolicy, InBandPolicy {
  /** Hash algorithms accepted in AUTH, as announced (RFC 7427 4). */
  acceptedHashes: readonly number[];
  /** True for a device: the certificate must carry the name it connected to (TS 33.320 7.2.2-4). */
  checkServerName: boolean;
  /** Refuses end entities that break a rule of their profile (TS 33.320 7.2.5.2.1-1); undefined: profiles do not count. */
  profile?: ProfilePolicy | undefined;
}

/** A peer whose path, signature, identity and in-band status hold; `path` ends with the root. */
export interface VerifiedCredentials {
  path: readonly Certificate[];
  names: readonly string[];
  /** For people. */
  ocsp: string;
  status: PathStatus;
}

export type CredentialsVerdict = { valid: true; verified: VerifiedCredentials } | Refused;

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
  const found = validatePeerPath(credentials.certificates, policy, "ike");
  if (!found.valid) return found;
  const [leaf] = found.path;
  const proof = checkProof(leaf);
  if (proof !== undefined) return proof;
  const identity = checkIdentity(credentials, leaf, policy);
  if (identity !== undefined) return identity;
  const conformance = checkProfile(identityText(credentials.idType, credentials.idData), found.path, policy.profile);
  if (conformance !== undefined) return conformance;
  const status = checkInBand(credentials.ocspResponses, found.path, policy, policy.clock.now());
  if ("reason" in status) return { valid: false, refusal: status };
  const ocsp = status.answered.length > 0 ? "in-band good" : "not checked";
  return {
    valid: true,
    verified: { path: found.path, names: namesOf(leaf.extensions.subjectAltName), ocsp, status },
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

const AUTH_PROBLEMS: Record<AuthProblem, CredentialsProblem> = {
  UnsupportedMethod: "UnsupportedMethod",
  HashNotAccepted: "HashNotAccepted",
  KeyMismatch: "KeyMismatch",
  Malformed: "MalformedAuth",
  BadSignature: "WrongAuth",
};
