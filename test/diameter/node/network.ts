/** Diameter nodes joined by simulated stream connections, on the virtual clock of a `World`. */
import { type DiameterMessage, encodeMessage } from "../../../src/diameter/codec/message.ts";
import { Application, VENDOR_3GPP } from "../../../src/diameter/codec/numbers.ts";
import type {
  ConnectionId,
  Effect,
  NodeEvent,
  RequestHandle,
  TransactionId,
} from "../../../src/diameter/node/effects.ts";
import { DiameterNode } from "../../../src/diameter/node/node.ts";
import type { Destination } from "../../../src/diameter/node/route.ts";
import type { NodeLimits, NodeTimers, SpokenApplication } from "../../../src/diameter/node/settings.ts";
import { World } from "../../../src/sim/world.ts";

export const SWM: SpokenApplication = { id: Application.SWm, vendor: VENDOR_3GPP, accounting: false };

export interface HostOptions {
  spoken?: readonly SpokenApplication[];
  peers: readonly { host: string; connect?: boolean; priority?: number; realm?: string }[];
  timers?: Partial<NodeTimers>;
  limits?: Partial<NodeLimits>;
  originStateId?: number;
}

interface Half {
  host: Host;
  id: ConnectionId;
  other: Half | undefined;
  open: boolean;
}

/** One node and all that it did. */
export class Host {
  readonly name: string;
  readonly node: DiameterNode;
  readonly events: NodeEvent[] = [];
  readonly requests: { handle: RequestHandle; message: DiameterMessage; peer: string }[] = [];
  readonly ends = new Map<TransactionId, (Effect & { kind: "answered" | "unanswered" })[]>();
  /** Messages as they left, for looking at. */
  readonly sent: DiameterMessage[] = [];
  /** Called for each request; undefined leaves it unanswered. */
  onRequest: ((request: { handle: RequestHandle; message: DiameterMessage }) => void) | undefined;
  readonly halves = new Map<ConnectionId, Half>();
  readonly #network: Network;
  #wakeAt = Number.POSITIVE_INFINITY;
  alive = true;

  constructor(network: Network, name: string, options: HostOptions) {
    this.#network = network;
    this.name = name;
    this.node = new DiameterNode({
      clock: network.world,
      random: network.world.random,
      identity: {
        host: name,
        realm: "example",
        addresses: ["10.0.0.1"],
        product: "Femtogate",
        vendor: 0,
        originStateId: options.originStateId ?? 1,
      },
      spoken: options.spoken ?? [SWM],
      peers: options.peers.map(({ host, connect = false, priority = 0, realm = "example" }) => {
        return { host, realm, connect, priority };
      }),
      timers: options.timers ?? {},
      limits: options.limits ?? {},
    });
    this.perform([]);
  }

  request(message: DiameterMessage, destination: Destination): TransactionId {
    const { transaction, effects } = this.node.request(message, destination);
    this.ends.set(transaction, []);
    this.perform(effects);
    return transaction;
  }

  answer(handle: RequestHandle, message: DiameterMessage): void {
    this.perform(this.node.answer(handle, message));
  }

  /** Kinds of events so far, with the peer. */
  seen(): string[] {
    return this.events.map((event) => ("peer" in event ? `${event.kind} ${event.peer}` : event.kind));
  }

  perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "connect") this.#network.connect(this, effect.connection, effect.peer);
      else if (effect.kind === "send") {
        this.sent.push(effect.message);
        this.#network.send(this.halves.get(effect.connection), encodeMessage(effect.message));
      } else if (effect.kind === "close") this.#network.close(this.halves.get(effect.connection));
      else if (effect.kind === "event") this.events.push(effect.event);
      else if (effect.kind === "requested") {
        this.requests.push(effect);
        this.onRequest?.(effect);
      } else {
        const ends = this.ends.get(effect.transaction) ?? [];
        ends.push(effect);
        this.ends.set(effect.transaction, ends);
      }
    }
    const at = this.node.nextDeadline();
    if (at >= this.#wakeAt || at === Number.POSITIVE_INFINITY) return;
    this.#wakeAt = at;
    const { world } = this.#network;
    world.after(at - world.now(), () => {
      if (this.#wakeAt !== at || !this.alive) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.perform(this.node.advance());
    });
  }
}

export class Network {
  readonly world: World;
  readonly hosts = new Map<string, Host>();
  /** Hosts that are silent: they send and receive nothing, and their connections stay. */
  readonly frozen = new Set<string>();
  /** Names in certificates, by host; none means no TLS. */
  readonly certificates = new Map<string, readonly string[]>();
  /** Sees each message on its way and may change or drop it. */
  tap: ((bytes: Buffer, from: string, to: string) => Buffer | "drop") | undefined;

  constructor(seed: number | string) {
    this.world = new World(seed, { loss: 0, duplicate: 0, delay: [1, 20] });
  }

  add(name: string, options: HostOptions): Host {
    const host = new Host(this, name, options);
    this.hosts.set(name, host);
    return host;
  }

  /** Ends a host as SIGKILL does: its connections are closed, it says nothing more. */
  kill(host: Host): void {
    host.alive = false;
    this.hosts.delete(host.name);
    for (const half of host.halves.values()) this.close(half);
    host.halves.clear();
  }

  connect(from: Host, id: ConnectionId, to: string): void {
    const half: Half = { host: from, id, other: undefined, open: true };
    from.halves.set(id, half);
    this.world.after(this.#delay(), () => {
      const target = this.hosts.get(to);
      if (this.frozen.has(to) || this.frozen.has(from.name)) return;
      if (!half.open) return;
      const names = (host: Host | undefined) => this.certificates.get(host?.name ?? "");
      const theirs = target?.node.accepted(names(from));
      if (target === undefined || theirs === undefined) return this.#closed(half);
      const other: Half = { host: target, id: theirs, other: half, open: true };
      target.halves.set(theirs, other);
      target.perform([]);
      half.other = other;
      from.perform(from.node.connected(id, names(target)));
    });
  }

  send(half: Half | undefined, bytes: Buffer): void {
    const other = half?.other;
    if (half === undefined || !half.open || other === undefined) return;
    const seen = this.tap?.(bytes, half.host.name, other.host.name) ?? bytes;
    if (seen === "drop") return;
    // One delay for all, so that a connection keeps its order.
    this.world.after(5, () => {
      if (!other.open || !other.host.alive || this.frozen.has(other.host.name) || this.frozen.has(half.host.name))
        return;
      other.host.perform(other.host.node.received(other.id, Buffer.from(seen)));
    });
  }

  close(half: Half | undefined): void {
    if (half === undefined || !half.open) return;
    half.open = false;
    half.host.halves.delete(half.id);
    const { other } = half;
    if (half.host.alive) half.host.perform(half.host.node.closed(half.id));
    this.world.after(5, () => {
      if (other?.open && !this.frozen.has(half.host.name)) this.#closed(other);
    });
  }

  #closed(half: Half): void {
    half.open = false;
    half.host.halves.delete(half.id);
    half.host.perform(half.host.node.closed(half.id));
  }

  #delay(): number {
    return 1 + this.world.random.below(20);
  }
}
