/**
 * The AUTH payload's signature (RFC 7296 3.8): RSA (method 1), ECDSA (RFC 4754), digital signature (RFC 7427).
 *
 * It stands with the TrE because that is where a device computes and verifies it (TS 33.320 7.2.2-11, -12).
 */
import { constants, type KeyObject, sign, verify } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";

/** IKEv2 authentication methods (RFC 7296 3.8, IANA). */
export const AuthMethod = {
  RSA: 1,
  SHARED_KEY: 2,
  ECDSA_256: 9,
  ECDSA_384: 10,
  ECDSA_521: 11,
  NULL: 13,
  DIGITAL_SIGNATURE: 14,
} as const;

/** IKEv2 hash algorithms of SIGNATURE_HASH_ALGORITHMS (RFC 7427 4, IANA). */
export const HashAlgorithm = { SHA1: 1, SHA2_256: 2, SHA2_384: 3, SHA2_512: 4 } as const;

export type AuthProblem = "UnsupportedMethod" | "HashNotAccepted" | "KeyMismatch" | "Malformed" | "BadSignature";

/** Why an AUTH payload was not accepted or could not be made. */
export class AuthSignatureError extends Error {
  override readonly name = "AuthSignatureError";
  readonly reason: AuthProblem;

  constructor(reason: AuthProblem, message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Signs with method 14 where the peer announced hash algorithms (RFC 7427 4), else with the method of the key's kind.
 * Throws AuthSignatureError where the key and the peer have nothing in common.
 */
export function signAuth(
  key: KeyObject,
  octets: Bytes,
  peerHashes: readonly number[],
  options: { pss: boolean } = { pss: false },
): { method: number; data: Bytes } {
  if (peerHashes.length > 0) return signDigital(key, octets, peerHashes, options.pss);
  if (key.asymmetricKeyType === "rsa") return { method: AuthMethod.RSA, data: sign("sha1", octets, key) };
  const ecdsa = ecdsaMethodOf(key);
  return { method: ecdsa.method, data: sign(ecdsa.hash, octets, { key, dsaEncoding: "ieee-p1363" }) };
}

/** Verifies an AUTH payload; throws AuthSignatureError. `acceptedHashes` are those we announced. */
export function verifyAuth(
  publicKey: KeyObject,
  method: number,
  data: Bytes,
  octets: Bytes,
  acceptedHashes: readonly number[],
): void {
  switch (method) {
    case AuthMethod.RSA:
      return verifyRsa(publicKey, data, octets);
    case AuthMethod.ECDSA_256:
    case AuthMethod.ECDSA_384:
    case AuthMethod.ECDSA_521: {
      const ecdsa = ecdsaMethodOf(publicKey);
      if (ecdsa.method !== method)
        throw new AuthSignatureError("KeyMismatch", `AUTH method ${method} does not fit the certificate's key`);
      return require(verify(ecdsa.hash, octets, { key: publicKey, dsaEncoding: "ieee-p1363" }, data));
    }
    case AuthMethod.DIGITAL_SIGNATURE:
      return verifyDigital(publicKey, data, octets, acceptedHashes);
    default:
      throw new AuthSignatureError(
        "UnsupportedMethod",
        `AUTH method ${method} is none of RSA, ECDSA and digital signature`,
      );
  }
}

interface Algorithm {
  /** DER of the AlgorithmIdentifier as RFC 7427 A lists it. */
  der: Bytes;
  hash: number;
  digest: string;
  kind: "rsa" | "rsa-pss" | "ec";
}

function signDigital(
  key: KeyObject,
  octets: Bytes,
  peerHashes: readonly number[],
  pss: boolean,
): { method: number; data: Bytes } {
  const kind = key.asymmetricKeyType === "ec" ? "ec" : key.asymmetricKeyType === "rsa-pss" || pss ? "rsa-pss" : "rsa";
  const candidates = ALGORITHMS.filter(
    (algorithm) => algorithm.kind === kind && peerHashes.includes(algorithm.hash) && allows(key, algorithm),
  );
  const preferred = kind === "ec" ? ecdsaMethodOf(key).ikeHash : HashAlgorithm.SHA2_256;
  const chosen = candidates.find((algorithm) => algorithm.hash === preferred) ?? candidates[0];
  if (chosen === undefined)
    throw new AuthSignatureError(
      "HashNotAccepted",
      `the peer accepts hashes ${peerHashes.join(", ")} only, none of which signs here`,
    );
  const signature = sign(chosen.digest, octets, keyInput(key, chosen));
  return {
    method: AuthMethod.DIGITAL_SIGNATURE,
    data: Buffer.concat([Buffer.from([chosen.der.length]), chosen.der, signature]),
  };
}

function verifyDigital(publicKey: KeyObject, data: Bytes, octets: Bytes, acceptedHashes: readonly number[]): void {
  const length = data[0] ?? 0;
  if (data.length < 2 + length || length === 0)
    throw new AuthSignatureError("Malformed", "AUTH data is shorter than the algorithm identifier it announces");
  const identifier = data.subarray(1, 1 + length);
  const algorithm = ALGORITHMS.find((known) => known.der.equals(identifier));
  if (algorithm === undefined)
    throw new AuthSignatureError(
      "UnsupportedMethod",
      `AUTH names a signature algorithm unknown here: ${identifier.subarray(0, 40).toString("hex")}`,
    );
  if (!acceptedHashes.includes(algorithm.hash))
    throw new AuthSignatureError("HashNotAccepted", `AUTH uses ${algorithm.digest}, which was not announced`);
  const expected = publicKey.asymmetricKeyType;
  const fits =
    algorithm.kind === "ec"
      ? expected === "ec"
      : expected === "rsa" || (expected === "rsa-pss" && algorithm.kind === "rsa-pss");
  if (!fits)
    throw new AuthSignatureError(
      "KeyMismatch",
      `AUTH is signed with ${algorithm.kind}, the certificate's key is ${expected}`,
    );
  if (!allows(publicKey, algorithm))
    throw new AuthSignatureError(
      "KeyMismatch",
      `AUTH is signed with RSASSA-PSS and ${algorithm.digest}, which the certificate's key does not allow`,
    );
  require(verify(algorithm.digest, octets, keyInput(publicKey, algorithm), data.subarray(1 + length)));
}

/** An RSASSA-PSS key may be bound to a hash, its mask's hash and a least salt length (RFC 4055 1.2, 3.3). */
function allows(key: KeyObject, { digest }: Algorithm): boolean {
  const { hashAlgorithm, mgf1HashAlgorithm, saltLength } = key.asymmetricKeyDetails ?? {};
  if (hashAlgorithm === undefined) return true;
  return hashAlgorithm === digest && mgf1HashAlgorithm === digest && (saltLength ?? 0) <= SALT_LENGTH[digest]!;
}

/** RFC 7296 3.8 leaves the hash of method 1 open and says SHA-1 by default; the larger ones are seen as well. */
function verifyRsa(publicKey: KeyObject, data: Bytes, octets: Bytes): void {
  if (publicKey.asymmetricKeyType !== "rsa")
    throw new AuthSignatureError(
      "KeyMismatch",
      `AUTH method RSA, but the certificate's key is ${publicKey.asymmetricKeyType}`,
    );
  require(["sha1", "sha256", "sha384", "sha512"].some((digest) => verify(digest, octets, publicKey, data)));
}

function require(verified: boolean): void {
  if (!verified) throw new AuthSignatureError("BadSignature", "the AUTH payload's signature does not verify");
}

function keyInput(key: KeyObject, algorithm: Algorithm) {
  if (algorithm.kind === "rsa-pss")
    return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return key;
}

function ecdsaMethodOf(key: KeyObject): { method: number; hash: string; ikeHash: number } {
  const known = key.asymmetricKeyType === "ec" ? ECDSA.get(key.asymmetricKeyDetails?.namedCurve ?? "") : undefined;
  if (known === undefined)
    throw new AuthSignatureError(
      "KeyMismatch",
      `a ${key.asymmetricKeyType} key ${key.asymmetricKeyDetails?.namedCurve ?? ""} signs no AUTH payload known here`,
    );
  return known;
}

const ECDSA = new Map([
  ["prime256v1", { method: AuthMethod.ECDSA_256, hash: "sha256", ikeHash: HashAlgorithm.SHA2_256 }],
  ["secp384r1", { method: AuthMethod.ECDSA_384, hash: "sha384", ikeHash: HashAlgorithm.SHA2_384 }],
  ["secp521r1", { method: AuthMethod.ECDSA_521, hash: "sha512", ikeHash: HashAlgorithm.SHA2_512 }],
]);

/** Octets of an RSASSA-PSS salt: as many as the hash has (RFC 7427 A.4). */
const SALT_LENGTH: Record<string, number> = { sha256: 32, sha384: 48, sha512: 64 };

/** RFC 7427 A: PKCS#1 1.5 with NULL parameters, ECDSA without, RSASSA-PSS with explicit hash, MGF1 and salt length. */
const ALGORITHMS: readonly Algorithm[] = [
  rsa("0b", HashAlgorithm.SHA2_256, "sha256"),
  rsa("0c", HashAlgorithm.SHA2_384, "sha384"),
  rsa("0d", HashAlgorithm.SHA2_512, "sha512"),
  ecdsa("02", HashAlgorithm.SHA2_256, "sha256"),
  ecdsa("03", HashAlgorithm.SHA2_384, "sha384"),
  ecdsa("04", HashAlgorithm.SHA2_512, "sha512"),
  rsaPss("01", HashAlgorithm.SHA2_256, "sha256"),
  rsaPss("02", HashAlgorithm.SHA2_384, "sha384"),
  rsaPss("03", HashAlgorithm.SHA2_512, "sha512"),
  { der: Buffer.from("300d06092a864886f70d0101050500", "hex"), hash: HashAlgorithm.SHA1, digest: "sha1", kind: "rsa" },
  { der: Buffer.from("300906072a8648ce3d0401", "hex"), hash: HashAlgorithm.SHA1, digest: "sha1", kind: "ec" },
];

function rsa(last: string, hash: number, digest: string): Algorithm {
  return { der: Buffer.from(`300d06092a864886f70d0101${last}0500`, "hex"), hash, digest, kind: "rsa" };
}

function ecdsa(last: string, hash: number, digest: string): Algorithm {
  return { der: Buffer.from(`300a06082a8648ce3d0403${last}`, "hex"), hash, digest, kind: "ec" };
}

function rsaPss(last: string, hash: number, digest: string): Algorithm {
  const salt = SALT_LENGTH[digest]!;
  const sha = `300d06096086480165030402${last}0500`;
  const der = `304106092a864886f70d01010a3034a00f${sha}a11c301a06092a864886f70d010108${sha}a2030201${salt.toString(16).padStart(2, "0")}`;
  return { der: Buffer.from(der, "hex"), hash, digest, kind: "rsa-pss" };
}
