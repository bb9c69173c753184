/**
 * The Encrypted payload: encryption and integrity of IKE messages and fragments
 * (RFC 7296 3.14, RFC 5282 for AES-GCM, RFC 7383 2.5 for fragments).
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { type Bytes, sameSecret } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import type { DecodedMessage } from "../codec/decode.ts";
import { HEADER_LENGTH, putHeader } from "../codec/header.ts";
import type { IkeHeader } from "../codec/message.ts";
import { Encr, Integ, PayloadType } from "../codec/numbers.ts";
import type { DirectionKeys, IkeKeys } from "./kdf.ts";
import type { IkeSuite } from "./suite.ts";

/** Whose keys protect a message: the original initiator's of the IKE SA or its responder's. */
export type SenderRole = "initiator" | "responder";

/** The integrity check value does not verify: not from the peer, or damaged. */
export class IntegrityError extends DecodeError {
  override readonly name = "IntegrityError";
}

/** Octets of the explicit IV. */
export function ivLength(suite: IkeSuite): number {
  return suite.encr.id === Encr.AES_CBC ? 16 : 8;
}

/** A whole message whose payloads stand in one SK payload. */
export function protectMessage(
  header: IkeHeader,
  content: Encoded,
  suite: IkeSuite,
  keys: IkeKeys,
  sender: SenderRole,
  iv: Bytes,
): Bytes {
  return seal(header, PayloadType.SK, content.firstType, undefined, content.bytes, suite, keys.prepared[sender], iv);
}

/** A payload chain with the type of its first payload, as `encodePayloads` makes it. */
export interface Encoded {
  firstType: number;
  bytes: Bytes;
}

/** Octets that a message with `contentLength` octets of payloads takes in one SK payload. */
export function protectedLength(suite: IkeSuite, contentLength: number): number {
  return HEADER_LENGTH + 4 + ivLength(suite) + padded(suite, contentLength) + icvLength(suite);
}

/** The message as fragments of at most `maxDatagram` octets each (RFC 7383 2.5); `makeIv` gives each its own IV. */
export function protectFragments(
  header: IkeHeader,
  content: Encoded,
  suite: IkeSuite,
  keys: IkeKeys,
  sender: SenderRole,
  makeIv: () => Bytes,
  maxDatagram: number,
): Bytes[] {
  const block = blockSize(suite);
  const room = maxDatagram - HEADER_LENGTH - 8 - ivLength(suite) - icvLength(suite);
  const chunk = Math.max(MIN_CHUNK, Math.floor(room / block) * block - 1);
  const total = Math.max(1, Math.ceil(content.bytes.length / chunk));
  if (total > MAX_FRAGMENTS)
    throw new RangeError(
      `message of ${content.bytes.length} octets needs ${total} fragments, at most ${MAX_FRAGMENTS} are allowed`,
    );
  const fragments: Bytes[] = [];
  for (let number = 1; number <= total; number++) {
    const part = content.bytes.subarray((number - 1) * chunk, number * chunk);
    // Only the first fragment names the first inner payload (RFC 7383 2.5).
    const firstInner = number === 1 ? content.firstType : PayloadType.none;
    fragments.push(
      seal(header, PayloadType.SKF, firstInner, { number, total }, part, suite, keys.prepared[sender], makeIv()),
    );
  }
  return fragments;
}

/** Verifies, then decrypts the SK or SKF payload of a message; throws IntegrityError. */
export function openEncrypted(
  packet: Bytes,
  decoded: DecodedMessage,
  suite: IkeSuite,
  keys: IkeKeys,
  sender: SenderRole,
): { firstInner: number; plaintext: Bytes } {
  const encrypted = decoded.encrypted!;
  const direction = keys.prepared[sender];
  const { body, bodyOffset } = encrypted;
  const ivSize = ivLength(suite);
  const icvSize = icvLength(suite);
  const cipherLength = body.length - ivSize - icvSize;
  if (cipherLength < blockSize(suite) || cipherLength % blockSize(suite) !== 0)
    throw new IntegrityError("SK", bodyOffset, `${body.length} octets do not fit the cipher`);
  const iv = body.subarray(0, ivSize);
  const ciphertext = body.subarray(ivSize, ivSize + cipherLength);
  const icv = body.subarray(ivSize + cipherLength);
  const plain =
    suite.encr.id === Encr.AES_GCM_16
      ? openGcm(packet.subarray(0, bodyOffset), iv, ciphertext, icv, suite, direction, bodyOffset)
      : openCbc(packet, iv, ciphertext, icv, suite, direction, bodyOffset);
  const padLength = plain[plain.length - 1]!;
  if (padLength + 1 > plain.length)
    throw new DecodeError("SK.padLength", bodyOffset, `${padLength} octets of padding in ${plain.length}`);
  return { firstInner: encrypted.firstInner, plaintext: plain.subarray(0, plain.length - 1 - padLength) };
}

function seal(
  header: IkeHeader,
  type: number,
  firstInner: number,
  fragment: { number: number; total: number } | undefined,
  content: Bytes,
  suite: IkeSuite,
  keys: DirectionKeys,
  iv: Bytes,
): Bytes {
  const fixed = HEADER_LENGTH + (fragment === undefined ? 4 : 8);
  const cipherLength = padded(suite, content.length);
  const length = fixed + iv.length + cipherLength + icvLength(suite);
  const packet = Buffer.allocUnsafeSlow(length);
  putHeader(packet, header, type, length);
  packet[HEADER_LENGTH] = firstInner;
  packet[HEADER_LENGTH + 1] = 0;
  packet.writeUInt16BE(length - HEADER_LENGTH, HEADER_LENGTH + 2);
  if (fragment !== undefined) {
    packet.writeUInt16BE(fragment.number, HEADER_LENGTH + 4);
    packet.writeUInt16BE(fragment.total, HEADER_LENGTH + 6);
  }
  iv.copy(packet, fixed);
  const start = fixed + iv.length;
  content.copy(packet, start);
  packet.fill(0, start + content.length, start + cipherLength);
  packet[start + cipherLength - 1] = cipherLength - content.length - 1;
  const plain = packet.subarray(start, start + cipherLength);
  if (suite.encr.id === Encr.AES_GCM_16) {
    const cipher = createCipheriv(gcmName(suite), keys.encr, Buffer.concat([keys.salt, iv]));
    cipher.setAAD(packet.subarray(0, fixed));
    cipher.update(plain).copy(packet, start);
    cipher.final();
    cipher.getAuthTag().copy(packet, start + cipherLength);
    return packet;
  }
  const cipher = createCipheriv(cbcName(suite), keys.encr, iv);
  cipher.setAutoPadding(false);
  cipher.update(plain).copy(packet, start);
  cipher.final();
  const mac = createHmac(hashOf(suite), keys.integ!)
    .update(packet.subarray(0, start + cipherLength))
    .digest();
  mac.copy(packet, start + cipherLength, 0, icvLength(suite));
  return packet;
}

function openGcm(
  aad: Bytes,
  iv: Bytes,
  ciphertext: Bytes,
  icv: Bytes,
  suite: IkeSuite,
  keys: DirectionKeys,
  offset: number,
): Bytes {
  const decipher = createDecipheriv(gcmName(suite), keys.encr, Buffer.concat([keys.salt, iv]), { authTagLength: 16 });
  decipher.setAAD(aad);
  decipher.setAuthTag(icv);
  const plain = decipher.update(ciphertext);
  try {
    decipher.final();
  } catch {
    throw new IntegrityError("SK", offset, "the integrity check value does not verify");
  }
  return plain;
}

function openCbc(
  packet: Bytes,
  iv: Bytes,
  ciphertext: Bytes,
  icv: Bytes,
  suite: IkeSuite,
  keys: DirectionKeys,
  offset: number,
): Bytes {
  const mac = createHmac(hashOf(suite), keys.integ!)
    .update(packet.subarray(0, packet.length - icv.length))
    .digest();
  if (!sameSecret(mac.subarray(0, icv.length), icv))
    throw new IntegrityError("SK", offset, "the integrity check value does not verify");
  const decipher = createDecipheriv(cbcName(suite), keys.encr, iv);
  decipher.setAutoPadding(false);
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
}

/** Octets of ciphertext for `length` octets of payloads: padding and its length octet fill the last block. */
function padded(suite: IkeSuite, length: number): number {
  const block = blockSize(suite);
  return Math.ceil((length + 1) / block) * block;
}

function blockSize(suite: IkeSuite): number {
  if (suite.encr.id === Encr.AES_GCM_16) return 1;
  return suite.encr.id === Encr.DES3 ? 8 : 16;
}

function icvLength(suite: IkeSuite): number {
  return suite.encr.id === Encr.AES_GCM_16 ? 16 : INTEG.get(suite.integ)!.icv;
}

function hashOf(suite: IkeSuite): string {
  return INTEG.get(suite.integ)!.hash;
}

function gcmName(suite: IkeSuite): "aes-128-gcm" | "aes-192-gcm" | "aes-256-gcm" {
  return `aes-${suite.encr.keyLength as 128}-gcm`;
}

function cbcName(suite: IkeSuite): string {
  return suite.encr.id === Encr.DES3 ? "des-ede3-cbc" : `aes-${suite.encr.keyLength}-cbc`;
}

const INTEG = new Map([
  [Integ.HMAC_SHA1_96 as number, { hash: "sha1", icv: 12 }],
  [Integ.HMAC_SHA2_256_128, { hash: "sha256", icv: 16 }],
  [Integ.HMAC_SHA2_384_192, { hash: "sha384", icv: 24 }],
  [Integ.HMAC_SHA2_512_256, { hash: "sha512", icv: 32 }],
]);
const MAX_FRAGMENTS = 64;
/** Below this many octets a fragment carries more overhead than content. */
const MIN_CHUNK = 63;
