/** Asking an OCSP responder over HTTP: by POST, or by GET where caches may answer (RFC 6960 A.1, RFC 5019 5). */
import type { Bytes } from "../bytes/bytes.ts";
import type { FetchProblem } from "./fetching.ts";
import type { Ends, HttpExchanger, HttpLimits } from "./httpExchange.ts";
import type { Reach } from "./reach.ts";

/** `get` is for small requests that carry no nonce; others go by POST in any case. */
export type OcspMethod = "get" | "post";

export type OcspFetched = { ok: true; der: Bytes } | { ok: false; problem: FetchProblem };

/** How a responder may be reached. */
export interface Way {
  ends?: Ends;
  /** Where a certificate named it. */
  reach?: Reach;
}

/** Brings a request to a responder; never rejects. */
export interface OcspTransport {
  ask(url: string, request: Bytes, method: OcspMethod, way?: Way): Promise<OcspFetched>;
}

export class HttpOcspTransport implements OcspTransport {
  readonly #exchanger: HttpExchanger;
  readonly #limits: HttpLimits;

  constructor(exchanger: HttpExchanger, limits: HttpLimits) {
    this.#exchanger = exchanger;
    this.#limits = limits;
  }

  async ask(url: string, request: Bytes, method: OcspMethod, way: Way = {}): Promise<OcspFetched> {
    const get = method === "get" ? urlOf(url, request) : undefined;
    const headers = { accept: "application/ocsp-response" };
    const answer = await this.#exchanger.exchange(
      get === undefined
        ? {
            url,
            method: "POST",
            headers: { ...headers, "content-type": "application/ocsp-request" },
            body: request,
            ...way,
          }
        : { url: get, method: "GET", headers, ...way },
      this.#limits,
    );
    if (!answer.ok) return answer;
    if (answer.status !== 200) return { ok: false, problem: { reason: "BadStatus", status: answer.status } };
    const type = (answer.headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase();
    if (type !== "application/ocsp-response")
      return { ok: false, problem: { reason: "BadContentType", type: type.slice(0, 80) } };
    return { ok: true, der: Buffer.concat(answer.segments) };
  }
}

/** What one query may cost; `timeMs` milliseconds for everything. */
export function ocspLimits(timeMs: number): HttpLimits {
  return { timeMs, maxBytes: MAX_RESPONSE, maxRedirects: 0 };
}

/**
 * The request in base64, URL-encoded, as one more segment; undefined if that gets longer than RFC 5019 5 allows, or if
 * something stands behind the path.
 */
function urlOf(url: string, request: Bytes): string | undefined {
  if (/[?#]/.test(url)) return undefined;
  const whole = `${url.replace(/\/$/, "")}/${encodeURIComponent(request.toString("base64"))}`;
  return whole.length <= MAX_GET ? whole : undefined;
}

/** Octets of an OCSP response: the signer's certificate and perhaps its path are in it. */
const MAX_RESPONSE = 65_536;
/** Octets of an address with a request in it. */
const MAX_GET = 255;
