/**
 * Keys of EAP-AKA (RFC 4187 7) and EAP-AKA' (RFC 9048 3.3, TS 33.402 Annex A), for full authentication and fast
 * re-authentication. `identity` is always the string that the peer sent last, as it stands.
 */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import { digest, hmac } from "../../bytes/digest.ts";
import { fips186Prf } from "./fips186.ts";

/** What a full authentication gives. */
export interface AkaKeys extends SessionKeys {
  /** 16 octets, AES-128-CBC. */
  kEncr: Bytes;
  /** 16 octets (EAP-AKA) or 32 (EAP-AKA'). */
  kAut: Bytes;
  /** What fast re-authentications derive from: MK (20 octets) of EAP-AKA, K_re (32) of EAP-AKA'. */
  reauthSecret: Bytes;
}

/** What goes out of the method, 64 octets each (RFC 3748 7.10). */
export interface SessionKeys {
  msk: Bytes;
  emsk: Bytes;
}

/** Full authentication of EAP-AKA: MK = SHA1(Identity | IK | CK), then the generator of FIPS 186-2. */
export function akaKeys(identity: Bytes, ck: Bytes, ik: Bytes): AkaKeys {
  const mk = digest("sha1", identity, ik, ck);
  const stream = fips186Prf(mk, 160);
  return { kEncr: part(stream, 0, 16), kAut: part(stream, 16, 16), reauthSecret: mk, ...sessionKeys(stream, 32) };
}

/** Fast re-authentication of EAP-AKA: XKEY' = SHA1(Identity | counter | NONCE_S | MK). */
export function akaReauthKeys(mk: Bytes, identity: Bytes, counter: number, nonceS: Bytes): SessionKeys {
  const xkey = digest("sha1", identity, u16(counter), nonceS, mk);
  return sessionKeys(fips186Prf(xkey, 128), 0);
}

/** Full authentication of EAP-AKA': MK = PRF'(IK' | CK', "EAP-AKA'" | Identity), key derivation function 1. */
export function akaPrimeKeys(identity: Bytes, ckPrime: Bytes, ikPrime: Bytes): AkaKeys {
  const seed = Buffer.concat([Buffer.from("EAP-AKA'", "ascii"), identity]);
  const mk = prfPrime(Buffer.concat([ikPrime, ckPrime]), seed, 208);
  return { kEncr: part(mk, 0, 16), kAut: part(mk, 16, 32), reauthSecret: part(mk, 48, 32), ...sessionKeys(mk, 80) };
}

/** Fast re-authentication of EAP-AKA': MK = PRF'(K_re, "EAP-AKA' re-auth" | Identity | counter | NONCE_S). */
export function akaPrimeReauthKeys(kRe: Bytes, identity: Bytes, counter: number, nonceS: Bytes): SessionKeys {
  const seed = Buffer.concat([Buffer.from("EAP-AKA' re-auth", "ascii"), identity, u16(counter), nonceS]);
  return sessionKeys(prfPrime(kRe, seed, 128), 0);
}

/**
 * CK' and IK' of an access network (TS 33.402 A.2): HMAC-SHA-256(CK | IK, 0x20 | name | its length | SQN xor AK | 6).
 * `autn` begins with SQN xor AK, which both sides hold without knowing SQN.
 */
export function deriveCkIkPrime(ck: Bytes, ik: Bytes, networkName: Bytes, autn: Bytes): { ck: Bytes; ik: Bytes } {
  const hidden = autn.subarray(0, 6);
  const string = [FC, networkName, u16(networkName.length), hidden, u16(hidden.length)];
  const output = hmac("sha256", Buffer.concat([ck, ik]), ...string);
  return { ck: part(output, 0, 16), ik: part(output, 16, 16) };
}

/** PRF' (RFC 9048 3.4.1): T1 | T2 | ..., Tn = HMAC-SHA-256(key, Tn-1 | seed | n). */
function prfPrime(key: Bytes, seed: Bytes, length: number): Bytes {
  const output = Buffer.allocUnsafeSlow(Math.ceil(length / 32) * 32);
  let previous: Bytes = EMPTY;
  for (let at = 0; at < output.length; at += 32) {
    previous = hmac("sha256", key, previous, seed, Buffer.of(at / 32 + 1));
    previous.copy(output, at);
  }
  return output.subarray(0, length);
}

function sessionKeys(stream: Bytes, at: number): SessionKeys {
  return { msk: part(stream, at, 64), emsk: part(stream, at + 64, 64) };
}

/** A copy, so that a key kept for long does not keep the whole stream. */
function part(stream: Bytes, at: number, length: number): Bytes {
  return Buffer.from(stream.subarray(at, at + length));
}

function u16(value: number): Bytes {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

const FC = Buffer.from([0x20]);
