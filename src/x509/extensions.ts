/** Certificate extensions as values (RFC 5280 4.2). */
import type { Bytes } from "../bytes/bytes.ts";
import { formatIp } from "../bytes/ip.ts";
import { contextTag, type DerElement, DerError, DerReader, inside, Tag } from "../der/reader.ts";
import { type Name, readName } from "./name.ts";
import { Oid } from "./oids.ts";

/** One extension, undecoded. */
export interface Extension {
  oid: string;
  critical: boolean;
  /** Content of extnValue. */
  value: Bytes;
  offset: number;
}

/** Names by form (RFC 5280 4.2.1.6). */
export interface GeneralNames {
  dns: readonly string[];
  /** 4 or 16 octets each. */
  ip: readonly Bytes[];
  email: readonly string[];
  uri: readonly string[];
  directory: readonly Name[];
  /** Names of other forms. */
  others: number;
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
        out.crlUrls = readDistributionPoints(reader);
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

function readGeneralNames(reader: DerReader, field: string): GeneralNames {
  const names = {
    dns: [] as string[],
    ip: [] as Bytes[],
    email: [] as string[],
    uri: [] as string[],
    directory: [] as Name[],
    others: 0,
  };
  for (let count = 0; !reader.atEnd; count++) {
    if (count >= MAX_NAMES) reader.fail(field, `more than ${MAX_NAMES} names`);
    const name = reader.element(field);
    if (name.tag === 0x81) names.email.push(ia5(name, `${field}.rfc822Name`));
    else if (name.tag === 0x82) names.dns.push(ia5(name, `${field}.dNSName`));
    else if (name.tag === 0x86) names.uri.push(ia5(name, `${field}.uniformResourceIdentifier`));
    else if (name.tag === 0x87) {
      if (name.content.length !== 4 && name.content.length !== 16)
        reader.fail(field, `iPAddress of ${name.content.length} octets`);
      names.ip.push(name.content);
    } else if (name.tag === 0xa4) names.directory.push(readName(inside(name), `${field}.directoryName`));
    else names.others += 1;
  }
  return names;
}

/** All names of a certificate as people write them. */
export function namesOf(names: GeneralNames | undefined): string[] {
  return names === undefined ? [] : [...names.dns, ...names.ip.map(formatIp), ...names.email, ...names.uri];
}

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

function readDistributionPoints(reader: DerReader): string[] {
  const urls: string[] = [];
  const points = reader.sequence("cRLDistributionPoints");
  for (let count = 0; !points.atEnd; count++) {
    if (count >= MAX_NAMES) points.fail("cRLDistributionPoints", `more than ${MAX_NAMES}`);
    const point = points.sequence("DistributionPoint");
    const name = point.optional(contextTag(0, "constructed"), "distributionPoint");
    const full = name === undefined ? undefined : inside(name).optional(contextTag(0, "constructed"), "fullName");
    if (full !== undefined) urls.push(...readGeneralNames(inside(full), "fullName").uri);
  }
  return urls;
}

function readInfoAccess(reader: DerReader): { ocsp: string[]; caIssuers: string[] } {
  const access = { ocsp: [] as string[], caIssuers: [] as string[] };
  const list = reader.sequence("authorityInfoAccess");
  for (let count = 0; !list.atEnd; count++) {
    if (count >= MAX_NAMES) list.fail("authorityInfoAccess", `more than ${MAX_NAMES}`);
    const one = list.sequence("AccessDescription");
    const method = one.oid("accessMethod");
    const location = one.element("accessLocation");
    if (location.tag !== 0x86) continue;
    if (method === Oid.adOcsp) access.ocsp.push(ia5(location, "accessLocation"));
    else if (method === Oid.adCaIssuers) access.caIssuers.push(ia5(location, "accessLocation"));
  }
  return access;
}

/** An IA5String without control characters: names are compared, and shown to people. */
function ia5({ content, offset }: DerElement, field: string): string {
  const text = content.toString("latin1");
  if (!PRINTABLE.test(text)) throw new DerError(field, offset, "characters other than printable ASCII");
  return text;
}

const PRINTABLE = /^[\x20-\x7e]*$/;
/** Extensions of one certificate, CRL or OCSP structure. */
const MAX_EXTENSIONS = 64;
/** Names in one extension. */
const MAX_NAMES = 256;
