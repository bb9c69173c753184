/**
 * What a profile rule is: one requirement on a certificate or CRL, as data, with the check that finds it broken.
 *
 * The text of TS 33.310 was at hand only in part, so each rule says for each release how it is known; when a published
 * text corrects one, that is a line in a table here and in docs/standards/ts33310-profiles.md, and nothing else.
 */
import type { Certificate } from "../../x509/certificate.ts";
import type { Crl } from "../../x509/crl.ts";

/** R9 is what TS 33.320 v1.1.1 builds on (2009/2010); newest is releases 17 and 18. */
export type Release = "R9" | "newest";

/** error: a peer may refuse it; warning: against a recommendation, or the sources disagree; notice: worth knowing. */
export type Severity = "error" | "warning" | "notice";

/**
 * text: read in a published text; secondReading: taken from what somebody else implemented from the published text;
 * knowledge: general knowledge of the specification, not confirmed.
 */
export type Confidence = "text" | "secondReading" | "knowledge";

/** Kinds of certificates: entities, then CAs by the clause that profiles them, then OCSP signers. */
export const CERTIFICATE_PROFILES = [
  "segw",
  "henb-ikev2",
  "henb-tls",
  "henb",
  "hems",
  "root-ca",
  "interconnection-ca",
  "seg-ca",
  "tls-ca",
  "ne-ca",
  "ocsp-signer",
] as const;
export type CertificateProfile = (typeof CERTIFICATE_PROFILES)[number];

/** What is known around a certificate; a rule that needs what is not given says nothing. */
export interface Circumstances {
  /** The certificate it was issued under. */
  issuer?: Certificate;
  /** Identity the entity claims or is connected to by: a device's FQDN, a gateway's or H(e)MS's FQDN or address. */
  identity?: string;
  /** Whoever issued it runs a CRL server, an OCSP server (TS 33.320 7.2.5.2.1-3, -4). */
  crlServer?: boolean;
  ocspServer?: boolean;
  /** The entity itself brings its status: in-band OCSP with IKEv2, stapling with TLS. */
  statusInBand?: boolean;
}

interface RuleFacts {
  /** As in docs/standards/ts33310-profiles.md. */
  id: string;
  /** What must hold, as a sentence. */
  requirement: string;
  /** What to do about it. */
  fix: string;
  /** A release that is left out does not have the rule. */
  in: Partial<Record<Release, { severity: Severity; confidence: Confidence }>>;
}

export interface CertificateRule extends RuleFacts {
  /** The clause by the profiles that have the rule. */
  clauses: Partial<Record<CertificateProfile, string>>;
  /** What was found instead, or undefined where the rule is kept or cannot be judged. */
  check: (certificate: Certificate, about: RuleContext) => string | undefined;
}

export interface RuleContext extends Circumstances {
  profile: CertificateProfile;
  release: Release;
}

export interface CrlRule extends RuleFacts {
  clause: string;
  check: (crl: Crl, release: Release) => string | undefined;
}

/** A rule that is broken. */
export interface Finding {
  rule: string;
  severity: Severity;
  clause: string;
  requirement: string;
  found: string;
  fix: string;
  confidence: Confidence;
}

/** The same for both releases. */
export function always(severity: Severity, confidence: Confidence): RuleFacts["in"] {
  return { R9: { severity, confidence }, newest: { severity, confidence } };
}

/** One clause for several profiles. */
export function clauseOf(
  clause: string,
  profiles: readonly CertificateProfile[] = CERTIFICATE_PROFILES,
): CertificateRule["clauses"] {
  return Object.fromEntries(profiles.map((profile) => [profile, clause]));
}

export const ENTITIES = ["segw", "henb-ikev2", "henb-tls", "henb", "hems"] as const;
export const IKE_ENTITIES = ["segw", "henb-ikev2", "henb"] as const;
export const TLS_ENTITIES = ["henb-tls", "henb", "hems"] as const;
export const AUTHORITIES = ["root-ca", "interconnection-ca", "seg-ca", "tls-ca", "ne-ca"] as const;
export const ISSUING_AUTHORITIES = ["seg-ca", "tls-ca", "ne-ca"] as const;

export function isAuthority(profile: CertificateProfile): boolean {
  return AUTHORITIES.some((authority) => authority === profile);
}
