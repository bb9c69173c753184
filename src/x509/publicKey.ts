/** What a SubjectPublicKeyInfo says about its key, read without making a key object of it (RFC 3279 2.3, RFC 5480 2). */
import { createPublicKey, type KeyObject } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import { type DerElement, DerReader, inside, Tag } from "../der/reader.ts";
import { oid, sequence } from "../der/writer.ts";
import { Oid } from "./oids.ts";

/** Kind and size of a key. */
export type KeyDescription =
  | { kind: "rsa"; bits: number }
  /** `curve` as an object identifier; undefined for parameters spelled out, which RFC 5480 2.1.1 forbids. */
  | { kind: "ec"; curve: string | undefined }
  /** `bits` of the modulus p; undefined where p, q and g are the issuer's (RFC 3279 2.3.2). */
  | { kind: "dsa"; bits: number | undefined }
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
  if (id === Oid.dsa) {
    const parameters = algorithm.optional(Tag.SEQUENCE, "Dss-Parms");
    return { kind: "dsa", bits: parameters && bitLength(inside(parameters).integer("p")) };
  }
  if (id !== Oid.rsaEncryption && id !== Oid.rsassaPss) return { kind: "other", algorithm: id };
  const key = new DerReader(outer.bitString("subjectPublicKey")).sequence("RSAPublicKey");
  return { kind: "rsa", bits: bitLength(key.integer("modulus")) };
}

/** DER of the Dss-Parms of a DSA key, or undefined for a key without, or of another kind. */
export function dsaParameters(spki: Bytes): Bytes | undefined {
  const { parameters } = splitDsa(spki) ?? {};
  return parameters?.whole;
}

/** A DSA key that inherits its issuer's parameters (RFC 5280 6.1.4 f); undefined if OpenSSL cannot read the result. */
export function dsaKeyWith(spki: Bytes, parameters: Bytes): KeyObject | undefined {
  const key = splitDsa(spki);
  if (key === undefined) return undefined;
  const whole = sequence(sequence(oid(Oid.dsa), parameters), key.bits);
  try {
    return createPublicKey({ key: whole, format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}

function splitDsa(spki: Bytes): { parameters: DerElement | undefined; bits: Bytes } | undefined {
  const outer = new DerReader(spki).sequence("subjectPublicKeyInfo");
  const algorithm = outer.sequence("algorithm");
  if (algorithm.oid("algorithm") !== Oid.dsa) return undefined;
  const parameters = algorithm.optional(Tag.SEQUENCE, "Dss-Parms");
  return { parameters, bits: outer.expect(Tag.BIT_STRING, "subjectPublicKey").whole };
}

function bitLength(integer: Bytes): number {
  const octets = integer[0] === 0 ? integer.subarray(1) : integer;
  return octets.length === 0 ? 0 : octets.length * 8 - (Math.clz32(octets[0]!) - 24);
}
