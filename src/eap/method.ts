/**
 * What the generic EAP server and peer and their methods say to each other.
 *
 * A method holds no socket, store or card: what it needs it asks for, and it goes on when the answer comes. At most one
 * question is open at a time. `World` gathers the types of one kind of method: what it asks, what it is answered, what it
 * wants kept for the next authentication.
 */
import type { Bytes } from "../bytes/bytes.ts";

export interface World {
  ask: unknown;
  answer: unknown;
  record: unknown;
}

/** What both ends hold after success (RFC 3748 7.10, RFC 5247 1.4, RFC 8940). */
export interface EapResult {
  /** EAP type of the method. */
  method: number;
  /** Whom the method authenticated, in its own terms: for EAP-AKA the IMSI. */
  subscriber: string;
  /** The identity the peer used last, as it went into the keys; may be a pseudonym. */
  identity: string;
  /** True after a fast re-authentication. */
  reauthentication: boolean;
  /** 64 octets each. */
  msk: Bytes;
  emsk: Bytes;
  /** Method-Id with the type in front. */
  sessionId: Bytes;
}

/** Why an authentication failed. */
export interface EapRefusal {
  reason: string;
  message: string;
  /** Which end found it unacceptable. */
  by: "us" | "them";
  evidence?: Record<string, unknown>;
}

type Common<W extends World> =
  | { kind: "ask"; ask: W["ask"] }
  /** Something to keep until the next authentication; nothing is answered. */
  | { kind: "store"; record: W["record"] }
  /** The packet is ignored as if it had not come (RFC 3748 4.1). */
  | { kind: "discard"; problem: string };

export type ServerMethodEffect<W extends World> =
  | Common<W>
  /** A request with the identifier that the method was given. */
  | { kind: "request"; packet: Bytes }
  | { kind: "success"; result: EapResult }
  | { kind: "failure"; refusal: EapRefusal };

/** One authentication by one method, on the server's side. */
export interface ServerMethod<W extends World> {
  readonly type: number;
  /** Begins; `identity` is what the peer said in its EAP-Response/Identity or by the layer below, if it did. */
  begin(identity: Bytes | undefined, nextId: number): ServerMethodEffect<W>[];
  /** Takes a response of the method's type to its last request. */
  receive(response: Bytes, nextId: number): ServerMethodEffect<W>[];
  answer(answer: W["answer"], nextId: number): ServerMethodEffect<W>[];
}

export type PeerMethodEffect<W extends World> = Common<W> | { kind: "response"; packet: Bytes };

/** One authentication by one method, on the peer's side. */
export interface PeerMethod<W extends World> {
  readonly type: number;
  /** Takes a request of the method's type that is no duplicate. */
  receive(request: Bytes): PeerMethodEffect<W>[];
  answer(answer: W["answer"]): PeerMethodEffect<W>[];
  /** The result if EAP-Success may be believed now, else undefined. */
  succeed(): EapResult | undefined;
  /** The cause if EAP-Failure may be believed now, else undefined. */
  fail(): EapRefusal | undefined;
}
