/** Asks an OCSP responder over HTTP (RFC 6960 A.1), with a time limit and a size limit. */
import { request as httpRequest } from "node:http";
import type { Bytes } from "../bytes/bytes.ts";

/** A responder that could not be reached or answered no OCSP. */
export class OcspFetchError extends Error {
  override readonly name = "OcspFetchError";
}

export interface OcspFetchLimits {
  /** Milliseconds for everything. */
  timeout: number;
  /** Octets of a response. */
  maxBytes: number;
}

const OCSP_FETCH_LIMITS: OcspFetchLimits = { timeout: 5_000, maxBytes: 65_536 };

/**
 * How to ask: GET lets HTTP caches answer, and is for requests of up to 255 octets with their base64 (RFC 5019 5);
 * longer ones are posted whatever is said here.
 */
export type OcspMethod = "GET" | "POST";

/** Sends a DER request and gives the DER response; throws OcspFetchError. Redirections are not followed. */
export function fetchOcsp(
  url: string,
  request: Bytes,
  limits: OcspFetchLimits = OCSP_FETCH_LIMITS,
  method: OcspMethod = "POST",
): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    const fail = (problem: string) => reject(new OcspFetchError(`OCSP responder ${url}: ${problem}`));
    const target = URL.parse(url);
    if (target === null) return fail("not a URL");
    // OCSP responses are signed, so that plain HTTP is what responders speak (RFC 6960 A).
    if (target.protocol !== "http:") return fail("only http: is asked");
    const inPath = `${target.pathname.replace(/\/$/, "")}/${encodeURIComponent(request.toString("base64"))}`;
    const asGet = method === "GET" && target.search === "" && inPath.length <= MAX_GET;
    const accept = "application/ocsp-response";
    const signal = AbortSignal.timeout(limits.timeout);
    const outgoing = asGet
      ? httpRequest(target, { method: "GET", path: inPath, headers: { accept }, signal })
      : httpRequest(target, {
          method: "POST",
          headers: { "content-type": "application/ocsp-request", "content-length": request.length, accept },
          signal,
        });
    outgoing.on("error", (error) =>
      fail(
        error.name === "TimeoutError" || error.name === "AbortError"
          ? `no answer within ${limits.timeout} ms`
          : error.message,
      ),
    );
    outgoing.on("response", (incoming) => {
      // What is not read to its end is not read on: the body may be endless.
      const refuse = (problem: string) => {
        fail(problem);
        incoming.destroy();
      };
      if (incoming.statusCode !== 200) return refuse(`HTTP status ${incoming.statusCode}`);
      const type = incoming.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
      if (type !== accept) return refuse(`answers ${type ?? "without a content type"} instead of ${accept}`);
      const parts: Bytes[] = [];
      let length = 0;
      incoming.on("data", (part: Bytes) => {
        length += part.length;
        if (length > limits.maxBytes) refuse(`answers more than ${limits.maxBytes} octets`);
        else parts.push(part);
      });
      incoming.on("error", (error) => fail(error.message));
      incoming.on("end", () => resolve(Buffer.concat(parts)));
    });
    outgoing.end(asGet ? undefined : request);
  });
}

/** Octets of the path of a GET (RFC 5019 5). */
const MAX_GET = 255;
