/**
 * Byte strings: the one vocabulary that every codec shares.
 *
 * All octet strings in Femtogate are `Buffer`s (a `Uint8Array` whose `subarray` is a view, not a copy). Views keep the
 * whole underlying packet alive, so whatever outlives a packet is copied with `copyOf`.
 */
import { timingSafeEqual } from "node:crypto";

export type Bytes = Buffer;

export const EMPTY: Bytes = Buffer.alloc(0);

/** A copy that shares no memory with `bytes`; use it for anything that outlives the packet it came in. */
export function copyOf(bytes: Uint8Array): Bytes {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

/** Equality of public octet strings; not for secrets. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Equality in time that depends on the length only; for MACs, AUTH values, cookies and other secrets. */
export function sameSecret(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Order of unsigned big-endian octet strings, shorter first where one is a prefix of the other. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}
