/**
 * One neighbour and its connection (RFC 6733 5.6): the peer state machine with the RFC's own states.
 *
 * "I" is the connection that this node opened, "R" the one that the peer opened. The election of 5.6.4 is decided as
 * soon as both are there, so Wait-Returns is only ever the wait of the one who lost for the other's CEA.
 */
import type { Milliseconds } from "../../sim/environment.ts";
import {
  CapabilitiesExchange,
  DeviceWatchdog,
  DisconnectPeer,
  makeAnswer,
  makeRequest,
  type RequestValues,
  readAnswer,
  readRequest,
} from "../codec/commands.ts";
import type { DiameterMessage } from "../codec/message.ts";
import { Application, CommandCode, DisconnectCause, ResultCode } from "../codec/numbers.ts";
import { type Capabilities, capabilitiesOf, ownCapabilities, refuseCapabilities } from "./capabilities.ts";
import type { ConnectionId, NodeEvent, PeerDownCause } from "./effects.ts";
import type { NodeIdentity, NodeTimers, PeerSettings, SpokenApplication } from "./settings.ts";
import { onExpiry, onMessage, startWatchdog, type Watchdog } from "./watchdog.ts";

/** A CER that came on a connection of the peer's, not yet answered. */
interface Incoming {
  connection: ConnectionId;
  cer: DiameterMessage;
  capabilities: Capabilities;
}

export interface OpenPeer {
  kind: "Open";
  connection: ConnectionId;
  /** I-Open; otherwise R-Open. */
  initiated: boolean;
  capabilities: Capabilities;
  watchdog: Watchdog;
}

export type PeerState =
  | { kind: "Closed"; retryAt: Milliseconds }
  | { kind: "WaitConnAck"; connection: ConnectionId; deadline: Milliseconds }
  | { kind: "WaitConnAckElect"; connection: ConnectionId; deadline: Milliseconds; incoming: Incoming }
  | { kind: "WaitICea"; connection: ConnectionId; deadline: Milliseconds }
  | { kind: "WaitReturns"; connection: ConnectionId; deadline: Milliseconds; incoming: Incoming }
  | OpenPeer
  | { kind: "Closing"; connection: ConnectionId; deadline: Milliseconds; retryAt: Milliseconds };

/** What a peer needs of its node. */
export interface PeerHost {
  readonly identity: NodeIdentity;
  readonly spoken: readonly SpokenApplication[];
  readonly timers: NodeTimers;
  now(): Milliseconds;
  /** Milliseconds from -2000 to 2000 (RFC 3539 3.4.1). */
  jitter(): number;
  newEndToEnd(): number;
  connect(peer: Peer): ConnectionId;
  send(connection: ConnectionId, message: DiameterMessage): void;
  close(connection: ConnectionId): void;
  event(event: NodeEvent): void;
  /** Requests that wait for this peer go elsewhere. */
  failOver(peer: Peer): void;
}

export class Peer {
  readonly settings: PeerSettings;
  readonly #host: PeerHost;
  #state: PeerState;
  /** A connection was open before, so that the next one starts in REOPEN (RFC 3539 3.4.1). */
  #wasOpen = false;
  #lastStateId: number | undefined;

  constructor(settings: PeerSettings, host: PeerHost) {
    this.settings = settings;
    this.#host = host;
    this.#state = { kind: "Closed", retryAt: settings.connect ? host.now() : Number.POSITIVE_INFINITY };
  }

  get state(): PeerState {
    return this.#state;
  }

  /** The open connection; undefined unless messages can be sent. */
  get open(): OpenPeer | undefined {
    return this.#state.kind === "Open" ? this.#state : undefined;
  }

  nextDeadline(): Milliseconds {
    const state = this.#state;
    if (state.kind === "Closed") return state.retryAt;
    return state.kind === "Open" ? state.watchdog.expires : state.deadline;
  }

  /** Time has come (Start, Timeout, and the watchdog's). */
  onTime(): void {
    const state = this.#state;
    switch (state.kind) {
      case "Closed":
        this.#state = {
          kind: "WaitConnAck",
          connection: this.#host.connect(this),
          deadline: this.#host.now() + this.#host.timers.handshake,
        };
        return;
      case "WaitConnAck":
      case "WaitICea":
        this.#host.close(state.connection);
        return this.#closed();
      case "WaitConnAckElect":
      case "WaitReturns":
        // Ours came to nothing; the peer's own connection is as good (5.6: I-Rcv-Conn-Nack, I-Peer-Disc).
        this.#host.close(state.connection);
        return this.#acceptIncoming(state.incoming);
      case "Closing":
        this.#host.close(state.connection);
        this.#state = { kind: "Closed", retryAt: state.retryAt };
        return;
      case "Open":
        return this.#watch(state);
    }
  }

  /** I-Rcv-Conn-Ack. */
  onConnected(): void {
    const state = this.#state;
    if (state.kind !== "WaitConnAck" && state.kind !== "WaitConnAckElect") return;
    const { connection } = state;
    this.#host.send(
      connection,
      makeRequest(
        CapabilitiesExchange,
        Application.common,
        this.#host.newEndToEnd(),
        ownCapabilities(this.#host.identity, this.#host.spoken),
      ),
    );
    const deadline = this.#host.now() + this.#host.timers.handshake;
    if (state.kind === "WaitConnAck") this.#state = { kind: "WaitICea", connection, deadline };
    else this.#elect(connection, deadline, state.incoming);
  }

  /**
   * R-Conn-CER: the peer, by then known by its Origin-Host, opened a connection and sent `cer`; `proven` if TLS vouches
   * for that name.
   */
  onIncoming(
    connection: ConnectionId,
    cer: DiameterMessage,
    values: RequestValues<typeof CapabilitiesExchange>,
    proven: boolean,
  ): void {
    const refused = refuseCapabilities(values, this.#host.spoken);
    if (refused !== undefined) {
      this.#refuse(connection, cer, refused);
      return;
    }
    const incoming = { connection, cer, capabilities: capabilitiesOf(values) };
    const state = this.#state;
    switch (state.kind) {
      case "Closed":
        return this.#acceptIncoming(incoming);
      case "WaitConnAck":
        this.#state = { ...state, kind: "WaitConnAckElect", incoming };
        return;
      case "WaitICea":
        return this.#elect(state.connection, state.deadline, incoming);
      case "Open":
        // R-Reject, lest anybody who uses a peer's name takes its place. If the name is proven, then the peer has lost
        // the connection that we believe open, and need not stay out until our watchdog notices.
        if (!proven) return this.#reject(connection);
        this.#host.close(state.connection);
        this.#down("replaced");
        return this.#acceptIncoming(incoming);
      case "Closing":
        this.#host.close(state.connection);
        return this.#acceptIncoming(incoming);
      case "WaitConnAckElect":
      case "WaitReturns":
        return this.#reject(connection);
    }
  }

  /** A connection of this peer is gone: I-Rcv-Conn-Nack, I-Peer-Disc or R-Peer-Disc. */
  onDisconnected(connection: ConnectionId): void {
    const state = this.#state;
    switch (state.kind) {
      case "WaitConnAckElect":
        if (connection === state.incoming.connection)
          this.#state = { kind: "WaitConnAck", connection: state.connection, deadline: state.deadline };
        else this.#acceptIncoming(state.incoming);
        return;
      case "WaitReturns":
        if (connection === state.incoming.connection)
          this.#state = { kind: "WaitICea", connection: state.connection, deadline: state.deadline };
        else this.#acceptIncoming(state.incoming);
        return;
      case "Closed":
        return;
      default:
        if (connection !== state.connection) return;
        if (state.kind === "Open") this.#down("disconnected");
        if (state.kind === "Closing") this.#state = { kind: "Closed", retryAt: state.retryAt };
        else this.#closed();
    }
  }

  /**
   * A message on a connection of this peer. True if it is the application's: not one of CER, DWR, DPR and their answers.
   * Throws DiameterError if it is one of them and malformed.
   */
  onMessage(connection: ConnectionId, message: DiameterMessage): boolean {
    const { command, application, request } = message.header;
    const common = application === Application.common;
    const state = this.#state;
    if (state.kind === "Open" && connection === state.connection) {
      const isAnswer = common && command === CommandCode.DeviceWatchdog && !request;
      state.watchdog = onMessage(state.watchdog, isAnswer, this.#watchdogExpiry());
      if (!common || !COMMON_COMMANDS.has(command)) return true;
      if (command === CommandCode.DeviceWatchdog) {
        if (request) this.#answerWatchdog(state, message);
      } else if (command === CommandCode.DisconnectPeer && request) this.#onDisconnectRequest(state, message);
      // A CER on an open connection means nothing (RFC 6733 5.3): it is passed over, as are answers to nothing.
      return false;
    }
    if (!common) return false;
    if (request) {
      // Both say goodbye at once: each agrees with the other.
      if (command === CommandCode.DisconnectPeer && state.kind === "Closing" && connection === state.connection)
        this.#agreeToDisconnect(connection, message);
      return false;
    }
    if (command === CommandCode.CapabilitiesExchange) this.#onCea(connection, message);
    else if (command === CommandCode.DisconnectPeer && state.kind === "Closing" && connection === state.connection) {
      this.#host.close(connection);
      this.#state = { kind: "Closed", retryAt: state.retryAt };
    }
    return false;
  }

  /** Stop: says goodbye, and closes when the peer agrees. It is not connected to again. */
  stop(cause: number = DisconnectCause.REBOOTING): void {
    const state = this.#state;
    if (state.kind === "Open") {
      this.#host.send(
        state.connection,
        makeRequest(DisconnectPeer, Application.common, this.#host.newEndToEnd(), {
          ...this.#origin(),
          "Disconnect-Cause": cause,
        }),
      );
      this.#down("closed");
      const deadline = this.#host.now() + this.#host.timers.handshake;
      this.#state = { kind: "Closing", connection: state.connection, deadline, retryAt: Number.POSITIVE_INFINITY };
      return;
    }
    if (state.kind === "Closing") return;
    if (state.kind !== "Closed") this.#host.close(state.connection);
    if (state.kind === "WaitConnAckElect" || state.kind === "WaitReturns") this.#host.close(state.incoming.connection);
    this.#state = { kind: "Closed", retryAt: Number.POSITIVE_INFINITY };
  }

  #onCea(connection: ConnectionId, message: DiameterMessage): void {
    const state = this.#state;
    if ((state.kind !== "WaitICea" && state.kind !== "WaitReturns") || connection !== state.connection) return;
    const answer = readAnswer(CapabilitiesExchange, message);
    const refusal = answer.ok ? this.#refuseCea(answer.values) : `answers ${answer.outcome.code}`;
    if (!answer.ok || refusal !== undefined) {
      this.#host.event({
        kind: "connectionRefused",
        peer: this.settings.host,
        resultCode: answer.outcome.code,
        message: `${this.settings.host} cannot be used: ${refusal}`,
      });
      this.#host.close(connection);
      if (state.kind === "WaitReturns") this.#acceptIncoming(state.incoming);
      else this.#closed();
      return;
    }
    // Wait-Returns, I-Rcv-CEA: the peer won and kept our connection, so its own goes.
    if (state.kind === "WaitReturns") this.#host.close(state.incoming.connection);
    this.#opened(connection, true, capabilitiesOf(answer.values));
  }

  #refuseCea(values: RequestValues<typeof CapabilitiesExchange>): string | undefined {
    const host = values["Origin-Host"].toLowerCase();
    if (host !== this.settings.host) return `it calls itself ${host}`;
    const refused = refuseCapabilities(values, this.#host.spoken);
    return refused === undefined ? undefined : `nothing in common (${refused})`;
  }

  /** RFC 6733 5.6.4: the one with the greater identity keeps the connection that the other opened. */
  #elect(own: ConnectionId, deadline: Milliseconds, incoming: Incoming): void {
    const { host } = this.#host.identity;
    if (Buffer.compare(Buffer.from(host.toLowerCase()), Buffer.from(incoming.capabilities.host)) > 0) {
      this.#host.close(own);
      this.#acceptIncoming(incoming);
    } else this.#state = { kind: "WaitReturns", connection: own, deadline, incoming };
  }

  #acceptIncoming({ connection, cer, capabilities }: Incoming): void {
    this.#host.send(
      connection,
      makeAnswer(CapabilitiesExchange, cer, {
        ...ownCapabilities(this.#host.identity, this.#host.spoken),
        "Result-Code": ResultCode.SUCCESS,
      }),
    );
    this.#opened(connection, false, capabilities);
  }

  /** R-Reject: one connection is enough. */
  #reject(connection: ConnectionId): void {
    this.#host.close(connection);
    const message = `a second connection of ${this.settings.host} while ${this.#state.kind}`;
    this.#host.event({ kind: "dropped", reason: "unexpectedMessage", peer: this.settings.host, message });
  }

  #refuse(connection: ConnectionId, cer: DiameterMessage, resultCode: number): void {
    this.#host.send(
      connection,
      makeAnswer(CapabilitiesExchange, cer, {
        ...ownCapabilities(this.#host.identity, this.#host.spoken),
        "Result-Code": resultCode,
      }),
    );
    this.#host.close(connection);
    this.#host.event({
      kind: "connectionRefused",
      peer: this.settings.host,
      resultCode,
      message: `refused ${this.settings.host} with ${resultCode}`,
    });
  }

  #opened(connection: ConnectionId, initiated: boolean, capabilities: Capabilities): void {
    const watchdog = startWatchdog(this.#wasOpen, this.#watchdogExpiry());
    this.#state = { kind: "Open", connection, initiated, capabilities, watchdog };
    this.#wasOpen = true;
    this.#host.event({ kind: "peerUp", peer: this.settings.host, product: capabilities.product, initiated });
    const { originStateId } = capabilities;
    if (originStateId !== undefined && this.#lastStateId !== undefined && originStateId > this.#lastStateId)
      this.#host.event({ kind: "peerRestarted", peer: this.settings.host });
    this.#lastStateId = originStateId ?? this.#lastStateId;
  }

  #watch(state: OpenPeer): void {
    const { watchdog, action } = onExpiry(state.watchdog, this.#watchdogExpiry());
    state.watchdog = watchdog;
    if (action === "sendRequest")
      this.#host.send(
        state.connection,
        makeRequest(DeviceWatchdog, Application.common, this.#host.newEndToEnd(), {
          ...this.#origin(),
          "Origin-State-Id": this.#host.identity.originStateId,
        }),
      );
    else if (action === "failOver") {
      this.#host.event({ kind: "peerSuspect", peer: this.settings.host });
      this.#host.failOver(this);
    } else {
      this.#host.close(state.connection);
      this.#down("watchdog");
      this.#closed();
    }
  }

  #answerWatchdog(state: OpenPeer, message: DiameterMessage): void {
    readRequest(DeviceWatchdog, message);
    this.#host.send(
      state.connection,
      makeAnswer(DeviceWatchdog, message, {
        ...this.#origin(),
        "Result-Code": ResultCode.SUCCESS,
        "Origin-State-Id": this.#host.identity.originStateId,
      }),
    );
  }

  #onDisconnectRequest(state: OpenPeer, message: DiameterMessage): void {
    const cause = this.#agreeToDisconnect(state.connection, message);
    this.#down("closed");
    // Who asked closes (5.4); who does not want us is left alone for longer than one who restarts (5.4.3).
    const patience = cause === DisconnectCause.REBOOTING ? 1 : UNWANTED_PATIENCE;
    this.#state = {
      kind: "Closing",
      connection: state.connection,
      deadline: this.#host.now() + this.#host.timers.handshake,
      retryAt: this.#retryAt(patience),
    };
  }

  #agreeToDisconnect(connection: ConnectionId, message: DiameterMessage): number {
    const { "Disconnect-Cause": cause } = readRequest(DisconnectPeer, message);
    const answer = { ...this.#origin(), "Result-Code": ResultCode.SUCCESS };
    this.#host.send(connection, makeAnswer(DisconnectPeer, message, answer));
    return cause;
  }

  #down(cause: PeerDownCause): void {
    this.#host.event({ kind: "peerDown", peer: this.settings.host, cause });
    this.#state = { kind: "Closed", retryAt: Number.POSITIVE_INFINITY };
    this.#host.failOver(this);
  }

  #closed(): void {
    this.#state = { kind: "Closed", retryAt: this.#retryAt(1) };
  }

  #retryAt(patience: number): Milliseconds {
    if (!this.settings.connect) return Number.POSITIVE_INFINITY;
    return this.#host.now() + Math.max(0, this.#host.timers.reconnect * patience + this.#host.jitter());
  }

  #watchdogExpiry(): Milliseconds {
    return this.#host.now() + Math.max(0, this.#host.timers.watchdog + this.#host.jitter());
  }

  #origin(): { "Origin-Host": string; "Origin-Realm": string } {
    return { "Origin-Host": this.#host.identity.host, "Origin-Realm": this.#host.identity.realm };
  }
}

const COMMON_COMMANDS = new Set<number>([
  CommandCode.CapabilitiesExchange,
  CommandCode.DeviceWatchdog,
  CommandCode.DisconnectPeer,
]);
/** Intervals of reconnection to let pass after a peer said that it is busy or does not want to talk. */
const UNWANTED_PATIENCE = 10;
