/** What profiles ask of an encoding and a parsed certificate does not keep: versions, exponents, string types. */
import type { Bytes } from "../../bytes/bytes.ts";
import { contextTag, DerReader, inside, Tag } from "../../der/reader.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { Crl } from "../../x509/crl.ts";
import type { Name } from "../../x509/name.ts";
import { Oid } from "../../x509/oids.ts";

/** 1, 2 or 3 (RFC 5280 4.1.2.1). */
export function versionOf(certificate: Certificate): number {
  const version = new DerReader(certificate.tbs)
    .sequence("tbsCertificate")
    .optional(contextTag(0, "constructed"), "version");
  return version === undefined ? 1 : inside(version).smallInteger("version") + 1;
}

/** 1 or 2 (RFC 5280 5.1.2.1). */
export function crlVersionOf(crl: Crl): number {
  return new DerReader(crl.tbs).sequence("tbsCertList").peek() === Tag.INTEGER ? 2 : 1;
}

/** The public exponent of an RSA key, big-endian without leading zeros; undefined for other keys. */
export function exponentOf(certificate: Certificate): Bytes | undefined {
  if (certificate.keyDescription.kind !== "rsa") return undefined;
  const key = new DerReader(certificate.publicKeyBits).sequence("RSAPublicKey");
  key.integer("modulus");
  return key.integer("publicExponent");
}

/** The algorithm a key is for (RFC 3279 2.3). */
export function keyAlgorithmOf(certificate: Certificate): string {
  return new DerReader(certificate.spki).sequence("subjectPublicKeyInfo").sequence("algorithm").oid("algorithm");
}

/** Attributes of a name in order, with the tag of each value. */
export function attributesOf(name: Name): { type: string; tag: number; value: string }[] {
  const sets = new DerReader(name.der).sequence("name");
  const found: { type: string; tag: number; value: string }[] = [];
  while (!sets.atEnd) {
    const set = inside(sets.expect(Tag.SET, "rdn"));
    while (!set.atEnd) {
      const attribute = set.sequence("attribute");
      const type = attribute.oid("type");
      const { tag } = attribute.element("value");
      found.push({ type, tag, value: name.attributes[found.length]!.value });
    }
  }
  return found;
}

/** An extension's criticality, or undefined where there is none. */
export function criticality(certificate: Certificate, oid: string): "critical" | "not critical" | undefined {
  const extension = certificate.extensionList.find((each) => each.oid === oid);
  return extension === undefined ? undefined : extension.critical ? "critical" : "not critical";
}

/** Object identifiers as people know them where they have a name here, separated by commas. */
export function oidTexts(oids: readonly string[]): string {
  return oids.map((oid) => NAMES.get(oid) ?? oid).join(", ");
}

/** Security of a key in bits (NIST SP 800-57 part 1, table 2), or undefined for a key not known here. */
export function strengthOf({ keyDescription: key }: Certificate): number | undefined {
  if (key.kind === "ec") return CURVE_STRENGTH.get(key.curve ?? "");
  if (key.kind !== "rsa") return undefined;
  return RSA_STRENGTH.find(([bits]) => key.bits >= bits)?.[1] ?? 0;
}

const NAMES = new Map(Object.entries(Oid).map(([name, oid]) => [oid as string, name]));
const CURVE_STRENGTH = new Map<string, number>([
  [Oid.p256, 128],
  [Oid.p384, 192],
  [Oid.p521, 256],
]);
const RSA_STRENGTH = [
  [15360, 256],
  [7680, 192],
  [3072, 128],
  [2048, 112],
  [1024, 80],
] as const;
