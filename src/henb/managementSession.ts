/**
 * One session with the H(e)MS (TS 33.320 8.3): TLS with both sides' certificates, the TrE's verdict on the H(e)MS and its
 * revocation status, and only then HTTP.
 */
import { Agent, request as httpRequest } from "node:http";
import { isIP } from "node:net";
import { connect, type SecureContext, type TLSSocket } from "node:tls";
import type { Bytes } from "../bytes/bytes.ts";
import { sentChain } from "../http/tlsProfile.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { TlsEnvironment, TlsServerEvidence } from "../tre/tlsEnvironment.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";
import { type Conversation, type ConversationAnswer, type ConversationRequest, ManagementError } from "./management.ts";

export interface ManagementSessionOptions {
  /** https: with the name that the H(e)MS's certificate must carry. */
  url: URL;
  /** Its addresses; the first that answers is used. */
  addresses: readonly string[];
  /** Our inner address, for the way through the tunnel (8.3.1); undefined leaves it to the system's routes. */
  localAddress: string | undefined;
  tre: TlsEnvironment;
  /** How its status is learnt: not at all, stapled, by asking the responder, or by asking where none is stapled (8.3.2.1-2). */
  status: "off" | "stapled" | "direct" | "either";
  /** Asks about a path, DER, root last; gives the status in words, or why the H(e)MS is refused. */
  askStatus(path: readonly Bytes[]): Promise<string | PeerRefusal>;
  conversation: Conversation;
  /** For a connection with its handshake, and for each answer. */
  answerWithin: Milliseconds;
  /** Ends the session from outside. */
  signal: AbortSignal;
}

/** How a session went that came to its end. */
export interface ManagementOutcome {
  address: string;
  tls: string;
  names: readonly string[];
  /** "in-band good", "OCSP good", "not checked". */
  ocsp: string;
  requests: number;
}

/** Throws ManagementError. */
export async function runManagementSession(options: ManagementSessionOptions): Promise<ManagementOutcome> {
  const { socket, address, stapled } = await connectToAny(options, await options.tre.secureContext());
  try {
    const { names, ocsp } = await verified(options, sentChain(socket), stapled);
    const tls = `${socket.getProtocol()} ${socket.getCipher().standardName}`;
    return { address, tls, names, ocsp, requests: await converse(options, socket) };
  } finally {
    socket.destroy();
  }
}

interface Connected {
  socket: TLSSocket;
  address: string;
  /** DER of the OCSP response that came along. */
  stapled: Bytes | undefined;
}

/** Another address is tried only where no connection came about: a refusal by one is not to be got round by another. */
async function connectToAny(options: ManagementSessionOptions, context: SecureContext): Promise<Connected> {
  let last: ManagementError | undefined;
  for (const address of options.addresses.slice(0, MAX_ADDRESSES)) {
    try {
      return await connectTo(address, options, context);
    } catch (error) {
      if (!(error instanceof ManagementError) || error.refusal.reason !== "HemsUnreachable") throw error;
      last = error;
    }
  }
  throw last ?? failed({ reason: "HemsUnreachable", message: `${options.url.hostname} has no address` });
}

function connectTo(
  address: string,
  { url, localAddress, status, answerWithin, signal }: ManagementSessionOptions,
  secureContext: SecureContext,
): Promise<Connected> {
  const { promise, resolve, reject } = Promise.withResolvers<Connected>();
  const name = hostOf(url);
  let stapled: Bytes | undefined;
  let reached = false;
  const socket = connect({
    host: address,
    port: url.port === "" ? 443 : Number(url.port),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(isIP(name) === 0 ? { servername: name } : {}),
    secureContext,
    // The TrE judges, when all has been received.
    rejectUnauthorized: false,
    requestOCSP: status === "stapled" || status === "either",
  });
  const fail = (refusal: PeerRefusal) => {
    socket.destroy();
    reject(failed(refusal));
  };
  const abort = () => fail({ reason: "HemsCancelled", message: "the session was ended before it was over" });
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  socket.once("close", () => signal.removeEventListener("abort", abort));
  socket.once("connect", () => {
    reached = true;
  });
  socket.on("OCSPResponse", (response: Bytes | null) => {
    stapled = response === null || response.length === 0 ? undefined : response;
  });
  const troubled = (problem: string) =>
    reached
      ? fail({ reason: "TlsHandshakeFailed", message: `no TLS with ${address}: ${problem}` })
      : fail({ reason: "HemsUnreachable", message: `${address} cannot be reached: ${problem}` });
  socket.on("error", (error) => troubled(error.message));
  socket.setTimeout(answerWithin, () => troubled(`no answer within ${answerWithin} ms`));
  socket.once("secureConnect", () => {
    socket.setTimeout(0);
    resolve({ socket, address, stapled });
  });
  return promise;
}

/** The TrE's verdict, and the responder's where it is to be asked; throws ManagementError for a refusal. */
async function verified(
  { url, tre, status, askStatus }: ManagementSessionOptions,
  certificates: readonly Bytes[],
  stapled: Bytes | undefined,
): Promise<TlsServerEvidence> {
  const name = hostOf(url);
  const verdict = await tre.verifyServer({
    certificates,
    stapled,
    stapling: STAPLING[status],
    connectedTo: isIP(name) === 0 ? { fqdn: name } : { address: name },
  });
  if (!verdict.valid) throw failed(verdict.refusal);
  const { evidence } = verdict;
  if (status === "off" || evidence.ocsp !== "not checked") return evidence;
  const ocsp = await askStatus(evidence.path);
  if (typeof ocsp !== "string") throw failed(ocsp);
  return { ...evidence, ocsp };
}

/** Asks and answers over the one connection that was verified; gives the number of requests. */
async function converse({ url, conversation, answerWithin, signal }: ManagementSessionOptions, socket: TLSSocket) {
  let unused = true;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = (_options, give) => {
    // Never another connection, which nobody would have judged.
    if (unused && !socket.destroyed) {
      unused = false;
      return socket;
    }
    give?.(new Error("the H(e)MS has ended the connection"), socket);
    return undefined;
  };
  let requests = 0;
  try {
    let request: ConversationRequest | undefined = conversation.begin();
    while (request !== undefined) {
      if (++requests > MAX_REQUESTS)
        throw failed({ reason: "HemsNeverEnds", message: `the session is not over after ${MAX_REQUESTS} requests` });
      const answer = await exchange(url, request, agent, AbortSignal.any([signal, AbortSignal.timeout(answerWithin)]));
      request = conversation.next(answer);
    }
    return requests;
  } finally {
    agent.destroy();
  }
}

function exchange(url: URL, { headers, body }: ConversationRequest, agent: Agent, signal: AbortSignal) {
  const { promise, resolve, reject } = Promise.withResolvers<ConversationAnswer>();
  const lost = (error: Error) =>
    reject(
      failed({
        reason: "HemsConnectionLost",
        message: `the H(e)MS gave no answer: ${error.message}; its log says whether it refused our certificate`,
      }),
    );
  const outgoing = httpRequest(
    {
      host: hostOf(url),
      port: url.port === "" ? 443 : url.port,
      path: `${url.pathname}${url.search}`,
      method: "POST",
      headers: { ...headers, host: url.host, "content-length": body.length },
      agent,
      signal,
    },
    (response) => {
      const parts: Bytes[] = [];
      let length = 0;
      response.on("data", (part: Bytes) => {
        parts.push(part);
        length += part.length;
        if (length <= MAX_ANSWER) return;
        reject(failed({ reason: "HemsAnswerTooLong", message: `the H(e)MS answers more than ${MAX_ANSWER} octets` }));
        response.destroy();
      });
      response.on("error", lost);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      );
    },
  );
  outgoing.on("error", lost);
  outgoing.end(body);
  return promise;
}

/** Without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "");
}

function failed(refusal: PeerRefusal): ManagementError {
  return new ManagementError(refusal);
}

const STAPLING = { off: "ignored", stapled: "required", direct: "ignored", either: "used" } as const;
const MAX_ADDRESSES = 8;
const MAX_REQUESTS = 1_000;
/** Octets. */
const MAX_ANSWER = 4 * 1024 * 1024;
