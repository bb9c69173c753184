/** OCSP, CRLs and CA certificates over HTTP (RFC 6960 A, RFC 5019 5 and 6, RFC 5280 4.2.1.13). */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Bytes } from "../bytes/bytes.ts";
import { type BoundedServer, endShort, type Listen, listenBounded, readBody } from "../http/boundedServer.ts";
import { type Cacheable, sendCacheable } from "../http/cacheable.ts";
import type { Clock, Milliseconds } from "../sim/environment.ts";
import type { Pki } from "./authority.ts";
import { PkiError } from "./error.ts";
import { type ForeignCrlSource, nextUpdateOf } from "./foreignCrls.ts";
import { type OcspAnswer, OcspResponder } from "./ocspResponder.ts";
import { preSign } from "./preSigner.ts";

export type PkiServer = BoundedServer;

export interface PkiServerOptions {
  /** CRLs of foreign CAs; without them nothing is known of their certificates. */
  foreign?: ForeignCrlSource;
  /** From thisUpdate to nextUpdate of OCSP responses, and so how long caches may keep them. */
  ocspLife?: Milliseconds | undefined;
  /** Hears of failures that are not a client's. */
  onFailure?: (error: unknown) => void;
}

/** Serves until closed: POST and GET of OCSP, /crl/<ca>.crl and /ca/<ca>.crt; of foreign CAs by their CRLs. */
export async function servePki(
  pki: Pki,
  listen: Listen,
  clock: Clock,
  { foreign, ocspLife, onFailure }: PkiServerOptions = {},
): Promise<PkiServer> {
  const responder = new OcspResponder(pki, clock, ocspLife, foreign);
  const serving = { pki, responder, clock, foreign };
  const server = await listenBounded(
    listen,
    (request, response) => handle(request, response, serving),
    undefined,
    onFailure,
  );
  const closing = new AbortController();
  const preSigning = preSign(pki, responder, closing.signal);
  return {
    ...server,
    async close() {
      closing.abort();
      await Promise.all([server.close(), preSigning]);
    },
  };
}

interface Serving {
  pki: Pki;
  responder: OcspResponder;
  clock: Clock;
  foreign: ForeignCrlSource | undefined;
}

function handle(request: IncomingMessage, response: ServerResponse, serving: Serving): void | Promise<void> {
  const { clock } = serving;
  if (request.method === "POST") return answerPost(request, response, serving);
  if (request.method !== "GET" && request.method !== "HEAD")
    return say(response, 405, "use GET, HEAD or POST", { allow: "GET, HEAD, POST" });
  const path = (request.url ?? "/").split("?")[0]!;
  const isFile = path.endsWith(".crl") || path.endsWith(".crt");
  const cacheable = isFile ? (crlAt(path, serving) ?? caCertificateAt(path, serving)) : undefined;
  if (cacheable !== undefined) return sendCacheable(request, response, cacheable, clock.now());
  const asked = ocspRequestInPath(path);
  if (asked === undefined)
    return say(response, 404, "nothing here: OCSP by GET or POST, /crl/<ca>.crl and as certificates say, /ca/<ca>.crt");
  return answerOcsp(request, response, asked, serving);
}

/** /crl/<ca>.crl, /crl/<ca>/<shard>.crl, and .delta.crl of both; a foreign CA's as it came. */
function crlAt(path: string, { pki, foreign }: Serving): Cacheable | undefined {
  const [, ca, shard, delta] = /^\/crl\/([a-z0-9-]+)(?:\/(\d{1,4}))?(\.delta)?\.crl$/.exec(path) ?? [];
  if (ca === undefined) return undefined;
  const type = "application/pkix-crl";
  try {
    const authority = pki.authority(ca);
    if (authority.kind === "foreign") {
      const crl = shard === undefined && delta === undefined ? foreign?.crlOf(authority)?.crl : undefined;
      if (crl === undefined) return undefined;
      return { body: crl.der, type, etag: etagOf(crl.der), lastModified: crl.thisUpdate, expires: nextUpdateOf(crl) };
    }
    const scope = { ca, shard: shard === undefined ? undefined : Number(shard) };
    const { der, madeAt, refreshAt } = pki.currentCrl(scope, delta === undefined ? "complete" : "delta");
    return { body: der, type, etag: etagOf(der), lastModified: madeAt, expires: refreshAt };
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}

function caCertificateAt(path: string, { pki, clock }: Serving): Cacheable | undefined {
  const [, ca] = /^\/ca\/([a-z0-9-]+)\.crt$/.exec(path) ?? [];
  if (ca === undefined || !pki.caNames().includes(ca)) return undefined;
  const { der, notBefore } = pki.ca(ca);
  const expires = clock.now() + CERTIFICATE_CACHING;
  return { body: der, type: "application/pkix-cert", etag: etagOf(der), lastModified: notBefore, expires };
}

async function answerPost(request: IncomingMessage, response: ServerResponse, serving: Serving): Promise<void> {
  const body = await readBody(request, MAX_REQUEST);
  if (body === undefined) return say(response, 413, `an OCSP request has at most ${MAX_REQUEST} octets here`);
  return answerOcsp(request, response, body, serving);
}

function answerOcsp(
  request: IncomingMessage,
  response: ServerResponse,
  asked: Bytes,
  serving: Serving,
): void | Promise<void> {
  const answer = serving.responder.answerSoon(asked);
  if (answer instanceof Promise) return answer.then((signed) => sendOcsp(request, response, signed, serving));
  sendOcsp(request, response, answer, serving);
}

function sendOcsp(request: IncomingMessage, response: ServerResponse, answer: OcspAnswer, { clock }: Serving): void {
  const type = "application/ocsp-response";
  if (answer.kind === "preProduced") return sendCacheable(request, response, cacheableOf(answer, type), clock.now());
  // RFC 5019 6.2: no-store is for what is no answer.
  const cacheControl = answer.kind === "live" ? "max-age=0, must-revalidate" : "no-store";
  response.writeHead(200, {
    "content-type": type,
    "content-length": answer.der.length,
    "cache-control": cacheControl,
  });
  if (request.method === "HEAD") response.end();
  else endShort(response, answer.der);
}

/** One for each answer, however often it goes out. */
function cacheableOf(answer: Extract<OcspAnswer, { kind: "preProduced" }>, type: string): Cacheable {
  let cacheable = CACHEABLES.get(answer);
  if (cacheable === undefined) {
    const { der, etag, producedAt, nextUpdate } = answer;
    cacheable = { body: der, type, etag, lastModified: producedAt, expires: nextUpdate };
    CACHEABLES.set(answer, cacheable);
  }
  return cacheable;
}

/** RFC 6960 A.1: the request in base64, URL-encoded, behind whatever path the responder's URL has. */
function ocspRequestInPath(path: string): Bytes | undefined {
  if (path.length > MAX_REQUEST * 2) return undefined;
  try {
    // Some clients leave the slashes of base64 as they are. A SEQUENCE of 128 octets and more begins with "MI".
    const [, text] = /\/(M[A-Za-z0-9+/]{15,}={0,2})$/.exec(decodeURIComponent(path)) ?? [];
    return text === undefined ? undefined : Buffer.from(text, "base64");
  } catch {
    return undefined;
  }
}

function say(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  const body = `${text}\n`;
  response.writeHead(status, { "content-type": "text/plain", "content-length": Buffer.byteLength(body), ...headers });
  response.end(response.req.method === "HEAD" ? undefined : body);
}

/** Taken once for each body, which may be a long CRL. */
function etagOf(body: Bytes): string {
  let etag = ETAGS.get(body);
  if (etag === undefined) {
    etag = `"${createHash("sha1").update(body).digest("hex")}"`;
    ETAGS.set(body, etag);
  }
  return etag;
}

const CACHEABLES = new WeakMap<OcspAnswer, Cacheable>();
const ETAGS = new WeakMap<Bytes, string>();

/** Octets of an OCSP request; one certificate takes about a hundred. */
const MAX_REQUEST = 8192;
/** Milliseconds for which a CA's certificate, which does not change, need not be asked for again. */
const CERTIFICATE_CACHING = 3600_000;
