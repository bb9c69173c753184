/**
 * The plane that carries nothing: it keeps account of SAs, for tests, simulation and load of signalling alone. An SA
 * costs its counters and two map entries, well under a kilobyte; keys and selectors are not kept. On hold nothing is
 * excepted, since it cannot look into packets.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { ChildSaId, ChildSaSpec, ChildSaUsage, DataPlane, PlaneEvent, UdpAddress } from "../dataPlane.ts";
import type { Hold } from "../hold.ts";
import { SaMeter } from "../meter.ts";

export class NonePlane implements DataPlane {
  readonly name = "none";
  readonly needsUdpEncapsulation = true;
  readonly #onEvent: (event: PlaneEvent) => void;
  readonly #byId = new Map<ChildSaId, CountedSa>();
  readonly #bySpi = new Map<number, CountedSa>();

  constructor(onEvent: (event: PlaneEvent) => void) {
    this.#onEvent = onEvent;
  }

  install(spec: ChildSaSpec): void {
    // As every plane: two SAs behind one name would each be taken for the other.
    if (this.#byId.has(spec.id)) throw new RangeError(`CHILD SA ${spec.id} is installed already`);
    if (this.#bySpi.has(spec.inbound.spi)) throw new RangeError(`inbound SPI ${spec.inbound.spi} is in use`);
    const sa = { spi: spec.inbound.spi, onHold: spec.hold !== undefined, meter: new SaMeter(spec, this.#onEvent) };
    this.#byId.set(spec.id, sa);
    this.#bySpi.set(sa.spi, sa);
  }

  remove(id: ChildSaId): void {
    const sa = this.#byId.get(id);
    if (sa === undefined) return;
    this.#byId.delete(id);
    this.#bySpi.delete(sa.spi);
  }

  move(): void {}

  setHold(id: ChildSaId, hold: Hold | undefined): void {
    const sa = this.#byId.get(id);
    if (sa !== undefined) sa.onHold = hold !== undefined;
  }

  usage(id: ChildSaId): ChildSaUsage | undefined {
    return this.#byId.get(id)?.meter.usage();
  }

  /** Counts the packet as it is, unverified: there is no key here. */
  receive(packet: Bytes, from: UdpAddress): void {
    if (packet.length < 4) return;
    const spi = packet.readUInt32BE(0);
    const sa = this.#bySpi.get(spi);
    if (sa === undefined) this.#onEvent({ kind: "unknownSpi", spi, from });
    else if (sa.onHold) sa.meter.held();
    else sa.meter.inbound(packet.length);
  }

  async close(): Promise<void> {
    this.#byId.clear();
    this.#bySpi.clear();
  }
}

interface CountedSa {
  spi: number;
  onHold: boolean;
  meter: SaMeter;
}
