/** Certificate extensions as values (RFC 5280 4.2). */
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, DerReader, Tag } from "../der/reader.ts";
import { type DistributionPoint, readDistributionPoints } from "./distributionPoints.ts";
import { FORM, type GeneralNames, ia5, MAX_NAMES, readGeneralNames } from "./generalNames.ts";
import { type NameConstraints, readNameConstraints } from "./nameConstraintsExtension.ts";
import { Oid } from "./oids.ts";
import {
  type PolicyConstraints,
  type PolicyMapping,
  readCertificatePolicies,
  readPolicyConstraints,
  readPolicyMappings,
} from "./policyExtensions.ts";

export { type GeneralNames, namesOf } from "./generalNames.ts";

/** One extension, undecoded. */
export interface Extension {
  oid: string;
  critical: boolean;
  /** Content of extnValue. */
  value: Bytes;
  offset: number;
}

/** Bits of KeyUsage (RFC 5280 4.2.1.3). */
export interface KeyUsage {
  digitalSignature: boolean;
  nonRepudiation: boolean;
  keyEncipherment: boolean;
  keyCertSign: boolean;
  cRLSign: boolean;
}

/** The extensions this code processes; each undefined where the certificate lacks it. */
export interface Extensions {
  basicConstraints: { ca: boolean; pathLength: number | undefined } | undefined;
  keyUsage: KeyUsage | undefined;
  extendedKeyUsage: readonly string[] | undefined;
  subjectAltName: GeneralNames | undefined;
  authorityKeyId: Bytes | undefined;
  subjectKeyId: Bytes | undefined;
  nameConstraints: NameConstraints | undefined;
  /** Object identifiers of the policies, anyPolicy among them. */
  certificatePolicies: readonly string[] | undefined;
  policyMappings: readonly PolicyMapping[] | undefined;
  policyConstraints: PolicyConstraints | undefined;
  /** Certificates that may follow before anyPolicy stands for no other policy (RFC 5280 4.2.1.14). */
  inhibitAnyPolicy: number | undefined;
  crlDistributionPoints: readonly DistributionPoint[];
  /** Where delta CRLs are (RFC 5280 4.2.1.15). */
  freshestCrl: readonly DistributionPoint[];
  /** Addresses of the CRLs of crlDistributionPoints. */
  crlUrls: readonly string[];
  ocspUrls: readonly string[];
  caIssuerUrls: readonly string[];
  ocspNoCheck: boolean;
  /** Critical extensions that are not processed, which makes a path through this certificate invalid. */
  unknownCritical: readonly string[];
}

/** Reads an Extensions sequence; a repeated extension is refused (RFC 5280 4.2). */
export function readExtensions(list: DerReader, field: string): Extension[] {
  const extensions: Extension[] = [];
  while (!list.atEnd) {
    if (extensions.length >= MAX_EXTENSIONS) list.fail(field, `more than ${MAX_EXTENSIONS} extensions`);
    const one = list.sequence(field);
    const oid = one.oid(`${field}.extnID`);
    const critical = one.peek() === Tag.BOOLEAN ? one.boolean(`${field}.critical`) : false;
    const value = one.expect(Tag.OCTET_STRING, `${field}.extnValue`);
    one.end(field);
    if (extensions.some((other) => other.oid === oid)) list.fail(field, `extension ${oid} twice`);
    extensions.push({ oid, critical, value: value.content, offset: value.offset });
  }
  return extensions;
}

/** Decodes the extensions that are processed and lists the critical ones that are not; throws DerError. */
export function decodeExtensions(list: readonly Extension[]): Extensions {
  const out: Mutable<Extensions> = {
    basicConstraints: undefined,
    keyUsage: undefined,
    extendedKeyUsage: undefined,
    subjectAltName: undefined,
    authorityKeyId: undefined,
    subjectKeyId: undefined,
    nameConstraints: undefined,
    certificatePolicies: undefined,
    policyMappings: undefined,
    policyConstraints: undefined,
    inhibitAnyPolicy: undefined,
    crlDistributionPoints: [],
    freshestCrl: [],
    crlUrls: [],
    ocspUrls: [],
    caIssuerUrls: [],
    ocspNoCheck: false,
    unknownCritical: [],
  };
  const unknown: string[] = [];
  for (const extension of list) {
    const reader = new DerReader(extension.value, extension.offset);
    switch (extension.oid) {
      case Oid.basicConstraints:
        out.basicConstraints = readBasicConstraints(reader);
        break;
      case Oid.keyUsage:
        out.keyUsage = readKeyUsage(reader);
        break;
      case Oid.extendedKeyUsage:
        out.extendedKeyUsage = readExtendedKeyUsage(reader);
        break;
      case Oid.subjectAltName:
        out.subjectAltName = readGeneralNames(reader.sequence("subjectAltName"), "subjectAltName");
        break;
      case Oid.subjectKeyIdentifier:
        out.subjectKeyId = reader.octetString("subjectKeyIdentifier");
        break;
      case Oid.authorityKeyIdentifier:
        out.authorityKeyId = reader
          .sequence("authorityKeyIdentifier")
          .optional(contextTag(0, "primitive"), "keyIdentifier")?.content;
        break;
      case Oid.crlDistributionPoints:
        out.crlDistributionPoints = readDistributionPoints(reader, "cRLDistributionPoints");
        out.crlUrls = urlsOf(out.crlDistributionPoints);
        break;
      case Oid.freshestCrl:
        out.freshestCrl = readDistributionPoints(reader, "freshestCRL");
        break;
      case Oid.nameConstraints:
        out.nameConstraints = readNameConstraints(reader);
        break;
      case Oid.certificatePolicies: {
        const { oids, unknownQualifiers } = readCertificatePolicies(reader);
        out.certificatePolicies = oids;
        if (extension.critical) unknown.push(...unknownQualifiers);
        break;
      }
      case Oid.policyMappings:
        out.policyMappings = readPolicyMappings(reader);
        break;
      case Oid.policyConstraints:
        out.policyConstraints = readPolicyConstraints(reader);
        break;
      case Oid.inhibitAnyPolicy:
        out.inhibitAnyPolicy = reader.smallInteger("inhibitAnyPolicy");
        break;
      case Oid.authorityInfoAccess: {
        const access = readInfoAccess(reader);
        out.ocspUrls = access.ocsp;
        out.caIssuerUrls = access.caIssuers;
        break;
      }
      case Oid.ocspNoCheck:
        reader.expect(Tag.NULL, "ocspNoCheck");
        out.ocspNoCheck = true;
        break;
      default:
        if (extension.critical) unknown.push(extension.oid);
        continue;
    }
    reader.end(extension.oid);
  }
  out.unknownCritical = unknown;
  return out;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function readBasicConstraints(reader: DerReader): Extensions["basicConstraints"] {
  const inner = reader.sequence("basicConstraints");
  const ca = inner.peek() === Tag.BOOLEAN ? inner.boolean("cA") : false;
  const pathLength = inner.peek() === Tag.INTEGER ? inner.smallInteger("pathLenConstraint") : undefined;
  inner.end("basicConstraints");
  return { ca, pathLength };
}

function readKeyUsage(reader: DerReader): KeyUsage {
  const { content } = reader.expect(Tag.BIT_STRING, "keyUsage");
  if (content.length < 1 || content.length > 3) reader.fail("keyUsage", `${content.length} octets`);
  if (content[0]! > 7 || (content.length === 1 && content[0] !== 0))
    reader.fail("keyUsage", `${content[0]} unused bits`);
  const bits = content[1] ?? 0;
  return {
    digitalSignature: (bits & 0x80) !== 0,
    nonRepudiation: (bits & 0x40) !== 0,
    keyEncipherment: (bits & 0x20) !== 0,
    keyCertSign: (bits & 0x04) !== 0,
    cRLSign: (bits & 0x02) !== 0,
  };
}

function readExtendedKeyUsage(reader: DerReader): string[] {
  const inner = reader.sequence("extendedKeyUsage");
  const usages: string[] = [];
  while (!inner.atEnd) {
    if (usages.length >= MAX_NAMES) inner.fail("extendedKeyUsage", `more than ${MAX_NAMES}`);
    usages.push(inner.oid("KeyPurposeId"));
  }
  return usages;
}

function urlsOf(points: readonly DistributionPoint[]): string[] {
  return points.flatMap(({ name }) => (name !== undefined && "fullName" in name ? name.fullName.uri : []));
}

function readInfoAccess(reader: DerReader): { ocsp: string[]; caIssuers: string[] } {
  const access = { ocsp: [] as string[], caIssuers: [] as string[] };
  const list = reader.sequence("authorityInfoAccess");
  for (let count = 0; !list.atEnd; count++) {
    if (count >= MAX_NAMES) list.fail("authorityInfoAccess", `more than ${MAX_NAMES}`);
    const one = list.sequence("AccessDescription");
    const method = one.oid("accessMethod");
    const location = one.element("accessLocation");
    if (location.tag !== FORM.uri) continue;
    if (method === Oid.adOcsp) access.ocsp.push(ia5(location, "accessLocation"));
    else if (method === Oid.adCaIssuers) access.caIssuers.push(ia5(location, "accessLocation"));
  }
  return access;
}

/** Extensions of one certificate, CRL or OCSP structure. */
const MAX_EXTENSIONS = 64;
