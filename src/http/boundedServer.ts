/**
 * An HTTP server that slow, idle and greedy clients cannot wear out: requests are bounded in size and time, connections
 * in number.
 *
 * When there are too many connections the one idle for longest makes room, so that a crowd of silent clients keeps
 * nobody out; refusing the newest, as Node's maxConnections does, would let them.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Server, Socket } from "node:net";
import type { Bytes } from "../bytes/bytes.ts";

/** Where to listen; port 0 lets the system choose. */
export interface Listen {
  address: string;
  port: number;
}

/** A Unix socket in the file system. */
interface ListenLocally {
  path: string;
}

/** `address` is the path of a Unix socket. */
export interface BoundedServer extends Listen {
  /** Ends all connections. */
  close(): Promise<void>;
}

export interface ServerLimits {
  /** Milliseconds from the first octet of a request, or of a connection, to the end of its headers. */
  headers: number;
  /** Milliseconds for a whole request. */
  request: number;
  /** Milliseconds in which a client must take some octets of an answer, or send a next request. */
  idle: number;
  connections: number;
}

const SERVER_LIMITS: ServerLimits = { headers: 5_000, request: 10_000, idle: 15_000, connections: 2_000 };

/** Answers a request; may throw or reject. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/**
 * Serves until closed. A handler that throws costs its client the answer (status 500, or the connection where that is too
 * late) and nobody else anything; `onFailure` hears of it.
 */
export async function listenBounded(
  listen: Listen | ListenLocally,
  handler: Handler,
  limits: ServerLimits = SERVER_LIMITS,
  onFailure: (error: unknown) => void = () => {},
): Promise<BoundedServer> {
  // Sockets in the order in which they were last used.
  const sockets = new Set<Socket>();
  const guarded = guard(handler, onFailure);
  const server = createServer(timeLimits(limits), (request, response) => {
    const { socket } = request;
    if (sockets.delete(socket)) sockets.add(socket);
    guarded(request, response);
  });
  server.setTimeout(limits.idle);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    if (sockets.size > limits.connections) sockets.values().next().value?.destroy();
  });
  return {
    ...(await listening(server, listen)),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The limits in time and size as Node's servers for HTTP and HTTPS take them. */
export function timeLimits(limits: Pick<ServerLimits, "headers" | "request" | "idle">) {
  return {
    headersTimeout: limits.headers,
    requestTimeout: limits.request,
    keepAliveTimeout: limits.idle,
    // Node looks for late requests only every half minute by default.
    connectionsCheckingInterval: Math.min(1_000, limits.headers),
    maxHeaderSize: MAX_HEADERS,
  };
}

/** A handler whose failures cost its client the answer, and nobody else anything. */
export function guard(
  handler: Handler,
  onFailure: (error: unknown) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const failed = (error: unknown) => {
      if (error instanceof ClientGone) return void response.destroy();
      onFailure(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { connection: "close" }).end();
    };
    try {
      handler(request, response)?.catch(failed);
    } catch (error) {
      failed(error);
    }
  };
}

/** Starts to listen; gives where, once it does. Rejects where the port cannot be had. */
export async function listening(server: Server, listen: Listen | ListenLocally): Promise<Listen> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if ("path" in listen) server.listen(listen.path, resolve);
    else server.listen(listen.port, listen.address, resolve);
  });
  return "path" in listen ? { address: listen.path, port: 0 } : (server.address() as AddressInfo);
}

/**
 * The body of a request, or undefined if it is longer than `limit`; some of a longer one is taken and dropped, so that
 * the client, busy writing, gets to read the answer. Rejects with ClientGone if the client goes away.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Bytes | undefined> {
  return new Promise((resolve, reject) => {
    const parts: Bytes[] = [];
    let length = 0;
    request.on("data", (part: Bytes) => {
      length += part.length;
      if (length <= limit) parts.push(part);
      else parts.length = 0;
      if (length > limit + MAX_DROPPED) request.destroy();
    });
    let ended = false;
    request.on("end", () => {
      ended = true;
      resolve(length > limit ? undefined : parts.length === 1 ? parts[0] : Buffer.concat(parts));
    });
    // Comes after the end, too; an error made for each request would take longer than answering it.
    request.on("close", () => ended || reject(new ClientGone()));
    request.on("error", () => {});
  });
}

/** Ends an answer with a short body: as text it goes out in one write with the headers, as octets in two. */
export function endShort(response: ServerResponse, body: Bytes): void {
  response.end(body.toString("latin1"), "latin1");
}

/** There is nobody left to answer. */
class ClientGone extends Error {
  override readonly name = "ClientGone";
}

/** Octets of a request's headers. */
const MAX_HEADERS = 16_384;
/** Octets of a body beyond its limit that are read for nothing. */
const MAX_DROPPED = 1_048_576;
