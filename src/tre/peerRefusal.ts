/** Why a peer's credentials are refused: by a gateway, an H(e)MS, or a device's TrE. */
import type { PathRefusal } from "../trust/path.ts";
import type { PeerRefusal } from "./trustedEnvironment.ts";

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
  /** The certificate breaks a rule of TS 33.310 6.1.3, 6.1.3a or of TS 33.320's additions (7.2.5.2.1-1, 8.3.3.1-1). */
  | "ProfileViolated"
  | "NoValidOcspResponse"
  | "CertificateRevoked"
  | "CertificateUnknown";

export interface CredentialsRefusal extends PeerRefusal {
  reason: CredentialsProblem;
}

export interface Refused {
  valid: false;
  refusal: CredentialsRefusal;
}

export function refuse(reason: CredentialsProblem, message: string, evidence?: Record<string, unknown>): Refused {
  return { valid: false, refusal: { reason, message, ...(evidence === undefined ? {} : { evidence }) } };
}
