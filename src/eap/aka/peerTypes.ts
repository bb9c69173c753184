/** What an EAP-AKA peer is configured with, asks, is answered, and remembers between two messages. */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Random } from "../../sim/environment.ts";
import type { EapRefusal, EapResult, World } from "../method.ts";
import type { UsimAnswer } from "../usim.ts";
import type { Protection, ReauthContext } from "./serverTypes.ts";
import type { KeyDerivation } from "./variant.ts";

export interface AkaPeerOptions {
  random: Random;
  imsi: string;
  /** Realm of the permanent identity and of pseudonyms (TS 23.003 19.2). */
  realm: string;
  /** What was learned in earlier authentications by the same variant. */
  remembered: RememberedIdentities;
  /** Says its permanent identity even while it holds a pseudonym; an active attacker can ask for it (RFC 4187 4.1.6). */
  revealPermanent: boolean;
  /** Agrees to protected result indications where the server offers them (RFC 4187 6.2). */
  resultIndications: boolean;
  /** In EAP-AKA: EAP-AKA' would do as well, so that an offer of EAP-AKA alone was a bid down (RFC 9048 4). */
  acceptsAkaPrime: boolean;
  /** In EAP-AKA': the access network's name as the device knows it; undefined takes any (RFC 9048 3.1). */
  networkName: string | undefined;
  /** In EAP-AKA': key derivation functions that are acceptable (RFC 9048 3.2). */
  keyDerivations: readonly KeyDerivation[];
}

/** Identities that the server gave; each replaces the one before. */
export interface RememberedIdentities {
  /** A NAI with realm. */
  pseudonym: string | undefined;
  reauth: ReauthContext | undefined;
}

export interface AkaPeerWorld extends World {
  ask: AkaPeerAsk;
  answer: AkaPeerAnswer;
  record: AkaPeerRecord;
}

/** AUTHENTICATE in 3G context (TS 31.102 7.1.2). */
export interface AkaPeerAsk {
  ask: "usim";
  rand: Bytes;
  autn: Bytes;
}

export interface AkaPeerAnswer {
  ask: "usim";
  /** `unavailable`: the card is gone or broken. */
  answer: UsimAnswer | { kind: "unavailable"; message: string };
}

export interface AkaPeerRecord {
  record: "identities";
  /** Type of the variant that learned them. */
  method: number;
  identities: RememberedIdentities;
}

/** Why the peer did not enter; `by` is "them" for `Notified` alone. */
export interface AkaPeerRefusal extends EapRefusal {
  reason: DerivationRefusal | ClientErrorReason | "BiddingDown" | "NotSeparated" | "NetworkNotAuthentic" | "Notified";
}

/** What is said to the server as if AUTN had been wrong (RFC 9048 3.1, 3.2). */
export type DerivationRefusal = "NoNetworkName" | "WrongNetworkName" | "NoKdf" | "KdfTwice" | "NoCommonKdf";

/** What is said to the server as Client-Error (RFC 4187 6.3.1). */
export type ClientErrorReason =
  | "MalformedRequest"
  | "UnexpectedRequest"
  | "IdentityRequestOutOfOrder"
  | "PermanentIdentityWithheld"
  | "WrongMac"
  | "WrongCheckcode"
  | "KdfListChanged"
  | "CannotSynchronize"
  | "NoReauthentication"
  | "NotifiedTwice"
  | "UsimUnavailable";

/** What a peer that has authenticated the server waits to hear. */
export interface PeerOutcome {
  result: EapResult;
  protection: Protection;
  /** Protected result indications were agreed on, so that a bare EAP-Success is no success (RFC 4187 6.3.4). */
  indicated: boolean;
}

export type AkaPeerState =
  | { kind: "ExpectRequest" }
  | { kind: "AwaitUsim"; request: Bytes }
  /** After the answer to a challenge: a notification, EAP-Success or EAP-Failure. */
  | { kind: "ExpectOutcome"; outcome: PeerOutcome }
  /** After a success notification, or when there will be none. */
  | { kind: "ExpectSuccess"; result: EapResult }
  | { kind: "ExpectFailure"; refusal: AkaPeerRefusal };
