/** Answers that HTTP caches may keep, and 304 for who has them already (RFC 9110 8.8, 13; RFC 9111; RFC 5019 6.2). */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Bytes } from "../bytes/bytes.ts";
import type { Milliseconds } from "../sim/environment.ts";
import { endShort } from "./boundedServer.ts";

/** A body and how long it is good; the same object where the same is sent again. */
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
  cacheable: Cacheable,
  now: Milliseconds,
): void {
  const headers = headersOf(cacheable, now);
  if (request.method !== "POST" && isCurrent(request, cacheable)) {
    response.writeHead(304, headers.withoutContent).end();
    return;
  }
  response.writeHead(200, headers.whole);
  if (request.method === "HEAD") response.end();
  else if (cacheable.body.length <= SHORT) endShort(response, cacheable.body);
  else response.end(cacheable.body);
}

interface Headers {
  second: number;
  /** Names and values in turn. */
  whole: string[];
  withoutContent: string[];
}

/** Made once a second: writing dates takes longer than finding the answer. */
function headersOf(cacheable: Cacheable, now: Milliseconds): Headers {
  const second = Math.floor(now / 1000);
  const known = HEADERS.get(cacheable);
  if (known?.second === second) return known;
  const { body, type, etag, lastModified, expires } = cacheable;
  const age = Math.max(0, Math.floor((expires - now) / 1000));
  const withoutContent = [
    ...["Cache-Control", `max-age=${age}, public, no-transform, must-revalidate`],
    ...["Last-Modified", new Date(lastModified).toUTCString()],
    ...["Expires", new Date(expires).toUTCString()],
    ...["ETag", etag],
  ];
  const whole = [...withoutContent, "Content-Type", type, "Content-Length", String(body.length)];
  const made = { second, whole, withoutContent };
  HEADERS.set(cacheable, made);
  return made;
}

/** RFC 9110 13.2.2: If-Modified-Since counts only without If-None-Match. */
function isCurrent({ headers }: IncomingMessage, { etag, lastModified }: Cacheable): boolean {
  const tags = headers["if-none-match"];
  if (tags !== undefined)
    return tags.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag);
  const since = Date.parse(headers["if-modified-since"] ?? "");
  return since >= Math.floor(lastModified / 1000) * 1000;
}

/** Octets of a body that is better copied than written by itself. */
const SHORT = 8192;
const HEADERS = new WeakMap<Cacheable, Headers>();
