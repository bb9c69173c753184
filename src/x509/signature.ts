/** Signature algorithms of certificates, CRLs and OCSP responses (RFC 5280 4.1.1.2, RFC 3279, RFC 4055, RFC 5758). */
import { constants, type KeyObject, sign, verify } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, type DerElement, type DerReader, inside, Tag } from "../der/reader.ts";
import { nullValue, oid, sequence } from "../der/writer.ts";
import { Oid } from "./oids.ts";

/** Hash functions by their OpenSSL names. */
export type Digest = "sha1" | "sha256" | "sha384" | "sha512";

/** An AlgorithmIdentifier as read, with its meaning where it has one here. */
export interface SignatureAlgorithm {
  oid: string;
  /** DER of the AlgorithmIdentifier. */
  der: Bytes;
  /** Undefined for an algorithm that is not known here. */
  known: { digest: Digest; kind: "rsa" | "rsa-pss" | "ec" | "dsa"; saltLength?: number } | undefined;
}

/** Reads an AlgorithmIdentifier; throws DerError. */
export function readSignatureAlgorithm(reader: DerReader, field: string): SignatureAlgorithm {
  const element = reader.expect(Tag.SEQUENCE, field);
  const inner = inside(element);
  const id = inner.oid(`${field}.algorithm`);
  const known = id === Oid.rsassaPss ? readPss(inner) : ALGORITHMS.get(id);
  return { oid: id, der: element.whole, known };
}

/** True if `signature` over `data` verifies; false for a key of another kind or an unknown algorithm as well. */
export function verifySignature(algorithm: SignatureAlgorithm, key: KeyObject, data: Bytes, signature: Bytes): boolean {
  const { known } = algorithm;
  if (known === undefined) return false;
  const type = key.asymmetricKeyType;
  if (type !== known.kind && !(known.kind === "rsa-pss" && type === "rsa")) return false;
  try {
    if (known.kind === "rsa-pss")
      return verify(
        known.digest,
        data,
        { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: known.saltLength ?? 20 },
        signature,
      );
    return verify(known.digest, data, key, signature);
  } catch {
    // OpenSSL throws for signatures that are malformed beyond verifying.
    return false;
  }
}

/** A private key together with the algorithm it signs under. */
export interface Signer {
  algorithm: Bytes;
  sign(data: Bytes): Bytes;
  /** The same on another thread, for keys that take so long that others would wait: RSA takes eight times P-256. */
  signAside?: (data: Bytes) => Promise<Bytes>;
}

/** SHA-256 for RSA and P-256, SHA-384 for P-384, SHA-512 for P-521. */
export function signerOf(key: KeyObject): Signer {
  if (key.asymmetricKeyType === "rsa")
    return {
      algorithm: sequence(oid(Oid.sha256WithRsa), nullValue()),
      sign: (data) => sign("sha256", data, key),
      signAside: (data) =>
        new Promise((resolve, reject) =>
          sign("sha256", data, key, (error, signature) => (error === null ? resolve(signature) : reject(error))),
        ),
    };
  if (key.asymmetricKeyType === "ec") {
    const [digest, id] = EC_SIGNERS.get(key.asymmetricKeyDetails?.namedCurve ?? "") ?? ["sha256", Oid.ecdsaWithSha256];
    return { algorithm: sequence(oid(id)), sign: (data) => sign(digest, data, key) };
  }
  throw new TypeError(`a ${key.asymmetricKeyType} key signs no certificates here; use RSA, P-256, P-384 or P-521`);
}

/**
 * RFC 4055 3.1: parameters that are left out mean SHA-1 and 20 octets of salt. The mask's hash is not read: it must be
 * the digest's (RFC 8017 8.1 recommends it), and a signature made with another does not verify.
 */
function readPss(parameters: DerReader): SignatureAlgorithm["known"] {
  if (parameters.atEnd) return { digest: "sha1", kind: "rsa-pss", saltLength: 20 };
  const fields = parameters.sequence("RSASSA-PSS parameters");
  const hash = fields.optional(contextTag(0, "constructed"), "hashAlgorithm");
  fields.optional(contextTag(1, "constructed"), "maskGenAlgorithm");
  const salt = fields.optional(contextTag(2, "constructed"), "saltLength");
  fields.optional(contextTag(3, "constructed"), "trailerField");
  fields.end("RSASSA-PSS parameters");
  const digest = hash === undefined ? "sha1" : DIGESTS.get(hashOid(hash));
  const saltLength = salt === undefined ? 20 : inside(salt).smallInteger("saltLength");
  return digest === undefined ? undefined : { digest, kind: "rsa-pss", saltLength };
}

function hashOid(field: DerElement): string {
  return inside(field).sequence("hashAlgorithm").oid("hashAlgorithm");
}

const DIGESTS = new Map<string, Digest>([
  [Oid.sha1, "sha1"],
  [Oid.sha256, "sha256"],
  [Oid.sha384, "sha384"],
  [Oid.sha512, "sha512"],
]);

const ALGORITHMS = new Map<string, NonNullable<SignatureAlgorithm["known"]>>([
  [Oid.sha1WithRsa, { digest: "sha1", kind: "rsa" }],
  [Oid.sha256WithRsa, { digest: "sha256", kind: "rsa" }],
  [Oid.sha384WithRsa, { digest: "sha384", kind: "rsa" }],
  [Oid.sha512WithRsa, { digest: "sha512", kind: "rsa" }],
  [Oid.ecdsaWithSha1, { digest: "sha1", kind: "ec" }],
  [Oid.ecdsaWithSha256, { digest: "sha256", kind: "ec" }],
  [Oid.ecdsaWithSha384, { digest: "sha384", kind: "ec" }],
  [Oid.ecdsaWithSha512, { digest: "sha512", kind: "ec" }],
  [Oid.dsaWithSha1, { digest: "sha1", kind: "dsa" }],
  [Oid.dsaWithSha256, { digest: "sha256", kind: "dsa" }],
]);

const EC_SIGNERS = new Map<string, [Digest, string]>([
  ["prime256v1", ["sha256", Oid.ecdsaWithSha256]],
  ["secp384r1", ["sha384", Oid.ecdsaWithSha384]],
  ["secp521r1", ["sha512", Oid.ecdsaWithSha512]],
]);
