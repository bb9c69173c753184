/** What a SubjectPublicKeyInfo says about its key, read without making a key object of it (RFC 3279 2.3, RFC 5480 2). */
import type { Bytes } from "../bytes/bytes.ts";
import { DerReader, Tag } from "../der/reader.ts";
import { Oid } from "./oids.ts";

/** Kind and size of a key. */
export type KeyDescription =
  | { kind: "rsa"; bits: number }
  /** `curve` as an object identifier; undefined for parameters spelled out, which RFC 5480 2.1.1 forbids. */
  | { kind: "ec"; curve: string | undefined }
  | { kind: "other"; algorithm: string };

/** Reads the DER of a SubjectPublicKeyInfo; throws DerError. */
export function describeKey(spki: Bytes): KeyDescription {
  const outer = new DerReader(spki).sequence("subjectPublicKeyInfo");
  const algorithm = outer.sequence("algorithm");
  const id = algorithm.oid("algorithm");
  if (id === Oid.ecPublicKey) {
    const named = algorithm.peek() === Tag.OID ? algorithm.oid("namedCurve") : undefined;
    return { kind: "ec", curve: named };
  }
  if (id !== Oid.rsaEncryption && id !== Oid.rsassaPss) return { kind: "other", algorithm: id };
  const key = new DerReader(outer.bitString("subjectPublicKey")).sequence("RSAPublicKey");
  return { kind: "rsa", bits: bitLength(key.integer("modulus")) };
}

function bitLength(integer: Bytes): number {
  const octets = integer[0] === 0 ? integer.subarray(1) : integer;
  return octets.length === 0 ? 0 : octets.length * 8 - (Math.clz32(octets[0]!) - 24);
}
