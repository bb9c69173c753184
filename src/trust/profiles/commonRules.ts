/** TS 33.310 6.1.1: what holds for every certificate. Ids as in docs/standards/ts33310-profiles.md. */
import type { Bytes } from "../../bytes/bytes.ts";
import { Tag } from "../../der/reader.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { Name } from "../../x509/name.ts";
import { Oid } from "../../x509/oids.ts";
import { attributesOf, criticality, exponentOf, keyAlgorithmOf, oidTexts, strengthOf, versionOf } from "./encoding.ts";
import { AUTHORITIES, always, type CertificateRule, clauseOf, ENTITIES, isAuthority, type Release } from "./rule.ts";

export const COMMON_RULES: readonly CertificateRule[] = [
  {
    id: "C1",
    requirement: "The certificate is X.509 version 3.",
    fix: "Issue it anew as version 3, which extensions need.",
    in: { R9: { severity: "error", confidence: "knowledge" }, newest: { severity: "error", confidence: "text" } },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: (certificate) => (versionOf(certificate) === 3 ? undefined : `version ${versionOf(certificate)}`),
  },
  {
    id: "C2",
    requirement: "The signature's hash is none of MD2 and MD5, and by the newest release not SHA-1.",
    fix: "Have the CA sign with SHA-256 or SHA-384.",
    in: { R9: { severity: "error", confidence: "knowledge" }, newest: { severity: "error", confidence: "text" } },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: (certificate, { release }) => forbiddenHash(certificate.signatureAlgorithm, release),
  },
  {
    id: "C2a",
    requirement: "New certificates are signed with SHA-256 rather than SHA-1.",
    fix: "Have the CA sign with SHA-256.",
    in: { R9: { severity: "warning", confidence: "knowledge" } },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ signatureAlgorithm }) => (signatureAlgorithm.known?.digest === "sha1" ? "SHA-1" : undefined),
  },
  {
    id: "C3",
    requirement: "The signature is RSA, or by the newest release ECDSA as well.",
    fix: "Sign with sha256WithRSAEncryption, or where devices are of newer releases with ECDSA.",
    // A warning for release 9: nothing read says that ECDSA is forbidden there, only that RSA is what all know.
    in: {
      R9: { severity: "warning", confidence: "knowledge" },
      newest: { severity: "error", confidence: "text" },
    },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ signatureAlgorithm: { oid } }, { release }) =>
      RSA_SIGNATURES.includes(oid) || (release === "newest" && NEWER_SIGNATURES.includes(oid)) ? undefined : oid,
  },
  {
    id: "C3a",
    requirement: "RSA signatures are not PKCS#1 v1.5, which is not recommended any more.",
    fix: "Sign with ECDSA, or with RSASSA-PSS where all peers know it.",
    in: { newest: { severity: "notice", confidence: "text" } },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ signatureAlgorithm }) => (signatureAlgorithm.known?.kind === "rsa" ? "RSA PKCS#1 v1.5" : undefined),
  },
  {
    id: "C4",
    requirement: "The key is rsaEncryption, or by the newest release id-ecPublicKey as well.",
    fix: "Use an RSA key, or where devices are of newer releases an EC key.",
    in: {
      R9: { severity: "warning", confidence: "knowledge" },
      newest: { severity: "error", confidence: "text" },
    },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: (certificate, { release }) => {
      const algorithm = keyAlgorithmOf(certificate);
      if (algorithm === Oid.rsaEncryption) return undefined;
      return algorithm === Oid.ecPublicKey && release === "newest" ? undefined : `key of ${algorithm}`;
    },
  },
  {
    id: "C5",
    requirement: "An RSA key has at least 2048 bits; an entity's, by release 9, at least 1024.",
    fix: "Make a new key of 2048 bits or more.",
    in: always("error", "knowledge"),
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ keyDescription: key }, { profile, release }) => {
      const least = release === "R9" && !isAuthority(profile) ? 1024 : 2048;
      return key.kind === "rsa" && key.bits < least ? `${key.bits} bits` : undefined;
    },
  },
  {
    id: "C5a",
    requirement: "An entity's RSA key should have 2048 bits.",
    fix: "Make a new key of 2048 bits or more.",
    in: { R9: { severity: "warning", confidence: "knowledge" } },
    clauses: clauseOf("TS 33.310 6.1.1", [...ENTITIES, "ocsp-signer"]),
    check: ({ keyDescription: key }) =>
      key.kind === "rsa" && key.bits >= 1024 && key.bits < 2048 ? `${key.bits} bits` : undefined,
  },
  {
    id: "C6",
    requirement: "An RSA key's public exponent should be 65537.",
    fix: "Make a new key with the exponent 65537.",
    in: always("warning", "knowledge"),
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: (certificate) => {
      const exponent = exponentOf(certificate)?.toString("hex");
      return exponent === undefined || exponent === "010001" ? undefined : `exponent 0x${exponent}`;
    },
  },
  {
    id: "C7",
    requirement: "An EC key names its curve.",
    fix: "Make a new key with a named curve, P-256 or P-384.",
    in: { newest: { severity: "error", confidence: "knowledge" } },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ keyDescription: key }) =>
      key.kind === "ec" && key.curve === undefined ? "curve parameters spelled out" : undefined,
  },
  {
    id: "C7a",
    requirement: "An EC key is on P-256 or P-384, the curves peers support.",
    fix: "Make a new key on P-256 or P-384.",
    in: { newest: { severity: "warning", confidence: "secondReading" } },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ keyDescription: key }) =>
      key.kind === "ec" && key.curve !== undefined && key.curve !== Oid.p256 && key.curve !== Oid.p384
        ? `curve ${key.curve}`
        : undefined,
  },
  {
    id: "C8",
    requirement: 'Subject and issuer are "[C=], O=, CN=" or "DC=, DC=, [OU=], CN=", the general part first.',
    fix: "Issue it under a name of one of the two forms.",
    in: {
      R9: { severity: "warning", confidence: "knowledge" },
      newest: { severity: "warning", confidence: "secondReading" },
    },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ subject, issuer }) =>
      otherForm("subject", subject) ?? (issuer.equals(subject) ? undefined : otherForm("issuer", issuer)),
  },
  {
    id: "C8a",
    requirement: "O, OU and CN are UTF8String, C is PrintableString, DC is IA5String.",
    fix: "Issue it anew with these string types; peers may compare names octet by octet.",
    in: {
      R9: { severity: "warning", confidence: "knowledge" },
      newest: { severity: "warning", confidence: "secondReading" },
    },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ subject, issuer }) => otherStrings("subject", subject) ?? otherStrings("issuer", issuer),
  },
  {
    id: "C9",
    requirement: "The subject is not empty and has a common name: an entity's FQDN or a name that tells it apart.",
    fix: "Issue it with a common name.",
    in: always("error", "knowledge"),
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ subject }) => {
      if (subject.isEmpty) return "empty subject";
      return subject.commonName?.trim() ? undefined : `no common name in "${subject}"`;
    },
  },
  {
    id: "C10",
    requirement: "The serial number is positive and at most 20 octets long.",
    fix: "Issue it under a positive serial number of at most 20 octets.",
    in: always("error", "knowledge"),
    clauses: clauseOf("TS 33.310 6.1.1, RFC 5280 4.1.2.2"),
    check: ({ serial, serialText }) => {
      if (!isPositive(serial)) return `serial ${serialText} is not positive`;
      return serial.length > 20 ? `serial of ${serial.length} octets` : undefined;
    },
  },
  {
    id: "C10a",
    requirement: "The serial number cannot be foreseen: 64 random bits or more.",
    fix: "Have the CA draw serial numbers at random.",
    in: { newest: { severity: "warning", confidence: "knowledge" } },
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: ({ serial, serialText }) =>
      isPositive(serial) && serial.length < 8 ? `serial ${serialText} of ${serial.length} octets` : undefined,
  },
  {
    id: "C11",
    requirement: "A CRL distribution point can be reached by LDAP or HTTP.",
    fix: "Put an ldap: or http: URL into cRLDistributionPoints.",
    in: always("warning", "knowledge"),
    clauses: clauseOf("TS 33.310 6.1.1"),
    check: (certificate) => {
      if (criticality(certificate, Oid.crlDistributionPoints) === undefined) return undefined;
      const { crlUrls } = certificate.extensions;
      if (crlUrls.some((url) => /^(ldap|http):\/\//i.test(url))) return undefined;
      return crlUrls.length === 0 ? "distribution points without a URL" : crlUrls.join(", ");
    },
  },
  {
    id: "C12",
    requirement: "Only the extensions that the profile names so are critical.",
    fix: "Issue it with the extension not critical; a peer that does not know it must refuse the certificate.",
    in: {
      R9: { severity: "error", confidence: "knowledge" },
      newest: { severity: "error", confidence: "secondReading" },
    },
    clauses: clauseOf("TS 33.310 6.1"),
    check: ({ extensionList }) => {
      const others = extensionList.filter(({ oid, critical }) => critical && !CRITICAL.includes(oid));
      return others.length === 0 ? undefined : `critical: ${oidTexts(others.map(({ oid }) => oid))}`;
    },
  },
  {
    id: "C12a",
    requirement: "An entity's basicConstraints, if there at all, is not critical.",
    fix: "Leave basicConstraints out of entities' certificates, or make it not critical.",
    in: { newest: { severity: "notice", confidence: "secondReading" } },
    clauses: clauseOf("TS 33.310 6.1.3, 6.1.3a", [...ENTITIES, "ocsp-signer"]),
    check: (certificate) =>
      criticality(certificate, Oid.basicConstraints) === "critical" ? "basicConstraints is critical" : undefined,
  },
  {
    id: "C13",
    requirement: "The CA's key is at least as strong as the key it signs for.",
    fix: "Issue it under a CA with a stronger key, or use a key no stronger than the CA's.",
    in: { newest: { severity: "warning", confidence: "secondReading" } },
    // Not OCSP signers: a fast P-256 signer under an RSA CA weakens nothing that the CA's own key does not.
    clauses: clauseOf("TS 33.310 6.1.1", [...ENTITIES, ...AUTHORITIES]),
    check: (certificate, { issuer }) => {
      const own = strengthOf(certificate);
      const above = issuer === undefined ? undefined : strengthOf(issuer);
      if (own === undefined || above === undefined || above >= own) return undefined;
      return `a key of ${own} bits of security under one of ${above}`;
    },
  },
  {
    id: "C14",
    requirement: "The issuer's name is the subject of the CA it is issued under.",
    fix: "Look for the right CA certificate; this one is another's.",
    in: always("error", "knowledge"),
    clauses: clauseOf("TS 33.310 6.1.3, 6.1.3a, RFC 5280 6.1.3"),
    check: (certificate, { issuer }) =>
      issuer === undefined || certificate.issuer.equals(issuer.subject)
        ? undefined
        : `issuer "${certificate.issuer}", CA "${issuer.subject}"`,
  },
];

/** The hash of a signature where this release forbids it; CRLs are held to the same (6.1a). */
export function forbiddenHash(
  { oid, known }: Pick<Certificate["signatureAlgorithm"], "oid" | "known">,
  release: Release,
): string | undefined {
  return OLD_HASHES.get(oid) ?? (release === "newest" && known?.digest === "sha1" ? "SHA-1" : undefined);
}

function isPositive(serial: Bytes): boolean {
  return serial[0]! < 0x80 && serial.some((octet) => octet !== 0);
}

function otherForm(which: string, name: Name): string | undefined {
  const types = name.attributes.map(({ type }) => LETTERS.get(type) ?? "?").join("");
  return name.isEmpty || /^C?ON$|^D{2,}U?N$/.test(types) ? undefined : `${which} "${name}"`;
}

function otherStrings(which: string, name: Name): string | undefined {
  const wrong = attributesOf(name).find(({ type, tag }) => STRING_TYPES.has(type) && STRING_TYPES.get(type) !== tag);
  return wrong === undefined
    ? undefined
    : `${which} "${name}": "${wrong.value.replace(/\p{C}/gu, "?")}" has tag ${wrong.tag}`;
}

const RSA_SIGNATURES: readonly string[] = [
  Oid.sha1WithRsa,
  Oid.sha256WithRsa,
  Oid.sha384WithRsa,
  Oid.sha512WithRsa,
  "1.2.840.113549.1.1.2",
  "1.2.840.113549.1.1.4",
];
const NEWER_SIGNATURES: readonly string[] = [
  Oid.rsassaPss,
  Oid.ecdsaWithSha1,
  Oid.ecdsaWithSha256,
  Oid.ecdsaWithSha384,
  Oid.ecdsaWithSha512,
];
/** RFC 3279 2.2.1. */
const OLD_HASHES = new Map([
  ["1.2.840.113549.1.1.2", "MD2"],
  ["1.2.840.113549.1.1.4", "MD5"],
]);
const CRITICAL: readonly string[] = [Oid.keyUsage, Oid.basicConstraints];

const LETTERS = new Map<string, string>([
  [Oid.country, "C"],
  [Oid.organization, "O"],
  [Oid.organizationalUnit, "U"],
  [Oid.commonName, "N"],
  [Oid.domainComponent, "D"],
]);
const STRING_TYPES = new Map<string, number>([
  [Oid.country, Tag.PRINTABLE_STRING],
  [Oid.organization, Tag.UTF8_STRING],
  [Oid.organizationalUnit, Tag.UTF8_STRING],
  [Oid.commonName, Tag.UTF8_STRING],
  [Oid.domainComponent, Tag.IA5_STRING],
]);
