/** Extensions about certificate policies (RFC 5280 4.2.1.4, 4.2.1.5, 4.2.1.11, 4.2.1.14). */
import { contextTag, type DerElement, type DerReader, inside } from "../der/reader.ts";
import { Oid } from "./oids.ts";

/** Policies of a certificate, and qualifiers of a kind that is not known here. */
export interface CertificatePolicies {
  oids: readonly string[];
  /** RFC 5280 4.2.1.4: who cannot interpret a critical extension's qualifiers must refuse the certificate. */
  unknownQualifiers: readonly string[];
}

/** One pair of a policyMappings: what the issuer calls one thing, the subject calls the other. */
export interface PolicyMapping {
  issuerDomain: string;
  subjectDomain: string;
}

/** Certificates that may follow before a restriction holds; undefined for one that is not made. */
export interface PolicyConstraints {
  requireExplicitPolicy: number | undefined;
  inhibitPolicyMapping: number | undefined;
}

/** Reads CertificatePolicies; throws DerError. */
export function readCertificatePolicies(reader: DerReader): CertificatePolicies {
  const list = reader.sequence("certificatePolicies");
  const oids: string[] = [];
  const unknown: string[] = [];
  if (list.atEnd) list.fail("certificatePolicies", "names no policy");
  while (!list.atEnd) {
    if (oids.length >= MAX_POLICIES) list.fail("certificatePolicies", `more than ${MAX_POLICIES}`);
    const policy = list.sequence("PolicyInformation");
    const oid = policy.oid("policyIdentifier");
    // RFC 5280 4.2.1.4; a second one would make the graph's nodes ambiguous.
    if (oids.includes(oid)) list.fail("certificatePolicies", `policy ${oid} twice`);
    oids.push(oid);
    const qualifiers = policy.atEnd ? undefined : policy.sequence("policyQualifiers");
    policy.end("PolicyInformation");
    for (let count = 0; qualifiers !== undefined && !qualifiers.atEnd; count++) {
      if (count >= MAX_POLICIES) list.fail("policyQualifiers", `more than ${MAX_POLICIES}`);
      const id = qualifiers.sequence("PolicyQualifierInfo").oid("policyQualifierId");
      if (id !== Oid.cpsQualifier && id !== Oid.userNoticeQualifier) unknown.push(id);
    }
  }
  return { oids, unknownQualifiers: unknown };
}

/** Reads PolicyMappings; throws DerError. */
export function readPolicyMappings(reader: DerReader): PolicyMapping[] {
  const list = reader.sequence("policyMappings");
  const mappings: PolicyMapping[] = [];
  while (!list.atEnd) {
    if (mappings.length >= MAX_POLICIES) list.fail("policyMappings", `more than ${MAX_POLICIES}`);
    const pair = list.sequence("policyMapping");
    mappings.push({ issuerDomain: pair.oid("issuerDomainPolicy"), subjectDomain: pair.oid("subjectDomainPolicy") });
    pair.end("policyMapping");
  }
  return mappings;
}

/** Reads PolicyConstraints; throws DerError. */
export function readPolicyConstraints(reader: DerReader): PolicyConstraints {
  const body = reader.sequence("policyConstraints");
  const explicit = body.optional(contextTag(0, "primitive"), "requireExplicitPolicy");
  const mapping = body.optional(contextTag(1, "primitive"), "inhibitPolicyMapping");
  body.end("policyConstraints");
  return {
    requireExplicitPolicy: explicit && readSkipCerts(explicit, "requireExplicitPolicy"),
    inhibitPolicyMapping: mapping && readSkipCerts(mapping, "inhibitPolicyMapping"),
  };
}

/** Content of an INTEGER under an implicit tag. */
function readSkipCerts(element: DerElement, field: string): number {
  const { content } = element;
  const zeroAhead = content.length > 1 && content[0] === 0 && content[1]! < 0x80;
  if (content.length < 1 || content.length > 4 || content[0]! >= 0x80 || zeroAhead)
    inside(element).fail(field, "not a number of certificates");
  return content.readUIntBE(0, content.length);
}

/** Policies, mappings or qualifiers of one extension. */
const MAX_POLICIES = 256;
