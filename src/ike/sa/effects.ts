/**
 * What an IKE core asks of its shell, and what it hears back.
 *
 * A core returns effects as values and never waits: the shell sends the packets, programs the data plane, and answers
 * each `request` whenever it can through `IkeEndpoint.answer`. An answer that comes late, twice or for a closed IKE SA
 * finds nothing to act on.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { ChildSaId, ChildSaSpec, UdpAddress } from "../../esp/dataPlane.ts";
import type { TrafficSelector } from "../../esp/selector.ts";
import type { PrfHash } from "../../tre/hostingPartyModule.ts";
import type { PeerCredentials, PeerEvidence, PeerRefusal } from "../../tre/trustedEnvironment.ts";
import type { ConfigAttribute, IkeHeader, IkeSpi } from "../codec/message.ts";
import type { IkeKeys } from "../crypto/kdf.ts";
import type { IkeSuite } from "../crypto/suite.ts";

/** Names one IKE SA within an endpoint, for as long as the process lives; a rekeyed IKE SA gets a new one. */
export type IkeSaId = number & { readonly __brand: "IkeSaId" };

export type Effect =
  /** Sends `packet` (without non-ESP marker); `natT` says that the marker of RFC 3948 2.2 goes in front. */
  | { kind: "send"; packet: Bytes; from: UdpAddress; to: UdpAddress; natT: boolean }
  | { kind: "sendKeepalive"; from: UdpAddress; to: UdpAddress }
  | { kind: "request"; sa: IkeSaId; requestId: number; request: Request }
  | { kind: "installChild"; sa: IkeSaId; spec: ChildSaSpec }
  | { kind: "removeChild"; sa: IkeSaId; child: ChildSaId }
  | { kind: "moveChild"; child: ChildSaId; local: UdpAddress; remote: UdpAddress }
  | { kind: "event"; event: IkeEvent };

/** Questions that need keys, certificates, roots, revocation data or address pools, none of which a core holds. */
export type Request =
  | {
      ask: "computeAuth";
      octets: Bytes;
      peerHashes: readonly number[];
      acceptableCas: readonly Bytes[];
      ocspAsked: boolean;
      ocspResponderHashes: readonly Bytes[];
      peerIdentity: PeerIdentity | undefined;
      /** What an INTEGRITY_INFO is to be bound to; undefined where none is sent. */
      integrityBinding: Bytes | undefined;
    }
  | { ask: "verifyPeer"; credentials: PeerCredentials }
  | { ask: "assignAddress"; identity: PeerIdentity; attributes: readonly ConfigAttribute[] }
  /** As initiator: the hosting party's module is to act (TS 33.320 A.2-5, A.2-6). */
  | { ask: "hostingParty"; step: HostingPartyRequest }
  /** As responder: an EAP packet for the AAA server, none to begin with (A.2-3). */
  | { ask: "relayEap"; device: PeerIdentity; party: PeerIdentity; packet: Bytes | undefined };

export type HostingPartyRequest =
  | { kind: "begin" }
  | { kind: "receive"; packet: Bytes }
  | { kind: "computeAuth"; prf: PrfHash; octets: Bytes }
  | { kind: "verifyAuth"; prf: PrfHash; octets: Bytes; auth: Bytes };

export type HostingPartyAnswer =
  | { kind: "identity"; identity: PeerIdentity }
  | { kind: "respond"; packet: Bytes }
  /** EAP has succeeded; AUTH can be made. */
  | { kind: "succeeded" }
  | { kind: "auth"; data: Bytes }
  /** The gateway's AUTH was made with the same key; `eap` says for people how ("aka success"). */
  | { kind: "verified"; eap: string };

/** What came back from the AAA server. */
export type EapRelayed =
  | { kind: "request"; packet: Bytes }
  | { kind: "success"; packet: Bytes; msk: Bytes; eap: string }
  | { kind: "failure"; packet: Bytes | undefined; refusal: PeerRefusal };

export type Answer =
  | { ask: "computeAuth"; result: OwnAuth | PeerRefusal }
  | { ask: "verifyPeer"; result: VerifiedPeer | PeerRefusal }
  | { ask: "assignAddress"; result: AssignedAddress | PeerRefusal }
  | { ask: "hostingParty"; result: HostingPartyAnswer | PeerRefusal }
  | { ask: "relayEap"; result: EapRelayed | PeerRefusal };

export interface OwnAuth {
  method: number;
  data: Bytes;
  /** DER, end entity first, at most four (TS 33.320 7.2.3-1, 7.2.4-1). */
  certificates: readonly Bytes[];
  /** DER OCSP responses for our own path (RFC 4806 3.2); empty if none was asked for or none is at hand. */
  ocspResponses: readonly Bytes[];
  /** Content of INTEGRITY_INFO, where it was asked for (TS 33.320 7.2.2-13). */
  integrityReport?: Bytes;
}

export interface VerifiedPeer {
  evidence: PeerEvidence;
  /** Whether a hosting party must, may or must not follow, by the device's user profile (TS 33.320 A.1-4). */
  secondRound?: "required" | "allowed" | "forbidden";
}

export interface AssignedAddress {
  attributes: ConfigAttribute[];
  /** What the peer may use as its inner addresses: our remote traffic selectors. */
  selectors: TrafficSelector[];
}

/** The identity a peer claimed in IDi or IDr and proved. */
export interface PeerIdentity {
  idType: number;
  idData: Bytes;
  /** Readable form: the FQDN, address or distinguished name. */
  text: string;
}

/** A typed reason why an IKE SA was not established or ended. */
export interface IkeRefusal extends PeerRefusal {
  /** Which side refused. */
  by: "us" | "peer";
  /** Notify type told or heard on the wire, where there was one (RFC 7296 3.10.1). */
  notify?: number;
}

export interface MessageTrace {
  kind: "message";
  sa: IkeSaId | undefined;
  direction: "sent" | "received";
  header: IkeHeader;
  /** One short description a payload, e.g. "IDi(ap-0001.example)". */
  payloads: readonly string[];
  /** Datagrams it took (RFC 7383). */
  fragments: number;
  bytes: number;
  local: UdpAddress;
  remote: UdpAddress;
}

export type IkeEvent =
  | MessageTrace
  | { kind: "retransmission"; sa: IkeSaId; messageId: number; attempt: number }
  | { kind: "keys"; initiatorSpi: IkeSpi; responderSpi: IkeSpi; suite: IkeSuite; keys: IkeKeys }
  | {
      kind: "established";
      sa: IkeSaId;
      peer: PeerIdentity;
      evidence: PeerEvidence;
      suite: IkeSuite;
      remote: UdpAddress;
      addresses: readonly ConfigAttribute[];
      initiator: boolean;
    }
  | { kind: "failed"; sa: IkeSaId; peer: PeerIdentity | undefined; refusal: IkeRefusal; remote: UdpAddress }
  | { kind: "closed"; sa: IkeSaId; peer: PeerIdentity | undefined; cause: CloseCause }
  | { kind: "ikeRekeyed"; from: IkeSaId; to: IkeSaId; peer: PeerIdentity; byUs: boolean }
  | {
      kind: "childInstalled";
      sa: IkeSaId;
      child: ChildSaId;
      suite: string;
      inboundSpi: number;
      outboundSpi: number;
      replaces: ChildSaId | undefined;
    }
  | { kind: "childRemoved"; sa: IkeSaId; child: ChildSaId }
  | { kind: "childFailed"; sa: IkeSaId; notify: number; message: string }
  | { kind: "moved"; sa: IkeSaId; remote: UdpAddress }
  | { kind: "dropped"; reason: DropReason; from: UdpAddress; detail: string };

export type CloseCause =
  | "deletedByPeer"
  | "deletedByUs"
  | "replacedByNewerSa"
  | "peerUnresponsive"
  | "rekeyed"
  | "lifetimeOver"
  | "shutdown"
  | "authenticationFailed"
  /** Its certificate's status turned bad while it was attached. */
  | "certificateRevoked"
  /** No valid word that its certificate is good was to be had. */
  | "statusNotGood"
  /** The AAA server ended the session, or its time was over. */
  | "detachedByAaa"
  | "sessionTimeout"
  | "protocolError";

/** Why a datagram was not acted on; each is counted by shells. */
export type DropReason =
  | "malformed"
  | "unknownSpi"
  | "integrityFailed"
  | "unexpectedMessageId"
  | "unexpectedExchange"
  | "halfOpenLimit"
  | "cookieWrong"
  | "unsupportedVersion"
  | "unencrypted"
  | "unsupportedCriticalPayload"
  | "noProposal";
