/**
 * What a Diameter node asks of its shell, and what it tells its application.
 *
 * The node returns effects as values, in the order in which they must be carried out, and never waits.
 */
import type { DiameterMessage } from "../codec/message.ts";

/** Names one transport connection; whoever opened it, the node numbers it. */
export type ConnectionId = number & { readonly __brand: "ConnectionId" };

/** Names a request that this node sent. */
export type TransactionId = number & { readonly __brand: "TransactionId" };

/** Names a request that this node received and has yet to answer. */
export type RequestHandle = number & { readonly __brand: "RequestHandle" };

export type Effect =
  /** Opens a transport connection to that peer; `connected` or `closed` is the answer. */
  | { kind: "connect"; connection: ConnectionId; peer: string }
  | { kind: "send"; connection: ConnectionId; message: DiameterMessage }
  /** Closes it once what was sent is out. */
  | { kind: "close"; connection: ConnectionId }
  /** A request for the application, which answers through `DiameterNode.answer`. */
  | { kind: "requested"; handle: RequestHandle; message: DiameterMessage; peer: string }
  /** The answer to a request of ours, whatever its result; `peer` is the neighbour it came from. */
  | { kind: "answered"; transaction: TransactionId; message: DiameterMessage; peer: string }
  /** No answer will come for a request of ours; one that still comes is dropped. */
  | { kind: "unanswered"; transaction: TransactionId; reason: UnansweredReason; message: string }
  | { kind: "event"; event: NodeEvent };

export type UnansweredReason =
  /** No peer is connected that could take it. */
  | "NoPeer"
  /** Nobody answered in time. */
  | "Timeout"
  /** Too many requests are waiting. */
  | "TooBusy";

export type NodeEvent =
  | { kind: "peerUp"; peer: string; product: string; initiated: boolean }
  | { kind: "peerDown"; peer: string; cause: PeerDownCause }
  /** Requests go elsewhere until it answers again (RFC 3539 3.4.1). */
  | { kind: "peerSuspect"; peer: string }
  /** The peer lost its sessions since the last connection (Origin-State-Id, RFC 6733 8.16). */
  | { kind: "peerRestarted"; peer: string }
  | { kind: "connectionRefused"; peer: string | undefined; resultCode: number; message: string }
  | { kind: "failedOver"; transaction: TransactionId; from: string; to: string }
  | { kind: "duplicate"; origin: string; endToEnd: number; answered: boolean }
  | { kind: "dropped"; reason: DropReason; peer: string | undefined; message: string };

export type PeerDownCause =
  | "disconnected"
  /** DPR from either side. */
  | "closed"
  | "watchdog"
  | "replaced";

export type DropReason =
  /** An answer to nothing: late, repeated, or for another connection's request. */
  "unexpectedAnswer" | "malformed" | "unexpectedMessage";
