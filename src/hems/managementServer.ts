/**
 * The H(e)MS: who may come in, for how long, and what becomes of their requests (TS 33.320 8.3.2.1, 8.3.3.1).
 *
 * Every connection is judged by the certificate it was made with, a resumed one like any other: path, identity, profile,
 * then revocation status by policy. Of a resumed session TLS keeps the device's own certificate only, so that the CAs of
 * earlier paths are remembered; where they are not, the resumed connection is refused and the device begins anew.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Bytes } from "../bytes/bytes.ts";
import { readBody } from "../http/boundedServer.ts";
import { clientAddress } from "../http/boundedTlsServer.ts";
import { sentChain } from "../http/tlsProfile.ts";
import { PeerStatus, type StatusSource } from "../revocation/peerStatus.ts";
import type { Clock, Milliseconds, Timers } from "../sim/environment.ts";
import { type TlsPeerPolicy, type VerifiedTlsClient, verifyTlsClient } from "../tre/tlsPeer.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { ManagementHandler, ManagementSession } from "./handler.ts";

/** Why a session ended. */
export type EndCause = "closed" | "certificateRevoked" | "certificateExpired" | "tooOld" | "pipelined" | "stopped";

export type ManagementEvent =
  | { kind: "refused"; from: string; resumed: boolean; refusal: PeerRefusal }
  | { kind: "opened"; session: SessionFacts }
  | { kind: "lost"; session: SessionFacts; refusal: PeerRefusal }
  | { kind: "ended"; session: SessionFacts; cause: EndCause; requests: number; lasted: Milliseconds };

/** What is known of a session from its beginning. */
export interface SessionFacts extends ManagementSession {
  tls: string;
  resumed: boolean;
  /** Revocation status in words, such as "OCSP good". */
  status: string;
  path: readonly string[];
}

export interface ManagementServerOptions {
  policy: TlsPeerPolicy;
  /** Revocation status of devices; undefined where the operator checks none. */
  status: StatusSource | undefined;
  handler: ManagementHandler;
  clock: Clock;
  timers: Timers;
  /** Age at which a session is ended. */
  connectionAge: Milliseconds;
  /** Octets. */
  bodyBytes: number;
  onEvent(event: ManagementEvent): void;
}

interface Session {
  facts: SessionFacts;
  socket: TLSSocket;
  begun: Milliseconds;
  requests: number;
  /** A request is being answered. */
  busy: boolean;
  cause: EndCause;
}

export class ManagementServer {
  readonly #options: ManagementServerOptions;
  readonly #status: PeerStatus<Socket> | undefined;
  readonly #sessions = new Map<Socket, Session>();
  /** CAs of paths that were found good, the ones used last at the end. */
  readonly #knownCas = new Map<string, Certificate>();

  constructor(options: ManagementServerOptions) {
    this.#options = options;
    if (options.status !== undefined)
      this.#status = new PeerStatus<Socket>({
        source: options.status,
        peerClass: "device",
        onLost: (socket, refusal) => this.#onLost(socket, refusal),
      });
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Judges a client after its handshake; never rejects. */
  async admit(socket: TLSSocket): Promise<boolean> {
    // It has gone already.
    if (socket.remoteAddress === undefined) return false;
    const resumed = socket.isSessionReused();
    const from = clientAddress(socket);
    const refuse = (refusal: PeerRefusal) => {
      this.#options.onEvent({ kind: "refused", from, resumed, refusal });
      return false;
    };
    const known = resumed ? [...this.#knownCas.values()] : [];
    const verdict = verifyTlsClient(sentChain(socket), this.#options.policy, known);
    if (!verdict.valid) return refuse(verdict.refusal);
    const status = (await this.#status?.check(socket, verdict.path)) ?? "not checked";
    if (typeof status !== "string") return refuse(status);
    if (socket.destroyed) {
      this.#status?.gone(socket);
      return false;
    }
    for (const certificate of verdict.path.slice(1, -1)) this.#remember(certificate);
    this.#open(socket, verdict, { from, resumed, status });
    return true;
  }

  /** Answers a request of a client that was admitted. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const session = this.#sessions.get(request.socket);
    // It was sent away while its request came in.
    if (session === undefined) return void response.destroy();
    // TR-069 3.4.1 forbids it, and what waits for an answer would have no bound.
    if (session.busy) return this.#end(session, "pipelined");
    session.requests += 1;
    session.busy = true;
    try {
      await this.#answer(session, request, response);
    } finally {
      session.busy = false;
    }
  }

  /** Ends all sessions. */
  close(): void {
    for (const session of this.#sessions.values()) this.#end(session, "stopped");
    this.#status?.close();
  }

  #open(
    socket: TLSSocket,
    { identity, path }: VerifiedTlsClient,
    about: { from: string; resumed: boolean; status: string },
  ) {
    const { clock, timers, connectionAge, onEvent, handler } = this.#options;
    const tls = `${socket.getProtocol()} ${socket.getCipher().standardName}`;
    const facts: SessionFacts = {
      device: identity,
      tls,
      path: path.map(({ subject }) => subject.toString()),
      ...about,
    };
    const begun = clock.now();
    const session: Session = { facts, socket, begun, requests: 0, busy: false, cause: "closed" };
    this.#sessions.set(socket, session);
    // 7.2.4-3, also of a device that is here already; notAfter names a whole second.
    const expiry = Math.min(...path.map(({ notAfter }) => notAfter)) + 1000 - begun;
    const cancel =
      expiry < connectionAge
        ? timers.after(expiry, () => this.#end(session, "certificateExpired"))
        : timers.after(connectionAge, () => this.#end(session, "tooOld"));
    socket.once("close", () => {
      cancel();
      this.#sessions.delete(socket);
      this.#status?.gone(socket);
      const { requests, cause } = session;
      onEvent({ kind: "ended", session: facts, cause, requests, lasted: clock.now() - begun });
      handler.ended(facts);
    });
    onEvent({ kind: "opened", session: facts });
    this.#status?.attached(socket);
  }

  async #answer({ facts }: Session, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request, this.#options.bodyBytes);
    if (body === undefined) return void response.writeHead(413, { connection: "close" }).end();
    const { method = "", url = "", headers } = request;
    const answer = await this.#options.handler.handle(facts, { method, url, headers, body });
    response.writeHead(answer.status, { ...answer.headers, ...lengthOf(answer.body) });
    response.end(answer.body);
  }

  /** A certificate that turns bad ends the stay of its device. */
  #onLost(socket: Socket, refusal: PeerRefusal): void {
    const session = this.#sessions.get(socket);
    if (session === undefined) return;
    this.#options.onEvent({ kind: "lost", session: session.facts, refusal });
    this.#end(session, "certificateRevoked");
  }

  #end(session: Session, cause: EndCause): void {
    session.cause = cause;
    session.socket.destroy();
  }

  #remember(ca: Certificate): void {
    this.#knownCas.delete(ca.fingerprint);
    this.#knownCas.set(ca.fingerprint, ca);
    if (this.#knownCas.size > MAX_KNOWN_CAS) this.#knownCas.delete(this.#knownCas.keys().next().value!);
  }
}

function lengthOf(body: Bytes | undefined): Record<string, number> {
  return body === undefined ? {} : { "content-length": body.length };
}

const MAX_KNOWN_CAS = 64;
