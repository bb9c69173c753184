/**
 * What the gateway asks of an AAA server, whatever protocol carries it (TS 33.320 7.x, A.2; TS 29.273 7).
 *
 * One session stands for one device's stay: its authorization, the EAP of its hosting party, accounting and the end all
 * name it.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { DescribedMessage } from "../../diameter/transport/messageRecord.ts";
import type { EapRelayed } from "../../ike/sa/effects.ts";
import type { PeerRefusal } from "../../tre/trustedEnvironment.ts";

/** A session that the gateway has begun. */
export interface AaaSession {
  /** Names it to the server; unique for as long as anybody remembers. */
  readonly id: string;
  readonly device: string;
  /** The device's outer address. */
  readonly from: string;
  /** The hosting party's identity, once it has claimed one. */
  party: string | undefined;
  /** What the server wants back with the next request (RADIUS State and Class, Diameter Destination-Host). */
  context: Record<string, Bytes | string | undefined>;
}

/** What the server grants; all of it optional. */
export interface AaaGrant {
  /** Inner address instead of one of the pool's. */
  address?: string;
  /** Seconds until the session ends. */
  sessionTimeout?: number;
  filter?: string;
}

export type DeviceAuthorization =
  | { kind: "accepted"; secondRound: "required" | "allowed"; grant: AaaGrant }
  | { kind: "refused"; refusal: PeerRefusal };

export interface RelayedEap {
  answer: EapRelayed;
  /** With success. */
  grant: AaaGrant;
}

export interface SessionEnd {
  cause: string;
  seconds: number;
  inputOctets: number;
  outputOctets: number;
}

export interface AaaClient {
  /** Asks whether a device may connect, by the identity of its certificate (7.x-1). Never rejects. */
  authorize(session: AaaSession): Promise<DeviceAuthorization>;
  /** Passes an EAP packet on, an empty one to begin (A.2-3). Never rejects. */
  eap(session: AaaSession, packet: Bytes | undefined): Promise<RelayedEap>;
  /** The session stands: accounting begins. */
  started(session: AaaSession, address: string | undefined): void;
  /** The session is over: accounting ends, and the server forgets it. Resolves once that was told or given up. */
  ended(session: AaaSession, end: SessionEnd): Promise<void>;
  close(): Promise<void>;
}

/** What a client needs of the gateway. */
export interface AaaClientHost {
  /** The AAA server wants a session ended (ASR, Disconnect-Request); false if there is none of that name. */
  onDetach(session: string): boolean;
  /** A server is there; requests can be answered from now on. */
  onUp(server: string): void;
  /** Hears what goes wrong: no server, a server's error. */
  onProblem(message: string): void;
  /** Hears of every message, where somebody wants to know. */
  onMessage?: ((message: DescribedMessage) => void) | undefined;
}

/** No server has answered; the reason is the same whatever the protocol. */
export function unreachable(message: string): PeerRefusal {
  return { reason: "AaaUnreachable", message: `the AAA server gave no answer: ${message}` };
}
