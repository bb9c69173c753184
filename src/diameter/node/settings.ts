/** Who a Diameter node is, whom it talks to, and its limits. */
import type { Milliseconds } from "../../sim/environment.ts";

export interface NodeIdentity {
  /** DiameterIdentity: an FQDN. */
  host: string;
  realm: string;
  /** Addresses named in CER and CEA. */
  addresses: readonly string[];
  product: string;
  /** Vendor-Id of the product; 0 for none. */
  vendor: number;
  /** Grows with every restart that loses sessions (RFC 6733 8.16). */
  originStateId: number;
}

/** An application that this node speaks. */
export interface SpokenApplication {
  id: number;
  /** Not 0: announced within Vendor-Specific-Application-Id (RFC 6733 6.11). */
  vendor: number;
  accounting: boolean;
}

export interface PeerSettings {
  host: string;
  realm: string;
  /** This node opens the connection; otherwise it waits for the peer's. */
  connect: boolean;
  /** Lower is asked first; a higher one takes over when it is gone. */
  priority: number;
}

export interface NodeTimers {
  /** Tc: between attempts to connect (RFC 6733 12). */
  reconnect: Milliseconds;
  /** Tw: silence after which a peer is asked for a sign of life; at least 6 s (RFC 3539 3.4.1). */
  watchdog: Milliseconds;
  /** For a transport connection, CER and CEA, DPA. */
  handshake: Milliseconds;
  /** After which an unanswered request goes to another peer, or fails. */
  answer: Milliseconds;
}

export interface NodeLimits {
  /** Requests without an answer yet, both ways together. */
  transactions: number;
  /** Connections that have not said who they are. */
  strangers: number;
  /** Answers kept for requests that come again. */
  duplicates: number;
  /** Times that a request is sent. */
  attempts: number;
}

export const TIMER_DEFAULTS: NodeTimers = { reconnect: 30_000, watchdog: 30_000, handshake: 10_000, answer: 5_000 };
export const LIMIT_DEFAULTS: NodeLimits = { transactions: 20_000, strangers: 64, duplicates: 4096, attempts: 2 };
