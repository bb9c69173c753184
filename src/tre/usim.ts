/**
 * The USIM as the hosting party's module sees it: a card that answers AUTHENTICATE, in software or in a reader.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { UsimAnswer } from "../eap/usim.ts";

export interface Usim {
  /** Digits of the IMSI, and how many of them are the MNC (EF_IMSI and EF_AD, TS 31.102 4.2.2, 4.2.18). */
  subscriber(): Promise<{ imsi: string; mncDigits: 2 | 3 }>;
  /** AUTHENTICATE in 3G context (TS 31.102 7.1.2); `rand` and `autn` have 16 octets. Throws UsimError. */
  authenticate(rand: Bytes, autn: Bytes): Promise<UsimAnswer>;
}

export type UsimProblem =
  | "Unreadable"
  | "StateUnreadable"
  | "StateNotWritten"
  | "NoReader"
  | "NoCard"
  | "NoUsim"
  | "PinWrong"
  | "PinNeeded"
  | "CardRefused"
  | "NoPcsc";

/** A USIM that cannot be used, with what is wrong and what to do; never with what it keeps secret. */
export class UsimError extends Error {
  override readonly name = "UsimError";
  readonly reason: UsimProblem;

  constructor(reason: UsimProblem, message: string) {
    super(message);
    this.reason = reason;
  }
}
