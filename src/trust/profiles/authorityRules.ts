/** TS 33.310 6.1.2, 6.1.4, 6.1.4a, 6.1.4b: CA certificates; TS 33.320 7.2.5.2.2 and 8.3.3.2 build on the last two. */
import { Oid } from "../../x509/oids.ts";
import { criticality } from "./encoding.ts";
import { AUTHORITIES, always, type CertificateProfile, type CertificateRule, ISSUING_AUTHORITIES } from "./rule.ts";

// First, since the table below is made of it.
const CLAUSES: Partial<Record<CertificateProfile, string>> = {
  "interconnection-ca": "TS 33.310 6.1.2",
  "seg-ca": "TS 33.310 6.1.4",
  "tls-ca": "TS 33.310 6.1.4a, TS 33.320 8.3.3.2",
  "ne-ca": "TS 33.310 6.1.4b, TS 33.320 7.2.5.2.2",
  "root-ca": "TS 33.310 6.1.2",
};

export const AUTHORITY_RULES: readonly CertificateRule[] = [
  {
    id: "CA1",
    requirement: "basicConstraints is there, critical, and says that it is a CA.",
    fix: "Issue it with critical basicConstraints, cA TRUE.",
    in: {
      R9: { severity: "error", confidence: "knowledge" },
      newest: { severity: "error", confidence: "secondReading" },
    },
    clauses: authorityClauses(AUTHORITIES),
    check: (certificate) => {
      const critical = criticality(certificate, Oid.basicConstraints);
      if (critical !== "critical")
        return critical === undefined ? "no basicConstraints" : "basicConstraints not critical";
      return certificate.extensions.basicConstraints?.ca === true ? undefined : "cA FALSE";
    },
  },
  {
    id: "CA2",
    requirement: "An interconnection CA sets no path length, or one of 1 and more: it stands above other CAs.",
    fix: "Issue it without pathLenConstraint.",
    in: always("error", "knowledge"),
    clauses: authorityClauses(["interconnection-ca", "root-ca"]),
    check: ({ extensions }) => (extensions.basicConstraints?.pathLength === 0 ? "path length 0" : undefined),
  },
  {
    id: "CA3",
    requirement: "A CA that issues to entities has path length 0.",
    fix: "Issue it with pathLenConstraint 0, unless it is an intermediate CA that stands above another.",
    // TS 33.320 7.2.3 and 7.2.4 allow paths of four, in which an intermediate CA needs more.
    in: {
      R9: { severity: "notice", confidence: "knowledge" },
      newest: { severity: "notice", confidence: "secondReading" },
    },
    clauses: authorityClauses(ISSUING_AUTHORITIES),
    check: ({ extensions }) => {
      const length = extensions.basicConstraints?.pathLength;
      return length === 0 ? undefined : length === undefined ? "no path length" : `path length ${length}`;
    },
  },
  {
    id: "CA4",
    requirement: "keyUsage is there, critical, and has keyCertSign.",
    fix: "Issue it with critical keyUsage keyCertSign and cRLSign.",
    in: {
      R9: { severity: "error", confidence: "knowledge" },
      newest: { severity: "error", confidence: "secondReading" },
    },
    clauses: authorityClauses(AUTHORITIES),
    check: (certificate) => {
      const critical = criticality(certificate, Oid.keyUsage);
      if (critical !== "critical") return critical === undefined ? "no keyUsage" : "keyUsage not critical";
      return certificate.extensions.keyUsage?.keyCertSign === true ? undefined : "keyUsage without keyCertSign";
    },
  },
  {
    id: "CA5",
    requirement: "keyUsage has cRLSign.",
    fix: "Issue it with keyUsage cRLSign too, or its own CRL is refused.",
    in: {
      R9: { severity: "error", confidence: "knowledge" },
      newest: { severity: "warning", confidence: "secondReading" },
    },
    clauses: authorityClauses(AUTHORITIES),
    check: ({ extensions }) => (extensions.keyUsage?.cRLSign === false ? "keyUsage without cRLSign" : undefined),
  },
  {
    id: "CA6",
    requirement: "subjectKeyIdentifier is there.",
    fix: "Issue it with a subjectKeyIdentifier, which the paths of renewed CAs are found by.",
    in: always("error", "text"),
    clauses: authorityClauses(AUTHORITIES, ", RFC 5280 4.2.1.2"),
    check: ({ extensions }) => (extensions.subjectKeyId === undefined ? "no subjectKeyIdentifier" : undefined),
  },
  {
    id: "CA7",
    requirement: "authorityKeyIdentifier is there, unless the certificate is self-signed.",
    fix: "Issue it with the authorityKeyIdentifier of its CA.",
    in: always("error", "text"),
    clauses: authorityClauses(AUTHORITIES, ", RFC 5280 4.2.1.1"),
    check: ({ extensions, isSelfIssued }) =>
      extensions.authorityKeyId === undefined && !isSelfIssued ? "no authorityKeyIdentifier" : undefined,
  },
  {
    id: "CA8",
    requirement: "cRLDistributionPoints is there where the CA above publishes a CRL.",
    fix: "Issue it with a cRLDistributionPoints extension that names the CRL of the CA above.",
    in: always("error", "knowledge"),
    clauses: authorityClauses(ISSUING_AUTHORITIES),
    check: (certificate, { crlServer }) =>
      crlServer === true && !certificate.isSelfIssued && certificate.extensions.crlUrls.length === 0
        ? "no cRLDistributionPoints"
        : undefined,
  },
  {
    id: "CA9",
    requirement: "An interconnection CA's certificate is issued by itself.",
    fix: "Make it self-signed; other CAs are profiled as SEG, TLS or NE CA.",
    in: always("error", "knowledge"),
    clauses: authorityClauses(["interconnection-ca", "root-ca"]),
    check: ({ issuer, isSelfIssued }) => (isSelfIssued ? undefined : `issued by "${issuer}"`),
  },
];

/** TS 33.320 7.2.5.2.2-1 and 8.3.3.2-1 name 6.1.4b and 6.1.4a, and set no restriction on the issuer's name. */
function authorityClauses(profiles: readonly CertificateProfile[], besides = ""): CertificateRule["clauses"] {
  return Object.fromEntries(profiles.map((profile) => [profile, `${CLAUSES[profile] ?? "RFC 5280"}${besides}`]));
}
