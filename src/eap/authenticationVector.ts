/**
 * What the HSS/AuC makes of a subscriber's key: authentication vectors, and its reading of AUTS (TS 33.102 6.3.2, 6.3.5).
 */
import { type Bytes, sameSecret } from "../bytes/bytes.ts";
import { type AkaFunctions, AkaLength, requireLength, xor } from "./akaFunctions.ts";
import { sqnFromBytes, sqnToBytes } from "./sqn.ts";

/** One quintet. For EAP-AKA' `ck` and `ik` are CK' and IK', which the HSS derives (TS 33.402 6.2). */
export interface AuthenticationVector {
  rand: Bytes;
  autn: Bytes;
  /** 4 to 16 octets. */
  xres: Bytes;
  ck: Bytes;
  ik: Bytes;
}

/** AMF with the separation bit of TS 33.102 Annex H, which marks vectors for EAP-AKA' (TS 33.402 6.2). */
export const AMF_SEPARATED: Bytes = Buffer.from("8000", "hex");
/** AMF of a vector for EAP-AKA. */
export const AMF_PLAIN: Bytes = Buffer.from("0000", "hex");

/** A vector for a RAND and a SQN that were never used before. CK and IK are plain, whatever AMF says. */
export function makeVector(functions: AkaFunctions, rand: Bytes, sqn: number, amf: Bytes): AuthenticationVector {
  const sqnBytes = sqnToBytes(sqn);
  const { mac, res, ck, ik, ak } = functions.vector(rand, sqnBytes, amf);
  return { rand, autn: Buffer.concat([xor(sqnBytes, ak), amf, mac]), xres: res, ck, ik };
}

/** SQN_MS that a USIM reports in AUTS for this RAND, or undefined if MAC-S is wrong (TS 33.102 6.3.5). */
export function readAuts(functions: AkaFunctions, rand: Bytes, auts: Bytes): number | undefined {
  requireLength("AUTS", auts, AkaLength.AUTS);
  const sqn = xor(auts.subarray(0, AkaLength.SQN), functions.f5Star(rand));
  // AMF is zero in the computation of MAC-S (TS 33.102 6.3.3).
  const expected = functions.f1Star(rand, sqn, AMF_PLAIN);
  return sameSecret(expected, auts.subarray(AkaLength.SQN)) ? sqnFromBytes(sqn) : undefined;
}
