/**
 * States of one IKE SA, each named for what it waits for and holding only what that state knows
 * (RFC 7296 1.2, 2.8, 1.4.1), and what it may be asked to do next.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { ChildSaId, EspSpi, EspSuite } from "../../esp/dataPlane.ts";
import type { TrafficSelector } from "../../esp/selector.ts";
import type { PeerEvidence } from "../../tre/trustedEnvironment.ts";
import type { Payload } from "../codec/message.ts";
import type { KeyExchange } from "../crypto/dh.ts";
import type {
  AssignedAddress,
  CloseCause,
  IkeRefusal,
  IkeSaId,
  OwnAuth,
  PeerIdentity,
  VerifiedPeer,
} from "./effects.ts";

/** The octets of IKE_SA_INIT that AUTH covers (RFC 7296 2.15). */
export interface InitExchange {
  request: Bytes;
  response: Bytes;
  nonceI: Bytes;
  nonceR: Bytes;
}

export type IkeSaState =
  // As initiator
  | {
      kind: "ExpectInitResponse";
      ke: KeyExchange;
      nonceI: Bytes;
      request: Bytes;
      cookie: Bytes | undefined;
      restarts: number;
    }
  | { kind: "AwaitInitiatorAuth"; init: InitExchange; ocspAsked: boolean }
  | { kind: "ExpectAuthResponse"; init: InitExchange; childSpi: EspSpi }
  | {
      kind: "AwaitResponderVerdict";
      response: readonly Payload[];
      childSpi: EspSpi;
      peer: PeerIdentity;
      init: InitExchange;
    }
  // As initiator, the hosting party's round (TS 33.320 A.2)
  | { kind: "AwaitHostingParty"; first: FirstRound; party: PeerIdentity | undefined; rounds: number }
  | { kind: "ExpectEapResponse"; first: FirstRound; party: PeerIdentity; rounds: number }
  | { kind: "ExpectFinalResponse"; first: FirstRound }
  | { kind: "AwaitFinalVerdict"; first: FirstRound; response: readonly Payload[] }
  // As responder
  | { kind: "ExpectAuthRequest"; init: InitExchange; ke: KeyExchange; peerPublic: Bytes }
  | { kind: "AwaitInitiatorVerdict"; init: InitExchange; request: readonly Payload[]; peer: PeerIdentity }
  | {
      kind: "AwaitResponderAuth";
      init: InitExchange;
      request: readonly Payload[];
      peer: PeerIdentity;
      verified: VerifiedPeer;
    }
  | {
      kind: "AwaitAddress";
      init: InitExchange;
      request: readonly Payload[];
      peer: PeerIdentity;
      verified: VerifiedPeer;
      auth: OwnAuth;
      /** IDr was sent in an earlier round. */
      named: boolean;
    }
  // As responder, the hosting party's round
  | {
      kind: "ExpectSecondIdentity";
      init: InitExchange;
      request: readonly Payload[];
      peer: PeerIdentity;
      verified: VerifiedPeer;
    }
  | { kind: "AwaitAaa"; round: SecondRound }
  | { kind: "ExpectEapMessage"; round: SecondRound }
  | { kind: "ExpectEapAuth"; round: SecondRound; msk: Bytes; eap: string }
  // Both
  | { kind: "Established"; peer: PeerIdentity; evidence: PeerEvidence; assigned: AssignedAddress | undefined }
  /** Replaced by `successor`; whoever began the rekeying deletes this one (RFC 7296 2.8). */
  | { kind: "Rekeyed"; peer: PeerIdentity; successor: IkeSaId }
  | { kind: "Deleting"; peer: PeerIdentity | undefined; cause: CloseCause }
  | { kind: "Closed" };

/** What the first round settled, as initiator. */
export interface FirstRound {
  init: InitExchange;
  childSpi: EspSpi;
  peer: PeerIdentity;
  verified: VerifiedPeer;
}

/** A hosting party's round, as responder; `request` is the device's first IKE_AUTH, which asks for address and tunnel. */
export interface SecondRound {
  init: InitExchange;
  request: readonly Payload[];
  peer: PeerIdentity;
  verified: VerifiedPeer;
  party: PeerIdentity;
  rounds: number;
}

export interface ChildNonces {
  nonceI: Bytes;
  nonceR: Bytes;
}

/** One CHILD SA pair as IKE sees it. */
export interface ChildSa {
  id: ChildSaId;
  inboundSpi: EspSpi;
  outboundSpi: EspSpi;
  suite: EspSuite;
  localSelectors: TrafficSelector[];
  remoteSelectors: TrafficSelector[];
  udpEncapsulated: boolean;
  /** Milliseconds of wall time; Infinity where rekeying is off. */
  rekeyAt: number;
  expireAt: number;
  /** `rekeyed`: a successor carries the traffic, and this one waits for its Delete. */
  phase: "installed" | "rekeying" | "rekeyed" | "deleting";
}

/** What this IKE SA is to do once its window of one is free (RFC 7296 2.3). */
export type Intent =
  | { kind: "liveness" }
  | { kind: "rekeyIke"; group?: number }
  | { kind: "createChild"; replaces: ChildSaId | undefined; group?: number }
  | { kind: "deleteChild"; child: ChildSaId; inboundSpi: EspSpi }
  | { kind: "deleteIke"; cause: CloseCause }
  | { kind: "tellAuthenticationFailed"; refusal: IkeRefusal };

/** A request of ours that is on its way, with what its response needs. */
export type Sent =
  | { kind: "init" }
  | { kind: "auth" }
  | { kind: "liveness" }
  | { kind: "rekeyIke"; ke: KeyExchange; nonceI: Bytes; ownSpi: string; collision: IkeCollision | undefined }
  | {
      kind: "createChild";
      replaces: ChildSaId | undefined;
      ke: KeyExchange | undefined;
      nonceI: Bytes;
      inboundSpi: EspSpi;
      collision: ChildCollision | undefined;
    }
  | { kind: "deleteChild"; child: ChildSaId }
  | { kind: "deleteIke"; cause: CloseCause }
  | { kind: "tellAuthenticationFailed" };

/** The peer's rekeying of the same SA that crossed ours (RFC 7296 2.8.1). */
export interface ChildCollision {
  theirs: ChildSaId;
  lowestNonce: Bytes;
}
export interface IkeCollision {
  theirs: IkeSaId;
  lowestNonce: Bytes;
}

export interface Outgoing {
  sent: Sent;
  messageId: number;
  packets: readonly Bytes[];
  /** Times sent so far. */
  attempts: number;
}

export type TimerKind =
  | "retransmit"
  | "halfOpen"
  | "liveness"
  | "keepalive"
  | "rekeyIke"
  | "expireIke"
  | "linger"
  | "retryRekeyIke";
