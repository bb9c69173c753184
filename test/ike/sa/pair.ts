/** Two or more IKE endpoints on a simulated network, with authentication that answers at once. */
import { type Bytes, copyOf } from "../../../src/bytes/bytes.ts";
import { cidrRange, parseCidr } from "../../../src/bytes/ip.ts";
import type { ChildSaId, ChildSaSpec, UdpAddress } from "../../../src/esp/dataPlane.ts";
import type { TrafficSelector } from "../../../src/esp/selector.ts";
import { IkeEndpoint } from "../../../src/ike/endpoint.ts";
import { CONNECTION_DEFAULTS, type Connection } from "../../../src/ike/sa/connection.ts";
import type { Answer, Effect, IkeEvent, IkeSaId, Request } from "../../../src/ike/sa/effects.ts";
import { parseEspProposal, parseIkeProposal } from "../../../src/ike/sa/proposal.ts";
import { World } from "../../../src/sim/world.ts";
import { fqdnIdentity } from "../../../src/tre/identity.ts";

function selectorOf(cidr: string): TrafficSelector {
  const block = parseCidr(cidr)!;
  const { start, end } = cidrRange(block);
  return {
    type: block.address.length === 4 ? 7 : 8,
    protocol: 0,
    startPort: 0,
    endPort: 0xffff,
    startAddress: start,
    endAddress: end,
  };
}

export function connection(identity: string, overrides: Partial<Connection> = {}): Connection {
  return {
    ...CONNECTION_DEFAULTS,
    name: identity,
    identity: fqdnIdentity(identity),
    ikeProposals: [parseIkeProposal("aes256gcm16-prfsha256-x25519"), parseIkeProposal("aes128-sha256-ecp256-modp2048")],
    espProposals: [parseEspProposal("aes256gcm16"), parseEspProposal("aes128-sha256")],
    trustedCaHashes: [Buffer.alloc(20, 7)],
    askOcsp: undefined,
    signatureHashes: [2, 3, 4],
    localSelectors: [selectorOf("0.0.0.0/0")],
    remoteSelectors: [selectorOf("0.0.0.0/0")],
    connectedTo: undefined,
    requestAttributes: [],
    ...overrides,
  };
}

/** Answers questions as a shell would; a test replaces what it wants to go wrong. */
export type Oracle = (request: Request) => Answer;

export const trustingOracle: Oracle = (request) => {
  switch (request.ask) {
    case "computeAuth":
      return {
        ask: "computeAuth",
        result: {
          method: 14,
          data: Buffer.from("auth"),
          certificates: [Buffer.alloc(1200, 1), Buffer.alloc(900, 2)],
          ocspResponses: request.ocspAsked ? [Buffer.alloc(600, 3)] : [],
        },
      };
    case "verifyPeer":
      return { ask: "verifyPeer", result: { evidence: { path: ["CN=peer", "CN=root"], ocsp: "none", names: [] } } };
    case "assignAddress":
      return {
        ask: "assignAddress",
        result: {
          attributes: [{ type: 1, value: Buffer.from([10, 0, 0, 5]) }],
          selectors: [selectorOf("10.0.0.5/32")],
        },
      };
    case "hostingParty":
      return { ask: "hostingParty", result: NONE };
    case "relayEap":
      return { ask: "relayEap", result: NONE };
  }
};

const NONE = { reason: "NoHostingParty", message: "none in this test" };

export class Peer {
  readonly address: string;
  readonly endpoint: IkeEndpoint;
  readonly events: IkeEvent[] = [];
  readonly children = new Map<ChildSaId, ChildSaSpec>();
  readonly requests: Request[] = [];
  oracle: Oracle = trustingOracle;
  readonly #world: World;
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(
    world: World,
    address: string,
    responder: Connection | undefined,
    limits: { cookieThreshold?: number; maxHalfOpen?: number } = {},
  ) {
    this.#world = world;
    this.address = address;
    this.endpoint = new IkeEndpoint({
      clock: world,
      random: world.random,
      responder,
      cookieThreshold: 1000,
      maxHalfOpen: 1000,
      trace: true,
      exportKeys: true,
      ...limits,
    });
    world.attach(address, (packet, from, to, marker) =>
      this.carryOut(this.endpoint.receive(packet, from, to, marker === "natT")),
    );
  }

  connect(connection: Connection, to: string): IkeSaId {
    const at = (address: string): UdpAddress => ({ address, port: 500 });
    const { id, effects } = this.endpoint.initiate(connection, {
      local: at(this.address),
      remote: at(to),
      natT: false,
      natPorts: { local: 4500, remote: 4500 },
    });
    this.carryOut(effects);
    return id;
  }

  command(...args: Parameters<IkeEndpoint["command"]>): boolean {
    const { found, effects } = this.endpoint.command(...args);
    this.carryOut(effects);
    return found;
  }

  carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send")
        this.#world.send(copyOf(effect.packet), effect.from, effect.to, effect.natT ? "natT" : "");
      else if (effect.kind === "event") this.events.push(effect.event);
      else if (effect.kind === "installChild") this.children.set(effect.spec.id, effect.spec);
      else if (effect.kind === "removeChild") this.children.delete(effect.child);
      else if (effect.kind === "request") {
        this.requests.push(effect.request);
        this.carryOut(this.endpoint.answer(effect.sa, effect.requestId, this.oracle(effect.request)));
      }
    }
    this.#schedule();
  }

  of<K extends IkeEvent["kind"]>(kind: K): Extract<IkeEvent, { kind: K }>[] {
    return this.events.filter((event): event is Extract<IkeEvent, { kind: K }> => event.kind === kind);
  }

  /** The IKE SA that is established now, by the last event that made one. */
  get current(): IkeSaId {
    let id: IkeSaId | undefined;
    for (const event of this.events) {
      if (event.kind === "established") id = event.sa;
      if (event.kind === "ikeRekeyed") id = event.to;
    }
    if (id === undefined) throw new Error("nothing established");
    return id;
  }

  #schedule(): void {
    const deadline = this.endpoint.nextDeadline();
    if (deadline === undefined || deadline >= this.#wakeAt) return;
    this.#wakeAt = deadline;
    this.#world.after(deadline - this.#world.now(), () => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.carryOut(this.endpoint.onTime());
    });
  }
}

export interface Pair {
  world: World;
  device: Peer;
  gateway: Peer;
}

export const DEVICE = "ap-0001.example";
export const GATEWAY = "segw.example";

export function deviceConnection(overrides: Partial<Connection> = {}): Connection {
  return connection(DEVICE, {
    connectedTo: { fqdn: GATEWAY },
    requestAttributes: [1],
    askOcsp: { responderHashes: [] },
    ...overrides,
  });
}

export function pair(world = new World(1), gateway: Partial<Connection> = {}): Pair {
  return {
    world,
    device: new Peer(world, "192.0.2.1", undefined),
    gateway: new Peer(world, "192.0.2.2", connection(GATEWAY, gateway)),
  };
}

/** A pair with one IKE SA and one CHILD SA established. */
export function establishedPair(
  world = new World(1),
  device: Partial<Connection> = {},
  gateway: Partial<Connection> = {},
): Pair {
  const made = pair(world, gateway);
  made.device.connect(deviceConnection(device), made.gateway.address);
  world.runUntil(() => made.device.of("established").length > 0 && made.device.children.size > 0, 120_000);
  return made;
}

/** The keys both ends hold must be each other's mirror. */
export function mirrored(a: ChildSaSpec, b: ChildSaSpec): boolean {
  const same = (x: Bytes, y: Bytes) => x.equals(y);
  return (
    a.outbound.spi === b.inbound.spi &&
    a.inbound.spi === b.outbound.spi &&
    same(a.outbound.encryptionKey, b.inbound.encryptionKey) &&
    same(a.inbound.encryptionKey, b.outbound.encryptionKey) &&
    same(a.outbound.integrityKey, b.inbound.integrityKey) &&
    same(a.inbound.integrityKey, b.outbound.integrityKey)
  );
}
