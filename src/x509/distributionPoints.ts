/** Where a certificate's revocation is told, and what a CRL covers of it (RFC 5280 4.2.1.13, 5.2.5). */
import { contextTag, type DerElement, DerReader, inside, Tag } from "../der/reader.ts";
import { sequence } from "../der/writer.ts";
import { emptyNames, type GeneralNames, MAX_NAMES, readGeneralNames } from "./generalNames.ts";
import { Name, readName } from "./name.ts";

/** Name of a distribution point: in full, or as a name of one RDN below the CRL issuer's (RFC 5280 4.2.1.13). */
export type DistributionPointName = { fullName: GeneralNames } | { relativeName: Name };

/** One DistributionPoint of a certificate's or CRL's extension. */
export interface DistributionPoint {
  name: DistributionPointName | undefined;
  /** ReasonFlags as a mask, bit n for reason n (1 keyCompromise); undefined for all. */
  reasons: number | undefined;
  crlIssuer: GeneralNames | undefined;
}

/** What a CRL covers (RFC 5280 5.2.5). */
export interface IssuingDistributionPoint {
  name: DistributionPointName | undefined;
  onlyContainsUserCerts: boolean;
  onlyContainsCaCerts: boolean;
  /** As in `DistributionPoint.reasons`. */
  onlySomeReasons: number | undefined;
  indirectCrl: boolean;
  onlyContainsAttributeCerts: boolean;
}

/** All reasons for which a certificate can be revoked, bits 1 to 8 of ReasonFlags; bit 0 is unused. */
export const ALL_REASONS = 0x1fe;

/** Reads CRLDistributionPoints or FreshestCRL; throws DerError. */
export function readDistributionPoints(reader: DerReader, field: string): DistributionPoint[] {
  const found: DistributionPoint[] = [];
  const points = reader.sequence(field);
  while (!points.atEnd) {
    if (found.length >= MAX_NAMES) points.fail(field, `more than ${MAX_NAMES}`);
    const point = points.sequence("DistributionPoint");
    const name = readPointName(point);
    const reasons = point.optional(contextTag(1, "primitive"), "reasons");
    const crlIssuer = point.optional(contextTag(2, "constructed"), "cRLIssuer");
    point.end("DistributionPoint");
    found.push({
      name,
      reasons: reasons === undefined ? undefined : readReasons(reasons),
      crlIssuer: crlIssuer === undefined ? undefined : readGeneralNames(inside(crlIssuer), "cRLIssuer"),
    });
  }
  return found;
}

/** Reads IssuingDistributionPoint; throws DerError. */
export function readIssuingDistributionPoint(reader: DerReader): IssuingDistributionPoint {
  const body = reader.sequence("issuingDistributionPoint");
  const name = readPointName(body);
  const flag = (n: number, field: string) => {
    const set = body.optional(contextTag(n, "primitive"), field);
    return set !== undefined && readFlag(set, field);
  };
  const onlyContainsUserCerts = flag(1, "onlyContainsUserCerts");
  const onlyContainsCaCerts = flag(2, "onlyContainsCACerts");
  const reasons = body.optional(contextTag(3, "primitive"), "onlySomeReasons");
  const indirectCrl = flag(4, "indirectCRL");
  const onlyContainsAttributeCerts = flag(5, "onlyContainsAttributeCerts");
  body.end("issuingDistributionPoint");
  return {
    name,
    onlyContainsUserCerts,
    onlyContainsCaCerts,
    onlySomeReasons: reasons === undefined ? undefined : readReasons(reasons),
    indirectCrl,
    onlyContainsAttributeCerts,
  };
}

/** The names a point goes by; a relative one is completed with the CRL issuer's name (RFC 5280 4.2.1.13). */
export function fullNames(name: DistributionPointName, crlIssuer: Name): GeneralNames {
  if ("fullName" in name) return name.fullName;
  const { relativeName } = name;
  const rdns = [crlIssuer, relativeName].map(({ der }) => new DerReader(der).expect(Tag.SEQUENCE, "name").content);
  const whole = new Name(sequence(...rdns), [...crlIssuer.attributes, ...relativeName.attributes]);
  return { ...emptyNames(), directory: [whole] };
}

function readPointName(reader: DerReader): DistributionPointName | undefined {
  const wrapped = reader.optional(contextTag(0, "constructed"), "distributionPoint");
  if (wrapped === undefined) return undefined;
  const inner = inside(wrapped);
  const full = inner.optional(contextTag(0, "constructed"), "fullName");
  const name =
    full === undefined
      ? { relativeName: readRelative(inner) }
      : { fullName: readGeneralNames(inside(full), "fullName") };
  inner.end("distributionPoint");
  return name;
}

/** [1] IMPLICIT stands in place of the SET's own tag. */
function readRelative(reader: DerReader): Name {
  const element = reader.expect(contextTag(1, "constructed"), "nameRelativeToCRLIssuer");
  const rdn = Buffer.from(element.whole);
  rdn[0] = Tag.SET;
  return readName(new DerReader(sequence(rdn), element.offset), "nameRelativeToCRLIssuer");
}

function readFlag({ content, offset }: DerElement, field: string): boolean {
  const [octet] = content;
  if (content.length !== 1 || (octet !== 0 && octet !== 0xff))
    new DerReader(content, offset).fail(field, "BOOLEAN that is neither 00 nor FF");
  return octet === 0xff;
}

function readReasons({ content, offset }: DerElement): number {
  if (content.length < 1 || content.length > 3 || content[0]! > 7)
    new DerReader(content, offset).fail("ReasonFlags", "not a BIT STRING of up to 16 bits");
  let mask = 0;
  for (let bit = 0; bit < (content.length - 1) * 8; bit++)
    if ((content[1 + (bit >> 3)]! & (0x80 >> (bit & 7))) !== 0) mask |= 1 << bit;
  return mask & ALL_REASONS;
}
