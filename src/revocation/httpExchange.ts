/**
 * One HTTP exchange with a server that may be slow, broken or hostile: for CRLs and OCSP.
 *
 * Everything has a limit: the time for all of it, the octets of the answer, the redirections. The answer is read into
 * one buffer where its length is told, else into segments, so that a large CRL is never copied on the main loop.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import type { Bytes } from "../bytes/bytes.ts";
import { mayBeAsked } from "../trust/revocationPolicy.ts";
import type { FetchProblem } from "./fetching.ts";
import { AddressRefused, checkLiteral, lookupWithin, type Reach, reachKey } from "./reach.ts";

export interface HttpQuestion {
  url: string;
  method: "GET" | "POST";
  headers: Record<string, string>;
  body?: Bytes;
  ends?: Ends;
  /** Where a certificate named the address. */
  reach?: Reach;
}

/** Between which addresses to speak, instead of those that the system would choose. */
export interface Ends {
  /** Our own. */
  local?: string;
  /** Of the address's host, so that no name is resolved. */
  remote: string;
}

export interface HttpLimits {
  /** Milliseconds for everything, redirections included. */
  timeMs: number;
  /** Octets of an answer's body. */
  maxBytes: number;
  maxRedirects: number;
}

/** An answer of status 200 or 304; each segment is a buffer of its own. */
export type HttpAnswer =
  | { ok: true; status: number; headers: IncomingHttpHeaders; segments: readonly Bytes[] }
  | { ok: false; problem: FetchProblem };

/** Keeps connections to servers open between exchanges until it is disposed of, unless it is told not to. */
export class HttpExchanger implements Disposable {
  /** By reach: a connection that one address may use is closed to another, though it leads to the same host. */
  readonly #pools = new Map<string, Pool>();
  readonly #keepAlive: boolean;

  constructor({ keepAlive = true } = {}) {
    this.#keepAlive = keepAlive;
  }

  /** Asks and reads the whole answer; never rejects. */
  async exchange(question: HttpQuestion, limits: HttpLimits): Promise<HttpAnswer> {
    const signal = AbortSignal.timeout(limits.timeMs);
    let { url } = question;
    try {
      for (let redirects = 0; ; redirects++) {
        const incoming = await this.#askAgain({ ...question, url }, signal);
        const to = redirectOf(incoming);
        if (to === undefined || question.method === "POST") return await readAnswer(incoming, limits, signal);
        incoming.destroy();
        if (redirects >= limits.maxRedirects) return failed({ reason: "TooManyRedirects", limit: limits.maxRedirects });
        const next = URL.parse(to, url);
        if (next === null || !mayFollow(new URL(url), next, question.reach))
          return failed({ reason: "RedirectRefused", to: to.slice(0, 200) });
        url = next.href;
      }
    } catch (error) {
      if (error instanceof ExchangeFailure) return failed(error.problem);
      const refused = refusedAddress(error);
      if (refused !== undefined) return failed({ reason: "AddressRefused", address: refused });
      // Aborting destroys the request with whatever error it likes; that the time is over is what counts.
      if (signal.aborted) return failed({ reason: "TimedOut", limitMs: limits.timeMs });
      return failed({ reason: "Unreachable", detail: error instanceof Error ? error.message : String(error) });
    }
  }

  [Symbol.dispose](): void {
    for (const { http, https } of this.#pools.values()) {
      http.destroy();
      https.destroy();
    }
    this.#pools.clear();
  }

  #poolFor(reach: Reach | undefined): Pool {
    const key = reachKey(reach);
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const within = reach === undefined ? {} : { lookup: lookupWithin(reach) };
    const options = { ...AGENT_OPTIONS, keepAlive: this.#keepAlive, ...within };
    const pool = { http: new HttpAgent(options), https: new HttpsAgent(options) };
    this.#pools.set(key, pool);
    return pool;
  }

  /** Once more if the server had given up a connection that was kept open just when we used it (RFC 9112 9.3.1). */
  async #askAgain(question: HttpQuestion, signal: AbortSignal): Promise<IncomingMessage> {
    try {
      return await this.#ask(question, signal);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return await this.#ask(question, signal);
    }
  }

  #ask({ url, method, headers, body, ends, reach }: HttpQuestion, signal: AbortSignal): Promise<IncomingMessage> {
    const target = URL.parse(url);
    if (target === null || !PROTOCOLS.includes(target.protocol)) throw new ExchangeFailure({ reason: "BadUrl" });
    if (reach !== undefined) checkLiteral(ends?.remote ?? target.hostname, reach);
    const pool = this.#poolFor(reach);
    const length: Record<string, string> = body === undefined ? {} : { "content-length": String(body.length) };
    const options = {
      method,
      signal,
      headers: { ...headers, ...length, "accept-encoding": "identity" },
      ...(ends === undefined ? {} : socketOptions(ends)),
    };
    return new Promise((resolve, reject) => {
      const outgoing =
        target.protocol === "http:"
          ? httpRequest(target, { ...options, agent: pool.http })
          : httpsRequest(target, { ...options, agent: pool.https });
      // Stays on for the whole exchange: an abort that comes while the body is read is told here as well.
      outgoing.on("error", (error: NodeJS.ErrnoException) =>
        reject(outgoing.reusedSocket && error.code === "ECONNRESET" ? new StaleConnection(error.message) : error),
      );
      outgoing.once("response", resolve);
      outgoing.end(body);
    });
  }
}

function socketOptions({ local, remote }: Ends) {
  const family = isIP(remote);
  const lookup: LookupFunction = (_host, { all }, done) =>
    all === true ? done(null, [{ address: remote, family }]) : done(null, remote, family);
  return { lookup, ...(local === undefined ? {} : { localAddress: local }) };
}

interface Pool {
  http: HttpAgent;
  https: HttpsAgent;
}

/** A connection kept open was closed by the server before it answered. */
class StaleConnection extends Error {}

/** Carries a problem out of the middle of an exchange. */
class ExchangeFailure extends Error {
  readonly problem: FetchProblem;

  constructor(problem: FetchProblem) {
    super(problem.reason);
    this.problem = problem;
  }
}

async function readAnswer(
  incoming: IncomingMessage,
  { maxBytes }: HttpLimits,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const { statusCode: status = 0, headers } = incoming;
  const stop = (problem: FetchProblem): HttpAnswer => {
    incoming.destroy();
    return failed(problem);
  };
  if (status !== 200 && status !== 304) return stop({ reason: "BadStatus", status });
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    return stop({ reason: "EncodedContent", encoding: encoding.slice(0, 40) });
  const told = headers["content-length"] === undefined ? undefined : Number(headers["content-length"]);
  if (told !== undefined && told > maxBytes) return stop({ reason: "TooLarge", limit: maxBytes });
  const collected = new Segments(told);
  try {
    for await (const chunk of incoming as AsyncIterable<Bytes>) {
      if (collected.length + chunk.length > maxBytes) return stop({ reason: "TooLarge", limit: maxBytes });
      collected.add(chunk);
    }
  } catch (error) {
    if (told !== undefined && !signal.aborted && incoming.errored?.message === "aborted")
      throw new ExchangeFailure({ reason: "Truncated", expected: told, received: collected.length });
    throw error;
  }
  return { ok: true, status, headers, segments: collected.finished() };
}

/** Collects octets in buffers that belong to nobody else. */
class Segments {
  length = 0;
  readonly #full: Bytes[] = [];
  #current: Bytes;
  #used = 0;

  constructor(told: number | undefined) {
    this.#current = Buffer.allocUnsafeSlow(told ?? FIRST_SEGMENT);
  }

  add(chunk: Bytes): void {
    this.length += chunk.length;
    for (let rest = chunk; rest.length > 0; ) {
      if (this.#used === this.#current.length) {
        this.#full.push(this.#current);
        this.#current = Buffer.allocUnsafeSlow(
          Math.min(MAX_SEGMENT, Math.max(FIRST_SEGMENT, this.#current.length * 2)),
        );
        this.#used = 0;
      }
      const copied = rest.copy(this.#current, this.#used);
      this.#used += copied;
      rest = rest.subarray(copied);
    }
  }

  finished(): readonly Bytes[] {
    if (this.#used === 0) return this.#full;
    if (this.#used === this.#current.length) return [...this.#full, this.#current];
    const last = Buffer.allocUnsafeSlow(this.#used);
    this.#current.copy(last, 0, 0, this.#used);
    return [...this.#full, last];
  }
}

function redirectOf({ statusCode = 0, headers }: IncomingMessage): string | undefined {
  return REDIRECTS.includes(statusCode) ? headers.location : undefined;
}

function mayFollow(from: URL, to: URL, reach: Reach | undefined): boolean {
  if (reach !== undefined && !mayBeAsked(to.href, "ocsp", reach.hosts)) return false;
  return to.protocol === "https:" || (to.protocol === "http:" && from.protocol === "http:");
}

/** Of several addresses that were tried, an error tells one by one. */
function refusedAddress(error: unknown): string | undefined {
  if (error instanceof AddressRefused) return error.address;
  return error instanceof AggregateError
    ? error.errors.map(refusedAddress).find((each) => each !== undefined)
    : undefined;
}

function failed(problem: FetchProblem): HttpAnswer {
  return { ok: false, problem };
}

const PROTOCOLS = ["http:", "https:"];
const REDIRECTS = [301, 302, 303, 307, 308];
const AGENT_OPTIONS = { maxSockets: 8, maxTotalSockets: 64, timeout: 30_000 };
/** Octets of the buffers that an answer of unknown length is read into. */
const FIRST_SEGMENT = 64 * 1024;
const MAX_SEGMENT = 4 * 1024 * 1024;
