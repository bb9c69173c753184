/** Encryption under passwords as PKCS#12 files use it: PBES2 (RFC 8018 6.2) and the older schemes of RFC 7292 C. */
import { createDecipheriv, createHash, pbkdf2Sync } from "node:crypto";
import type { Bytes } from "../../bytes/bytes.ts";
import { type DerReader, Tag } from "../../der/reader.ts";
import { Oid } from "../../x509/oids.ts";
import { UnreadableInput } from "./material.ts";

/** One password in both forms that the schemes take. */
export interface Password {
  utf8: Bytes;
  /** BMPString with two zero octets at the end (RFC 7292 B.1); nothing at all for no password. */
  bmp: Bytes;
}

export interface Hash {
  name: string;
  /** Octets of a digest, and of a block of the compression function. */
  length: number;
  block: number;
}

/** The forms to try: an empty password is written in two ways. */
export function passwordsOf(text: string): Password[] {
  const utf16 = Buffer.from(`${text}\0`, "utf16le").swap16();
  const password = { utf8: Buffer.from(text, "utf8"), bmp: utf16 };
  return text === "" ? [password, { ...password, bmp: Buffer.alloc(0) }] : [password];
}

/** Decrypts under the AlgorithmIdentifier that `algorithm` stands before. Throws DerError and UnreadableInput. */
export function decryptPbe(algorithm: DerReader, ciphertext: Bytes, password: Password): Bytes {
  const scheme = algorithm.oid("encryption scheme");
  const parameters = algorithm.sequence("encryption parameters");
  if (scheme === PBES2) return decryptPbes2(parameters, ciphertext, password);
  const old = OLD_SCHEMES.get(scheme);
  if (old === undefined) throw notKnown(scheme);
  const salt = parameters.octetString("salt");
  const iterations = readIterations(parameters);
  const sha1 = HASHES.get(Oid.sha1)!;
  const key = pkcs12Kdf(sha1, password.bmp, salt, iterations, ENCRYPTION_KEY, old.keyLength);
  const iv = pkcs12Kdf(sha1, password.bmp, salt, iterations, IV, 8);
  // Two-key triple DES is triple DES whose third key is the first.
  const whole = old.keyLength === 16 ? Buffer.concat([key, key.subarray(0, 8)]) : key;
  return decrypt("des-ede3-cbc", whole, iv, ciphertext);
}

/** An iteration count, within what a person would wait for. */
export function readIterations(reader: DerReader): number {
  const iterations = reader.smallInteger("iterations");
  if (iterations < 1 || iterations > MAX_ITERATIONS)
    reader.fail("iterations", `${iterations}, from 1 to ${MAX_ITERATIONS} are done`);
  return iterations;
}

/** The key derivation of RFC 7292 B.2; `purpose` 1 is a key, 2 an IV, 3 a MAC key. */
export function pkcs12Kdf(
  hash: Hash,
  password: Bytes,
  salt: Bytes,
  iterations: number,
  purpose: number,
  length: number,
): Bytes {
  const { name, block } = hash;
  const input = Buffer.concat([repeated(salt, block), repeated(password, block)]);
  const diversifier = Buffer.alloc(block, purpose);
  const parts: Bytes[] = [];
  for (let made = 0; made < length; made += hash.length) {
    let digest = createHash(name).update(diversifier).update(input).digest();
    for (let round = 1; round < iterations; round++) digest = createHash(name).update(digest).digest();
    parts.push(digest);
    const addend = repeated(digest, block).subarray(0, block);
    for (let at = 0; at < input.length; at += block) addPlusOne(input.subarray(at, at + block), addend);
  }
  return Buffer.concat(parts).subarray(0, length);
}

function decryptPbes2(parameters: DerReader, ciphertext: Bytes, password: Password): Bytes {
  const derivation = parameters.sequence("keyDerivationFunc");
  const kdf = derivation.oid("keyDerivationFunc");
  if (kdf !== PBKDF2) throw notKnown(kdf);
  const kdfParameters = derivation.sequence("PBKDF2-params");
  const salt = kdfParameters.octetString("salt");
  const iterations = readIterations(kdfParameters);
  if (kdfParameters.peek() === Tag.INTEGER) kdfParameters.smallInteger("keyLength");
  const prf = kdfParameters.atEnd ? HMAC_SHA1 : kdfParameters.sequence("prf").oid("prf");
  const encryption = parameters.sequence("encryptionScheme");
  const id = encryption.oid("encryptionScheme");
  const cipher = CIPHERS.get(id);
  const digest = PRFS.get(prf);
  if (cipher === undefined) throw notKnown(id);
  if (digest === undefined) throw notKnown(prf);
  const iv = encryption.octetString("iv");
  if (iv.length !== cipher.ivLength) encryption.fail("iv", `${iv.length} octets, ${cipher.ivLength} belong there`);
  const key = pbkdf2Sync(password.utf8, salt, iterations, cipher.keyLength, digest);
  return decrypt(cipher.name, key, iv, ciphertext);
}

function decrypt(cipher: string, key: Bytes, iv: Bytes, ciphertext: Bytes): Bytes {
  try {
    const decipher = createDecipheriv(cipher, key, iv);
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  } catch {
    throw new UnreadableInput("the password is not that of this PKCS#12 file, or the file is damaged");
  }
}

/** `bytes` over and over, to a multiple of `block` octets; nothing stays nothing. */
function repeated(bytes: Bytes, block: number): Bytes {
  const length = block * Math.ceil(bytes.length / block);
  const out = Buffer.alloc(length);
  for (let at = 0; at < length; at++) out[at] = bytes[at % bytes.length]!;
  return out;
}

/** value := value + addend + 1, modulo 256 to the power of its length (RFC 7292 B.2 step 6 C). */
function addPlusOne(value: Bytes, addend: Bytes): void {
  let carry = 1;
  for (let at = value.length - 1; at >= 0; at--) {
    const sum = value[at]! + addend[at]! + carry;
    value[at] = sum & 0xff;
    carry = sum >> 8;
  }
}

function notKnown(algorithm: string): UnreadableInput {
  const name = WEAK_NAMES.get(algorithm) ?? algorithm;
  return new UnreadableInput(
    `this PKCS#12 file is encrypted with ${name}, which is not known here; ` +
      "take the certificates out with openssl pkcs12 -nokeys (and -legacy for old files)",
  );
}

export const HASHES = new Map<string, Hash>([
  [Oid.sha1, { name: "sha1", length: 20, block: 64 }],
  [Oid.sha256, { name: "sha256", length: 32, block: 64 }],
  [Oid.sha384, { name: "sha384", length: 48, block: 128 }],
  [Oid.sha512, { name: "sha512", length: 64, block: 128 }],
]);

const PBES2 = "1.2.840.113549.1.5.13";
const PBKDF2 = "1.2.840.113549.1.5.12";
const HMAC_SHA1 = "1.2.840.113549.2.7";
const PRFS = new Map([
  [HMAC_SHA1, "sha1"],
  ["1.2.840.113549.2.9", "sha256"],
  ["1.2.840.113549.2.10", "sha384"],
  ["1.2.840.113549.2.11", "sha512"],
]);
const CIPHERS = new Map([
  ["2.16.840.1.101.3.4.1.2", { name: "aes-128-cbc", keyLength: 16, ivLength: 16 }],
  ["2.16.840.1.101.3.4.1.22", { name: "aes-192-cbc", keyLength: 24, ivLength: 16 }],
  ["2.16.840.1.101.3.4.1.42", { name: "aes-256-cbc", keyLength: 32, ivLength: 16 }],
  ["1.2.840.113549.3.7", { name: "des-ede3-cbc", keyLength: 24, ivLength: 8 }],
]);
/** Three-key and two-key triple DES under SHA-1. */
const OLD_SCHEMES = new Map([
  ["1.2.840.113549.1.12.1.3", { keyLength: 24 }],
  ["1.2.840.113549.1.12.1.4", { keyLength: 16 }],
]);
const WEAK_NAMES = new Map([
  ["1.2.840.113549.1.12.1.5", "128-bit RC2"],
  ["1.2.840.113549.1.12.1.6", "40-bit RC2"],
]);
const ENCRYPTION_KEY = 1;
const IV = 2;
const MAX_ITERATIONS = 2_000_000;
