/** SIGNATURE_HASH_ALGORITHMS (RFC 7427 4): which hashes each side verifies under method 14. */
import { findNotify, type Payload } from "../codec/message.ts";
import { NotifyType } from "../codec/numbers.ts";
import { notify } from "./ikeSa.ts";

export function signatureHashes(hashes: readonly number[]): Payload[] {
  if (hashes.length === 0) return [];
  const data = Buffer.alloc(hashes.length * 2);
  for (const [index, hash] of hashes.entries()) data.writeUInt16BE(hash, index * 2);
  return [notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, data)];
}

export function hashesOf(payloads: readonly Payload[]): number[] {
  const data = findNotify(payloads, NotifyType.SIGNATURE_HASH_ALGORITHMS)?.data;
  if (data === undefined) return [];
  const hashes: number[] = [];
  for (let at = 0; at + 2 <= data.length && hashes.length < MAX_HASH_ALGORITHMS; at += 2)
    hashes.push(data.readUInt16BE(at));
  return hashes;
}

const MAX_HASH_ALGORITHMS = 16;
