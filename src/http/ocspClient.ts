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

export const OCSP_FETCH_LIMITS: OcspFetchLimits = { timeout: 5_000, maxBytes: 65_536 };

/** POSTs a DER request and gives the DER response; throws OcspFetchError. Redirections are not followed. */
export function fetchOcsp(url: string, request: Bytes, limits: OcspFetchLimits = OCSP_FETCH_LIMITS): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    const fail = (problem: string) => reject(new OcspFetchError(`OCSP responder ${url}: ${problem}`));
    let target: URL;
    try {
      target = new URL(url);
    } catch {
      return fail("not a URL");
    }
    // OCSP responses are signed, so that plain HTTP is what responders speak (RFC 6960 A).
    if (target.protocol !== "http:") return fail("only http: is asked");
    const outgoing = httpRequest(target, {
      method: "POST",
      headers: {
        "content-type": "application/ocsp-request",
        "content-length": String(request.length),
        accept: "application/ocsp-response",
      },
      signal: AbortSignal.timeout(limits.timeout),
    });
    outgoing.on("error", (error) =>
      fail(
        error.name === "TimeoutError" || error.name === "AbortError"
          ? `no answer within ${limits.timeout} ms`
          : error.message,
      ),
    );
    outgoing.on("response", (incoming) => {
      if (incoming.statusCode !== 200) {
        incoming.resume();
        return fail(`HTTP status ${incoming.statusCode}`);
      }
      const type = incoming.headers["content-type"]?.split(";")[0]?.trim();
      if (type !== "application/ocsp-response") {
        incoming.destroy();
        return fail(`answers ${type ?? "without a content type"} instead of application/ocsp-response`);
      }
      const parts: Bytes[] = [];
      let length = 0;
      incoming.on("data", (part: Bytes) => {
        length += part.length;
        if (length > limits.maxBytes) {
          incoming.destroy();
          fail(`answers more than ${limits.maxBytes} octets`);
        } else parts.push(part);
      });
      incoming.on("error", (error) => fail(error.message));
      incoming.on("end", () => resolve(Buffer.concat(parts)));
    });
    outgoing.end(request);
  });
}
