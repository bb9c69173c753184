/** Fetching CRLs by HTTP and from files, and choosing who fetches by the scheme of the address. */
import { open } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Fetched, Fetcher, Validators } from "./fetching.ts";
import type { HttpExchanger, HttpLimits } from "./httpExchange.ts";
import type { Reach } from "./reach.ts";

/** Hands each address to the fetcher of its scheme ("http:"). */
export class FetcherByScheme implements Fetcher {
  readonly #fetchers: Readonly<Record<string, Fetcher>>;

  constructor(fetchers: Readonly<Record<string, Fetcher>>) {
    this.#fetchers = fetchers;
  }

  async fetch(url: string, validators: Validators, reach?: Reach): Promise<Fetched> {
    const protocol = URL.parse(url)?.protocol;
    const fetcher = protocol === undefined ? undefined : this.#fetchers[protocol];
    return fetcher === undefined
      ? { kind: "failed", problem: { reason: "BadUrl" } }
      : fetcher.fetch(url, validators, reach);
  }
}

/** By HTTP, asking only for what changed (RFC 9110 13.1.2, 13.1.3). */
export class HttpCrlFetcher implements Fetcher {
  readonly #exchanger: HttpExchanger;
  readonly #limits: HttpLimits;

  constructor(exchanger: HttpExchanger, limits: HttpLimits) {
    this.#exchanger = exchanger;
    this.#limits = limits;
  }

  async fetch(url: string, { etag, lastModified }: Validators, reach?: Reach): Promise<Fetched> {
    const headers: Record<string, string> = { accept: "application/pkix-crl, */*;q=0.5" };
    if (etag !== undefined) headers["if-none-match"] = etag;
    if (lastModified !== undefined) headers["if-modified-since"] = lastModified;
    const answer = await this.#exchanger.exchange(
      { url, method: "GET", headers, ...(reach === undefined ? {} : { reach }) },
      this.#limits,
    );
    if (!answer.ok) return { kind: "failed", problem: answer.problem };
    if (answer.status === 304) return { kind: "unchanged" };
    const given: Validators = {};
    if (isShort(answer.headers.etag)) given.etag = answer.headers.etag;
    if (isShort(answer.headers["last-modified"])) given.lastModified = answer.headers["last-modified"];
    return { kind: "content", segments: answer.segments, validators: given };
  }
}

/** From a file, which some other program keeps up to date; looked at again when its time or size changed. */
export class FileCrlFetcher implements Fetcher {
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  async fetch(url: string, validators: Validators): Promise<Fetched> {
    try {
      await using file = await open(fileURLToPath(url));
      const { size, mtimeMs, ino } = await file.stat();
      if (size > this.#maxBytes) return { kind: "failed", problem: { reason: "TooLarge", limit: this.#maxBytes } };
      const etag = `${ino}-${size}-${mtimeMs}`;
      if (etag === validators.etag) return { kind: "unchanged" };
      const whole = Buffer.allocUnsafeSlow(size);
      let received = 0;
      while (received < size) {
        const { bytesRead } = await file.read(whole, received);
        if (bytesRead === 0) return { kind: "failed", problem: { reason: "Truncated", expected: size, received } };
        received += bytesRead;
      }
      return { kind: "content", segments: [whole], validators: { etag } };
    } catch (error) {
      return {
        kind: "failed",
        problem: { reason: "Unreachable", detail: error instanceof Error ? error.message : String(error) },
      };
    }
  }
}

/** What a server gives as a validator is kept and sent back; it need not be long. */
function isShort(text: string | undefined): text is string {
  return text !== undefined && text.length <= MAX_VALIDATOR;
}

const MAX_VALIDATOR = 256;
