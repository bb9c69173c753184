/** Pseudo-random functions (RFC 7296 2.13, RFC 4868). */
import { createHmac, type KeyObject } from "node:crypto";
import type { Bytes } from "../../bytes/bytes.ts";
import type { PrfHash } from "../../tre/hostingPartyModule.ts";
import { Prf } from "../codec/numbers.ts";

/** Octets of the PRF's output, which is also its preferred key length. */
export function prfLength(prf: number): number {
  return of(prf).length;
}

/** The negotiated PRF over the parts in order, which are copied nowhere. */
export function prf(id: number, key: Bytes | KeyObject, ...data: readonly Bytes[]): Bytes {
  const hmac = createHmac(of(id).hash, key);
  for (const part of data) hmac.update(part);
  return hmac.digest();
}

/** The hash whose HMAC is this PRF. */
export function prfHash(prf: number): PrfHash {
  return of(prf).hash;
}

/** prf+ (RFC 7296 2.13): `length` octets; throws RangeError above 255 blocks. */
export function prfPlus(id: number, key: Bytes | KeyObject, seed: Bytes, length: number): Bytes {
  const { length: block } = of(id);
  const blocks = Math.ceil(length / block);
  if (blocks > 255) throw new RangeError(`prf+ gives at most 255 blocks, ${blocks} asked for`);
  const output = Buffer.allocUnsafeSlow(blocks * block);
  const counter = Buffer.alloc(1);
  for (let i = 1; i <= blocks; i++) {
    counter[0] = i;
    const previous = output.subarray((i - 2) * block, (i - 1) * block);
    const next = i === 1 ? prf(id, key, seed, counter) : prf(id, key, previous, seed, counter);
    next.copy(output, (i - 1) * block);
  }
  return output.subarray(0, length);
}

function of(id: number): { hash: PrfHash; length: number } {
  const known = PRFS.get(id);
  if (known === undefined) throw new RangeError(`PRF ${id} is not one that was negotiated`);
  return known;
}

const PRFS = new Map<number, { hash: PrfHash; length: number }>([
  [Prf.HMAC_SHA1, { hash: "sha1", length: 20 }],
  [Prf.HMAC_SHA2_256, { hash: "sha256", length: 32 }],
  [Prf.HMAC_SHA2_384, { hash: "sha384", length: 48 }],
  [Prf.HMAC_SHA2_512, { hash: "sha512", length: 64 }],
]);
