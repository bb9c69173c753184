/**
 * The CHILD SAs that carry packets, found by the SPI of an ESP packet that came in, or by the flow of a packet that goes
 * out (RFC 4301 4.4.2).
 *
 * A SeGW has one SA per device, and each reaches one address: those are found by destination in one step. The others
 * (ranges, subnets) are tried one by one, newest first.
 */
import { sameBytes } from "../bytes/bytes.ts";
import { createEspCipher, type EspCipher } from "./cipher.ts";
import type { ChildSaId, ChildSaSpec, PlaneEvent, UdpAddress } from "./dataPlane.ts";
import type { Hold } from "./hold.ts";
import type { Flow } from "./ipPacket.ts";
import { SaMeter } from "./meter.ts";
import { ReplayWindow } from "./replayWindow.ts";
import { selectorsMatch, type TrafficSelector } from "./selector.ts";

/** One CHILD SA with what its packets change. */
export class InstalledSa {
  readonly id: ChildSaId;
  /** Order of installation: higher is newer. */
  readonly age: number;
  readonly inboundSpi: number;
  readonly outboundSpi: number;
  readonly inboundCipher: EspCipher;
  readonly outboundCipher: EspCipher;
  readonly window: ReplayWindow;
  readonly meter: SaMeter;
  readonly localSelectors: readonly TrafficSelector[];
  readonly remoteSelectors: readonly TrafficSelector[];
  readonly #lastSequence: number;
  local: UdpAddress;
  remote: UdpAddress;
  hold: Hold | undefined;
  /** The address last announced as `remoteMoved`, so that one move is told once. */
  announcedRemote: UdpAddress | undefined = undefined;
  /** The sequence number used last; 0 before the first. */
  sequence = 0;

  constructor(spec: ChildSaSpec, age: number, onEvent: (event: PlaneEvent) => void) {
    this.id = spec.id;
    this.age = age;
    this.inboundSpi = spec.inbound.spi;
    this.outboundSpi = spec.outbound.spi;
    this.inboundCipher = createEspCipher(spec.suite, spec.inbound);
    this.outboundCipher = createEspCipher(spec.suite, spec.outbound);
    this.window = new ReplayWindow(spec.replayWindow, spec.suite.esn);
    this.meter = new SaMeter(spec, onEvent);
    this.localSelectors = spec.localSelectors;
    this.remoteSelectors = spec.remoteSelectors;
    this.#lastSequence = spec.suite.esn ? Number.MAX_SAFE_INTEGER : 0xffff_ffff;
    this.local = spec.local;
    this.remote = spec.remote;
    this.hold = spec.hold;
  }

  /** The next sequence number, from 1, or undefined if none is left: they never cycle (RFC 4303 3.3.3). */
  nextSequence(): number | undefined {
    if (this.sequence >= this.#lastSequence) return undefined;
    this.sequence += 1;
    return this.sequence;
  }

  /** True if a packet may leave by this SA (RFC 4301 5.1). */
  carriesOut(flow: Flow): boolean {
    return (
      selectorsMatch(this.remoteSelectors, flow.protocol, flow.destination, flow.destinationPort) &&
      selectorsMatch(this.localSelectors, flow.protocol, flow.source, flow.sourcePort)
    );
  }

  /** True if a packet that this SA protected is one that it was negotiated for (RFC 4301 5.2 step 4). */
  carriesIn(flow: Flow): boolean {
    return (
      selectorsMatch(this.remoteSelectors, flow.protocol, flow.source, flow.sourcePort) &&
      selectorsMatch(this.localSelectors, flow.protocol, flow.destination, flow.destinationPort)
    );
  }
}

export class SaDatabase {
  readonly #byId = new Map<ChildSaId, InstalledSa>();
  readonly #bySpi = new Map<number, InstalledSa>();
  /** SAs by each single address they reach, as a binary string; oldest first. */
  readonly #byDestination = new Map<string, InstalledSa[]>();
  /** SAs that reach some range, oldest first. */
  #toRanges: InstalledSa[] = [];
  #installed = 0;

  /** Throws RangeError if the id or the inbound SPI is taken, or the keys do not fit the suite. */
  install(spec: ChildSaSpec, onEvent: (event: PlaneEvent) => void): void {
    if (this.#byId.has(spec.id)) throw new RangeError(`CHILD SA ${spec.id} is installed already`);
    if (this.#bySpi.has(spec.inbound.spi)) throw new RangeError(`inbound SPI ${spec.inbound.spi} is in use`);
    this.#installed += 1;
    const sa = new InstalledSa(spec, this.#installed, onEvent);
    this.#byId.set(sa.id, sa);
    this.#bySpi.set(sa.inboundSpi, sa);
    for (const address of singleAddresses(sa)) {
      const others = this.#byDestination.get(address);
      if (others === undefined) this.#byDestination.set(address, [sa]);
      else others.push(sa);
    }
    if (sa.remoteSelectors.some((selector) => !isSingle(selector))) this.#toRanges.push(sa);
  }

  remove(id: ChildSaId): void {
    const sa = this.#byId.get(id);
    if (sa === undefined) return;
    this.#byId.delete(id);
    this.#bySpi.delete(sa.inboundSpi);
    for (const address of singleAddresses(sa)) {
      const left = this.#byDestination.get(address)!.filter((other) => other !== sa);
      if (left.length === 0) this.#byDestination.delete(address);
      else this.#byDestination.set(address, left);
    }
    this.#toRanges = this.#toRanges.filter((other) => other !== sa);
  }

  byId(id: ChildSaId): InstalledSa | undefined {
    return this.#byId.get(id);
  }

  byInboundSpi(spi: number): InstalledSa | undefined {
    return this.#bySpi.get(spi);
  }

  /** The newest SA whose selectors cover the flow. */
  forOutbound(flow: Flow): InstalledSa | undefined {
    const exact = newest(this.#byDestination.get(flow.destination.toString("latin1")), flow);
    const range = newest(this.#toRanges, flow);
    return (range?.age ?? 0) > (exact?.age ?? 0) ? range : exact;
  }
}

function newest(oldestFirst: readonly InstalledSa[] | undefined, flow: Flow): InstalledSa | undefined {
  return oldestFirst?.findLast((sa) => sa.carriesOut(flow));
}

function singleAddresses(sa: InstalledSa): Set<string> {
  return new Set(sa.remoteSelectors.filter(isSingle).map((selector) => selector.startAddress.toString("latin1")));
}

function isSingle(selector: TrafficSelector): boolean {
  return sameBytes(selector.startAddress, selector.endAddress);
}
