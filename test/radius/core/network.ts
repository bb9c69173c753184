/** RADIUS clients and servers joined by the simulated datagram network of a `World`. */
import type { Attribute, RadiusPacket } from "../../../src/radius/codec/packet.ts";
import {
  RadiusClient,
  type RadiusClientEffect,
  type RadiusClientEvent,
  type RadiusClientTimers,
  type RadiusTransactionId,
  type ServerSettings,
} from "../../../src/radius/core/client.ts";
import {
  type ClientSettings,
  type PortPurpose,
  type RadiusAnswer,
  type RadiusDropReason,
  type RadiusHandle,
  RadiusServer,
  type RadiusServerEffect,
  type RadiusServerLimits,
} from "../../../src/radius/core/server.ts";
import type { World } from "../../../src/sim/world.ts";

export const SECRET = Buffer.from("a secret that both know");

/** One server at an address of the world, on one port. */
export class SimulatedServer {
  readonly core: RadiusServer;
  readonly requests: { handle: RadiusHandle; packet: RadiusPacket; client: string }[] = [];
  readonly drops: RadiusDropReason[] = [];
  onRequest: ((handle: RadiusHandle, packet: RadiusPacket) => void) | undefined;
  silent = false;
  readonly #world: World;
  readonly #address: string;

  constructor(
    world: World,
    address: string,
    clients: readonly ClientSettings[],
    limits: Partial<RadiusServerLimits> = {},
    purpose: PortPurpose = "all",
  ) {
    this.#world = world;
    this.#address = address;
    this.core = new RadiusServer({ clock: world, random: world.random, clients, limits });
    world.attach(address, (bytes, from) => {
      if (this.silent) return;
      this.perform(this.core.received(bytes, { kind: "udp", socket: 0, purpose, ...from }));
    });
  }

  answer(handle: RadiusHandle, answer: RadiusAnswer | undefined): void {
    this.perform(this.core.answer(handle, answer));
  }

  perform(effects: readonly RadiusServerEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "dropped") this.drops.push(effect.reason);
      else if (effect.kind === "requested") {
        this.requests.push(effect);
        this.onRequest?.(effect.handle, effect.packet);
      } else if (effect.to.kind === "udp") {
        const { address, port } = effect.to;
        this.#world.send(effect.bytes, { address: this.#address, port: 1812 }, { address, port }, "");
      }
    }
  }
}

/** One client, whose channels are ports of its address. */
export class SimulatedClient {
  readonly core: RadiusClient;
  readonly ends = new Map<RadiusTransactionId, (RadiusClientEffect & { kind: "answered" | "unanswered" })[]>();
  readonly events: RadiusClientEvent[] = [];
  readonly #world: World;
  readonly #address: string;
  readonly #targets: readonly string[];
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(
    world: World,
    address: string,
    targets: readonly string[],
    timers: Partial<RadiusClientTimers> = {},
    servers: readonly ServerSettings[] = targets.map((name) => ({ name, secret: SECRET, reliable: false })),
    channels = 4,
  ) {
    this.#world = world;
    this.#address = address;
    this.#targets = targets;
    this.core = new RadiusClient({ clock: world, random: world.random, servers, timers, channels });
    world.attach(address, (bytes, from, to) => {
      this.#perform(this.core.received(targets.indexOf(from.address), to.port - PORT, bytes));
    });
  }

  request(code: number, attributes: readonly Attribute[], only?: number): RadiusTransactionId {
    const { transaction, effects } = this.core.request(code, attributes, only);
    this.ends.set(transaction, []);
    this.#perform(effects);
    return transaction;
  }

  #perform(effects: readonly RadiusClientEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") {
        const from = { address: this.#address, port: PORT + effect.channel };
        this.#world.send(effect.bytes, from, { address: this.#targets[effect.server]!, port: 1812 }, "");
      } else if (effect.kind === "event") this.events.push(effect.event);
      else {
        const ends = this.ends.get(effect.transaction) ?? [];
        ends.push(effect);
        this.ends.set(effect.transaction, ends);
      }
    }
    const at = this.core.nextDeadline();
    if (at >= this.#wakeAt || at === Number.POSITIVE_INFINITY) return;
    this.#wakeAt = at;
    this.#world.after(at - this.#world.now(), () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#perform(this.core.advance());
    });
  }
}

const PORT = 40_000;
