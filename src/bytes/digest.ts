/** Digests of a few short octet strings, where the digest itself is less work than what surrounds it. */
import { hash } from "node:crypto";
import type { Bytes } from "./bytes.ts";

type Algorithm = "md5" | "sha1" | "sha256";

/**
 * The digest of `parts` after each other, as a slice of Node's pool: `copyOf` what is kept. A Buffer that node:crypto makes
 * has memory of its own, which costs four times as much as to digest a short message; its string does not.
 */
export function digest(algorithm: Algorithm, ...parts: readonly Bytes[]): Bytes {
  const input = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  return Buffer.from(hash(algorithm, input, "latin1"), "latin1");
}

/** HMAC (RFC 2104 2) of `parts` after each other, as two bare digests: an Hmac object costs twice what they do. */
export function hmac(algorithm: Algorithm, key: Bytes, ...parts: readonly Bytes[]): Bytes {
  const short = key.length > BLOCK ? digest(algorithm, key) : key;
  const pad = Buffer.allocUnsafe(BLOCK).fill(INNER);
  for (let i = 0; i < short.length; i++) pad[i]! ^= short[i]!;
  const inner = digest(algorithm, pad, ...parts);
  for (let i = 0; i < BLOCK; i++) pad[i]! ^= INNER ^ OUTER;
  return digest(algorithm, pad, inner);
}

/** Octets of a block of each of the algorithms. */
const BLOCK = 64;
const INNER = 0x36;
const OUTER = 0x5c;
