/**
 * What the gateway asks of an AAA server, whatever protocol carries it (TS 33.320 7.x, A.2; TS 29.273 7).
 *
 * One session stands for one device's stay: its authorization, the EAP of its hosting party, accounting and the end all
 * name it.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { DescribedMessage } from "../../diameter/transport/messageRecord.ts";
import type { EapRelayed } from "../../ike/sa/effects.ts";
import type { DescribedPacket } from "../../radius/transport/messageRecord.ts";
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
  /** Inner addresses, once it is attached. */
  addresses: readonly string[];
  /** What the server calls the user (User-Name of its answer), if it said so. */
  user: string | undefined;
  /** What the server wants back with the next request (RADIUS State and Class, Diameter Destination-Host). */
  context: Record<string, Bytes | string | undefined>;
}

/** What the server grants; all of it optional. */
export interface AaaGrant {
  /** Inner addresses instead of the pool's: one of IPv4, one of IPv6, or either. */
  addresses?: readonly string[];
  /** Seconds until the session ends, from when this was said. */
  sessionTimeout?: number;
  /** Name of one of the gateway's filters. */
  filter?: string;
}

/** What the server says of a device that is attached (TS 33.320 A.1-4): what it had to do, and what it is granted. */
export interface AaaProfile extends AaaGrant {
  secondRound: "required" | "allowed";
}

/** What a server may change of a session that stands. */
export type AaaChange = Pick<AaaGrant, "sessionTimeout" | "filter">;

export type DeviceAuthorization =
  | { kind: "accepted"; secondRound: "required" | "allowed"; grant: AaaGrant }
  | { kind: "refused"; refusal: PeerRefusal };

export interface RelayedEap {
  answer: EapRelayed;
  /** With success. */
  grant: AaaGrant;
}

export interface SessionEnd {
  /** Accounting has begun, and so has to end. */
  accounted: boolean;
  /** The server has let the session in and not ended it by itself: it is to hear. */
  authorized: boolean;
  cause: string;
  seconds: number;
  inputOctets: number;
  outputOctets: number;
}

export interface AaaClient {
  /**
   * Asks whether a device may connect, by the identity of its certificate (7.x-1); of a session that stands, whether it
   * still may, and what it is granted now. Never rejects.
   */
  authorize(session: AaaSession): Promise<DeviceAuthorization>;
  /** Passes an EAP packet on, an empty one to begin (A.2-3). Never rejects. */
  eap(session: AaaSession, packet: Bytes | undefined): Promise<RelayedEap>;
  /** The session stands: accounting begins. */
  started(session: AaaSession): void;
  /** The session is over: accounting ends, and the server forgets it. Resolves once that was told or given up. */
  ended(session: AaaSession, end: SessionEnd): Promise<void>;
  close(): Promise<void>;
}

/** What a client needs of the gateway. */
export interface AaaClientHost {
  /** The AAA server wants a session ended (ASR, Disconnect-Request); false if there is none of that name. */
  onDetach(session: string): boolean;
  /** The AAA server wants a session authorized anew (RAR); false if there is none of that name. */
  onReauthorize(session: string): boolean;
  /** A session that stands, by its name. */
  sessionOf(session: string): AaaSession | undefined;
  /** The AAA server changes what a session is granted (CoA-Request): all of it, or nothing if it says why not. */
  onChange(session: string, change: AaaChange): "changed" | "UnknownSession" | "UnknownFilter";
  /** A server is there; requests can be answered from now on. */
  onUp(server: string): void;
  /** Hears what goes wrong: no server, a server's error. */
  onProblem(message: string): void;
  /** Hears of every message, where somebody wants to know. */
  onMessage?: ((message: DescribedMessage | DescribedPacket) => void) | undefined;
}

/** No server has answered; the reason is the same whatever the protocol. */
export function unreachable(message: string): PeerRefusal {
  return { reason: "AaaUnreachable", message: `the AAA server gave no answer: ${message}` };
}
