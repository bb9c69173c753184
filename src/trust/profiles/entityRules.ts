/** TS 33.310 6.1.3, 6.1.3a, 6.1.3b and what TS 33.320 7.2.5.2.1 and 8.3.3.1 add: entities, and OCSP signers (RFC 6960). */
import { parseIp } from "../../bytes/ip.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { namesOf } from "../../x509/extensions.ts";
import { Oid } from "../../x509/oids.ts";
import { hasAddress, hasDns } from "../serverName.ts";
import { criticality, oidTexts } from "./encoding.ts";
import {
  always,
  type CertificateProfile,
  type CertificateRule,
  ENTITIES,
  IKE_ENTITIES,
  type RuleContext,
  TLS_ENTITIES,
} from "./rule.ts";

// First, since the table below is made of it.
const CLAUSES: Partial<Record<CertificateProfile, string>> = {
  segw: "TS 33.310 6.1.3, TS 33.320 7.2.5.2.1",
  "henb-ikev2": "TS 33.310 6.1.3, TS 33.320 7.2.5.2.1",
  "henb-tls": "TS 33.310 6.1.3a, TS 33.320 8.3.3.1",
  henb: "TS 33.310 6.1.3, 6.1.3a, TS 33.320 7.2.5.2.1, 8.3.3.1",
  hems: "TS 33.310 6.1.3a, TS 33.320 8.3.3.1",
};

export const ENTITY_RULES: readonly CertificateRule[] = [
  {
    id: "E1",
    requirement: "authorityKeyIdentifier is there.",
    fix: "Issue it with the authorityKeyIdentifier of its CA.",
    in: { R9: { severity: "warning", confidence: "text" }, newest: { severity: "error", confidence: "knowledge" } },
    clauses: entityClauses([...ENTITIES, "ocsp-signer"]),
    check: ({ extensions }) => (extensions.authorityKeyId === undefined ? "no authorityKeyIdentifier" : undefined),
  },
  {
    id: "E2",
    requirement: "It is no CA certificate: basicConstraints is absent or says cA FALSE.",
    fix: "Issue the entity a certificate of its own; a CA's key must not speak IKE or TLS.",
    in: always("error", "knowledge"),
    clauses: entityClauses([...ENTITIES, "ocsp-signer"]),
    check: ({ extensions }) => (extensions.basicConstraints?.ca === true ? "cA TRUE" : undefined),
  },
  {
    id: "E3",
    requirement: "keyUsage is there, critical, and has digitalSignature (release 9: or nonRepudiation).",
    fix: "Issue it with critical keyUsage digitalSignature.",
    in: { R9: { severity: "error", confidence: "knowledge" }, newest: { severity: "error", confidence: "text" } },
    clauses: entityClauses(IKE_ENTITIES),
    check: (certificate, { release }) =>
      keyUsageLacks(certificate, release === "R9" ? ["digitalSignature", "nonRepudiation"] : ["digitalSignature"]),
  },
  {
    id: "E4",
    requirement: "keyUsage is there, critical, and has digitalSignature (release 9: or keyEncipherment).",
    fix: "Issue it with critical keyUsage digitalSignature.",
    in: {
      R9: { severity: "error", confidence: "knowledge" },
      newest: { severity: "error", confidence: "secondReading" },
    },
    clauses: entityClauses(["henb-tls", "hems"]),
    check: (certificate, { release }) =>
      keyUsageLacks(certificate, release === "R9" ? ["digitalSignature", "keyEncipherment"] : ["digitalSignature"]),
  },
  {
    id: "E5",
    requirement: "extendedKeyUsage, where it is there, allows IKE.",
    fix: "Add id-kp-ipsecIKE to extendedKeyUsage, or leave the extension out.",
    in: always("error", "text"),
    clauses: entityClauses(IKE_ENTITIES, ", RFC 4945 5.1.3.12"),
    check: ({ extensions: { extendedKeyUsage: usages } }) =>
      usages === undefined || usages.some((usage) => IKE_USAGES.includes(usage)) ? undefined : oidTexts(usages),
  },
  {
    id: "E6",
    requirement: "extendedKeyUsage, where it is there, has clientAuth for an H(e)NB and serverAuth for an H(e)MS.",
    fix: "Add id-kp-clientAuth or id-kp-serverAuth to extendedKeyUsage.",
    in: {
      R9: { severity: "error", confidence: "knowledge" },
      newest: { severity: "error", confidence: "secondReading" },
    },
    clauses: entityClauses(TLS_ENTITIES),
    check: ({ extensions: { extendedKeyUsage: usages } }, { profile }) => {
      const wanted = profile === "hems" ? Oid.serverAuth : Oid.clientAuth;
      const allows = usages === undefined || usages.includes(wanted) || usages.includes(Oid.anyExtendedKeyUsage);
      return allows ? undefined : `${oidTexts(usages)} without ${oidTexts([wanted])}`;
    },
  },
  {
    id: "E7",
    requirement: "extendedKeyUsage is there.",
    fix: "Issue it with extendedKeyUsage id-kp-clientAuth or id-kp-serverAuth, or both.",
    // The profile of network functions (6.1.3c) makes it mandatory; a reading of V18.8.0 6.1.3a takes it for optional.
    in: { newest: { severity: "warning", confidence: "knowledge" } },
    clauses: entityClauses(["henb-tls", "hems"]),
    check: ({ extensions }) => (extensions.extendedKeyUsage === undefined ? "no extendedKeyUsage" : undefined),
  },
  {
    id: "E8",
    requirement: "subjectAltName has the FQDN or address that IKE identifies the entity by.",
    fix: "Issue it with subjectAltName dNSName or iPAddress.",
    in: always("error", "knowledge"),
    clauses: entityClauses(["segw"]),
    check: ({ extensions }) => {
      const names = extensions.subjectAltName;
      return names !== undefined && names.dns.length + names.ip.length > 0 ? undefined : "no dNSName or iPAddress";
    },
  },
  {
    id: "E9",
    requirement: "subjectAltName has the H(e)NB's identity, an FQDN, equal to IDi.",
    fix: "Issue it with the device's FQDN as dNSName in subjectAltName.",
    in: always("error", "text"),
    clauses: entityClauses(["henb-ikev2", "henb"], " (7.2.5.2.1-2)"),
    check: (certificate, { identity }) => {
      const dns = certificate.extensions.subjectAltName?.dns ?? [];
      if (dns.length === 0) return "no dNSName";
      return identity === undefined || hasDns(certificate, identity) ? undefined : `${dns.join(", ")}, not ${identity}`;
    },
  },
  {
    id: "E10",
    requirement: "subjectAltName has the FQDN or address that devices connect to.",
    fix: "Issue it with that name in subjectAltName, or tell the devices the name it has.",
    in: always("error", "text"),
    clauses: entityClauses(["segw"], " (7.2.2-4)"),
    check: connectedToLacks,
  },
  {
    id: "E11",
    requirement: "subjectAltName is there.",
    fix: "Issue it with the entity's name in subjectAltName.",
    in: { newest: { severity: "warning", confidence: "knowledge" } },
    clauses: entityClauses(["henb-tls"]),
    check: ({ extensions }) => (extensions.subjectAltName === undefined ? "no subjectAltName" : undefined),
  },
  {
    id: "E12",
    requirement: "The H(e)MS's identity stands in subjectAltName, equal to the name connected to.",
    fix: "Issue it with the H(e)MS's FQDN or address in subjectAltName.",
    in: always("error", "text"),
    clauses: entityClauses(["hems"], " (8.3.3.1-3)"),
    check: (certificate, about) =>
      namesOf(certificate.extensions.subjectAltName).length === 0
        ? "no name in subjectAltName"
        : connectedToLacks(certificate, about),
  },
  {
    id: "E13",
    requirement: "The H(e)NB's identity, an FQDN, is the common name of its TLS certificate.",
    fix: "Issue it with the device's FQDN as common name.",
    in: always("error", "text"),
    clauses: entityClauses(["henb-tls", "henb"], " (8.3.3.1-2)"),
    check: ({ subject: { commonName } }, { identity }) => {
      if (commonName === undefined || !FQDN.test(commonName)) return `common name ${quoted(commonName)} is no FQDN`;
      const same = identity === undefined || identity.toLowerCase() === commonName.toLowerCase();
      return same ? undefined : `common name "${commonName}", not ${identity}`;
    },
  },
  {
    id: "E14",
    requirement: "The H(e)MS's identity in the common name is one of those in subjectAltName.",
    fix: "Issue it with the same FQDN or address in the common name and in subjectAltName.",
    in: always("error", "text"),
    clauses: entityClauses(["hems"], " (8.3.3.1-3)"),
    check: ({ subject: { commonName }, extensions }) => {
      const names = namesOf(extensions.subjectAltName);
      if (names.length === 0) return undefined;
      const same = names.some((name) => name.toLowerCase() === commonName?.toLowerCase());
      return same ? undefined : `common name ${quoted(commonName)}, subjectAltName ${names.join(", ")}`;
    },
  },
  {
    id: "E15",
    requirement: "It names the CRL or OCSP server where the manufacturer or vendor runs one.",
    fix: "Issue it with cRLDistributionPoints, or authorityInfoAccess with id-ad-ocsp.",
    in: always("error", "text"),
    clauses: entityClauses(["henb-ikev2", "henb-tls", "henb"], " (7.2.5.2.1-3, 8.3.3.1-4)"),
    check: ({ extensions: { crlUrls, ocspUrls } }, { crlServer, ocspServer }) => {
      const pointsToCrl = crlServer === true && crlUrls.length > 0;
      const pointsToOcsp = ocspServer === true && ocspUrls.length > 0;
      if ((crlServer !== true && ocspServer !== true) || pointsToCrl || pointsToOcsp) return undefined;
      return crlServer === true ? "no cRLDistributionPoints, no authorityInfoAccess" : "no authorityInfoAccess";
    },
  },
  {
    id: "E16",
    requirement: "It names the operator's OCSP server, unless the gateway or H(e)MS brings its status itself.",
    fix: "Issue it with authorityInfoAccess id-ad-ocsp, or switch in-band OCSP (TLS: stapling) on.",
    in: always("error", "text"),
    clauses: entityClauses(["segw", "hems"], " (7.2.5.2.1-4, 8.3.3.1-4)"),
    check: ({ extensions }, { ocspServer, statusInBand }) =>
      ocspServer === true && statusInBand !== true && extensions.ocspUrls.length === 0
        ? "no authorityInfoAccess with id-ad-ocsp"
        : undefined,
  },
  {
    id: "O1",
    requirement: "extendedKeyUsage has id-kp-OCSPSigning.",
    fix: "Issue the signer a certificate with extendedKeyUsage id-kp-OCSPSigning.",
    in: always("error", "text"),
    clauses: { "ocsp-signer": "RFC 6960 4.2.2.2" },
    check: ({ extensions: { extendedKeyUsage: usages } }) =>
      usages?.includes(Oid.ocspSigning) === true
        ? undefined
        : usages === undefined
          ? "no extendedKeyUsage"
          : oidTexts(usages),
  },
  {
    id: "O2",
    requirement: "keyUsage is there and has digitalSignature.",
    fix: "Issue it with keyUsage digitalSignature.",
    in: always("error", "text"),
    clauses: { "ocsp-signer": "RFC 6960 4.2.2.2, RFC 5280 4.2.1.3" },
    check: ({ extensions: { keyUsage } }) =>
      keyUsage?.digitalSignature === true ? undefined : keyUsage === undefined ? "no keyUsage" : "no digitalSignature",
  },
  {
    id: "O3",
    requirement: "It has id-pkix-ocsp-nocheck, or names where its own status can be asked for.",
    fix: "Issue it with id-pkix-ocsp-nocheck and a short life, or with cRLDistributionPoints.",
    in: always("warning", "text"),
    clauses: { "ocsp-signer": "RFC 6960 4.2.2.2.1" },
    check: ({ extensions: { ocspNoCheck, crlUrls, ocspUrls } }) =>
      ocspNoCheck || crlUrls.length + ocspUrls.length > 0 ? undefined : "neither",
  },
  {
    id: "O4",
    requirement: "A signer whose status is not checked has a short life, here taken as one year at most.",
    fix: "Issue it for weeks or months, and renew it.",
    in: always("notice", "text"),
    clauses: { "ocsp-signer": "RFC 6960 4.2.2.2.1" },
    check: ({ extensions, notBefore, notAfter }) => {
      const days = Math.round((notAfter - notBefore) / 86_400_000);
      return extensions.ocspNoCheck && days > 366 ? `nocheck for ${days} days` : undefined;
    },
  },
];

function keyUsageLacks(
  certificate: Certificate,
  oneOf: readonly ("digitalSignature" | "nonRepudiation" | "keyEncipherment")[],
): string | undefined {
  const critical = criticality(certificate, Oid.keyUsage);
  if (critical !== "critical") return critical === undefined ? "no keyUsage" : "keyUsage not critical";
  const usage = certificate.extensions.keyUsage;
  return oneOf.some((bit) => usage?.[bit] === true) ? undefined : `keyUsage without ${oneOf.join(" or ")}`;
}

function connectedToLacks(certificate: Certificate, { identity }: RuleContext): string | undefined {
  if (identity === undefined) return undefined;
  const address = parseIp(identity);
  const has = address === undefined ? hasDns(certificate, identity) : hasAddress(certificate, address);
  return has ? undefined : `${namesOf(certificate.extensions.subjectAltName).join(", ") || "no name"}, not ${identity}`;
}

function entityClauses(profiles: readonly CertificateProfile[], besides = ""): CertificateRule["clauses"] {
  return Object.fromEntries(profiles.map((profile) => [profile, `${CLAUSES[profile] ?? "RFC 5280"}${besides}`]));
}

function quoted(text: string | undefined): string {
  return text === undefined ? "(none)" : `"${text.replace(/\p{C}/gu, "?")}"`;
}

const IKE_USAGES: readonly string[] = [
  Oid.ipsecIke,
  Oid.anyExtendedKeyUsage,
  Oid.ikeIntermediate,
  Oid.ipsecEndSystem,
  Oid.ipsecTunnel,
  Oid.ipsecUser,
];
/** Labels of RFC 1123 2.1, at least two. */
const FQDN = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
