/**
 * One IKE endpoint with a data plane: carries the core's effects out and feeds what comes back into it.
 *
 * It knows neither sockets nor files: datagrams leave through `IkePorts`, time comes from `Timers`, and what needs keys,
 * roots or addresses is decided by the role that owns it. Gateway, device and load generator are this one service with
 * different decisions; a simulation is this service on a simulated network.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { ChildSaId, ChildSaSpec, DataPlane, PlaneEvent, PlaneHost, UdpAddress } from "../esp/dataPlane.ts";
import { type Command, type EndpointOptions, IkeEndpoint } from "../ike/endpoint.ts";
import type { Connection } from "../ike/sa/connection.ts";
import type {
  Answer,
  AssignedAddress,
  CloseCause,
  EapRelayed,
  Effect,
  HostingPartyAnswer,
  HostingPartyRequest,
  IkeEvent,
  IkeSaId,
  OwnAuth,
  Request,
  VerifiedPeer,
} from "../ike/sa/effects.ts";
import type { Path } from "../ike/sa/ikeSa.ts";
import type { Timers } from "../sim/environment.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";

/** What sends datagrams for the service. */
export interface IkePorts {
  /** Sends an IKE message; with the non-ESP marker in front where `natT` (RFC 3948 2.2). */
  sendIke(packet: Bytes, from: UdpAddress, to: UdpAddress, natT: boolean): void;
  /** One octet 0xff (RFC 3948 2.3). */
  sendKeepalive(from: UdpAddress, to: UdpAddress): void;
  /** ESP in UDP, as it is (RFC 3948 2.1). */
  sendEsp(packet: Bytes, from: UdpAddress, to: UdpAddress): void;
  close(): Promise<void>;
}

/** What receives datagrams from the ports. */
export interface DatagramHandler {
  /** An IKE message without its marker; `natT` if it came on the NAT traversal port. */
  onIke(packet: Bytes, from: UdpAddress, to: UdpAddress, natT: boolean): void;
  onEsp(packet: Bytes, from: UdpAddress, to: UdpAddress): void;
}

type Ask<K extends Request["ask"]> = Extract<Request, { ask: K }>;
type Decision<T> = T | PeerRefusal | Promise<T | PeerRefusal>;

/** The role's part: everything that keys, certificates, roots, revocation data and address pools decide. */
export interface IkeDecisions {
  computeAuth(request: Ask<"computeAuth">, sa: IkeSaId): Decision<OwnAuth>;
  verifyPeer(request: Ask<"verifyPeer">, sa: IkeSaId): Decision<VerifiedPeer>;
  assignAddress(request: Ask<"assignAddress">, sa: IkeSaId): Decision<AssignedAddress>;
  /** As device, where a hosting party is configured. */
  hostingParty?(step: HostingPartyRequest, sa: IkeSaId): Decision<HostingPartyAnswer>;
  /** As gateway, where devices may bring a hosting party. */
  relayEap?(request: Ask<"relayEap">, sa: IkeSaId): Decision<EapRelayed>;
}

export interface IkeServiceOptions {
  endpoint: EndpointOptions;
  decisions: IkeDecisions;
  timers: Timers;
  /** Hears every event after its effects were carried out. */
  onEvent(event: IkeEvent): void;
  /** Hears what should not happen: a decision that threw, a data plane that refused an SA. */
  onFault(what: string, error: unknown): void;
  /** Told of a CHILD SA that is about to go, while the plane still has its counters. */
  beforeRemoval?(sa: IkeSaId, child: ChildSaId): void;
  /** Changes a CHILD SA's spec before it is installed, such as to hold user traffic back. */
  prepareChild?(spec: ChildSaSpec, sa: IkeSaId): ChildSaSpec;
}

export class IkeService implements DatagramHandler, PlaneHost {
  readonly #options: IkeServiceOptions;
  readonly #endpoint: IkeEndpoint;
  #ports: IkePorts | undefined;
  #plane: DataPlane | undefined;
  readonly #queue: Effect[] = [];
  #carryingOut = false;
  #wakeAt = Number.POSITIVE_INFINITY;
  #cancelWake: () => void = () => undefined;
  #closing = false;
  readonly #idle = new Set<() => void>();

  constructor(options: IkeServiceOptions) {
    this.#options = options;
    this.#endpoint = new IkeEndpoint(options.endpoint);
  }

  /** Gives the service its ports and its plane; nothing is received or sent before. */
  connect(ports: IkePorts, plane: DataPlane): void {
    this.#ports = ports;
    this.#plane = plane;
  }

  /** IKE SAs in any state. */
  get size(): number {
    return this.#endpoint.size;
  }

  get halfOpen(): number {
    return this.#endpoint.halfOpen;
  }

  get plane(): DataPlane | undefined {
    return this.#plane;
  }

  initiate(connection: Connection, path: Path): IkeSaId {
    const { id, effects } = this.#endpoint.initiate(connection, path);
    this.#carryOut(effects);
    return id;
  }

  /** False if there is no such IKE SA. */
  command(id: IkeSaId, command: Command, cause?: CloseCause): boolean {
    const { found, effects } = this.#endpoint.command(id, command, cause);
    this.#carryOut(effects);
    return found;
  }

  onIke(packet: Bytes, from: UdpAddress, to: UdpAddress, natT: boolean): void {
    this.#carryOut(this.#endpoint.receive(packet, from, to, natT));
  }

  onEsp(packet: Bytes, from: UdpAddress, to: UdpAddress): void {
    this.#plane?.receive(packet, from, to);
  }

  sendUdp(packet: Bytes, from: UdpAddress, to: UdpAddress): void {
    this.#ports?.sendEsp(packet, from, to);
  }

  onEvent(event: PlaneEvent): void {
    this.#carryOut(this.#endpoint.onPlaneEvent(event));
  }

  /**
   * Deletes every IKE SA and closes ports and plane once the peers have answered, or after `limit` milliseconds
   * (RFC 7296 1.4.1).
   */
  async close(limit: number): Promise<void> {
    this.#closing = true;
    this.#carryOut(this.#endpoint.closeAll());
    if (this.#endpoint.size > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#options.timers.after(limit, resolve);
        this.#idle.add(() => {
          cancel();
          resolve();
        });
      });
    }
    // Whatever was bound to an IKE SA, such as its session with the AAA server, ends with it.
    this.#carryOut(this.#endpoint.abandonAll());
    this.#cancelWake();
    await this.#plane?.close();
    await this.#ports?.close();
  }

  #carryOut(effects: readonly Effect[]): void {
    this.#queue.push(...effects);
    // Answers that come at once bring effects of their own, which wait for their turn.
    if (this.#carryingOut) return;
    this.#carryingOut = true;
    try {
      for (let at = 0; at < this.#queue.length; at++) this.#carryOutOne(this.#queue[at]!);
    } finally {
      this.#queue.length = 0;
      this.#carryingOut = false;
    }
    this.#rearm();
    if (this.#closing && this.#endpoint.size === 0) for (const resolve of this.#idle) resolve();
  }

  #carryOutOne(effect: Effect): void {
    switch (effect.kind) {
      case "send":
        return this.#ports?.sendIke(effect.packet, effect.from, effect.to, effect.natT);
      case "sendKeepalive":
        return this.#ports?.sendKeepalive(effect.from, effect.to);
      case "request":
        return this.#decide(effect.sa, effect.requestId, effect.request);
      case "installChild":
        return this.#install(effect.spec, effect.sa);
      case "removeChild":
        this.#options.beforeRemoval?.(effect.sa, effect.child);
        return this.#plane?.remove(effect.child);
      case "moveChild":
        return this.#plane?.move(effect.child, effect.local, effect.remote);
      case "event":
        return this.#options.onEvent(effect.event);
    }
  }

  #install(spec: ChildSaSpec, sa: IkeSaId): void {
    try {
      this.#plane?.install(this.#options.prepareChild?.(spec, sa) ?? spec);
    } catch (error) {
      this.#options.onFault("the data plane refused a CHILD SA", error);
    }
  }

  #decide(sa: IkeSaId, requestId: number, request: Request): void {
    const { decisions } = this.#options;
    switch (request.ask) {
      case "computeAuth":
        return this.#settle(
          sa,
          requestId,
          () => decisions.computeAuth(request, sa),
          (result) => ({ ask: "computeAuth", result }),
        );
      case "verifyPeer":
        return this.#settle(
          sa,
          requestId,
          () => decisions.verifyPeer(request, sa),
          (result) => ({ ask: "verifyPeer", result }),
        );
      case "assignAddress":
        return this.#settle(
          sa,
          requestId,
          () => decisions.assignAddress(request, sa),
          (result) => ({ ask: "assignAddress", result }),
        );
      case "hostingParty":
        return this.#settle(
          sa,
          requestId,
          () => decisions.hostingParty?.(request.step, sa) ?? NO_HOSTING_PARTY,
          (result) => ({ ask: "hostingParty", result }),
        );
      case "relayEap":
        return this.#settle(
          sa,
          requestId,
          () => decisions.relayEap?.(request, sa) ?? NO_AAA,
          (result) => ({ ask: "relayEap", result }),
        );
    }
  }

  /** Answers at once where the decision is there at once: a promise would cost a turn of the event loop. */
  #settle<T>(
    sa: IkeSaId,
    requestId: number,
    decide: () => Decision<T>,
    wrap: (result: T | PeerRefusal) => Answer,
  ): void {
    const answer = (result: T | PeerRefusal) => this.#carryOut(this.#endpoint.answer(sa, requestId, wrap(result)));
    const fault = (error: unknown) => {
      this.#options.onFault("a decision failed", error);
      answer({ reason: "InternalError", message: "this side could not decide; its log says why" });
    };
    try {
      const decision = decide();
      if (decision instanceof Promise) void decision.then(answer, fault);
      else answer(decision);
    } catch (error) {
      fault(error);
    }
  }

  /** One timer for the earliest deadline; a later deadline lets the timer that runs come and look again. */
  #rearm(): void {
    const deadline = this.#endpoint.nextDeadline();
    if (deadline === undefined || deadline >= this.#wakeAt) return;
    this.#cancelWake();
    this.#wakeAt = deadline;
    this.#cancelWake = this.#options.timers.after(Math.max(0, deadline - this.#options.endpoint.clock.now()), () => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#carryOut(this.#endpoint.onTime());
    });
  }
}

const NO_HOSTING_PARTY: PeerRefusal = { reason: "NoHostingParty", message: "no hosting party's module is configured" };
const NO_AAA: PeerRefusal = { reason: "NoAaaServer", message: "no AAA server is configured for hosting parties" };
