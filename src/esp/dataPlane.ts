/**
 * The seam between IKE and whatever carries ESP (RFC 4303): the Linux kernel, a TUN device, or nothing at all.
 *
 * IKE negotiates, then installs one `ChildSaSpec` per CHILD SA; the plane owns packets, counters and replay windows.
 * All calls are synchronous hand-overs; results that need time come as `PlaneEvent`s.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { Hold } from "./hold.ts";
import type { TrafficSelector } from "./selector.ts";

/** An ESP SPI, 256..2^32-1 (RFC 4303 2.1). */
export type EspSpi = number & { readonly __brand: "EspSpi" };

/** Names one CHILD SA (both directions) within a plane. */
export type ChildSaId = number & { readonly __brand: "ChildSaId" };

export interface UdpAddress {
  /** Textual IPv4 or IPv6 address. */
  address: string;
  port: number;
}

export type EspEncryption = "aes-128-gcm" | "aes-256-gcm" | "aes-128-cbc" | "aes-192-cbc" | "aes-256-cbc" | "3des-cbc";
export type EspIntegrity = "none" | "hmac-sha1-96" | "hmac-sha256-128" | "hmac-sha384-192" | "hmac-sha512-256";

/** Algorithms of one CHILD SA; `integrity` is "none" exactly where `encryption` is an AEAD. */
export interface EspSuite {
  encryption: EspEncryption;
  integrity: EspIntegrity;
  esn: boolean;
}

export interface EspDirection {
  spi: EspSpi;
  /** Encryption key; for AES-GCM the 4-octet salt follows the key (RFC 4106 8.1). */
  encryptionKey: Bytes;
  /** Empty for AEADs. */
  integrityKey: Bytes;
}

export interface ChildSaSpec {
  id: ChildSaId;
  suite: EspSuite;
  /** What we receive: the SPI we chose. */
  inbound: EspDirection;
  /** What we send: the SPI the peer chose. */
  outbound: EspDirection;
  localSelectors: TrafficSelector[];
  remoteSelectors: TrafficSelector[];
  /** Outer addresses; the ports are those of UDP encapsulation (RFC 3948). */
  local: UdpAddress;
  remote: UdpAddress;
  udpEncapsulated: boolean;
  /** Packets the anti-replay window covers (RFC 4303 3.4.3). */
  replayWindow: number;
  /** Announces `soft` once either direction passes these, `hard` once past `hardPackets` (no packet is sent after). */
  limits?: { softBytes?: number; softPackets?: number; hardPackets?: number };
  /** Carries no user packet in either direction until `setHold` ends it (TS 33.320 7.2.3-5). */
  hold?: Hold;
}

export interface ChildSaUsage {
  inboundBytes: number;
  inboundPackets: number;
  outboundBytes: number;
  outboundPackets: number;
  replayed: number;
  integrityFailures: number;
  /** Packets of both directions dropped while the CHILD SA was on hold. */
  held: number;
}

export type PlaneEvent =
  | { kind: "limit"; id: ChildSaId; level: "soft" | "hard" }
  /** The peer's outer address changed and an authenticated packet proved it (RFC 7296 2.23). */
  | { kind: "remoteMoved"; id: ChildSaId; remote: UdpAddress }
  | { kind: "unknownSpi"; spi: number; from: UdpAddress };

export interface DataPlane {
  readonly name: "none" | "tun" | "kernel";
  /** True where the plane cannot carry bare ESP (protocol 50), so IKE must make both sides encapsulate in UDP. */
  readonly needsUdpEncapsulation: boolean;
  /**
   * Adds a CHILD SA. Outbound traffic prefers the newest SA whose selectors match. Throws RangeError if the id or the
   * inbound SPI is taken, or the spec cannot work.
   */
  install(spec: ChildSaSpec): void;
  /** Removes a CHILD SA; unknown ids are no error, since expiry and Delete may cross. */
  remove(id: ChildSaId): void;
  /** Changes the outer addresses of a CHILD SA after NAT rebinding. */
  move(id: ChildSaId, local: UdpAddress, remote: UdpAddress): void;
  /** Starts or changes the hold, or ends it where `hold` is undefined. */
  setHold(id: ChildSaId, hold: Hold | undefined): void;
  /** Counters so far, or undefined for an unknown id. */
  usage(id: ChildSaId): ChildSaUsage | undefined;
  /** Takes an ESP packet that the IKE socket received in UDP (RFC 3948); `packet` starts at the ESP SPI. */
  receive(packet: Bytes, from: UdpAddress, to: UdpAddress): void;
  close(): Promise<void>;
}

/** What a plane needs from its shell. */
export interface PlaneHost {
  /** Sends an ESP-in-UDP packet from the IKE socket, so that it shares the NAT binding (RFC 3948 2.1). */
  sendUdp(packet: Bytes, from: UdpAddress, to: UdpAddress): void;
  onEvent(event: PlaneEvent): void;
}
