/**
 * Certificates and CRLs in a PKCS#12 file (RFC 7292): the walk over its bags.
 *
 * Own code over node:crypto rather than a library: what is wanted are certificates only, and the libraries that read
 * PKCS#12 (node-forge, pkijs) bring a whole PKI of their own, a hundred times this, for two containers. Private keys are
 * passed over and never decrypted. The MAC is verified first, so that a wrong password is told as that.
 */
import { createHmac } from "node:crypto";
import { type Bytes, sameSecret } from "../../bytes/bytes.ts";
import { contextTag, type DerElement, DerError, DerReader, inside, Tag } from "../../der/reader.ts";
import { type Bag, UnreadableInput } from "./material.ts";
import { decryptPbe, HASHES, type Password, passwordsOf, pkcs12Kdf, readIterations } from "./passwordEncryption.ts";

/** True if `der` begins as a PFX: a sequence that begins with version 3. */
export function isPkcs12(der: Bytes): boolean {
  try {
    const start = new DerReader(der).sequence("PFX");
    return start.peek() === Tag.INTEGER && start.smallInteger("version") === 3;
  } catch (error) {
    if (error instanceof DerError) return false;
    throw error;
  }
}

/** Throws DerError for what is malformed, UnreadableInput for a wrong password or an encryption not known here. */
export function readPkcs12(der: Bytes, password: string | undefined): Bag {
  const outer = new DerReader(der);
  const pfx = outer.sequence("PFX");
  outer.end("PFX");
  pfx.smallInteger("version");
  const authSafe = pfx.sequence("authSafe");
  if (authSafe.oid("contentType") !== DATA)
    throw new UnreadableInput("this PKCS#12 file is protected by a public key instead of a password");
  const content = inside(authSafe.expect(contextTag(0, "constructed"), "content")).octetString("authSafe content");
  const macData = pfx.atEnd ? undefined : pfx.sequence("macData");
  const secret = verifyMac(macData, content, password ?? "");
  const bag: Bag = { certificates: [], crls: [] };
  const safes = new DerReader(content).sequence("AuthenticatedSafe");
  while (!safes.atEnd) {
    const info = safes.sequence("ContentInfo");
    const type = info.oid("contentType");
    const wrapped = inside(info.expect(contextTag(0, "constructed"), "content"));
    if (type === DATA) readBags(new DerReader(wrapped.octetString("SafeContents")), bag, 0);
    else if (type === ENCRYPTED_DATA) readBags(new DerReader(decryptSafe(wrapped, secret)), bag, 0);
  }
  return bag;
}

function readBags(reader: DerReader, bag: Bag, depth: number): void {
  if (depth > MAX_DEPTH) reader.fail("SafeContents", `nested deeper than ${MAX_DEPTH}`);
  const contents = reader.sequence("SafeContents");
  while (!contents.atEnd) {
    const one = contents.sequence("SafeBag");
    const type = one.oid("bagId");
    const value = one.expect(contextTag(0, "constructed"), "bagValue");
    if (type === CERT_BAG) bag.certificates.push(...typedOctets(value, X509_CERTIFICATE));
    else if (type === CRL_BAG) bag.crls.push(...typedOctets(value, X509_CRL));
    else if (type === SAFE_CONTENTS_BAG) readBags(inside(value), bag, depth + 1);
  }
}

function typedOctets(value: DerElement, wanted: string): Bytes[] {
  const bag = inside(value).sequence("bag");
  if (bag.oid("bag type") !== wanted) return [];
  return [inside(bag.expect(contextTag(0, "constructed"), "bag value")).octetString("bag value")];
}

function decryptSafe(wrapped: DerReader, password: Password): Bytes {
  const encrypted = wrapped.sequence("EncryptedData");
  encrypted.smallInteger("version");
  const info = encrypted.sequence("EncryptedContentInfo");
  info.oid("contentType");
  const algorithm = info.sequence("contentEncryptionAlgorithm");
  const ciphertext = info.expect(contextTag(0, "primitive"), "encryptedContent").content;
  return decryptPbe(algorithm, ciphertext, password);
}

/** The password in the form that makes the MAC right (RFC 7292 5.1, appendix B). */
function verifyMac(macData: DerReader | undefined, content: Bytes, text: string): Password {
  const candidates = passwordsOf(text);
  if (macData === undefined) return candidates[0]!;
  const digestInfo = macData.sequence("mac");
  const algorithm = digestInfo.sequence("digestAlgorithm").oid("digestAlgorithm");
  const expected = digestInfo.octetString("digest");
  const salt = macData.octetString("macSalt");
  const iterations = macData.atEnd ? 1 : readIterations(macData);
  const hash = HASHES.get(algorithm);
  if (hash === undefined) {
    throw new UnreadableInput(
      `this PKCS#12 file is protected by the MAC ${algorithm}, which is not known here; ` +
        "take the certificates out with openssl pkcs12 -nokeys",
    );
  }
  for (const password of candidates) {
    const key = pkcs12Kdf(hash, password.bmp, salt, iterations, MAC_KEY, hash.length);
    if (sameSecret(createHmac(hash.name, key).update(content).digest(), expected)) return password;
  }
  throw new UnreadableInput(
    text === ""
      ? "this PKCS#12 file needs a password: give it with --password-file or --password"
      : "the password is not that of this PKCS#12 file, or the file is damaged",
  );
}

const DATA = "1.2.840.113549.1.7.1";
const ENCRYPTED_DATA = "1.2.840.113549.1.7.6";
const CERT_BAG = "1.2.840.113549.1.12.10.1.3";
const CRL_BAG = "1.2.840.113549.1.12.10.1.4";
const SAFE_CONTENTS_BAG = "1.2.840.113549.1.12.10.1.6";
const X509_CERTIFICATE = "1.2.840.113549.1.9.22.1";
const X509_CRL = "1.2.840.113549.1.9.23.1";
/** Purpose octet of the MAC key (RFC 7292 B.3). */
const MAC_KEY = 3;
const MAX_DEPTH = 4;
