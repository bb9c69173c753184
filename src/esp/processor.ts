/**
 * ESP processing between inner packets and ESP packets (RFC 4301 5, RFC 4303 3.3 and 3.4), for planes that do it here
 * and not in a kernel. Sans-I/O: packets in, packets out; sockets and devices are the plane's.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { Random } from "../sim/environment.ts";
import type { ChildSaId, ChildSaSpec, ChildSaUsage, PlaneEvent, UdpAddress } from "./dataPlane.ts";
import { EspError, type EspProblem } from "./error.ts";
import { type Hold, passesIn, passesOut } from "./hold.ts";
import { type Flow, readFlow } from "./ipPacket.ts";
import { type InstalledSa, SaDatabase } from "./saDatabase.ts";
import { NextHeader, open, readEspHeader, seal } from "./transform.ts";

/** An ESP packet and the outer addresses it goes between. */
export interface OutboundPacket {
  packet: Bytes;
  from: UdpAddress;
  to: UdpAddress;
}

/** Why packets were dropped; the auditable events of RFC 4301 5 and RFC 4303 3.4 as counters. */
export type DropReason =
  | EspProblem
  /** No SA covers an outbound packet: it may not leave in clear (RFC 4301 5.1). */
  | "NoSa"
  /** The SA still waits for its post-tunnel check (TS 33.320 7.2.3-5). */
  | "Held"
  /** The SA has used up its limit or its sequence numbers. */
  | "Exhausted"
  | "UnknownSpi";

export class EspProcessor {
  readonly #database: SaDatabase;
  readonly #random: Random;
  readonly #onEvent: (event: PlaneEvent) => void;
  readonly #drops = new Map<DropReason, number>();

  constructor(random: Random, onEvent: (event: PlaneEvent) => void, database = new SaDatabase()) {
    this.#random = random;
    this.#onEvent = onEvent;
    this.#database = database;
  }

  /** Throws RangeError for a spec that cannot work: keys of wrong lengths, a taken id or SPI, a bad window. */
  install(spec: ChildSaSpec): void {
    this.#database.install(spec, this.#onEvent);
  }

  remove(id: ChildSaId): void {
    this.#database.remove(id);
  }

  move(id: ChildSaId, local: UdpAddress, remote: UdpAddress): void {
    const sa = this.#database.byId(id);
    if (sa === undefined) return;
    sa.local = local;
    sa.remote = remote;
    sa.announcedRemote = undefined;
  }

  setHold(id: ChildSaId, hold: Hold | undefined): void {
    const sa = this.#database.byId(id);
    if (sa !== undefined) sa.hold = hold;
  }

  usage(id: ChildSaId): ChildSaUsage | undefined {
    return this.#database.byId(id)?.meter.usage();
  }

  /** Packets dropped so far, by reason. */
  get drops(): ReadonlyMap<DropReason, number> {
    return this.#drops;
  }

  /** The ESP packet for an inner packet, or undefined if it is dropped. */
  outbound(inner: Bytes): OutboundPacket | undefined {
    let flow: Flow;
    try {
      flow = readFlow(inner);
    } catch (error) {
      return this.#dropRefused(error);
    }
    const sa = this.#database.forOutbound(flow);
    if (sa === undefined) return this.#drop("NoSa");
    if (sa.hold !== undefined && !passesOut(sa.hold, flow)) return this.#dropHeld(sa);
    if (sa.meter.exhausted) return this.#drop("Exhausted");
    const sequence = sa.nextSequence();
    if (sequence === undefined) {
      sa.meter.exhaust();
      return this.#drop("Exhausted");
    }
    const nextHeader = flow.version === 4 ? NextHeader.IPV4 : NextHeader.IPV6;
    const { length } = flow;
    const packet = seal(
      sa.outboundCipher,
      sa.outboundSpi,
      sequence,
      nextHeader,
      inner.subarray(0, length),
      this.#random,
    );
    const { local: from, remote: to } = sa;
    sa.meter.outbound(length);
    return { packet, from, to };
  }

  /** The inner packet of an ESP packet that came from `from`, or undefined if it is dropped or a dummy. */
  inbound(packet: Bytes, from: UdpAddress): Bytes | undefined {
    try {
      return this.#receive(packet, from);
    } catch (error) {
      return this.#dropRefused(error);
    }
  }

  #receive(packet: Bytes, from: UdpAddress): Bytes | undefined {
    const { spi, sequenceLow } = readEspHeader(packet);
    const sa = this.#database.byInboundSpi(spi);
    if (sa === undefined) {
      this.#onEvent({ kind: "unknownSpi", spi, from });
      return this.#drop("UnknownSpi");
    }
    // The window is asked before the ICV is computed, and moved only after it has verified (RFC 4303 3.4.3).
    const sequence = sa.window.infer(sequenceLow);
    if (sequence === undefined || !sa.window.accepts(sequence)) {
      sa.meter.replayed();
      return this.#drop("Replayed");
    }
    const { nextHeader, payload } = verified(sa, packet, Math.floor(sequence / 2 ** 32));
    const isNewest = sequence > sa.window.top;
    sa.window.mark(sequence);
    if (isNewest) this.#noticeMove(sa, from);
    if (nextHeader === NextHeader.DUMMY) return undefined;
    const flow = innerFlow(nextHeader, payload);
    if (!sa.carriesIn(flow)) throw new EspError("SelectorMismatch", "inner packet", 0, "not what the SA is for");
    if (sa.hold !== undefined && !passesIn(sa.hold, flow)) return this.#dropHeld(sa);
    sa.meter.inbound(flow.length);
    return payload.subarray(0, flow.length);
  }

  /** Only the newest packet proves where the peer is now: an older one may have been delayed (RFC 7296 2.23). */
  #noticeMove(sa: InstalledSa, from: UdpAddress): void {
    if (isSame(from, sa.remote)) {
      sa.announcedRemote = undefined;
    } else if (sa.announcedRemote === undefined || !isSame(from, sa.announcedRemote)) {
      sa.announcedRemote = { ...from };
      this.#onEvent({ kind: "remoteMoved", id: sa.id, remote: { ...from } });
    }
  }

  #dropHeld(sa: InstalledSa): undefined {
    sa.meter.held();
    return this.#drop("Held");
  }

  #dropRefused(error: unknown): undefined {
    if (!(error instanceof EspError)) throw error;
    return this.#drop(error.problem);
  }

  #drop(reason: DropReason): undefined {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
  }
}

function verified(sa: InstalledSa, packet: Bytes, sequenceHigh: number) {
  try {
    return open(sa.inboundCipher, packet, sequenceHigh);
  } catch (error) {
    if (error instanceof EspError && error.problem === "IntegrityFailure") sa.meter.integrityFailure();
    throw error;
  }
}

function innerFlow(nextHeader: number, payload: Bytes): Flow {
  if (nextHeader !== NextHeader.IPV4 && nextHeader !== NextHeader.IPV6) {
    throw new EspError("BadNextHeader", "ESP.nextHeader", payload.length, `${nextHeader} in tunnel mode`);
  }
  const flow = readFlow(payload);
  if ((flow.version === 4) !== (nextHeader === NextHeader.IPV4)) {
    throw new EspError("BadNextHeader", "ESP.nextHeader", payload.length, `${nextHeader} before IPv${flow.version}`);
  }
  return flow;
}

function isSame(a: UdpAddress, b: UdpAddress): boolean {
  return a.port === b.port && a.address === b.address;
}
