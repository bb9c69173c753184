/**
 * What differs between EAP-AKA (RFC 4187) and EAP-AKA' (RFC 9048): type, hash, key derivation and the first digit of
 * usernames. Server and peer hold one of the two and have no other code that asks which.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { EapType } from "../packet.ts";
import { type AkaKeys, akaKeys, akaPrimeKeys, akaPrimeReauthKeys, akaReauthKeys, type SessionKeys } from "./keys.ts";

export interface AkaVariant {
  readonly name: "EAP-AKA" | "EAP-AKA'";
  readonly type: typeof EapType.AKA | typeof EapType.AKA_PRIME;
  /** Of AT_MAC and AT_CHECKCODE (RFC 9048 3.4.2, 3.4.3). */
  readonly hash: "sha1" | "sha256";
  /** First digit of usernames (RFC 4187 4.1.1.6, TS 23.003 14.3, 14.5, 14.7). */
  readonly prefix: { readonly permanent: string; readonly pseudonym: string; readonly reauth: string };
  reauthKeys(secret: Bytes, identity: Bytes, counter: number, nonceS: Bytes): SessionKeys;
}

/** A key derivation function that AT_KDF names (RFC 9048 3.2); `ck` and `ik` are CK' and IK' in EAP-AKA'. */
export interface KeyDerivation {
  readonly kdf: number;
  derive(identity: Bytes, ck: Bytes, ik: Bytes): AkaKeys;
}

export const AKA: AkaVariant = {
  name: "EAP-AKA",
  type: EapType.AKA,
  hash: "sha1",
  prefix: { permanent: "0", pseudonym: "2", reauth: "4" },
  reauthKeys: akaReauthKeys,
};

export const AKA_PRIME: AkaVariant = {
  name: "EAP-AKA'",
  type: EapType.AKA_PRIME,
  hash: "sha256",
  prefix: { permanent: "6", pseudonym: "7", reauth: "8" },
  reauthKeys: akaPrimeReauthKeys,
};

/** EAP-AKA has one derivation and never negotiates it. */
export const AKA_DERIVATION: KeyDerivation = { kdf: 0, derive: akaKeys };

/** "EAP-AKA' with CK'/IK'", the only function that RFC 9048 defines. */
export const KDF_1: KeyDerivation = { kdf: 1, derive: akaPrimeKeys };
