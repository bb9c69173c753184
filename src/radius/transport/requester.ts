/** A RADIUS client on the wire: UDP sockets or TLS connections (RadSec), opened when they are needed. */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import type { Bytes } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import { type TlsCredentials, tlsOptions } from "../../http/mutualTls.ts";
import { DeadlineTimer } from "../../sim/deadlineTimer.ts";
import type { Clock, Random } from "../../sim/environment.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { type Attribute, packetStream, type RadiusPacket } from "../codec/packet.ts";
import {
  RadiusClient,
  type RadiusClientEffect,
  type RadiusClientEvent,
  type RadiusClientTimers,
  type RadiusTransactionId,
} from "../core/client.ts";
import { RADSEC_SECRET } from "../core/server.ts";
import type { RadiusTrace } from "./messageRecord.ts";
import { type Endpoint, requireName, writeOrCut } from "./tls.ts";

export type RadiusServerTarget = Endpoint & { name: string } & (
    | { transport: "udp"; secret: Bytes }
    /** `name` must stand in the server's certificate (RFC 6614 2.3). */
    | { transport: "radsec" }
  );

export interface RadiusRequesterOptions {
  clock: Clock;
  random: Random;
  /** In the order in which they are asked. */
  servers: readonly RadiusServerTarget[];
  timers?: Partial<RadiusClientTimers>;
  /** Needed for RadSec. */
  tls?: TlsCredentials | undefined;
  onEvent(event: RadiusClientEvent): void;
  trace?: RadiusTrace | undefined;
}

/** A request that no server answered. */
export class RadiusUnansweredError extends Error {
  override readonly name = "RadiusUnansweredError";
  readonly reason: "Timeout" | "TooBusy" | "Closed";

  constructor(reason: "Timeout" | "TooBusy" | "Closed", message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface RadiusReply {
  packet: RadiusPacket;
  /** Index in `servers`; the next request of the same conversation goes there. */
  server: number;
  msk: Bytes | undefined;
}

interface Waiting {
  resolve(reply: RadiusReply): void;
  reject(error: RadiusUnansweredError): void;
}

export class RadiusRequester {
  readonly #options: RadiusRequesterOptions;
  readonly #client: RadiusClient;
  readonly #datagrams = new Map<string, DatagramSocket>();
  readonly #connections = new Map<string, TLSSocket>();
  readonly #waiting = new Map<RadiusTransactionId, Waiting>();
  readonly #timer: DeadlineTimer;

  constructor(options: RadiusRequesterOptions) {
    this.#options = options;
    const { clock, random, timers = {} } = options;
    const servers = options.servers.map((target) => {
      const reliable = target.transport === "radsec";
      return { name: target.name, reliable, secret: target.transport === "udp" ? target.secret : RADSEC_SECRET };
    });
    this.#client = new RadiusClient({ clock, random, servers, timers });
    this.#timer = new DeadlineTimer(clock, systemEnvironment.timers, () => this.#perform(this.#client.advance()));
  }

  /** Sends a request and resolves with its answer, whatever that says; rejects with RadiusUnansweredError. */
  request(code: number, attributes: readonly Attribute[], only?: number): Promise<RadiusReply> {
    return new Promise((resolve, reject) => {
      const { transaction, effects } = this.#client.request(code, attributes, only);
      this.#waiting.set(transaction, { resolve, reject });
      this.#perform(effects);
    });
  }

  close(): void {
    this.#timer.set(Number.POSITIVE_INFINITY);
    for (const socket of this.#datagrams.values()) socket.close();
    for (const socket of this.#connections.values()) socket.destroy();
    this.#datagrams.clear();
    this.#connections.clear();
    for (const { reject } of this.#waiting.values())
      reject(new RadiusUnansweredError("Closed", "this RADIUS client was closed"));
    this.#waiting.clear();
  }

  #perform(effects: readonly RadiusClientEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") this.#send(effect.server, effect.channel, effect.bytes);
      else if (effect.kind === "event") this.#options.onEvent(effect.event);
      else {
        const waiting = this.#waiting.get(effect.transaction);
        this.#waiting.delete(effect.transaction);
        if (effect.kind === "answered") waiting?.resolve(effect);
        else waiting?.reject(new RadiusUnansweredError(effect.reason, effect.message));
      }
    }
    this.#timer.set(this.#client.nextDeadline());
  }

  #send(server: number, channel: number, bytes: Bytes): void {
    const target = this.#options.servers[server]!;
    this.#options.trace?.("sent", bytes, target.name);
    if (target.transport === "udp")
      this.#datagramSocket(server, channel, target).send(bytes, target.port, target.address);
    else writeOrCut(this.#connection(server, channel, target), bytes);
  }

  #received(server: number, channel: number, bytes: Bytes): void {
    this.#options.trace?.("received", bytes, this.#options.servers[server]!.name);
    this.#perform(this.#client.received(server, channel, bytes));
  }

  #datagramSocket(server: number, channel: number, target: Endpoint): DatagramSocket {
    const key = `${server} ${channel}`;
    const known = this.#datagrams.get(key);
    if (known !== undefined) return known;
    const socket = createSocket({ type: isIPv6(target.address) ? "udp6" : "udp4" });
    socket.on("error", () => {});
    // A server that commits many at once answers many at once.
    socket.once("listening", () => socket.setRecvBufferSize(RECEIVE_BUFFER));
    socket.on("message", (bytes, from) => {
      if (from.port === target.port && from.address === target.address) this.#received(server, channel, bytes);
    });
    this.#datagrams.set(key, socket);
    return socket;
  }

  #connection(server: number, channel: number, target: Endpoint & { name: string }): TLSSocket {
    const key = `${server} ${channel}`;
    const known = this.#connections.get(key);
    if (known !== undefined) return known;
    const { tls } = this.#options;
    if (tls === undefined) throw new Error("RadSec needs a certificate, a key and CAs");
    const socket = connect({
      ...tlsOptions(tls),
      host: target.address,
      port: target.port,
      checkServerIdentity: requireName(target.name),
    });
    this.#connections.set(key, socket);
    const stream = packetStream();
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#connections.get(key) !== socket) return;
      this.#connections.delete(key);
      this.#perform(this.#client.lost(server, channel));
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const bytes of stream.push(chunk)) this.#received(server, channel, bytes);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        socket.destroy();
      }
    });
    return socket;
  }
}

const RECEIVE_BUFFER = 4 * 1024 * 1024;
