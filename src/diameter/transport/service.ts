/**
 * A Diameter node on the wire: TCP, or TLS over TCP with certificates on both sides (RFC 6733 2.1, 2.2, 13.1).
 *
 * TLS comes first or not at all: the upgrade within a plain connection that RFC 3588 had is not spoken. SCTP is not
 * offered: Node.js has none, and every peer that matters takes TCP.
 */
import type { AddressInfo, Server, Socket } from "node:net";
import { connect as connectTcp, createServer as createTcpServer } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { MessageStream } from "../../bytes/framing.ts";
import { DecodeError } from "../../bytes/reader.ts";
import { dnsNamesIn, type TlsCredentials, tlsOptions } from "../../http/mutualTls.ts";
import { DeadlineTimer } from "../../sim/deadlineTimer.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { type DiameterMessage, encodeMessage, messageStream } from "../codec/message.ts";
import type {
  ConnectionId,
  Effect,
  NodeEvent,
  RequestHandle,
  TransactionId,
  UnansweredReason,
} from "../node/effects.ts";
import { DiameterNode, type NodeOptions } from "../node/node.ts";
import type { Destination } from "../node/route.ts";
import { TIMER_DEFAULTS } from "../node/settings.ts";

export interface Endpoint {
  address: string;
  port: number;
}

export interface DiameterServiceOptions extends NodeOptions {
  /** Where peers connect to; undefined for none. */
  listen: readonly (Endpoint & { tls: boolean })[];
  /** Where to connect to a peer, by its host in small letters. */
  endpoints: ReadonlyMap<string, Endpoint & { tls: boolean }>;
  /** Needed where any endpoint has TLS. */
  tls?: TlsCredentials | undefined;
  /** A request for the application, which calls `answer` once, whenever it can. */
  onRequest(message: DiameterMessage, peer: string, answer: (message: DiameterMessage) => void): void;
  onEvent(event: NodeEvent): void;
  /** Sees every message, for ladders and captures. */
  trace?: ((direction: "sent" | "received", message: Buffer, connection: ConnectionTrace) => void) | undefined;
}

export interface ConnectionTrace {
  /** DiameterIdentity of the other side; undefined before it has said who it is. */
  peer: string | undefined;
  local: Endpoint;
  remote: Endpoint;
}

/** A request of ours that got no answer. */
export class UnansweredError extends Error {
  override readonly name = "UnansweredError";
  readonly reason: UnansweredReason;

  constructor(reason: UnansweredReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

interface Waiting {
  resolve(answer: { message: DiameterMessage; peer: string }): void;
  reject(error: UnansweredError): void;
}

export class DiameterService {
  readonly #options: DiameterServiceOptions;
  readonly #node: DiameterNode;
  readonly #sockets = new Map<ConnectionId, Socket>();
  readonly #waiting = new Map<TransactionId, Waiting>();
  readonly #servers: Server[] = [];
  readonly #timer: DeadlineTimer;
  #stopped = false;

  private constructor(options: DiameterServiceOptions) {
    this.#options = options;
    this.#node = new DiameterNode(options);
    this.#timer = new DeadlineTimer(options.clock, systemEnvironment.timers, () => this.#perform(this.#node.advance()));
  }

  /** Listens, and begins to connect to peers. Throws what `listen` throws. */
  static async start(options: DiameterServiceOptions): Promise<DiameterService> {
    const service = new DiameterService(options);
    for (const where of options.listen) await service.#listen(where);
    service.#perform([]);
    return service;
  }

  /** Where it listens, with the ports that the system chose. */
  addresses(): Endpoint[] {
    return this.#servers.map((server) => {
      const { address, port } = server.address() as AddressInfo;
      return { address, port };
    });
  }

  get node(): DiameterNode {
    return this.#node;
  }

  /** Sends a request and resolves with its answer, whatever that says; rejects with UnansweredError. */
  request(message: DiameterMessage, destination: Destination): Promise<{ message: DiameterMessage; peer: string }> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(new UnansweredError("NoPeer", "this node was closed"));
      const { transaction, effects } = this.#node.request(message, destination);
      this.#waiting.set(transaction, { resolve, reject });
      this.#perform(effects);
    });
  }

  /** Says goodbye to peers, and closes when they agreed or after the handshake's time limit. */
  async close(): Promise<void> {
    this.#stopped = true;
    for (const server of this.#servers) server.close();
    this.#perform(this.#node.stop());
    // A peer that reads nothing would otherwise hold what is still to be written, and the socket with it.
    const cut = setTimeout(
      () => {
        for (const socket of this.#sockets.values()) socket.destroy();
      },
      (this.#options.timers?.handshake ?? TIMER_DEFAULTS.handshake) + LINGER,
    );
    await Promise.all(
      [...this.#sockets.values()].map(
        (socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())),
      ),
    );
    clearTimeout(cut);
    this.#timer.set(Number.POSITIVE_INFINITY);
    for (const [transaction, { reject }] of this.#waiting) {
      this.#waiting.delete(transaction);
      reject(new UnansweredError("NoPeer", "this node was closed"));
    }
  }

  async #listen({ address, port, tls }: Endpoint & { tls: boolean }): Promise<void> {
    const onSocket = (socket: Socket) => this.#accept(socket);
    const server = tls
      ? createTlsServer({ ...this.#tlsOptions(), requestCert: true, rejectUnauthorized: true }, onSocket)
      : createTcpServer({ noDelay: true }, onSocket);
    // Who fails the TLS handshake has no connection yet; the listener lives on.
    server.on("tlsClientError", () => {});
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, address, resolve);
    });
  }

  #accept(socket: Socket): void {
    const connection = this.#stopped ? undefined : this.#node.accepted(certifiedNames(socket));
    if (connection === undefined) {
      socket.on("error", () => {});
      socket.destroy();
      return;
    }
    this.#adopt(connection, socket);
    this.#perform([]);
  }

  #connect(connection: ConnectionId, peer: string): void {
    const where = this.#options.endpoints.get(peer);
    if (where === undefined) {
      queueMicrotask(() => this.#perform(this.#node.closed(connection)));
      return;
    }
    const { address: host, port } = where;
    const socket = where.tls
      ? connectTls({
          ...this.#tlsOptions(),
          host,
          port,
          rejectUnauthorized: true,
          // Names are held against the peer's identity by the node, which knows what it must be called.
          checkServerIdentity: () => undefined,
        })
      : connectTcp({ host, port, noDelay: true });
    socket.once(where.tls ? "secureConnect" : "connect", () =>
      this.#perform(this.#node.connected(connection, certifiedNames(socket))),
    );
    this.#adopt(connection, socket);
  }

  #tlsOptions() {
    const { tls } = this.#options;
    if (tls === undefined) throw new Error("Diameter over TLS needs a certificate, a key and CAs");
    return tlsOptions(tls);
  }

  #adopt(connection: ConnectionId, socket: Socket): void {
    this.#sockets.set(connection, socket);
    const stream = messageStream();
    socket.on("data", (chunk: Buffer) => this.#receive(connection, socket, stream, chunk));
    // "close" follows and says the same.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(connection);
      this.#perform(this.#node.closed(connection));
    });
  }

  #receive(connection: ConnectionId, socket: Socket, stream: MessageStream, chunk: Buffer): void {
    let messages: Buffer[];
    try {
      messages = stream.push(chunk);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const event = { kind: "dropped", reason: "malformed", peer: undefined, message: error.message } as const;
      this.#options.onEvent(event);
      socket.destroy();
      return;
    }
    for (const bytes of messages) {
      this.#options.trace?.("received", bytes, this.#traceOf(connection, socket));
      this.#perform(this.#node.received(connection, bytes));
    }
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "send":
          this.#send(effect.connection, effect.message);
          break;
        case "connect":
          this.#connect(effect.connection, effect.peer);
          break;
        case "close":
          this.#sockets.get(effect.connection)?.destroySoon();
          break;
        case "requested":
          this.#requested(effect.handle, effect.message, effect.peer);
          break;
        case "answered":
          this.#settle(effect.transaction)?.resolve({ message: effect.message, peer: effect.peer });
          break;
        case "unanswered": {
          const { transaction, reason, message } = effect;
          // A request that fails at once does so before `request` returns its number.
          queueMicrotask(() => this.#settle(transaction)?.reject(new UnansweredError(reason, message)));
          break;
        }
        case "event":
          this.#options.onEvent(effect.event);
          break;
      }
    }
    this.#timer.set(this.#node.nextDeadline());
  }

  #settle(transaction: TransactionId): Waiting | undefined {
    const waiting = this.#waiting.get(transaction);
    this.#waiting.delete(transaction);
    return waiting;
  }

  #requested(handle: RequestHandle, message: DiameterMessage, peer: string): void {
    this.#options.onRequest(message, peer, (answer) => this.#perform(this.#node.answer(handle, answer)));
  }

  #send(connection: ConnectionId, message: DiameterMessage): void {
    const socket = this.#sockets.get(connection);
    if (socket === undefined) return;
    const bytes = encodeMessage(message);
    this.#options.trace?.("sent", bytes, this.#traceOf(connection, socket));
    socket.write(bytes);
    // A peer that does not read is a peer that is gone; what waits for it goes elsewhere.
    if (socket.writableLength > MAX_UNSENT) socket.destroy();
  }

  #traceOf(connection: ConnectionId, socket: Socket): ConnectionTrace {
    return {
      peer: this.#node.peerOf(connection),
      local: { address: socket.localAddress ?? "", port: socket.localPort ?? 0 },
      remote: { address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 },
    };
  }
}

/** DNS names in the certificate of a TLS peer; undefined without TLS. */
function certifiedNames(socket: Socket): readonly string[] | undefined {
  return "getPeerCertificate" in socket ? dnsNamesIn((socket as TLSSocket).getPeerCertificate().raw) : undefined;
}

/** Milliseconds that a socket has for what was written before it was closed. */
const LINGER = 1_000;
/** Octets that wait for a peer to read them. */
const MAX_UNSENT = 4 * 1024 * 1024;
