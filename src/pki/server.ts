/** OCSP, CRLs and CA certificates over HTTP (RFC 6960 A, RFC 5019 5 and 6, RFC 5280 4.2.1.13). */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Bytes } from "../bytes/bytes.ts";
import { type BoundedServer, type Listen, listenBounded, readBody } from "../http/boundedServer.ts";
import { sendCacheable } from "../http/cacheable.ts";
import type { Clock } from "../sim/environment.ts";
import { CRL_REFRESH, type Pki } from "./authority.ts";
import { OcspResponder } from "./ocspResponder.ts";

export type PkiServer = BoundedServer;

/** Serves until closed: POST and GET of OCSP, /crl/<ca>.crl and /ca/<ca>.crt. */
export function servePki(pki: Pki, listen: Listen, clock: Clock): Promise<PkiServer> {
  const responder = new OcspResponder(pki, clock);
  return listenBounded(listen, (request, response) => handle(request, response, { pki, responder, clock }));
}

interface Serving {
  pki: Pki;
  responder: OcspResponder;
  clock: Clock;
}

function handle(request: IncomingMessage, response: ServerResponse, serving: Serving): void | Promise<void> {
  const { pki, clock } = serving;
  if (request.method === "POST") return answerPost(request, response, serving);
  if (request.method !== "GET" && request.method !== "HEAD")
    return say(response, 405, "use GET, HEAD or POST", { allow: "GET, HEAD, POST" });
  const path = (request.url ?? "/").split("?")[0]!;
  const [, kind, name] = /^\/(crl|ca)\/([a-z0-9-]+)\.(?:crl|crt)$/.exec(path) ?? [];
  if (kind !== undefined && name !== undefined && pki.caNames().includes(name)) {
    const now = clock.now();
    if (kind === "ca") {
      const { der, notBefore } = pki.ca(name);
      const type = "application/pkix-cert";
      const cacheable = { body: der, type, etag: etagOf(der), lastModified: notBefore, expires: now + CRL_REFRESH };
      return sendCacheable(request, response, cacheable, now);
    }
    const { der, madeAt } = pki.currentCrl(name);
    const type = "application/pkix-crl";
    const cacheable = { body: der, type, etag: etagOf(der), lastModified: madeAt, expires: madeAt + CRL_REFRESH };
    return sendCacheable(request, response, cacheable, now);
  }
  const asked = ocspRequestInPath(path);
  if (asked === undefined) return say(response, 404, "nothing here: OCSP by GET or POST, /crl/<ca>.crl, /ca/<ca>.crt");
  answerOcsp(request, response, asked, serving);
}

async function answerPost(request: IncomingMessage, response: ServerResponse, serving: Serving): Promise<void> {
  const body = await readBody(request, MAX_REQUEST);
  if (body === undefined) return say(response, 413, `an OCSP request has at most ${MAX_REQUEST} octets here`);
  answerOcsp(request, response, body, serving);
}

function answerOcsp(request: IncomingMessage, response: ServerResponse, asked: Bytes, serving: Serving): void {
  const answer = serving.responder.answer(asked);
  const type = "application/ocsp-response";
  if (answer.kind === "preProduced") {
    const { der, etag, thisUpdate, nextUpdate } = answer;
    const cacheable = { body: der, type, etag, lastModified: thisUpdate, expires: nextUpdate };
    return sendCacheable(request, response, cacheable, serving.clock.now());
  }
  // RFC 5019 6.2: no-store is for what is no answer.
  const cacheControl = answer.kind === "live" ? "max-age=0, must-revalidate" : "no-store";
  response.writeHead(200, {
    "content-type": type,
    "content-length": answer.der.length,
    "cache-control": cacheControl,
  });
  response.end(request.method === "HEAD" ? undefined : answer.der);
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

function etagOf(body: Bytes): string {
  return `"${createHash("sha1").update(body).digest("hex")}"`;
}

/** Octets of an OCSP request; one certificate takes about a hundred. */
const MAX_REQUEST = 8192;
