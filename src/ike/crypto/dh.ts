/**
 * Key exchange groups: MODP (RFC 3526, 2409), ECP (RFC 5903), Curve25519 (RFC 8031).
 *
 * Elliptic curves go through KeyObjects, which cost half of what `createECDH` costs.
 */
import {
  createPublicKey,
  type DiffieHellmanGroup,
  diffieHellman,
  generateKeyPairSync,
  getDiffieHellman,
  type KeyObject,
} from "node:crypto";
import type { Bytes } from "../../bytes/bytes.ts";
import { Group } from "../codec/numbers.ts";

/** A peer's public value that is no element of the group, or a weak one. */
export class BadKeyExchangeError extends Error {
  override readonly name = "BadKeyExchangeError";
}

/** One side of a key exchange; the private value never leaves it. */
export interface KeyExchange {
  group: number;
  /** As the KE payload carries it. */
  publicValue: Bytes;
  /** g^ir as RFC 7296 2.14 wants it; throws BadKeyExchangeError. */
  computeShared(peerPublic: Bytes): Bytes;
}

/** A fresh private value and its public value; throws RangeError for a group that is not among `Group`. */
export function generateKeyExchange(group: number): KeyExchange {
  if (group === Group.CURVE25519) return curve25519();
  const curve = CURVES.get(group);
  if (curve !== undefined) return ecp(group, curve);
  const modp = MODP.get(group);
  if (modp !== undefined) return modpExchange(group, modp);
  throw new RangeError(`key exchange group ${group} is not one that was negotiated`);
}

function curve25519(): KeyExchange {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  return {
    group: Group.CURVE25519,
    publicValue: rawPublic(publicKey),
    computeShared(peerPublic) {
      requireLength("Curve25519", peerPublic, 32);
      const shared = derive(
        privateKey,
        { key: peerPublic, format: "raw-public", asymmetricKeyType: "x25519" },
        "Curve25519",
      );
      // A point of small order gives zero (RFC 8031 5, RFC 7748 6.1).
      if (shared.every((octet) => octet === 0))
        throw new BadKeyExchangeError("Curve25519: the peer's public value has small order");
      return shared;
    },
  };
}

function ecp(group: number, curve: { name: string; size: number }): KeyExchange {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: curve.name });
  return {
    group,
    // RFC 5903 7: x and y without the leading form octet.
    publicValue: rawPublic(publicKey).subarray(1),
    computeShared(peerPublic) {
      requireLength(curve.name, peerPublic, 2 * curve.size);
      const point = Buffer.concat([UNCOMPRESSED, peerPublic]);
      return derive(
        privateKey,
        { key: point, format: "raw-public", asymmetricKeyType: "ec", namedCurve: curve.name },
        curve.name,
      );
    },
  };
}

function modpExchange(group: number, modp: { name: string; size: number }): KeyExchange {
  const dh: DiffieHellmanGroup = getDiffieHellman(modp.name);
  const publicValue = leftPad(dh.generateKeys(), modp.size);
  return {
    group,
    publicValue,
    computeShared(peerPublic) {
      requireLength(modp.name, peerPublic, modp.size);
      try {
        // OpenSSL refuses 0, 1 and p-1, whose shared secret anybody can tell (RFC 6989 2.1).
        return leftPad(dh.computeSecret(peerPublic), modp.size);
      } catch {
        throw new BadKeyExchangeError(`${modp.name}: the peer's public value is not between 2 and p-2`);
      }
    },
  };
}

function rawPublic(key: KeyObject): Bytes {
  // Node's type declarations do not know this format yet.
  const raw: unknown = key.export({ format: "raw-public" } as never);
  if (!Buffer.isBuffer(raw)) throw new TypeError("this Node does not export raw public keys: it needs 24 or newer");
  return raw;
}

function derive(privateKey: KeyObject, peer: object, name: string): Bytes {
  let publicKey: KeyObject;
  try {
    publicKey = createPublicKey(peer as never);
  } catch {
    throw new BadKeyExchangeError(`${name}: the peer's public value is no point of the curve`);
  }
  try {
    return diffieHellman({ privateKey, publicKey });
  } catch {
    throw new BadKeyExchangeError(`${name}: the peer's public value gives no shared secret`);
  }
}

function requireLength(name: string, value: Bytes, length: number): void {
  if (value.length !== length)
    throw new BadKeyExchangeError(`${name}: the peer's public value has ${value.length} octets instead of ${length}`);
}

function leftPad(value: Bytes, size: number): Bytes {
  return value.length === size ? value : Buffer.concat([Buffer.alloc(size - value.length), value]);
}

const UNCOMPRESSED = Buffer.from([4]);
const CURVES = new Map([
  [Group.ECP_256 as number, { name: "P-256", size: 32 }],
  [Group.ECP_384, { name: "P-384", size: 48 }],
  [Group.ECP_521, { name: "P-521", size: 66 }],
]);
const MODP = new Map([
  [Group.MODP_1024 as number, { name: "modp2", size: 128 }],
  [Group.MODP_1536, { name: "modp5", size: 192 }],
  [Group.MODP_2048, { name: "modp14", size: 256 }],
  [Group.MODP_3072, { name: "modp15", size: 384 }],
  [Group.MODP_4096, { name: "modp16", size: 512 }],
  [Group.MODP_6144, { name: "modp17", size: 768 }],
  [Group.MODP_8192, { name: "modp18", size: 1024 }],
]);
