/**
 * The trusted environment (TrE) as the device's core sees it: one narrow interface, nothing behind it.
 *
 * Identity, private key, roots and every signature check stay on the far side (TS 33.320 7.2.2-9..12, 5.2-2). All calls
 * are asynchronous because a TrE may be another process or a chip.
 */
import type { Bytes } from "../bytes/bytes.ts";

/** What the TrE must know to compute the device's AUTH payload (RFC 7296 2.15, RFC 7427). */
export interface AuthRequest {
  /** RealMessage1 | NonceRData | prf(SK_pi, IDi'): the octets to be signed. */
  octets: Bytes;
  /** Hash algorithms the peer announced in SIGNATURE_HASH_ALGORITHMS; empty means it did not (RFC 7427 4). */
  peerHashes: readonly number[];
  /** SHA-1 hashes of the public keys of CAs the peer trusts (CERTREQ, RFC 7296 3.7). */
  acceptableCas: readonly Bytes[];
}

export interface AuthAnswer {
  method: number;
  data: Bytes;
}

/** The peer's credentials as received, for the TrE to judge. */
export interface PeerCredentials {
  idType: number;
  idData: Bytes;
  /** DER certificates in the order received, the end entity's first. */
  certificates: readonly Bytes[];
  /** DER OCSP responses received in-band (RFC 4806). */
  ocspResponses: readonly Bytes[];
  authMethod: number;
  authData: Bytes;
  /** The octets the peer signed. */
  octets: Bytes;
  /** The peer's outer address. */
  remoteAddress?: string;
  /** INTEGRITY_INFO of a device, and the digest of this IKE SA that it must be bound to (TS 33.320 7.2.2-13). */
  integrity?: { report: Bytes | undefined; binding: Bytes };
  /** The name or address the device connected to (TS 33.320 7.2.2-4). */
  connectedTo: { fqdn: string } | { address: string };
}

/** Why a peer's credentials were refused, typed (`reason`), told (`message`) and with evidence where there is some. */
export interface PeerRefusal {
  reason: string;
  message: string;
  evidence?: Record<string, unknown>;
}

export interface PeerEvidence {
  /** Subject and issuer names of the path, end entity first, for people. */
  path: readonly string[];
  /** Verdict on the end entity's revocation status, such as "in-band good". */
  ocsp: string;
  /** DNS names and addresses the certificate carries. */
  names: readonly string[];
  /** How a hosting party's EAP ended ("aka success"), where there was one (TS 33.320 A.2). */
  eap?: string;
  /** The hosting party's identity as claimed in its round. */
  hostingParty?: string;
  /** Verdict on INTEGRITY_INFO, where one was sought. */
  integrity?: string;
}

/** What in-band responses said of a valid path; certificates by their place in it, 0 being the end entity. */
export interface PathStatus {
  /** Good by a valid response. */
  answered: readonly number[];
  /** To be asked about in another way before the gateway is relied on (TS 33.320 7.2.2-5). */
  unanswered: readonly number[];
  /** Milliseconds since 1970, when the first of the good responses runs out; undefined without one. */
  goodUntil?: number;
}

/** Names a path that `verifyPeer` found valid, for questions about its status; the TrE keeps the last few. */
export type VerifiedPathId = number & { readonly __brand: "VerifiedPathId" };

export type PeerVerdict =
  | { valid: true; evidence: PeerEvidence; path: VerifiedPathId; status: PathStatus }
  | { valid: false; refusal: PeerRefusal };

/** An OCSP request about one certificate, for the core to bring to a responder. */
export interface StatusRequest {
  /** Whose certificate it is, for people. */
  subject: string;
  /** DER. */
  request: Bytes;
  withNonce: boolean;
  /** Responders that the certificate names (AIA); whether they are asked is the operator's choice (TS 33.320 7.2.2-8). */
  named: readonly string[];
}

/** What a responder's answer comes to. */
export type StatusVerdict =
  /** `goodUntil`: milliseconds since 1970, when the answer runs out. */
  | { status: "good"; responder: string; goodUntil: number }
  | { status: "revoked" | "unknown"; refusal: PeerRefusal }
  /** No valid answer; `problem` says why. */
  | { status: "invalid"; problem: string };

export interface Integrity {
  /** True if every file of the signed manifest has the digest it lists (TS 33.320 5.2-3, A.1-1). */
  intact: boolean;
  /** What failed, for people; empty if intact. */
  problems: readonly string[];
}

export interface TrustedEnvironment {
  /** Measures the device's files against the signed manifest; nothing may be sent before this says intact. */
  verifyIntegrity(): Promise<Integrity>;
  /** The permanent identity, an FQDN (TS 33.320 5.2-5); cannot be changed. */
  identity(): Promise<{ idType: number; idData: Bytes; fqdn: string }>;
  /** The device's certificate path as DER, end entity first, without the root (at most four). */
  certificates(): Promise<readonly Bytes[]>;
  /** SHA-1 hashes of the SubjectPublicKeyInfo of the trusted roots, for CERTREQ. */
  rootKeyHashes(): Promise<readonly Bytes[]>;
  /** Hashes of the public keys of OCSP responders trusted besides the CAs themselves (RFC 4806 3.1). */
  ocspResponderHashes(): Promise<readonly Bytes[]>;
  /** Signed INTEGRITY_INFO about the last `verifyIntegrity`, bound to one IKE SA by 32 octets (TS 33.320 7.2.2-13). */
  integrityReport(binding: Bytes): Promise<Bytes>;
  /** Computes the AUTH payload (TS 33.320 7.2.2-12). */
  computeAuth(request: AuthRequest): Promise<AuthAnswer>;
  /** Verifies AUTH, chain, name and, where configured, status (TS 33.320 7.2.2-11, 7.2.3). */
  verifyPeer(credentials: PeerCredentials): Promise<PeerVerdict>;
  /** Makes an OCSP request about a certificate of a path that `verifyPeer` found valid; rejects for any other. */
  statusRequest(path: VerifiedPathId, certificate: number): Promise<StatusRequest>;
  /** Judges a responder's answer to the last request about that certificate, once (TS 33.320 7.2.2-11, 7.2.3-4). */
  judgeStatus(path: VerifiedPathId, certificate: number, response: Bytes): Promise<StatusVerdict>;
}
