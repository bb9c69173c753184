/**
 * INTEGRITY_INFO: the device's state of trust as its TrE vouches for it, carried in a Notify payload of IKE_AUTH
 * (TS 33.320 7.2.2-13, A.1-4, A.1-6).
 *
 * The change request asks for a nonce and a signature by the TrE and leaves replay protection open. Here the report also
 * holds a digest of this IKE SA's SPIs and nonces, half of which the gateway chose: a report of another attempt fits no
 * other one. Layout, all integers big-endian:
 *
 *     version 1 | state 1 | nonce 16 | measured at 8 (milliseconds since 1970) | manifest SHA-256 32 | binding 32 | signature
 *
 * The signature is in the form of RFC 7427 (length, AlgorithmIdentifier, value), over a label and all that stands before it.
 */
import type { KeyObject } from "node:crypto";
import { type Bytes, sameBytes } from "../bytes/bytes.ts";
import { DecodeError, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { Milliseconds } from "../sim/environment.ts";
import { AuthMethod, AuthSignatureError, HashAlgorithm, signAuth, verifyAuth } from "./authSignature.ts";

export interface IntegrityStatement {
  intact: boolean;
  /** Of the TrE, 16 octets. */
  nonce: Bytes;
  measuredAt: Milliseconds;
  /** SHA-256 of the manifest that was checked. */
  manifestDigest: Bytes;
}

export type IntegrityProblem =
  | "IntegrityMissing"
  | "IntegrityMalformed"
  | "IntegrityReplayed"
  | "IntegrityStale"
  | "IntegritySignature"
  | "IntegrityLost";

export type IntegrityVerdict =
  | { trusted: true; statement: IntegrityStatement }
  | { trusted: false; problem: IntegrityProblem; message: string };

/** DER-free octets of a signed report; `binding` is the 32-octet digest of this IKE SA. */
export function signIntegrityReport(statement: IntegrityStatement, binding: Bytes, key: KeyObject): Bytes {
  const body = new Writer(128)
    .u8(VERSION)
    .u8(statement.intact ? 1 : 0)
    .bytes(statement.nonce);
  body.u64(BigInt(statement.measuredAt)).bytes(statement.manifestDigest).bytes(binding);
  const signature = signAuth(key, Buffer.concat([LABEL, body.view()]), SIGNATURE_HASHES);
  return Buffer.concat([body.view(), signature.data]);
}

/** Judges a report as received, with the key of the device's verified certificate; never throws for what a peer sends. */
export function judgeIntegrityReport(
  report: Bytes | undefined,
  check: { binding: Bytes; key: KeyObject; time: Milliseconds; maxAge: Milliseconds },
): IntegrityVerdict {
  if (report === undefined) return untrusted("IntegrityMissing", "the device sent no INTEGRITY_INFO");
  let statement: IntegrityStatement;
  let signature: Bytes;
  try {
    const reader = new Reader(report);
    const version = reader.u8("INTEGRITY_INFO.version");
    if (version !== VERSION) reader.fail("INTEGRITY_INFO.version", `${version} is unknown here`);
    const intact = reader.u8("INTEGRITY_INFO.state") === 1;
    const nonce = reader.take(NONCE, "INTEGRITY_INFO.nonce");
    const measuredAt = Number(reader.u64("INTEGRITY_INFO.measuredAt"));
    statement = { intact, nonce, measuredAt, manifestDigest: reader.take(DIGEST, "INTEGRITY_INFO.manifest") };
    // Of another attempt, and so perhaps of a time when the device was still sound.
    if (!sameBytes(reader.take(DIGEST, "INTEGRITY_INFO.binding"), check.binding))
      return untrusted("IntegrityReplayed", "INTEGRITY_INFO belongs to another IKE SA");
    signature = reader.rest();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return untrusted("IntegrityMalformed", error.message);
  }
  try {
    const signed = report.subarray(0, report.length - signature.length);
    verifyAuth(check.key, AuthMethod.DIGITAL_SIGNATURE, signature, Buffer.concat([LABEL, signed]), SIGNATURE_HASHES);
  } catch (error) {
    if (!(error instanceof AuthSignatureError)) throw error;
    return untrusted("IntegritySignature", `INTEGRITY_INFO is not signed by the device's TrE: ${error.message}`);
  }
  if (Math.abs(check.time - statement.measuredAt) > check.maxAge) {
    return untrusted(
      "IntegrityStale",
      `the device was measured at ${timeText(statement.measuredAt)}, longer ago than allowed`,
    );
  }
  if (!statement.intact) return untrusted("IntegrityLost", "the device's TrE says that its integrity check failed");
  return { trusted: true, statement };
}

function untrusted(problem: IntegrityProblem, message: string): IntegrityVerdict {
  return { trusted: false, problem, message };
}

/** A peer may write any 64-bit number here. */
function timeText(at: Milliseconds): string {
  return at <= MAX_DATE ? new Date(at).toISOString() : `${at} ms`;
}

const VERSION = 1;
const NONCE = 16;
const DIGEST = 32;
const MAX_DATE = 8.64e15;
/** Keeps these signatures apart from AUTH payloads under the same key. */
const LABEL = Buffer.from("TS 33.320 INTEGRITY_INFO\0");
const SIGNATURE_HASHES = [HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512];
