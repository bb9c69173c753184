/**
 * HalfSipHash-1-3 (Aumasson, Bernstein; the hsiphash of Linux): a keyed hash for tables whose keys a stranger chooses.
 *
 * Without the key nobody can make serial numbers that fall on one place. SipHash proper needs 64-bit words, which cost a
 * BigInt each here; this one is made of 32-bit words and takes some 50 ns for a serial number. It is no MAC.
 */
import type { Bytes } from "../bytes/bytes.ts";

/** Two little-endian words of key. */
export interface HashKey {
  k0: number;
  k1: number;
}

/** Reads a key from 8 octets. */
export function hashKey(octets: Bytes): HashKey {
  return { k0: octets.readInt32LE(0), k1: octets.readInt32LE(4) };
}

/** Hash of `bytes[start..end)` as a signed 32-bit number, which V8 keeps unboxed; allocates nothing. */
export function halfSipHash(bytes: Uint8Array, start: number, end: number, { k0, k1 }: HashKey): number {
  let v0 = k0;
  let v1 = k1;
  let v2 = 0x6c796765 ^ k0;
  let v3 = 0x74656462 ^ k1;
  const length = end - start;
  const whole = start + (length & ~3);
  // Words of the message, then its rest with the length on top, then a zero for each of the three closing rounds.
  let tail = 0;
  for (let i = end - 1; i >= whole; i--) tail = (tail << 8) | bytes[i]!;
  tail |= length << 24;
  for (let at = start, closing = -1; closing < 3; ) {
    let word = 0;
    if (at < whole) {
      word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      at += 4;
    } else {
      closing += 1;
      if (closing === 0) word = tail;
      else if (closing === 1) v2 ^= 0xff;
    }
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}
