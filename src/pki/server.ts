/** OCSP, CRLs and CA certificates over HTTP (RFC 6960 A, RFC 5019 5, RFC 5280 4.2.1.13). */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Bytes } from "../bytes/bytes.ts";
import type { Clock } from "../sim/environment.ts";
import { CA_NAMES, type CaName, type Pki } from "./authority.ts";
import { OcspResponder } from "./ocspResponder.ts";

export interface PkiServer {
  /** Where it listens; the port that the system chose where 0 was asked for. */
  address: string;
  port: number;
  close(): Promise<void>;
}

/** Serves until closed: POST and GET of OCSP at any path, /crl/<ca>.crl and /ca/<ca>.crt. */
export async function servePki(pki: Pki, listen: { address: string; port: number }, clock: Clock): Promise<PkiServer> {
  const responder = new OcspResponder(pki, clock);
  const crls = new Map<CaName, { der: Bytes; revision: number; until: number }>();
  const server = createServer((request, response) => {
    void handle(request, response, pki, responder, crls, clock).catch(() => {
      // The client went away or misbehaved; there is nobody left to tell.
      response.destroy();
    });
  });
  // Slow and idle clients hold a connection, not the responder.
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  server.keepAliveTimeout = 15_000;
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.address, resolve);
  });
  const { address, port } = server.address() as AddressInfo;
  return { address, port, close: () => closeServer(server) };
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  pki: Pki,
  responder: OcspResponder,
  crls: Map<CaName, { der: Bytes; revision: number; until: number }>,
  clock: Clock,
): Promise<void> {
  const path = request.url ?? "/";
  if (request.method === "POST") {
    const body = await readBody(request, response);
    if (body !== undefined) sendOcsp(response, responder.answer(body), clock);
    return;
  }
  if (request.method !== "GET" && request.method !== "HEAD")
    return send(response, 405, "text/plain", Buffer.from("use GET or POST\n"));
  const crl = /^\/crl\/([a-z-]+)\.crl$/.exec(path)?.[1];
  if (crl !== undefined && isCa(crl)) return sendCrl(response, pki, crl, crls, clock);
  const ca = /^\/ca\/([a-z-]+)\.crt$/.exec(path)?.[1];
  if (ca !== undefined && isCa(ca)) return send(response, 200, "application/pkix-cert", pki.ca(ca).der);
  const inPath = ocspRequestInPath(path);
  if (inPath === undefined)
    return send(
      response,
      404,
      "text/plain",
      Buffer.from("nothing here: OCSP by GET or POST, /crl/<ca>.crl, /ca/<ca>.crt\n"),
    );
  sendOcsp(response, responder.answer(inPath), clock);
}

/** RFC 6960 A.1: the request in base64, URL-encoded, as the last part of the path. */
function ocspRequestInPath(path: string): Bytes | undefined {
  if (path.length > MAX_REQUEST * 2) return undefined;
  try {
    const text = decodeURIComponent(path.replace(/^\/(ocsp\/)?/, ""));
    return /^[A-Za-z0-9+/]{16,}={0,2}$/.test(text) ? Buffer.from(text, "base64") : undefined;
  } catch {
    return undefined;
  }
}

async function readBody(request: IncomingMessage, response: ServerResponse): Promise<Bytes | undefined> {
  const parts: Bytes[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Bytes>) {
    length += part.length;
    if (length > MAX_REQUEST) {
      send(response, 413, "text/plain", Buffer.from(`an OCSP request has at most ${MAX_REQUEST} octets here\n`));
      return undefined;
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function sendOcsp(
  response: ServerResponse,
  answer: { der: Bytes; cacheUntil: number | undefined },
  clock: Clock,
): void {
  const headers: Record<string, string> = { "cache-control": "no-store" };
  if (answer.cacheUntil !== undefined) {
    // RFC 5019 6.2.
    headers["cache-control"] =
      `max-age=${Math.max(0, Math.floor((answer.cacheUntil - clock.now()) / 1000))}, public, no-transform, must-revalidate`;
    headers.expires = new Date(answer.cacheUntil).toUTCString();
    headers.etag = `"${createHash("sha1").update(answer.der).digest("hex")}"`;
  }
  send(response, 200, "application/ocsp-response", answer.der, headers);
}

function sendCrl(
  response: ServerResponse,
  pki: Pki,
  ca: CaName,
  crls: Map<CaName, { der: Bytes; revision: number; until: number }>,
  clock: Clock,
): void {
  const now = clock.now();
  let known = crls.get(ca);
  if (known === undefined || known.until <= now || known.revision !== pki.revision) {
    const der = pki.crl(ca);
    // Making it counts up the CRL number, which is a write of its own.
    known = { der, revision: pki.revision, until: now + CRL_REFRESH };
    crls.set(ca, known);
  }
  send(response, 200, "application/pkix-crl", known.der, {
    "cache-control": `max-age=${Math.floor(CRL_REFRESH / 1000)}`,
  });
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: Bytes,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": type, "content-length": String(body.length), ...headers });
  response.end(response.req.method === "HEAD" ? undefined : body);
}

async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function isCa(name: string): name is CaName {
  return (CA_NAMES as readonly string[]).includes(name);
}

/** Octets of an OCSP request; one certificate takes about a hundred. */
const MAX_REQUEST = 8192;
const MAX_CONNECTIONS = 1000;
/** Milliseconds after which a CRL without changes is made anew. */
const CRL_REFRESH = 3600_000;
