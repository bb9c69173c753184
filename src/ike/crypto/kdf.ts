/** Keys of IKE SAs and CHILD SAs (RFC 7296 2.14, 2.17, 2.18). */
import { createSecretKey, type KeyObject } from "node:crypto";
import { type Bytes, copyOf } from "../../bytes/bytes.ts";
import type { EspEncryption, EspIntegrity, EspSuite } from "../../esp/dataPlane.ts";
import { spiToBytes } from "../codec/header.ts";
import type { IkeSpi } from "../codec/message.ts";
import { Encr, Integ } from "../codec/numbers.ts";
import { prf, prfLength, prfPlus } from "./prf.ts";
import type { IkeSuite } from "./suite.ts";

/** SK_* of one IKE SA; `e*` of AES-GCM ends with its 4-octet salt (RFC 5282 7.1). */
export interface IkeKeys {
  d: Bytes;
  ai: Bytes;
  ar: Bytes;
  ei: Bytes;
  er: Bytes;
  pi: Bytes;
  pr: Bytes;
  /** The same as KeyObjects, made once: a raw key costs a conversion at every call. */
  prepared: { initiator: DirectionKeys; responder: DirectionKeys };
}

/** What one side sends under. */
export interface DirectionKeys {
  encr: KeyObject;
  /** Empty without AEAD. */
  salt: Bytes;
  /** Undefined with AEAD. */
  integ: KeyObject | undefined;
}

/** What the IKE_SA_INIT exchange, or the CREATE_CHILD_SA exchange that rekeys, has agreed on. */
export interface IkeKeyInputs {
  nonceI: Bytes;
  nonceR: Bytes;
  sharedSecret: Bytes;
  spiI: IkeSpi;
  spiR: IkeSpi;
  /** The IKE SA that is being rekeyed: its PRF and SK_d make SKEYSEED (RFC 7296 2.18). */
  previous?: { prf: number; d: Bytes };
}

/** SKEYSEED and all SK_* of a new or rekeyed IKE SA (RFC 7296 2.14, 2.18). */
export function deriveIkeKeys(suite: IkeSuite, inputs: IkeKeyInputs): IkeKeys {
  const { nonceI, nonceR, sharedSecret, previous } = inputs;
  const skeyseed =
    previous === undefined
      ? prf(suite.prf, Buffer.concat([nonceI, nonceR]), sharedSecret)
      : prf(previous.prf, previous.d, sharedSecret, nonceI, nonceR);
  const seed = Buffer.concat([nonceI, nonceR, spiToBytes(inputs.spiI), spiToBytes(inputs.spiR)]);
  const p = prfLength(suite.prf);
  const a = integKeyLength(suite.integ);
  const e = encrKeyLength(suite.encr);
  // A copy of its own: a piece of Node's shared pool would keep kilobytes alive for as long as the IKE SA stands.
  const material = copyOf(prfPlus(suite.prf, skeyseed, seed, 3 * p + 2 * a + 2 * e));
  let at = 0;
  const take = (length: number) => {
    at += length;
    return material.subarray(at - length, at);
  };
  const [d, ai, ar, ei, er, pi, pr] = [take(p), take(a), take(a), take(e), take(e), take(p), take(p)];
  const prepared = { initiator: prepare(suite, ei, ai), responder: prepare(suite, er, ar) };
  return { d, ai, ar, ei, er, pi, pr, prepared };
}

/** Keys of both directions, named for the initiator and responder of the exchange that made the CHILD SA. */
export interface ChildKeys {
  initiator: { encryptionKey: Bytes; integrityKey: Bytes };
  responder: { encryptionKey: Bytes; integrityKey: Bytes };
}

/** KEYMAT of a CHILD SA; `sharedSecret` is that of its own key exchange, where it had one (RFC 7296 2.17). */
export function deriveChildKeys(
  prfId: number,
  d: Bytes,
  inputs: { nonceI: Bytes; nonceR: Bytes; sharedSecret?: Bytes; suite: EspSuite },
): ChildKeys {
  const { nonceI, nonceR, sharedSecret, suite } = inputs;
  const seed = Buffer.concat(sharedSecret === undefined ? [nonceI, nonceR] : [sharedSecret, nonceI, nonceR]);
  const e = ESP_ENCRYPTION_KEY[suite.encryption];
  const a = ESP_INTEGRITY_KEY[suite.integrity];
  const material = prfPlus(prfId, d, seed, 2 * (e + a));
  const half = (at: number) => ({
    encryptionKey: material.subarray(at, at + e),
    integrityKey: material.subarray(at + e, at + e + a),
  });
  return { initiator: half(0), responder: half(e + a) };
}

function prepare(suite: IkeSuite, encr: Bytes, integ: Bytes): DirectionKeys {
  const saltLength = suite.encr.id === Encr.AES_GCM_16 ? GCM_SALT : 0;
  const keyLength = encr.length - saltLength;
  return {
    encr: createSecretKey(encr.subarray(0, keyLength)),
    salt: encr.subarray(keyLength),
    integ: suite.integ === Integ.NONE ? undefined : createSecretKey(integ),
  };
}

function encrKeyLength(encr: IkeSuite["encr"]): number {
  if (encr.id === Encr.DES3) return 24;
  return encr.keyLength / 8 + (encr.id === Encr.AES_GCM_16 ? GCM_SALT : 0);
}

function integKeyLength(integ: number): number {
  return INTEG_KEY.get(integ) ?? 0;
}

const GCM_SALT = 4;
const INTEG_KEY = new Map<number, number>([
  [Integ.HMAC_SHA1_96, 20],
  [Integ.HMAC_SHA2_256_128, 32],
  [Integ.HMAC_SHA2_384_192, 48],
  [Integ.HMAC_SHA2_512_256, 64],
]);
const ESP_ENCRYPTION_KEY: Record<EspEncryption, number> = {
  "aes-128-gcm": 16 + GCM_SALT,
  "aes-256-gcm": 32 + GCM_SALT,
  "aes-128-cbc": 16,
  "aes-192-cbc": 24,
  "aes-256-cbc": 32,
  "3des-cbc": 24,
};
const ESP_INTEGRITY_KEY: Record<EspIntegrity, number> = {
  none: 0,
  "hmac-sha1-96": 20,
  "hmac-sha256-128": 32,
  "hmac-sha384-192": 48,
  "hmac-sha512-256": 64,
};
