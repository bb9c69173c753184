/**
 * The pseudo-random number generator that EAP-AKA expands its master key with (RFC 4187 7, Annex A; FIPS 186-2 with
 * change notice 1, general-purpose form, without a seed).
 *
 * Its G is the bare compression function of SHA-1 over one block padded with zeros, which node:crypto does not offer,
 * so the compression function stands here. SHA-1's weaknesses concern collisions, not this use.
 */
import type { Bytes } from "../../bytes/bytes.ts";

/** `length` octets from a key of 20 octets (XKEY). */
export function fips186Prf(key: Bytes, length: number): Bytes {
  const xkey = new Uint32Array(WORDS);
  for (let i = 0; i < WORDS; i++) xkey[i] = key.readUInt32BE(4 * i);
  const w = new Uint32Array(WORDS);
  const output = Buffer.alloc(Math.ceil(length / 20) * 20);
  for (let at = 0; at < output.length; at += 20) {
    compress(xkey, w);
    for (let i = 0; i < WORDS; i++) output.writeUInt32BE(w[i]!, at + 4 * i);
    // XKEY = (1 + XKEY + w) mod 2^160, with the carry from the last word to the first.
    let carry = 1;
    for (let i = WORDS - 1; i >= 0; i--) {
      const sum = xkey[i]! + w[i]! + carry;
      xkey[i] = sum;
      carry = sum > 0xffff_ffff ? 1 : 0;
    }
  }
  return output.subarray(0, length);
}

/** G(t, c) into `output`: SHA-1's initial value run through its compression function with the block c | zeros. */
function compress(c: Uint32Array, output: Uint32Array): void {
  schedule.fill(0, WORDS, 16);
  schedule.set(c);
  for (let t = 16; t < 80; t++)
    schedule[t] = rotate(schedule[t - 3]! ^ schedule[t - 8]! ^ schedule[t - 14]! ^ schedule[t - 16]!, 1);
  let [a, b, d, e, f]: Words = INITIAL;
  // Words stay signed here: an unsigned one is more than the engine's integers hold.
  for (let t = 0; t < 80; t++) {
    const next = (rotate(a, 5) + mix(t, b, d, e) + f + ROUND_CONSTANTS[(t / 20) | 0]! + schedule[t]!) | 0;
    f = e;
    e = d;
    d = rotate(b, 30);
    b = a;
    a = next;
  }
  output[0] = INITIAL[0] + a;
  output[1] = INITIAL[1] + b;
  output[2] = INITIAL[2] + d;
  output[3] = INITIAL[3] + e;
  output[4] = INITIAL[4] + f;
}

/** Of the one compression under way: a fresh one for each was a quarter of its time. */
const schedule = new Int32Array(80);

type Words = readonly [number, number, number, number, number];

/** The round function f_t of SHA-1 (FIPS 180-4 4.1.1). */
function mix(t: number, x: number, y: number, z: number): number {
  if (t < 20) return (x & y) ^ (~x & z);
  if (t >= 40 && t < 60) return (x & y) ^ (x & z) ^ (y & z);
  return x ^ y ^ z;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

const WORDS = 5;
const INITIAL: Words = [0x6745_2301, 0xefcd_ab89 | 0, 0x98ba_dcfe | 0, 0x1032_5476, 0xc3d2_e1f0 | 0];
const ROUND_CONSTANTS = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc | 0, 0xca62_c1d6 | 0] as const;
