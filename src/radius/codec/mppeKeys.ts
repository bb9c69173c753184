/** The MSK in MS-MPPE-Recv-Key and MS-MPPE-Send-Key (RFC 2548 2.4.2 and 2.4.3, RFC 3079 for which half is which). */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import { digest } from "../../bytes/digest.ts";
import type { Random } from "../../sim/environment.ts";
import { type Attribute, attribute, attributeOf, type RadiusPacket } from "./packet.ts";

/** Octets of an MSK (RFC 3748 7.10). */
const MSK_LENGTH = 64;
const HALF = MSK_LENGTH / 2;
/** RFC 3079 has keys of 40, 56 and 128 bits; only the last are none to be guessed. */
const SHORTEST_KEY = 16;
const BLOCK = 16;

/** Both attributes for an Access-Accept, encrypted under the secret and the authenticator of its request. */
export function mppeKeys(msk: Bytes, secret: Bytes, requestAuthenticator: Bytes, random: Random): Attribute[] {
  if (msk.length < MSK_LENGTH) throw new RangeError(`an MSK has ${MSK_LENGTH} octets, not ${msk.length}`);
  // The first bit of a salt is set, and no two salts of a packet are the same.
  const first = Buffer.from(random.bytes(2));
  first[0]! |= 0x80;
  const second = Buffer.from([first[0]!, first[1]! ^ 1]);
  return [
    attribute("MS-MPPE-Recv-Key", hide(msk.subarray(0, HALF), secret, requestAuthenticator, first)),
    attribute("MS-MPPE-Send-Key", hide(msk.subarray(HALF, MSK_LENGTH), secret, requestAuthenticator, second)),
  ];
}

/**
 * The MSK in an Access-Accept, 64 octets; undefined if it holds none, or none that can be read.
 *
 * Methods with shorter keys, as EAP-MSCHAPv2 with 16 octets each way, have both after each other and zeros up to the
 * length that RFC 3748 7.10 demands. Whether a peer counts the zeros is the same: HMAC fills a short key up with them.
 */
export function mskOf(packet: RadiusPacket, secret: Bytes, requestAuthenticator: Bytes): Bytes | undefined {
  const receive = reveal(attributeOf(packet, "MS-MPPE-Recv-Key") ?? EMPTY, secret, requestAuthenticator);
  const send = reveal(attributeOf(packet, "MS-MPPE-Send-Key") ?? EMPTY, secret, requestAuthenticator);
  if (receive === undefined || send === undefined) return undefined;
  if (![receive, send].every(({ length }) => length >= SHORTEST_KEY && length <= HALF)) return undefined;
  return Buffer.concat([receive, send], MSK_LENGTH);
}

function hide(key: Bytes, secret: Bytes, requestAuthenticator: Bytes, salt: Bytes): Bytes {
  // The salt, then the key with its length in front and zeros behind, hidden where it stands.
  const value = Buffer.concat([salt, Buffer.of(key.length), key], 2 + Math.ceil((1 + key.length) / BLOCK) * BLOCK);
  let previous: Bytes = Buffer.concat([requestAuthenticator, salt]);
  for (let at = 2; at < value.length; at += BLOCK) {
    const mask = digest("md5", secret, previous);
    for (let i = 0; i < BLOCK; i++) value[at + i]! ^= mask[i]!;
    previous = value.subarray(at, at + BLOCK);
  }
  return value;
}

function reveal(value: Bytes, secret: Bytes, requestAuthenticator: Bytes): Bytes | undefined {
  const salt = value.subarray(0, 2);
  const hidden = value.subarray(2);
  if (hidden.length === 0 || hidden.length % BLOCK !== 0) return undefined;
  const plain = Buffer.alloc(hidden.length);
  let previous: Bytes = Buffer.concat([requestAuthenticator, salt]);
  for (let at = 0; at < hidden.length; at += BLOCK) {
    const mask = digest("md5", secret, previous);
    for (let i = 0; i < BLOCK; i++) plain[at + i] = hidden[at + i]! ^ mask[i]!;
    previous = hidden.subarray(at, at + BLOCK);
  }
  const length = plain[0]!;
  return length < plain.length ? plain.subarray(1, 1 + length) : undefined;
}
