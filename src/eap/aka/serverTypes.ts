/** What an EAP-AKA server is configured with, asks, is answered, and remembers between two messages. */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Random } from "../../sim/environment.ts";
import type { AuthenticationVector } from "../authenticationVector.ts";
import type { EapRefusal, EapResult, World } from "../method.ts";
import type { AkaKeys, SessionKeys } from "./keys.ts";
import type { AkaVariant, KeyDerivation } from "./variant.ts";

export interface AkaServerOptions {
  random: Random;
  /** Of EAP-AKA': the name of the access network, such as "WLAN" (TS 24.302 8.1.1), in AT_KDF_INPUT. */
  networkName: string;
  /** Asks for the identity by AKA-Identity even where the layer below already said it (RFC 4187 4.1.4). */
  alwaysAskIdentity: boolean;
  /** Gives pseudonyms (RFC 4187 4.1.1.5). */
  pseudonyms: boolean;
  /**
   * Makes a pseudonym that leads to its subscriber by itself, behind the prefix of its kind; without it one is drawn at
   * random, and is to be stored.
   */
  newPseudonym?: (prefix: string, imsi: string) => string;
  /** Fast re-authentications after one full authentication; 0 turns them off (RFC 4187 5). */
  maxReauthentications: number;
  /** Realm behind the identities for fast re-authentication, which leads them back to this server (RFC 4187 5.4). */
  reauthRealm: string | undefined;
  /** Offers protected result indications (RFC 4187 6.2). */
  resultIndications: boolean;
  /** Asks whether the authenticated subscriber may enter, and tells the peer protected if not (RFC 4187 10.19). */
  authorize: boolean;
  /** In EAP-AKA: EAP-AKA' is enabled here and preferred, which AT_BIDDING tells (RFC 9048 4). */
  prefersAkaPrime: boolean;
  /** In EAP-AKA': key derivation functions, most preferred first (RFC 9048 3.2). */
  keyDerivations: readonly KeyDerivation[];
}

export interface AkaServerWorld extends World {
  ask: AkaServerAsk;
  answer: AkaServerAnswer;
  record: AkaServerRecord;
}

export type AkaServerAsk =
  /** A fresh vector; after `resync` one that the USIM accepts. Its SQN is durable before it is answered. */
  | { ask: "vector"; imsi: string; method: AkaVariant["name"]; networkName: string; resync: Resync | undefined }
  | { ask: "resolvePseudonym"; username: string }
  /** Looks up and removes: an identity for fast re-authentication serves once (RFC 4187 5.4). */
  | { ask: "takeReauth"; username: string }
  | { ask: "authorize"; imsi: string };

export type AkaServerAnswer =
  | { ask: "vector"; vector: AuthenticationVector }
  | { ask: "vector"; refusal: VectorRefusal; message: string }
  | { ask: "resolvePseudonym"; imsi: string | undefined }
  | { ask: "takeReauth"; context: ReauthContext | undefined }
  | { ask: "authorize"; verdict: "allowed" | "notSubscribed" | "temporarilyDenied" };

export type VectorRefusal = "UnknownSubscriber" | "NotSubscribed" | "WrongAuts" | "Unavailable";

/** Why the server let nobody in; `by` is "them" for the first two, which the peer says. */
export interface AkaServerRefusal extends EapRefusal {
  reason:
    | "AuthenticationRejected"
    | "ClientError"
    | VectorRefusal
    | "BadVector"
    | "NoUsableIdentity"
    | "MalformedResponse"
    | "UnexpectedResponse"
    | "WrongMac"
    | "WrongCheckcode"
    | "WrongRes"
    | "WrongKdf"
    | "WrongCounter"
    | "CannotSynchronize"
    | "TemporarilyDenied";
}

/** What a USIM answered to a SQN that it does not accept (TS 33.102 6.3.5). */
export interface Resync {
  rand: Bytes;
  auts: Bytes;
}

export type AkaServerRecord =
  /** The username leads to the subscriber from now on; an older one should go on to for a while. */
  | { record: "pseudonym"; username: string; imsi: string }
  | { record: "reauth"; username: string; context: ReauthContext };

/** What fast re-authentication needs of the full one before it. */
export interface ReauthContext {
  variant: AkaVariant["name"];
  /** The identity that stands for this context, realm and all; both ends derive keys from it. */
  identity: string;
  imsi: string;
  /** AT_COUNTER of the next fast re-authentication; 1 after a full authentication. */
  counter: number;
  kEncr: Bytes;
  kAut: Bytes;
  /** MK or K_re. */
  secret: Bytes;
}

/** Which identity the server asks for; a later round must ask for one further right (RFC 4187 4.1.5). */
export const ID_REQUESTS = ["AT_ANY_ID_REQ", "AT_FULLAUTH_ID_REQ", "AT_PERMANENT_ID_REQ"] as const;
export type IdRequest = (typeof ID_REQUESTS)[number];

/** The challenge of a full authentication and what its answer is held against. */
export interface Challenge {
  imsi: string;
  vector: AuthenticationVector;
  derivation: KeyDerivation;
  keys: AkaKeys;
  nextPseudonym: string | undefined;
  nextReauth: string | undefined;
  /** Synchronization failures so far. */
  resyncs: number;
  /** True once the peer chose another key derivation function. */
  renegotiated: boolean;
}

export interface Reauthentication {
  context: ReauthContext;
  keys: SessionKeys;
  nonceS: Bytes;
  nextReauth: string | undefined;
  /** AT_MAC of the request: part of the Session-Id (RFC 8940). */
  mac: Bytes;
}

/** What protects a notification after authentication (RFC 4187 9.10). */
export interface Protection {
  kAut: Bytes;
  kEncr: Bytes;
  /** AT_COUNTER within a fast re-authentication. */
  counter: number | undefined;
}

export type AkaServerState =
  | { kind: "Idle" }
  | { kind: "ExpectIdentity" }
  | { kind: "AwaitPseudonym" }
  | { kind: "AwaitReauthContext" }
  /** `before` is the challenge that ended in a synchronization failure. */
  | { kind: "AwaitVector"; imsi: string; before: Challenge | undefined }
  | { kind: "ExpectChallenge"; challenge: Challenge }
  | { kind: "ExpectReauthentication"; reauthentication: Reauthentication }
  | { kind: "AwaitAuthorization"; result: EapResult; protection: Protection; indicate: boolean }
  /** `protection` is there for notifications after authentication only. */
  | { kind: "ExpectNotification"; outcome: EapResult | AkaServerRefusal; protection: Protection | undefined }
  | { kind: "Ended" };
