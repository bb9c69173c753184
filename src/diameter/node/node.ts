/**
 * A Diameter node: its peers, the requests it sends and those it receives, without a socket or a clock of its own
 * (RFC 6733 5 and 6).
 *
 * Messages, times and commands go in; effects come out in the order in which they must be carried out. It is an end of
 * requests, never a relay: what is not for it is refused. As client it finds a peer by Destination-Host, then by realm,
 * then any relay, in order of priority; a request whose peer is lost or silent goes to the next with its T bit set.
 */
import type { Clock, Milliseconds, Random } from "../../sim/environment.ts";
import {
  CapabilitiesExchange,
  COMMANDS,
  findAvp,
  makeAnswer,
  makeErrorAnswer,
  type RequestValues,
  readRequest,
} from "../codec/commands.ts";
import { describeCommand } from "../codec/describe.ts";
import { AVPS } from "../codec/dictionary.ts";
import { DiameterError } from "../codec/error.ts";
import { type DiameterHeader, type DiameterMessage, decodeMessage, peekHeader } from "../codec/message.ts";
import { CommandCode, ResultCode } from "../codec/numbers.ts";
import { ownCapabilities } from "./capabilities.ts";
import { Duplicates } from "./duplicates.ts";
import type { ConnectionId, DropReason, Effect, NodeEvent, RequestHandle, TransactionId } from "./effects.ts";
import { Peer, type PeerHost } from "./peer.ts";
import type { Destination } from "./route.ts";
import {
  LIMIT_DEFAULTS,
  type NodeIdentity,
  type NodeLimits,
  type NodeTimers,
  type PeerSettings,
  type SpokenApplication,
  TIMER_DEFAULTS,
} from "./settings.ts";
import { Transactions } from "./transactions.ts";

export interface NodeOptions {
  clock: Clock;
  random: Random;
  identity: NodeIdentity;
  spoken: readonly SpokenApplication[];
  peers: readonly PeerSettings[];
  timers?: Partial<NodeTimers>;
  limits?: Partial<NodeLimits>;
}

/** A request of a peer's that waits for ours. */
interface Received {
  message: DiameterMessage;
  connection: ConnectionId;
  duplicateKey: string;
}

/** A connection that somebody opened to us and has sent no CER yet. */
interface Stranger {
  certifiedNames: readonly string[] | undefined;
  deadline: Milliseconds;
}

export class DiameterNode {
  readonly #clock: Clock;
  readonly #identity: NodeIdentity;
  readonly #spoken: readonly SpokenApplication[];
  readonly #timers: NodeTimers;
  readonly #limits: NodeLimits;
  readonly #peers = new Map<string, Peer>();
  readonly #byConnection = new Map<ConnectionId, Peer>();
  readonly #strangers = new Map<ConnectionId, Stranger>();
  readonly #sent: Transactions;
  readonly #received = new Map<RequestHandle, Received>();
  readonly #duplicates: Duplicates;
  #effects: Effect[] = [];
  #nextConnection = 1;
  #nextHandle = 1;
  #endToEnd: number;

  constructor(options: NodeOptions) {
    this.#clock = options.clock;
    this.#identity = options.identity;
    this.#spoken = options.spoken;
    this.#timers = { ...TIMER_DEFAULTS, ...options.timers };
    this.#limits = { ...LIMIT_DEFAULTS, ...options.limits };
    this.#duplicates = new Duplicates(this.#limits.duplicates);
    this.#sent = new Transactions(
      {
        timers: this.#timers,
        limits: this.#limits,
        peers: this.#peers,
        now: () => this.#clock.now(),
        emit: (effect) => this.#effects.push(effect),
      },
      options.random.bytes(4).readUInt32BE(),
    );
    // RFC 6733 3: 12 bits of time, so that they differ across restarts, and 20 bits that count from a random start.
    const seconds = Math.floor(options.clock.now() / 1000);
    this.#endToEnd = (((seconds & 0xfff) << 20) | (options.random.bytes(4).readUInt32BE() & 0xfffff)) >>> 0;
    const host: PeerHost = {
      identity: this.#identity,
      spoken: this.#spoken,
      timers: this.#timers,
      now: () => this.#clock.now(),
      jitter: () => (options.random.bytes(2).readUInt16BE() % 4001) - 2000,
      newEndToEnd: () => this.#newEndToEnd(),
      connect: (peer) => this.#connect(peer),
      send: (connection, message) => this.#send(connection, message),
      close: (connection) => this.#close(connection),
      event: (event) => this.#event(event),
      failOver: (peer) => this.#sent.failOver(peer),
    };
    for (const settings of options.peers) {
      const normal = { ...settings, host: settings.host.toLowerCase(), realm: settings.realm.toLowerCase() };
      this.#peers.set(normal.host, new Peer(normal, host));
    }
  }

  // ---- from the shell ----

  /** A connection that an effect `connect` asked for is there; names are those of a verified TLS certificate. */
  connected(connection: ConnectionId, certifiedNames: readonly string[] | undefined): Effect[] {
    const peer = this.#byConnection.get(connection);
    if (peer === undefined) return this.#takeEffects();
    if (certifiedNames !== undefined && !certifies(certifiedNames, peer.settings.host)) {
      this.#event({
        kind: "connectionRefused",
        peer: peer.settings.host,
        resultCode: ResultCode.UNKNOWN_PEER,
        message: `the certificate is for ${certifiedNames.join(", ") || "no name"}, not for ${peer.settings.host}`,
      });
      this.#close(connection);
      peer.onDisconnected(connection);
    } else peer.onConnected();
    return this.#takeEffects();
  }

  /** Somebody opened a connection. Undefined, and nothing kept, if there are too many who have not said their name. */
  accepted(certifiedNames: readonly string[] | undefined): ConnectionId | undefined {
    if (this.#strangers.size >= this.#limits.strangers) return undefined;
    const connection = this.#nextConnection++ as ConnectionId;
    const deadline = this.#clock.now() + this.#timers.handshake;
    this.#strangers.set(connection, { certifiedNames, deadline });
    return connection;
  }

  /** One whole message arrived on a connection. */
  received(connection: ConnectionId, bytes: Buffer): Effect[] {
    let message: DiameterMessage;
    try {
      message = decodeMessage(bytes);
    } catch (error) {
      if (!(error instanceof DiameterError)) throw error;
      this.#malformed(connection, peekHeader(bytes), error);
      return this.#takeEffects();
    }
    try {
      const peer = this.#byConnection.get(connection);
      if (peer === undefined) this.#onStranger(connection, message);
      else if (peer.onMessage(connection, message)) {
        if (message.header.request) this.#onRequest(peer, connection, message);
        else this.#sent.onAnswer(peer, connection, message);
      }
    } catch (error) {
      if (!(error instanceof DiameterError)) throw error;
      this.#refuseRequest(connection, message, error);
    }
    return this.#takeEffects();
  }

  /** A connection is closed, or could not be opened. */
  closed(connection: ConnectionId): Effect[] {
    this.#strangers.delete(connection);
    const peer = this.#byConnection.get(connection);
    this.#byConnection.delete(connection);
    peer?.onDisconnected(connection);
    return this.#takeEffects();
  }

  /** Does what is due; to be called when `nextDeadline` has come. */
  advance(): Effect[] {
    const now = this.#clock.now();
    for (const [connection, { deadline }] of this.#strangers) {
      if (deadline > now) break; // They are in order of their deadlines.
      this.#strangers.delete(connection);
      this.#effects.push({ kind: "close", connection });
    }
    for (const peer of this.#peers.values()) if (peer.nextDeadline() <= now) peer.onTime();
    this.#sent.advance();
    return this.#takeEffects();
  }

  /** When `advance` has something to do; Infinity for never. */
  nextDeadline(): Milliseconds {
    const [stranger] = this.#strangers.values();
    let earliest = Math.min(this.#sent.nextDeadline(), stranger?.deadline ?? Number.POSITIVE_INFINITY);
    for (const peer of this.#peers.values()) earliest = Math.min(earliest, peer.nextDeadline());
    return earliest;
  }

  // ---- from the application ----

  /** Sends a request; `answered` or `unanswered` follows exactly once. */
  request(message: DiameterMessage, destination: Destination): { transaction: TransactionId; effects: Effect[] } {
    const transaction = this.#sent.start(message, destination, this.waiting >= this.#limits.transactions);
    return { transaction, effects: this.#takeEffects() };
  }

  /** Answers a request that `requested` announced. A second answer, or one whose connection is gone, goes nowhere. */
  answer(handle: RequestHandle, message: DiameterMessage): Effect[] {
    const received = this.#received.get(handle);
    if (received === undefined) return this.#takeEffects();
    this.#received.delete(handle);
    this.#duplicates.answered(received.duplicateKey, message);
    this.#reply(received.connection, received.message.header.hopByHop, message);
    return this.#takeEffects();
  }

  /** An End-to-End Identifier for a request. */
  newEndToEnd(): number {
    return this.#newEndToEnd();
  }

  /** Says goodbye to all peers and accepts no more (RFC 6733 5.4). */
  stop(): Effect[] {
    for (const [connection] of this.#strangers) this.#effects.push({ kind: "close", connection });
    this.#strangers.clear();
    for (const peer of this.#peers.values()) peer.stop();
    return this.#takeEffects();
  }

  /** Peers and their states, for people and tests. */
  peers(): { host: string; state: string; watchdog: string | undefined }[] {
    return [...this.#peers.values()].map((peer) => ({
      host: peer.settings.host,
      state: peer.state.kind,
      watchdog: peer.open?.watchdog.status,
    }));
  }

  /** Whose connection it is, once that is known. */
  peerOf(connection: ConnectionId): string | undefined {
    return this.#byConnection.get(connection)?.settings.host;
  }

  /** Requests under way, both ways together. */
  get waiting(): number {
    return this.#sent.size + this.#received.size;
  }

  // ---- connections ----

  #connect(peer: Peer): ConnectionId {
    const connection = this.#nextConnection++ as ConnectionId;
    this.#byConnection.set(connection, peer);
    this.#effects.push({ kind: "connect", connection, peer: peer.settings.host });
    return connection;
  }

  #close(connection: ConnectionId): void {
    this.#byConnection.delete(connection);
    this.#effects.push({ kind: "close", connection });
  }

  /** The first message of a connection must be the CER that says whose it is (RFC 6733 5.3). */
  #onStranger(connection: ConnectionId, message: DiameterMessage): void {
    const stranger = this.#strangers.get(connection);
    if (stranger === undefined) return;
    const { request, command } = message.header;
    if (!request || command !== CommandCode.CapabilitiesExchange) {
      this.#strangers.delete(connection);
      this.#drop("unexpectedMessage", undefined, `${describeCommand(message)} before CER`);
      return this.#close(connection);
    }
    const values = readRequest(CapabilitiesExchange, message);
    this.#strangers.delete(connection);
    const host = values["Origin-Host"].toLowerCase();
    const peer = this.#peers.get(host);
    const names = stranger.certifiedNames;
    if (peer === undefined || (names !== undefined && !certifies(names, host)))
      return this.#refuseStranger(connection, message, values);
    this.#byConnection.set(connection, peer);
    peer.onIncoming(connection, message, values, names !== undefined);
  }

  #refuseStranger(
    connection: ConnectionId,
    cer: DiameterMessage,
    values: RequestValues<typeof CapabilitiesExchange>,
  ): void {
    const own = ownCapabilities(this.#identity, this.#spoken);
    this.#send(connection, makeAnswer(CapabilitiesExchange, cer, { ...own, "Result-Code": ResultCode.UNKNOWN_PEER }));
    this.#event({
      kind: "connectionRefused",
      peer: undefined,
      resultCode: ResultCode.UNKNOWN_PEER,
      message: `${values["Origin-Host"]} is no peer of this node, or its certificate is for another name`,
    });
    this.#close(connection);
  }

  // ---- requests from peers ----

  #onRequest(peer: Peer, connection: ConnectionId, message: DiameterMessage): void {
    const refusal = this.#refusal(message);
    if (refusal !== undefined) return this.#sendError(connection, message, refusal[0], refusal[1]);
    const origin = findAvp(message, AVPS["Origin-Host"].code)?.toString("latin1").toLowerCase() ?? "";
    const key = Duplicates.key(origin, message);
    const known = this.#duplicates.find(key);
    if (known !== undefined) {
      const { endToEnd, hopByHop } = message.header;
      this.#event({ kind: "duplicate", origin, endToEnd, answered: known.at === "answered" });
      if (known.at === "answered") return this.#reply(connection, hopByHop, known.answer);
      // Still at work: the answer goes where it was asked for last, the earlier link being what the peer gave up.
      const received = this.#received.get(known.handle);
      if (received !== undefined) this.#received.set(known.handle, { ...received, message, connection });
      return;
    }
    if (this.waiting >= this.#limits.transactions)
      return this.#sendError(connection, message, ResultCode.TOO_BUSY, "too many requests wait");
    const handle = this.#nextHandle++ as RequestHandle;
    this.#duplicates.started(key, handle);
    this.#received.set(handle, { message, connection, duplicateKey: key });
    this.#effects.push({ kind: "requested", handle, message, peer: peer.settings.host });
  }

  /** Why a request is not for this node (RFC 6733 6.1.2 to 6.1.4, 7.1.3). */
  #refusal(message: DiameterMessage): [resultCode: number, message: string] | undefined {
    const { application, command } = message.header;
    if (!this.#spoken.some(({ id }) => id === application))
      return [ResultCode.APPLICATION_UNSUPPORTED, `application ${application} is not spoken here`];
    if (!COMMANDS.has(command)) return [ResultCode.COMMAND_UNSUPPORTED, `command ${command} is not known`];
    const routes = message.avps.filter((avp) => avp.code === AVPS["Route-Record"].code && avp.vendor === 0);
    const own = this.#identity.host.toLowerCase();
    if (routes.some(({ data }) => data.toString("latin1").toLowerCase() === own))
      return [ResultCode.LOOP_DETECTED, "was here before"];
    const host = findAvp(message, AVPS["Destination-Host"].code)?.toString("latin1").toLowerCase();
    if (host !== undefined && host !== own) return [ResultCode.UNABLE_TO_DELIVER, "for another host; this is no relay"];
    const realm = findAvp(message, AVPS["Destination-Realm"].code)?.toString("latin1").toLowerCase();
    if (realm !== undefined && realm !== this.#identity.realm.toLowerCase())
      return [ResultCode.REALM_NOT_SERVED, "for another realm; this is no relay"];
    return undefined;
  }

  #malformed(connection: ConnectionId, header: DiameterHeader | undefined, error: DiameterError): void {
    const message = header === undefined ? undefined : { header: { ...header, error: false }, avps: [] };
    this.#refuseRequest(connection, message, error);
    // A broken AVP spoils one message, a broken header all that follow.
    if (BREAKS_STREAM.has(error.resultCode)) {
      this.#strangers.delete(connection);
      const peer = this.#byConnection.get(connection);
      this.#close(connection);
      peer?.onDisconnected(connection);
    }
  }

  #refuseRequest(connection: ConnectionId, message: DiameterMessage | undefined, error: DiameterError): void {
    const peer = this.#byConnection.get(connection)?.settings.host;
    this.#drop("malformed", peer, error.message);
    if (message?.header.request === true)
      this.#sendError(connection, message, error.resultCode, error.message, error.failedAvp);
    if (this.#strangers.delete(connection)) this.#close(connection);
  }

  #sendError(
    connection: ConnectionId,
    request: DiameterMessage,
    resultCode: number,
    message: string,
    failedAvp: DiameterError["failedAvp"] = undefined,
  ): void {
    this.#send(connection, makeErrorAnswer(request, this.#identity, { resultCode, message, failedAvp }));
  }

  #reply(connection: ConnectionId, hopByHop: number, answer: DiameterMessage): void {
    if (!this.#byConnection.has(connection)) return;
    this.#send(connection, { ...answer, header: { ...answer.header, hopByHop } });
  }

  // ---- effects ----

  #send(connection: ConnectionId, message: DiameterMessage): void {
    this.#effects.push({ kind: "send", connection, message });
  }

  #event(event: NodeEvent): void {
    this.#effects.push({ kind: "event", event });
  }

  #drop(reason: DropReason, peer: string | undefined, message: string): void {
    this.#event({ kind: "dropped", reason, peer, message });
  }

  #takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #newEndToEnd(): number {
    this.#endToEnd = (this.#endToEnd + 1) >>> 0;
    return this.#endToEnd;
  }
}

/** RFC 6733 13.1, RFC 6125: a name of the certificate is the peer's, a wildcard is not. */
function certifies(names: readonly string[], host: string): boolean {
  return names.some((name) => name.toLowerCase() === host);
}

/** After these no message boundary can be trusted. */
const BREAKS_STREAM = new Set<number>([ResultCode.UNSUPPORTED_VERSION, ResultCode.INVALID_MESSAGE_LENGTH]);
