/** Answers that HTTP caches may keep, and 304 for who has them already (RFC 9110 8.8, 13; RFC 9111; RFC 5019 6.2). */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Bytes } from "../bytes/bytes.ts";
import type { Milliseconds } from "../sim/environment.ts";

/** A body and how long it is good. */
export interface Cacheable {
  body: Bytes;
  type: string;
  /** With its quotes. */
  etag: string;
  lastModified: Milliseconds;
  /** When a cache must ask again. */
  expires: Milliseconds;
}

/** Answers GET, HEAD or POST; a condition in a GET or HEAD that the client's copy meets is answered with 304. */
export function sendCacheable(
  request: IncomingMessage,
  response: ServerResponse,
  { body, type, etag, lastModified, expires }: Cacheable,
  now: Milliseconds,
): void {
  const headers: OutgoingHttpHeaders = {
    "cache-control": `max-age=${Math.max(0, Math.floor((expires - now) / 1000))}, public, no-transform, must-revalidate`,
    "last-modified": new Date(lastModified).toUTCString(),
    expires: new Date(expires).toUTCString(),
    etag,
  };
  if (request.method !== "POST" && isCurrent(request, etag, lastModified)) {
    response.writeHead(304, headers).end();
    return;
  }
  headers["content-type"] = type;
  headers["content-length"] = body.length;
  response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : body);
}

/** RFC 9110 13.2.2: If-Modified-Since counts only without If-None-Match. */
function isCurrent({ headers }: IncomingMessage, etag: string, lastModified: Milliseconds): boolean {
  const tags = headers["if-none-match"];
  if (tags !== undefined)
    return tags.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag);
  const since = Date.parse(headers["if-modified-since"] ?? "");
  return since >= Math.floor(lastModified / 1000) * 1000;
}
