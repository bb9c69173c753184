/**
 * An HTTPS server whose clients are let in one by one, after their handshake and before a byte of HTTP is read, and that
 * neither strangers nor slow, idle and greedy clients can wear out.
 *
 * When there are too many connections a stranger makes room, the one that waits for longest; only where there is none,
 * the one of those let in that has been idle for longest. One address has a share of its own and no more.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import type { Socket } from "node:net";
import type { TLSSocket, TlsOptions } from "node:tls";
import { parseIp } from "../bytes/ip.ts";
import { type BoundedServer, guard, type Listen, listening, type ServerLimits, timeLimits } from "./boundedServer.ts";

export interface TlsServerLimits extends ServerLimits {
  /** Milliseconds from the connection to the end of the TLS handshake. */
  handshake: number;
  /** Connections of one IPv4 address, or of one IPv6 network of 64 bits. */
  connectionsPerAddress: number;
}

export interface TlsServerParts {
  /** Whether the client may come in; asked once its handshake is over, which proves that it has its key. */
  admit(socket: TLSSocket): Promise<boolean>;
  handle(request: IncomingMessage, response: ServerResponse): void | Promise<void>;
  onFailure(error: unknown): void;
  /** A handshake that came to nothing, or a connection above a limit. */
  onTurnedAway(from: string, problem: string): void;
  /** The DER OCSP response to staple to our own certificate, when asked (RFC 6066 8); undefined staples none. */
  staple: (() => Promise<Buffer | undefined>) | undefined;
}

export interface BoundedTlsServer extends BoundedServer {
  /** Makes session tickets from now on with this key, 48 octets; those made before are worth nothing any more. */
  useTicketKey(key: Buffer): void;
}

/** Serves until closed; rejects where the port cannot be had or the credentials do not fit. */
export async function listenBoundedTls(
  listen: Listen,
  tls: TlsOptions,
  parts: TlsServerParts,
  limits: TlsServerLimits,
): Promise<BoundedTlsServer> {
  const connections = new Connections(limits, parts.onTurnedAway);
  const guarded = guard(parts.handle, parts.onFailure);
  const options: ServerOptions = { ...tls, ...timeLimits(limits), handshakeTimeout: limits.handshake };
  const server = createServer(options, (request, response) => {
    connections.used(request.socket);
    guarded(request, response);
  });
  server.setTimeout(limits.idle);
  server.on("connection", (socket: Socket) => connections.add(socket));
  server.on("tlsClientError", (error, socket) => parts.onTurnedAway(clientAddress(socket), error.message));
  const { staple } = parts;
  if (staple !== undefined)
    server.on("OCSPRequest", (_certificate, _issuer, give) => {
      staple().then(
        (response) => give(null, response ?? null),
        (error) => {
          parts.onFailure(error);
          give(null, null);
        },
      );
    });
  // Node's own listener begins to read HTTP; it is to wait for the verdict.
  const serveHttp = server.listeners("secureConnection") as ((socket: TLSSocket) => void)[];
  server.removeAllListeners("secureConnection");
  server.on("secureConnection", (socket: TLSSocket) => {
    socket.on("error", () => socket.destroy());
    // What the handshake still has to say goes out, and an end that the client can tell from a broken connection.
    const refuse = () => socket.destroySoon();
    parts.admit(socket).then(
      (admitted) => {
        if (!admitted || socket.destroyed) return refuse();
        connections.admitted(socket);
        for (const serve of serveHttp) serve.call(server, socket);
      },
      (error) => {
        parts.onFailure(error);
        refuse();
      },
    );
  });
  return {
    ...(await listening(server, listen)),
    useTicketKey: (key) => server.setTicketKeys(key),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        connections.closeAll();
      }),
  };
}

/** TCP connections by their far end, which is what tells those of TLS sockets. */
class Connections {
  readonly #limits: TlsServerLimits;
  readonly #onTurnedAway: TlsServerParts["onTurnedAway"];
  /** In the order in which they came. */
  readonly #strangers = new Map<string, Socket>();
  /** In the order in which they were last used. */
  readonly #admitted = new Map<string, Socket>();
  readonly #perAddress = new Map<string, number>();

  constructor(limits: TlsServerLimits, onTurnedAway: TlsServerParts["onTurnedAway"]) {
    this.#limits = limits;
    this.#onTurnedAway = onTurnedAway;
  }

  add(socket: Socket): void {
    // It has gone already.
    if (socket.remoteAddress === undefined) return void socket.destroy();
    const address = clientAddress(socket);
    const network = networkOf(address);
    const others = this.#perAddress.get(network) ?? 0;
    if (others >= this.#limits.connectionsPerAddress) {
      this.#onTurnedAway(address, `${others} connections from there already`);
      return void socket.destroy();
    }
    this.#perAddress.set(network, others + 1);
    const end = endOf(socket);
    this.#strangers.set(end, socket);
    socket.once("close", () => {
      if (!this.#strangers.delete(end)) this.#admitted.delete(end);
      const left = (this.#perAddress.get(network) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(network);
      else this.#perAddress.set(network, left);
    });
    if (this.#strangers.size + this.#admitted.size > this.#limits.connections) this.#makeRoom();
  }

  admitted(socket: TLSSocket): void {
    const end = endOf(socket);
    const underneath = this.#strangers.get(end);
    if (underneath === undefined) return;
    this.#strangers.delete(end);
    this.#admitted.set(end, underneath);
  }

  used(socket: Socket): void {
    const end = endOf(socket);
    const underneath = this.#admitted.get(end);
    if (underneath === undefined) return;
    this.#admitted.delete(end);
    this.#admitted.set(end, underneath);
  }

  closeAll(): void {
    for (const socket of [...this.#strangers.values(), ...this.#admitted.values()]) socket.destroy();
  }

  #makeRoom(): void {
    const [longest] = this.#strangers.size > 1 ? this.#strangers.values() : this.#admitted.values();
    if (longest === undefined) return;
    this.#onTurnedAway(clientAddress(longest), "it made room for a newer connection");
    longest.destroy();
  }
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** Whoever has an IPv6 address has 2^64 of them. */
function networkOf(address: string): string {
  const octets = parseIp(address);
  return octets?.length === 16 ? octets.toString("hex", 0, 8) : address;
}

/** The client's address, an IPv4 one as such also where it comes in by a socket for both. */
export function clientAddress({ remoteAddress }: Socket): string {
  return (remoteAddress ?? "?").replace(/^::ffff:(?=\d+\.)/i, "");
}
