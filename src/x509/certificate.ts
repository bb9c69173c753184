/** X.509 version 3 certificates, read without copying (RFC 5280 4.1). */
import { createHash, createPublicKey, hash, type KeyObject } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, DerReader, inside, Tag } from "../der/reader.ts";
import { decodeExtensions, type Extension, type Extensions, readExtensions } from "./extensions.ts";
import { type Name, readName } from "./name.ts";
import { describeKey, type KeyDescription } from "./publicKey.ts";
import { readSignatureAlgorithm, type SignatureAlgorithm } from "./signature.ts";

/** A certificate as read; names, key and extensions are decoded, everything else is a view. */
export class Certificate {
  readonly der: Bytes;
  /** What the issuer signed. */
  readonly tbs: Bytes;
  readonly serial: Bytes;
  readonly issuer: Name;
  readonly subject: Name;
  /** Milliseconds since 1970, both inclusive (RFC 5280 4.1.2.5). */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of SubjectPublicKeyInfo. */
  readonly spki: Bytes;
  /** Content of the subjectPublicKey BIT STRING, which key identifiers hash (RFC 5280 4.2.1.2). */
  readonly publicKeyBits: Bytes;
  /** Kind and size of the subject's key. */
  readonly keyDescription: KeyDescription;
  readonly extensionList: readonly Extension[];
  readonly extensions: Extensions;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Bytes;
  #key: KeyObject | undefined;
  #fingerprint: string | undefined;

  constructor(fields: Omit<Certificate, "publicKey" | "fingerprint" | "isSelfIssued" | "serialText" | "keyHash">) {
    this.der = fields.der;
    this.tbs = fields.tbs;
    this.serial = fields.serial;
    this.issuer = fields.issuer;
    this.subject = fields.subject;
    this.notBefore = fields.notBefore;
    this.notAfter = fields.notAfter;
    this.spki = fields.spki;
    this.publicKeyBits = fields.publicKeyBits;
    this.keyDescription = fields.keyDescription;
    this.extensionList = fields.extensionList;
    this.extensions = fields.extensions;
    this.signatureAlgorithm = fields.signatureAlgorithm;
    this.signature = fields.signature;
  }

  /** The subject's key, or undefined for a key that OpenSSL cannot read. */
  get publicKey(): KeyObject | undefined {
    if (this.#key === undefined) {
      try {
        this.#key = createPublicKey({ key: this.spki, format: "der", type: "spki" });
      } catch {
        return undefined;
      }
    }
    return this.#key;
  }

  /** SHA-256 over the whole certificate, hexadecimal. */
  get fingerprint(): string {
    this.#fingerprint ??= hash("sha256", this.der);
    return this.#fingerprint;
  }

  get isSelfIssued(): boolean {
    return this.subject.equals(this.issuer);
  }

  /** Serial number in hexadecimal, as people and revocation lists write it. */
  get serialText(): string {
    return this.serial.toString("hex");
  }

  /** SHA-1 over SubjectPublicKeyInfo: what CERTREQ and RFC 4806 name a CA or responder by (RFC 7296 3.7). */
  get keyHash(): Bytes {
    return createHash("sha1").update(this.spki).digest();
  }
}

/**
 * Reads one DER certificate; throws DerError. Its fields are views of `der`: copy what comes in a packet and is to
 * outlive it.
 */
export function parseCertificate(der: Bytes): Certificate {
  if (der.length > MAX_CERTIFICATE)
    new DerReader(der).fail("Certificate", `${der.length} octets, at most ${MAX_CERTIFICATE} are read`);
  const outer = new DerReader(der);
  const certificate = outer.sequence("Certificate");
  outer.end("Certificate");
  const tbs = certificate.expect(Tag.SEQUENCE, "tbsCertificate");
  const signatureAlgorithm = readSignatureAlgorithm(certificate, "signatureAlgorithm");
  const signature = certificate.bitString("signatureValue");
  certificate.end("Certificate");

  const body = inside(tbs);
  const version = body.optional(contextTag(0, "constructed"), "version");
  const versionNumber = version === undefined ? 0 : inside(version).smallInteger("version");
  if (versionNumber > 2) body.fail("version", `v${versionNumber + 1} is not defined`);
  const serial = body.integer("serialNumber");
  const inner = readSignatureAlgorithm(body, "signature");
  // RFC 5280 4.1.1.2: both must say the same, else what was signed is not what is claimed.
  if (!inner.der.equals(signatureAlgorithm.der)) body.fail("signature", "differs from signatureAlgorithm");
  const issuer = readName(body, "issuer");
  const validity = body.sequence("validity");
  const notBefore = validity.time("notBefore");
  const notAfter = validity.time("notAfter");
  validity.end("validity");
  const subject = readName(body, "subject");
  const spki = body.expect(Tag.SEQUENCE, "subjectPublicKeyInfo");
  const key = inside(spki);
  key.element("subjectPublicKeyInfo.algorithm");
  const publicKeyBits = key.bitString("subjectPublicKey");
  key.end("subjectPublicKeyInfo");
  body.optional(contextTag(1, "primitive"), "issuerUniqueID");
  body.optional(contextTag(2, "primitive"), "subjectUniqueID");
  const wrapped = body.optional(contextTag(3, "constructed"), "extensions");
  body.end("tbsCertificate");
  if (wrapped !== undefined && versionNumber !== 2) body.fail("extensions", "need version 3");
  const extensionList =
    wrapped === undefined ? [] : readExtensions(inside(wrapped).sequence("extensions"), "extensions");
  return new Certificate({
    der,
    tbs: tbs.whole,
    serial,
    issuer,
    subject,
    notBefore,
    notAfter,
    spki: spki.whole,
    publicKeyBits,
    keyDescription: describeKey(spki.whole),
    extensionList,
    extensions: decodeExtensions(extensionList),
    signatureAlgorithm,
    signature,
  });
}

/** Octets of a certificate; IKE fragments carry less. */
const MAX_CERTIFICATE = 65_536;
