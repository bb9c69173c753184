/** A RADIUS server on the wire: UDP ports, and RadSec (TLS over TCP, RFC 6614). */
import { createSocket, type Socket as DatagramSocket, type SocketOptions } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { DecodeError } from "../../bytes/reader.ts";
import { type TlsCredentials, tlsOptions } from "../../http/mutualTls.ts";
import { packetStream, type RadiusPacket } from "../codec/packet.ts";
import {
  describeSource,
  type PortPurpose,
  type RadiusAnswer,
  type RadiusDropReason,
  RadiusServer,
  type RadiusServerEffect,
  type RadiusServerOptions,
  type Source,
} from "../core/server.ts";
import type { RadiusTrace } from "./messageRecord.ts";
import { certifiedNames, type Endpoint, writeOrCut } from "./tls.ts";

export interface RadiusListenerOptions extends RadiusServerOptions {
  udp: readonly (Endpoint & { purpose: PortPurpose })[];
  radsec: readonly Endpoint[];
  /** Needed for RadSec. */
  tls?: TlsCredentials | undefined;
  /** A request for the application, which calls `answer` once, whenever it can; with undefined nothing is sent. */
  onRequest(request: ReceivedRequest, answer: (answer: RadiusAnswer | undefined) => void): void;
  onDrop(reason: RadiusDropReason, message: string): void;
  trace?: RadiusTrace | undefined;
}

export interface ReceivedRequest {
  packet: RadiusPacket;
  client: string;
  source: Source;
}

export class RadiusListener {
  readonly #options: RadiusListenerOptions;
  readonly #server: RadiusServer;
  readonly #sockets: DatagramSocket[] = [];
  readonly #listeners: Server[] = [];
  readonly #connections = new Map<number, TLSSocket>();
  #nextConnection = 1;

  private constructor(options: RadiusListenerOptions) {
    this.#options = options;
    this.#server = new RadiusServer(options);
  }

  /** Listens; throws what binding throws. */
  static async start(options: RadiusListenerOptions): Promise<RadiusListener> {
    const listener = new RadiusListener(options);
    for (const where of options.udp) await listener.#bind(where);
    for (const where of options.radsec) await listener.#listen(where);
    return listener;
  }

  /** Ports in the order of `udp` and of `radsec`, as the system chose them. */
  ports(): { udp: number[]; radsec: number[] } {
    const radsec = this.#listeners.map((server) => (server.address() as { port: number }).port);
    return { udp: this.#sockets.map((socket) => socket.address().port), radsec };
  }

  /** Lets go of all ports; the second time there is nothing left to do. */
  async close(): Promise<void> {
    for (const socket of this.#connections.values()) socket.destroy();
    await Promise.all([
      ...this.#sockets.splice(0).map((socket) => new Promise<void>((resolve) => socket.close(resolve))),
      ...this.#listeners.splice(0).map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    ]);
  }

  async #bind({ address, port, purpose }: Endpoint & { purpose: PortPurpose }): Promise<void> {
    const family = isIPv6(address) ? 6 : 4;
    // Answers go to addresses, not to names: a resolver in between would cost more than the send.
    const lookup: NonNullable<SocketOptions["lookup"]> = (where, _options, done) => done(null, where, family);
    const socket = createSocket({ type: family === 6 ? "udp6" : "udp4", lookup });
    const index = this.#sockets.length;
    this.#sockets.push(socket);
    const listening = once(socket, "listening");
    socket.bind(port, address);
    await listening;
    socket.setRecvBufferSize(RECEIVE_BUFFER);
    // An ICMP error or a full queue concerns one datagram; its sender asks again.
    socket.on("error", () => {});
    socket.on("message", (bytes, from) => {
      const source = { kind: "udp", socket: index, purpose, address: unmapped(from.address), port: from.port } as const;
      this.#received(bytes, source);
    });
  }

  async #listen({ address, port }: Endpoint): Promise<void> {
    const { tls } = this.#options;
    if (tls === undefined) throw new Error("RadSec needs a certificate, a key and CAs");
    const server = createServer({ ...tlsOptions(tls), requestCert: true }, (socket) => this.#accept(socket));
    server.maxConnections = MAX_CONNECTIONS;
    server.on("tlsClientError", () => {});
    this.#listeners.push(server);
    server.listen(port, address);
    await once(server, "listening");
  }

  #accept(socket: TLSSocket): void {
    const connection = this.#nextConnection++;
    const source = { kind: "tls", connection, names: certifiedNames(socket) } as const;
    this.#connections.set(connection, socket);
    const stream = packetStream();
    socket.on("error", () => {});
    socket.on("close", () => this.#connections.delete(connection));
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const bytes of stream.push(chunk)) this.#received(bytes, source);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        this.#options.onDrop("Malformed", error.message);
        socket.destroy();
      }
    });
  }

  #received(bytes: Buffer, source: Source): void {
    this.#options.trace?.("received", bytes, describeSource(source));
    this.#perform(this.#server.received(bytes, source));
  }

  #perform(effects: readonly RadiusServerEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") this.#send(effect.to, effect.bytes);
      else if (effect.kind === "dropped") this.#options.onDrop(effect.reason, effect.message);
      else {
        const { handle, packet, client, source } = effect;
        this.#options.onRequest({ packet, client, source }, (answer) =>
          this.#perform(this.#server.answer(handle, answer)),
        );
      }
    }
  }

  #send(to: Source, bytes: Buffer): void {
    this.#options.trace?.("sent", bytes, describeSource(to));
    // An answer that comes after `close` has nowhere to go.
    if (to.kind === "udp") this.#sockets[to.socket]?.send(bytes, to.port, to.address);
    else {
      const socket = this.#connections.get(to.connection);
      if (socket !== undefined) writeOrCut(socket, bytes);
    }
  }
}

/** An IPv4 address that came through an IPv6 socket is an IPv4 address (RFC 4291 2.5.5.2). */
function unmapped(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

const RECEIVE_BUFFER = 4 * 1024 * 1024;
const MAX_CONNECTIONS = 1000;
