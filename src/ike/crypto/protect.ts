/**
 * The Encrypted payload: encryption and integrity of IKE messages and fragments
 * (RFC 7296 3.14, RFC 5282 for AES-GCM, RFC 7383 2.5 for fragments).
 *
 * A packet is laid out once at its final length and encrypted in place; a received one is verified before any octet of
 * its plaintext leaves this file.
 */
import { type CipherGCMTypes, createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { type Bytes, sameSecret } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import { type DecodedMessage, LIMITS } from "../codec/decode.ts";
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

/** A payload chain with the type of its first payload, as `encodePayloads` makes it. */
export interface Encoded {
  firstType: number;
  bytes: Bytes;
}

/** Octets of the explicit IV. */
export function ivLength(suite: IkeSuite): number {
  return suite.encr.id === Encr.AES_CBC ? 16 : 8;
}

/** Octets that a message with `contentLength` octets of payloads takes in one SK payload. */
export function protectedLength(suite: IkeSuite, contentLength: number): number {
  return HEADER_LENGTH + 4 + ivLength(suite) + padded(suite, contentLength) + icvLength(suite);
}

/**
 * A whole message whose payloads stand in one SK payload. `iv` has `ivLength` octets: never used before under these keys
 * with AES-GCM (RFC 5282 3.1), unpredictable with CBC.
 */
export function protectMessage(
  header: IkeHeader,
  content: Encoded,
  suite: IkeSuite,
  keys: IkeKeys,
  sender: SenderRole,
  iv: Bytes,
): Bytes {
  const head = Buffer.allocUnsafe(4);
  writeGenericHeader(head, content.firstType);
  return seal({ header, type: PayloadType.SK, head, content: content.bytes, iv }, suite, keys.prepared[sender]);
}

/**
 * The message as fragments of at most `maxDatagram` octets each (RFC 7383 2.5); `makeIv` gives each its own IV.
 * Throws RangeError where it would take more fragments than the peer of such a message has to accept.
 */
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
  const room = maxDatagram - HEADER_LENGTH - SKF_HEADER - ivLength(suite) - icvLength(suite);
  const chunk = Math.max(MIN_CHUNK, Math.floor(room / block) * block - 1);
  const total = Math.max(1, Math.ceil(content.bytes.length / chunk));
  if (total > LIMITS.fragments) {
    throw new RangeError(
      `${content.bytes.length} octets need ${total} fragments, at most ${LIMITS.fragments} are allowed`,
    );
  }
  return Array.from({ length: total }, (_, index) => {
    const head = Buffer.allocUnsafe(SKF_HEADER);
    // Only the first fragment names the first inner payload (RFC 7383 2.5).
    writeGenericHeader(head, index === 0 ? content.firstType : PayloadType.none);
    head.writeUInt16BE(index + 1, 4);
    head.writeUInt16BE(total, 6);
    const part = content.bytes.subarray(index * chunk, (index + 1) * chunk);
    return seal({ header, type: PayloadType.SKF, head, content: part, iv: makeIv() }, suite, keys.prepared[sender]);
  });
}

/**
 * Verifies, then decrypts the SK or SKF payload of a message; throws IntegrityError where it is not the sender's, and
 * DecodeError where it is and its padding is wrong. `packet` is what `decoded` was decoded from.
 */
export function openEncrypted(
  packet: Bytes,
  decoded: DecodedMessage,
  suite: IkeSuite,
  keys: IkeKeys,
  sender: SenderRole,
): { firstInner: number; plaintext: Bytes } {
  const encrypted = decoded.encrypted;
  if (encrypted === undefined) throw new DecodeError("SK", packet.length, "the message has no encrypted payload");
  const { body, bodyOffset } = encrypted;
  const ivEnd = ivLength(suite);
  const icvStart = body.length - icvLength(suite);
  const cipherLength = icvStart - ivEnd;
  if (cipherLength < blockSize(suite) || cipherLength % blockSize(suite) !== 0) {
    throw new IntegrityError("SK", bodyOffset, `${body.length} octets do not fit the cipher`);
  }
  const sealed: Sealed = {
    packet,
    bodyOffset,
    iv: body.subarray(0, ivEnd),
    ciphertext: body.subarray(ivEnd, icvStart),
    icv: body.subarray(icvStart),
  };
  const direction = keys.prepared[sender];
  const plain = isGcm(suite) ? openGcm(sealed, suite, direction) : openCbc(sealed, suite, direction);
  const padLength = plain[plain.length - 1]!;
  const length = plain.length - 1 - padLength;
  if (length < 0) throw new DecodeError("SK.padLength", bodyOffset, `${padLength} in ${plain.length} octets`);
  return { firstInner: encrypted.firstInner, plaintext: plain.subarray(0, length) };
}

interface Unsealed {
  header: IkeHeader;
  type: number;
  /** Generic payload header, with the fragment numbers of SKF; its length field is filled in here. */
  head: Bytes;
  content: Bytes;
  iv: Bytes;
}

interface Sealed {
  packet: Bytes;
  bodyOffset: number;
  iv: Bytes;
  ciphertext: Bytes;
  icv: Bytes;
}

function seal({ header, type, head, content, iv }: Unsealed, suite: IkeSuite, keys: DirectionKeys): Bytes {
  const ivStart = HEADER_LENGTH + head.length;
  const start = ivStart + iv.length;
  const end = start + padded(suite, content.length);
  const length = end + icvLength(suite);
  const packet = Buffer.allocUnsafeSlow(length);
  putHeader(packet, header, type, length);
  head.writeUInt16BE(length - HEADER_LENGTH, 2);
  head.copy(packet, HEADER_LENGTH);
  iv.copy(packet, ivStart);
  content.copy(packet, start);
  packet.fill(0, start + content.length, end);
  packet[end - 1] = end - start - content.length - 1;
  const plain = packet.subarray(start, end);
  if (isGcm(suite)) {
    const cipher = createCipheriv(gcmName(suite), keys.encr, Buffer.concat([keys.salt, iv]));
    // Everything before the IV is authenticated, not encrypted (RFC 5282 5.1).
    cipher.setAAD(packet.subarray(0, ivStart));
    cipher.update(plain).copy(packet, start);
    cipher.final();
    cipher.getAuthTag().copy(packet, end);
    return packet;
  }
  const cipher = createCipheriv(cbcName(suite), keys.encr, iv);
  cipher.setAutoPadding(false);
  cipher.update(plain).copy(packet, start);
  cipher.final();
  mac(packet.subarray(0, end), suite, keys).copy(packet, end);
  return packet;
}

function openGcm({ packet, bodyOffset, iv, ciphertext, icv }: Sealed, suite: IkeSuite, keys: DirectionKeys): Bytes {
  const nonce = Buffer.concat([keys.salt, iv]);
  const decipher = createDecipheriv(gcmName(suite), keys.encr, nonce, { authTagLength: GCM_ICV });
  decipher.setAAD(packet.subarray(0, bodyOffset));
  decipher.setAuthTag(icv);
  const plain = decipher.update(ciphertext);
  try {
    decipher.final();
  } catch {
    throw notFromPeer(bodyOffset);
  }
  return plain;
}

function openCbc({ packet, bodyOffset, iv, ciphertext, icv }: Sealed, suite: IkeSuite, keys: DirectionKeys): Bytes {
  const expected = mac(packet.subarray(0, packet.length - icv.length), suite, keys);
  if (!sameSecret(expected, icv)) throw notFromPeer(bodyOffset);
  const decipher = createDecipheriv(cbcName(suite), keys.encr, iv);
  decipher.setAutoPadding(false);
  const plain = decipher.update(ciphertext);
  decipher.final();
  return plain;
}

/** The truncated HMAC over everything before it (RFC 7296 3.14). */
function mac(covered: Bytes, suite: IkeSuite, keys: DirectionKeys): Bytes {
  if (keys.integ === undefined) throw new Error("a suite without AEAD needs an integrity key");
  return createHmac(integ(suite).hash, keys.integ).update(covered).digest().subarray(0, integ(suite).icv);
}

function writeGenericHeader(head: Bytes, nextPayload: number): void {
  head[0] = nextPayload;
  head[1] = 0;
}

function notFromPeer(offset: number): IntegrityError {
  return new IntegrityError("SK", offset, "the integrity check value does not verify");
}

/** Octets of ciphertext for `length` octets of payloads: padding and its length octet fill the last block. */
function padded(suite: IkeSuite, length: number): number {
  const block = blockSize(suite);
  return Math.ceil((length + 1) / block) * block;
}

function isGcm(suite: IkeSuite): boolean {
  return suite.encr.id === Encr.AES_GCM_16;
}

function blockSize(suite: IkeSuite): number {
  if (isGcm(suite)) return 1;
  return suite.encr.id === Encr.DES3 ? 8 : 16;
}

function icvLength(suite: IkeSuite): number {
  return isGcm(suite) ? GCM_ICV : integ(suite).icv;
}

function integ(suite: IkeSuite): { hash: string; icv: number } {
  const known = INTEG.get(suite.integ);
  if (known === undefined) throw new RangeError(`integrity algorithm ${suite.integ} is not one that was negotiated`);
  return known;
}

function gcmName(suite: IkeSuite): CipherGCMTypes {
  return suite.encr.keyLength === 128 ? "aes-128-gcm" : suite.encr.keyLength === 192 ? "aes-192-gcm" : "aes-256-gcm";
}

function cbcName(suite: IkeSuite): string {
  return suite.encr.id === Encr.DES3 ? "des-ede3-cbc" : `aes-${suite.encr.keyLength}-cbc`;
}

/** Generic payload header and the two fragment numbers (RFC 7383 2.5). */
const SKF_HEADER = 8;
const GCM_ICV = 16;
const INTEG = new Map<number, { hash: string; icv: number }>([
  [Integ.HMAC_SHA1_96, { hash: "sha1", icv: 12 }],
  [Integ.HMAC_SHA2_256_128, { hash: "sha256", icv: 16 }],
  [Integ.HMAC_SHA2_384_192, { hash: "sha384", icv: 24 }],
  [Integ.HMAC_SHA2_512_256, { hash: "sha512", icv: 32 }],
]);
/** Below this many octets a fragment carries more overhead than content. */
const MIN_CHUNK = 63;
