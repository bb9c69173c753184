/**
 * Making a CRL ready for look-ups: signature checked once, all entries checked, index built.
 *
 * Half a second of work for a million entries, so that it runs on another thread; what it takes and gives are plain
 * values and buffers that change hands without being copied.
 */
import { createPublicKey } from "node:crypto";
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import { DerReader } from "../der/reader.ts";
import type { Random } from "../sim/environment.ts";
import { buildTable, type CrlTable } from "../trust/crlTable.ts";
import { type Crl, parseCrl } from "../x509/crl.ts";
import { readName } from "../x509/name.ts";
import { fromPem } from "../x509/pem.ts";
import { verifySignature } from "../x509/signature.ts";

/** Somebody who may have signed a CRL. */
export interface CrlSigner {
  /** DER of the subject's name. */
  name: Uint8Array;
  /** DER of SubjectPublicKeyInfo. */
  spki: Uint8Array;
}

/** Why a CRL cannot be used, whatever it is asked about. */
export type CrlLoadProblem =
  | { reason: "Malformed"; detail: string }
  | { reason: "UnknownSigner"; issuer: string }
  | { reason: "BadSignature"; issuer: string }
  | { reason: "LoaderFailed"; detail: string };

/** What a loading gives, as values that change threads. */
export type LoadOutcome =
  | { ok: true; der: Uint8Array; table: CrlTable; spki: Uint8Array }
  | { ok: false; problem: CrlLoadProblem };

/** Checks and indexes the CRL that `segments` make up; never throws for what they hold. */
export function loadCrl(segments: readonly Uint8Array[], signers: readonly CrlSigner[], random: Random): LoadOutcome {
  const [first] = segments;
  const whole = bufferOver(segments.length === 1 && first !== undefined ? first : Buffer.concat(segments));
  try {
    const der = whole[0] === DASH ? derOf(whole) : whole;
    const crl = parseCrl(der);
    const candidates = signers.filter((signer) => isNamed(signer, crl));
    const issuer = crl.issuer.toString();
    if (candidates.length === 0) return { ok: false, problem: { reason: "UnknownSigner", issuer } };
    // Before its entries are looked at: a stranger's list costs one hash over it and no more.
    const signer = candidates.find(({ spki }) => isSignedBy(crl, spki));
    if (signer === undefined) return { ok: false, problem: { reason: "BadSignature", issuer } };
    return { ok: true, der, table: buildTable(crl, random), spki: signer.spki };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { ok: false, problem: { reason: "Malformed", detail: error.message } };
  }
}

/** Files and some servers have CRLs in PEM (RFC 7468 6). */
function derOf(pem: Bytes): Bytes {
  const [der] = fromPem(pem.toString("latin1"), "X509 CRL");
  return der === undefined ? new DerReader(pem).fail("CertificateList", "PEM without an X509 CRL in it") : copyOf(der);
}

function isNamed({ name }: CrlSigner, crl: Crl): boolean {
  return readName(new DerReader(bufferOver(name)), "signer").equals(crl.issuer);
}

function isSignedBy(crl: Crl, spki: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: bufferOver(spki), format: "der", type: "spki" });
    return verifySignature(crl.signatureAlgorithm, key, crl.tbs, crl.signature);
  } catch {
    // A key that OpenSSL cannot read has signed nothing.
    return false;
  }
}

/** The same octets as a Buffer, which they lose on their way between threads. */
export function bufferOver(bytes: Uint8Array): Bytes {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** What PEM begins with; no DER does. */
const DASH = 0x2d;
