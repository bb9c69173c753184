/** What the simulated gateway and the simulated device have in common: a place in the network, a plane, and a memory. */
import { copyOf } from "../../src/bytes/bytes.ts";
import type { ChildSaId, ChildSaSpec, DataPlane, UdpAddress } from "../../src/esp/dataPlane.ts";
import type { Hold } from "../../src/esp/hold.ts";
import type { IkeEvent, MessageTrace } from "../../src/ike/sa/effects.ts";
import type { DatagramHandler, IkePorts } from "../../src/ipsec/ikeService.ts";
import type { World } from "../../src/sim/world.ts";

/** IKE's ports of one address of a simulated network. */
export class WorldPorts implements IkePorts {
  readonly #world: World;
  open = true;

  constructor(world: World, address: string, handler: DatagramHandler) {
    this.#world = world;
    world.attach(address, (packet, from, to, marker) => {
      if (!this.open) return;
      if (marker === ESP) handler.onEsp(packet, from, to);
      else if (marker !== KEEPALIVE) handler.onIke(packet, from, to, marker === NAT_T);
    });
  }

  sendIke(packet: Buffer, from: UdpAddress, to: UdpAddress, natT: boolean): void {
    if (this.open) this.#world.send(copyOf(packet), from, to, natT ? NAT_T : "");
  }

  sendKeepalive(from: UdpAddress, to: UdpAddress): void {
    if (this.open) this.#world.send(Buffer.from([0xff]), from, to, KEEPALIVE);
  }

  sendEsp(packet: Buffer, from: UdpAddress, to: UdpAddress): void {
    if (this.open) this.#world.send(copyOf(packet), from, to, ESP);
  }

  async close(): Promise<void> {
    this.open = false;
  }
}

/** A plane that shows what was installed in it. */
export class OpenPlane implements DataPlane {
  readonly name = "none";
  readonly needsUdpEncapsulation = true;
  readonly children = new Map<ChildSaId, ChildSaSpec>();
  /** Closed and emptied by its role, as it should be. */
  closed = false;

  install(spec: ChildSaSpec): void {
    if (this.children.has(spec.id)) throw new RangeError(`CHILD SA ${spec.id} is installed already`);
    this.children.set(spec.id, spec);
  }

  remove(id: ChildSaId): void {
    this.children.delete(id);
  }

  move(id: ChildSaId, local: UdpAddress, remote: UdpAddress): void {
    const spec = this.children.get(id);
    if (spec !== undefined) this.children.set(id, { ...spec, local, remote });
  }

  setHold(id: ChildSaId, hold: Hold | undefined): void {
    const spec = this.children.get(id);
    if (spec === undefined) return;
    const { hold: _, ...free } = spec;
    this.children.set(id, hold === undefined ? free : { ...free, hold });
  }

  usage(): undefined {}

  receive(): void {}

  async close(): Promise<void> {
    this.closed = true;
  }
}

export class Party {
  readonly plane = new OpenPlane();
  readonly events: IkeEvent[] = [];
  /** What should not happen: decisions that threw, SAs that a plane refused. */
  readonly faults: string[] = [];

  readonly onEvent = (event: IkeEvent): void => void this.events.push(event);

  readonly onFault = (what: string, error: unknown): void => void this.faults.push(`${what}: ${error}`);

  of<K extends IkeEvent["kind"]>(kind: K): Extract<IkeEvent, { kind: K }>[] {
    return this.events.filter((event): event is Extract<IkeEvent, { kind: K }> => event.kind === kind);
  }

  /** Messages it sent or received, as `IKE_AUTH response: IDr(...) CERT(...)` with the exchange's number. */
  messages(direction: MessageTrace["direction"]): MessageTrace[] {
    return this.of("message").filter((message) => message.direction === direction);
  }

  /** Payloads of the last message that it received. */
  get heard(): readonly string[] {
    return this.messages("received").at(-1)?.payloads ?? [];
  }

  /** The CHILD SAs it has, newest last. */
  get children(): ChildSaSpec[] {
    return [...this.plane.children.values()];
  }
}

const NAT_T = "natT";
const KEEPALIVE = "keepalive";
const ESP = "esp";
