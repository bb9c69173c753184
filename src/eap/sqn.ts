/**
 * Sequence numbers of AKA (TS 33.102 6.3, Annex C): SQN of 48 bits is SEQ followed by IND, on both sides.
 *
 * 48 bits fit a safe integer, so SQN and SEQ are plain numbers: divisions, never bit operators, and no BigInt in the
 * HSS's hot path. All functions are pure: whoever holds the state makes it durable before it uses the outcome. SEQ
 * counts authentications (profile 2, C.3.2); the time-based profiles were left out because a counter on disk gives the
 * same guarantee without trusting a clock.
 */
import type { Bytes } from "../bytes/bytes.ts";

/** How SQN is cut and how far apart two of them may be (C.2, C.3.2). */
export interface SqnRules {
  /** Bits of IND; the USIM remembers 2^indBits SEQs. */
  indBits: number;
  /** Largest jump of SEQ that a USIM accepts, against exhaustion by a forged or broken HSS (C.2.1). */
  delta: number;
  /** Age limit L: a SEQ this far or further behind the highest accepted one is refused (C.2.2); undefined for none. */
  ageLimit: number | undefined;
}

export const SQN_DEFAULTS: SqnRules = { indBits: 5, delta: 2 ** 28, ageLimit: undefined };

/** SEQ of the last accepted SQN for each IND; what a USIM keeps (C.2.2). */
export type SqnArray = readonly number[];

/** SEQ and IND of the last SQN that the HSS used for this subscriber: SQN_HE (C.1.1). */
export interface SqnCounter {
  seq: number;
  ind: number;
}

export type SqnVerdict =
  | { accepted: true; array: SqnArray }
  /** `highest` is SQN_MS, which AUTS reports (TS 33.102 6.3.3). */
  | { accepted: false; reason: "NotFresh" | "TooFarAhead" | "TooOld"; highest: number };

/** The array of a USIM that has never authenticated. */
export function newSqnArray(rules: SqnRules): SqnArray {
  return new Array<number>(2 ** rules.indBits).fill(0);
}

/** The USIM's verdict on a SQN whose MAC is right (C.2.1, C.2.2); on acceptance the array to keep from now on. */
export function checkSqn(array: SqnArray, sqn: number, rules: SqnRules): SqnVerdict {
  const { seq, ind } = splitSqn(sqn, rules);
  const highestInd = array.indexOf(Math.max(...array));
  const highestSeq = array[highestInd]!;
  const refuse = (reason: "NotFresh" | "TooFarAhead" | "TooOld"): SqnVerdict => {
    return { accepted: false, reason, highest: joinSqn(highestSeq, highestInd, rules) };
  };
  if (seq - highestSeq > rules.delta) return refuse("TooFarAhead");
  if (rules.ageLimit !== undefined && highestSeq - seq >= rules.ageLimit) return refuse("TooOld");
  if (seq <= array[ind]!) return refuse("NotFresh");
  return { accepted: true, array: array.with(ind, seq) };
}

/**
 * The next SQN of a subscriber and the counter to store before a vector with it leaves (C.1.1.3).
 * `ind` pins IND to one kind of requester (C.3.4); without it IND goes round. Throws RangeError when SEQ is used up.
 */
export function nextSqn(counter: SqnCounter, rules: SqnRules, ind?: number): { sqn: number; counter: SqnCounter } {
  const next = { seq: counter.seq + 1, ind: ind ?? (counter.ind + 1) % 2 ** rules.indBits };
  return { sqn: joinSqn(next.seq, next.ind, rules), counter: next };
}

/**
 * The HSS's counter after the USIM reported SQN_MS in an AUTS whose MAC-S is right (TS 33.102 6.3.5): unchanged if the
 * next SQN would be accepted anyway, else set to what the USIM said.
 */
export function resynchronized(counter: SqnCounter, sqnMs: number, rules: SqnRules): SqnCounter {
  const reported = splitSqn(sqnMs, rules);
  const ahead = counter.seq + 1 - reported.seq;
  return ahead > 0 && ahead <= rules.delta ? counter : reported;
}

/** SQN as 6 octets. */
export function sqnToBytes(sqn: number): Bytes {
  const bytes = Buffer.alloc(6);
  bytes.writeUIntBE(sqn, 0, 6);
  return bytes;
}

export function sqnFromBytes(bytes: Bytes): number {
  return bytes.readUIntBE(0, 6);
}

/** SEQ and IND of a SQN. */
export function splitSqn(sqn: number, { indBits }: SqnRules): SqnCounter {
  const inds = 2 ** indBits;
  return { seq: Math.floor(sqn / inds), ind: sqn % inds };
}

function joinSqn(seq: number, ind: number, { indBits }: SqnRules): number {
  const sqn = seq * 2 ** indBits + ind;
  if (!(sqn < 2 ** 48)) throw new RangeError("SEQ is used up: the subscriber needs a new K (TS 33.102 C.1.1)");
  return sqn;
}
