/** Reads a file of whatever kind: PEM, DER, PKCS#7, PKCS#12, a capture; what it is, it says by its first octets. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { Bytes } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import { DerReader, Tag } from "../../der/reader.ts";
import { keysDirectory } from "../../observe/captureFile.ts";
import { isCapture } from "../../observe/captureReader.ts";
import { readDecryptionTable } from "../../observe/ikeDecryptionTable.ts";
import { parseCertificate } from "../../x509/certificate.ts";
import { parseCrl } from "../../x509/crl.ts";
import { readCapturedMaterial } from "./capturedMaterial.ts";
import { addBag, emptyMaterial, type Material, UnreadableInput } from "./material.ts";
import { isPkcs7, readPkcs7 } from "./pkcs7.ts";
import { isPkcs12, readPkcs12 } from "./pkcs12.ts";

export interface ReadOptions {
  /** Of PKCS#12 files. */
  password: string | undefined;
}

/** Everything in a file; throws UnreadableInput where there is nothing to be had from it. */
export function readMaterial(path: string, options: ReadOptions): Material {
  let bytes: Bytes;
  try {
    if (statSync(path).size > MAX_FILE) throw new UnreadableInput(`${path} is larger than ${MAX_FILE} octets`);
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof UnreadableInput) throw error;
    throw new UnreadableInput(error instanceof Error ? error.message : String(error));
  }
  const origin = basename(path);
  const material = emptyMaterial();
  try {
    if (isCapture(bytes)) addCapture(bytes, path, origin, material);
    else if (bytes.subarray(0, MAX_PREAMBLE).includes("-----BEGIN ")) addPem(bytes, origin, options, material);
    else addDer(bytes, origin, options, material);
  } catch (error) {
    if (error instanceof UnreadableInput || error instanceof DecodeError)
      throw new UnreadableInput(`${path}: ${error.message}`);
    throw error;
  }
  return material;
}

function addPem(bytes: Bytes, origin: string, options: ReadOptions, material: Material): void {
  let count = 0;
  for (const [, label, body] of bytes.toString("latin1").matchAll(PEM)) {
    count += 1;
    const from = `${origin} #${count}`;
    const der = Buffer.from(body!, "base64");
    try {
      if (CERTIFICATE_LABELS.includes(label!))
        material.certificates.push({ item: parseCertificate(der), origin: from });
      else if (label === "X509 CRL") material.crls.push({ item: parseCrl(der), origin: from });
      else if (label === "PKCS7" || label === "CMS") addBag(readPkcs7(der), from, material);
      else if (label === "PKCS12") addBag(readPkcs12(der, options.password), from, material);
      // Keys, parameters and requests stand beside certificates in many files and are none of ours.
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      material.problems.push(`${from} (${label}): ${error.message}`);
    }
  }
  if (count === 0) throw new UnreadableInput("begins as PEM, but has no whole block; was it cut off?");
}

function addDer(der: Bytes, origin: string, options: ReadOptions, material: Material): void {
  if (der[0] !== Tag.SEQUENCE)
    throw new UnreadableInput("is no PEM, DER, PKCS#7 or PKCS#12, and no capture in pcap or pcapng");
  if (isPkcs12(der)) addBag(readPkcs12(der, options.password), origin, material);
  else if (isPkcs7(der)) addBag(readPkcs7(der), origin, material);
  else if (isOcspResponse(der)) material.ocspResponses.push({ item: der, origin });
  else if (isCertificate(der)) material.certificates.push({ item: parseCertificate(der), origin });
  else material.crls.push({ item: parseCrl(der), origin });
}

function addCapture(bytes: Bytes, path: string, origin: string, material: Material): void {
  const table = join(keysDirectory(path), "ikev2_decryption_table");
  const keys = existsSync(table) ? readDecryptionTable(readFileSync(table, "latin1")) : [];
  const { presented, problems } = readCapturedMaterial(bytes, keys);
  material.problems.push(...problems.map((problem) => `${origin}: ${problem}`));
  for (const { from, certificates, ocspResponses, suggests } of presented) {
    addBag({ certificates, crls: [] }, `${origin}: ${from}`, material, suggests);
    for (const item of ocspResponses) material.ocspResponses.push({ item, origin: `${origin}: ${from}` });
  }
}

function isOcspResponse(der: Bytes): boolean {
  return firstInside(der) === Tag.ENUMERATED;
}

/** A certificate's content begins with its version or serial number, a CRL's with an algorithm or a version, and a time. */
function isCertificate(der: Bytes): boolean {
  try {
    const tbs = new DerReader(der).sequence("signed").sequence("to be signed");
    if (tbs.peek() === 0xa0) return true;
    if (tbs.peek() !== Tag.INTEGER) return false;
    tbs.integer("version or serial");
    tbs.sequence("signature");
    tbs.sequence("issuer");
    return tbs.peek() === Tag.SEQUENCE;
  } catch (error) {
    // Let the reader of certificates say what is wrong with it.
    if (error instanceof DecodeError) return true;
    throw error;
  }
}

function firstInside(der: Bytes): number {
  try {
    return new DerReader(der).sequence("outermost").peek();
  } catch (error) {
    if (error instanceof DecodeError) return -1;
    throw error;
  }
}

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----/g;
const CERTIFICATE_LABELS = ["CERTIFICATE", "X509 CERTIFICATE"];
/** Text that may stand in front of the first PEM block, as openssl writes it. */
const MAX_PREAMBLE = 64 * 1024;
const MAX_FILE = 1024 * 1024 * 1024;
