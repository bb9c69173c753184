/** How one side of a connection is to behave; made by a role from its configuration and shared by all its IKE SAs. */
import type { Bytes } from "../../bytes/bytes.ts";
import type { TrafficSelector } from "../../esp/selector.ts";
import type { EspProposal, IkeProposal } from "./proposal.ts";

/** Milliseconds. */
type Duration = number;

export interface Connection {
  name: string;
  /** IDi or IDr to send: equal to a subjectAltName of the certificate (TS 33.320 7.2.5.2.1-2). */
  identity: { idType: number; idData: Bytes };
  /** IKE proposals in order of preference. */
  ikeProposals: readonly IkeProposal[];
  /** ESP proposals in order of preference. */
  espProposals: readonly EspProposal[];
  /** SHA-1 hashes of our trust anchors' SubjectPublicKeyInfo, sent in CERTREQ (RFC 7296 3.7). */
  trustedCaHashes: readonly Bytes[];
  /** Asks for the peer's OCSP status in-band: hashes of trusted responders, may be empty (RFC 4806 3.1). */
  askOcsp: { responderHashes: readonly Bytes[] } | undefined;
  /** Sends or looks at INTEGRITY_INFO (TS 33.320 7.2.2-13). */
  integrityInfo: boolean;
  /** As responder: announces that several authentications may follow each other (RFC 4739, TS 33.320 A.2-1). */
  multipleAuth: boolean;
  /** As initiator: a hosting party authenticates after the device (TS 33.320 A.2). */
  hostingParty: boolean;
  /** Sends our own OCSP response even unasked (TS 33.320 7.2.2-6). */
  volunteerOcsp: boolean;
  /** Signature hash algorithms we accept, announced in SIGNATURE_HASH_ALGORITHMS (RFC 7427 4); empty: not announced. */
  signatureHashes: readonly number[];
  /** What we protect on our side; the device asks for everything and is narrowed. */
  localSelectors: readonly TrafficSelector[];
  remoteSelectors: readonly TrafficSelector[];
  /** The name or address we connect to, as initiator (TS 33.320 7.2.2-4). */
  connectedTo: { fqdn: string } | { address: string } | undefined;
  /** CFG_REQUEST attribute types to ask for, as initiator (RFC 7296 3.15). */
  requestAttributes: readonly number[];
  /** Refuses a peer that asks for no address, as responder (FAILED_CP_REQUIRED). */
  requireConfigRequest: boolean;
  /** Pretends to stand behind a NAT, so that both sides encapsulate ESP in UDP (RFC 3948). */
  forceUdpEncapsulation: boolean;
  /** Largest IP packet an IKE message may need before it is fragmented (RFC 7383 2.5.1), octets; 0 switches it off. */
  fragmentSize: number;
  /** Deletes older IKE SAs of the same peer identity (TS 33.320 A.1-9, A.2-8). */
  uniquePeers: boolean;
  retransmission: { initial: Duration; factor: number; tries: number };
  /** Silence after which a liveness check is sent (RFC 7296 2.4); 0 switches it off. */
  dpdInterval: Duration;
  natKeepaliveInterval: Duration;
  /** 0 switches rekeying off. */
  ikeRekeyAfter: Duration;
  childRekeyAfter: Duration;
  childRekeyAfterBytes: number;
  /** Share of a rekey interval taken off at random, so that both sides and a fleet do not rekey at once. */
  rekeyJitter: number;
  replayWindow: number;
  /** Takes a new outer address of an authenticated peer (NAT rebinding, RFC 7296 2.23). */
  followPeerAddress: boolean;
}

export const CONNECTION_DEFAULTS = {
  fragmentSize: 1280,
  uniquePeers: true,
  retransmission: { initial: 1000, factor: 1.8, tries: 6 },
  dpdInterval: 30_000,
  natKeepaliveInterval: 20_000,
  ikeRekeyAfter: 4 * 3600_000,
  childRekeyAfter: 3600_000,
  childRekeyAfterBytes: 0,
  rekeyJitter: 0.1,
  replayWindow: 1024,
  followPeerAddress: true,
  forceUdpEncapsulation: false,
  requireConfigRequest: false,
  integrityInfo: false,
  multipleAuth: false,
  hostingParty: false,
  volunteerOcsp: false,
} as const;
