/**
 * The authentication and key generation functions f1 to f5* of UMTS AKA (TS 33.102 6.3), whichever algorithm is behind.
 *
 * One object stands for one subscriber's key: `milenage` and `tuak` make it, the HSS and the USIM use it, and neither
 * sees the key again.
 */
import type { Bytes } from "../bytes/bytes.ts";

/** Octets of the parameters as EAP-AKA carries them (TS 33.102 6.3.7, RFC 4187 10). */
export const AkaLength = { RAND: 16, AUTN: 16, AUTS: 14, SQN: 6, AMF: 2, MAC: 8, CK: 16, IK: 16, AK: 6 } as const;

export interface AkaFunctions {
  /** MAC-A, 8 octets: the network's proof (f1). */
  f1(rand: Bytes, sqn: Bytes, amf: Bytes): Bytes;
  /** MAC-S, 8 octets: the USIM's proof in a resynchronization (f1*). */
  f1Star(rand: Bytes, sqn: Bytes, amf: Bytes): Bytes;
  /** RES (4 to 16 octets), CK and IK (16 each), AK (6): f2, f3, f4 and f5 in one go. */
  f2345(rand: Bytes): { res: Bytes; ck: Bytes; ik: Bytes; ak: Bytes };
  /** MAC-A and what `f2345` gives, in one go: all that a vector needs. */
  vector(rand: Bytes, sqn: Bytes, amf: Bytes): { mac: Bytes; res: Bytes; ck: Bytes; ik: Bytes; ak: Bytes };
  /** AK, 6 octets, that hides SQN in AUTS (f5*). */
  f5Star(rand: Bytes): Bytes;
}

/** Throws RangeError unless `value` has as many octets as the standard says: a caller's mistake, never a peer's. */
export function requireLength(name: string, value: Bytes, ...lengths: readonly number[]): void {
  if (!lengths.includes(value.length))
    throw new RangeError(`${name} has ${value.length} octets, ${lengths.join(" or ")} are needed`);
}

/** `a` XOR `b`, as long as the shorter; a slice of Node's pool, which a cipher takes with less ado than other memory. */
export function xor(a: Bytes, b: Bytes): Bytes {
  const result = Buffer.allocUnsafe(Math.min(a.length, b.length));
  for (let i = 0; i < result.length; i++) result[i] = a[i]! ^ b[i]!;
  return result;
}
