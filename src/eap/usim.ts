/**
 * What a USIM makes of RAND and AUTN (TS 33.102 6.3.3, TS 31.102 7.1.2): a pure function from its SQN array to an answer
 * and the next array. Whoever runs it stores the array before the answer leaves.
 */
import { type Bytes, sameSecret } from "../bytes/bytes.ts";
import { type AkaFunctions, AkaLength, requireLength, xor } from "./akaFunctions.ts";
import { AMF_PLAIN } from "./authenticationVector.ts";
import { checkSqn, type SqnArray, type SqnRules, sqnFromBytes, sqnToBytes } from "./sqn.ts";

export type UsimAnswer =
  | { kind: "authenticated"; res: Bytes; ck: Bytes; ik: Bytes }
  /** SQN is not acceptable; `auts` tells the HSS what is. */
  | { kind: "syncFailure"; auts: Bytes }
  /** The network does not know K. */
  | { kind: "macFailure" };

/** Answers one AUTHENTICATE command in 3G context; `rand` and `autn` have 16 octets. */
export function authenticateUsim(
  functions: AkaFunctions,
  array: SqnArray,
  rules: SqnRules,
  rand: Bytes,
  autn: Bytes,
): { answer: UsimAnswer; array: SqnArray } {
  requireLength("AUTN", autn, AkaLength.AUTN);
  const { res, ck, ik, ak } = functions.f2345(rand);
  const sqn = xor(autn.subarray(0, 6), ak);
  // The MAC comes first: SQN of an impostor must not draw an AUTS (TS 33.102 6.3.3).
  if (!sameSecret(functions.f1(rand, sqn, autn.subarray(6, 8)), autn.subarray(8)))
    return { answer: { kind: "macFailure" }, array };
  const verdict = checkSqn(array, sqnFromBytes(sqn), rules);
  if (verdict.accepted) return { answer: { kind: "authenticated", res, ck, ik }, array: verdict.array };
  const highest = sqnToBytes(verdict.highest);
  const auts = Buffer.concat([xor(highest, functions.f5Star(rand)), functions.f1Star(rand, highest, AMF_PLAIN)]);
  return { answer: { kind: "syncFailure", auts }, array };
}
