/** Digests of a few short octet strings, where the digest itself is less work than what surrounds it. */
import { hash } from "node:crypto";
import type { Bytes } from "./bytes.ts";

/**
 * The digest of `parts` after each other, as a slice of Node's pool: `copyOf` what is kept. A Buffer that node:crypto makes
 * has memory of its own, which costs four times as much as to digest a short message; its string does not.
 */
export function digest(algorithm: "md5" | "sha1" | "sha256", ...parts: readonly Bytes[]): Bytes {
  const input = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  return Buffer.from(hash(algorithm, input, "latin1"), "latin1");
}
