/** Certificates and CRLs in a PKCS#7 or CMS SignedData, as ".p7b" and ".p7c" files carry them (RFC 5652 5.1). */
import type { Bytes } from "../../bytes/bytes.ts";
import { contextTag, type DerElement, DerReader, inside, Tag } from "../../der/reader.ts";
import type { Bag } from "./material.ts";

/** True if `der` begins as a ContentInfo of signed data. */
export function isPkcs7(der: Bytes): boolean {
  return der.subarray(0, 24).includes(SIGNED_DATA_DER);
}

/** What a SignedData carries; its signatures, if it has any, are not looked at. Throws DerError. */
export function readPkcs7(der: Bytes): Bag {
  const outer = new DerReader(der);
  const info = outer.sequence("ContentInfo");
  outer.end("ContentInfo");
  info.oid("contentType");
  const signed = inside(info.expect(contextTag(0, "constructed"), "content")).sequence("SignedData");
  signed.integer("version");
  signed.expect(Tag.SET, "digestAlgorithms");
  signed.sequence("encapContentInfo");
  const certificates = signed.optional(contextTag(0, "constructed"), "certificates");
  const crls = signed.optional(contextTag(1, "constructed"), "crls");
  // Other choices than Certificate and CertificateList have tags of their own and are left out.
  return { certificates: sequencesIn(certificates), crls: sequencesIn(crls) };
}

function sequencesIn(set: DerElement | undefined): Bytes[] {
  if (set === undefined) return [];
  const reader = inside(set);
  const found: Bytes[] = [];
  while (!reader.atEnd) {
    const element = reader.element("SignedData member");
    if (element.tag === Tag.SEQUENCE) found.push(element.whole);
  }
  return found;
}

/** 1.2.840.113549.1.7.2 with its tag and length. */
const SIGNED_DATA_DER = Buffer.from("06092a864886f70d010702", "hex");
