/**
 * The thread that reads one CRL from a directory (RFC 4516, RFC 4523, TS 33.310), with ldapts as the client.
 *
 * A thread of its own that is ended when the time is over, because the client has no defence against a server that
 * means harm: a malformed entry keeps ldapts 9.2.0 in a loop for ever, where no timer fires. LDAP is spoken in the
 * clear, so whoever is on the way could do that to a gateway.
 */
import { isIP, Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { Client } from "ldapts";
import type { FetchProblem } from "./fetching.ts";
import type { LdapUrl } from "./ldapUrl.ts";
import { AddressRefused, isWithin, lookupWithin, type Reach } from "./reach.ts";

export interface LdapJob {
  url: LdapUrl;
  /** Where a certificate named the address. */
  reach: Reach | undefined;
  timeMs: number;
  maxBytes: number;
}

export type LdapOutcome = { ok: true; der: Uint8Array<ArrayBuffer> } | { ok: false; problem: FetchProblem };

/**
 * Gives the client whole LDAP messages only (RFC 4511 5.1). It joins all it has at each piece that arrives, which takes
 * quadratic time over a large CRL, and has no limit.
 */
class MessageSocket extends Socket {
  readonly #maxBytes: number;
  #header = Buffer.alloc(0);
  #message: Buffer | undefined;
  #filled = 0;

  constructor(maxBytes: number) {
    super();
    this.#maxBytes = maxBytes;
  }

  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (chunk === null) return super.push(chunk, encoding);
    for (let rest = chunk; rest.length > 0; ) {
      if (this.#message === undefined) {
        this.#header = Buffer.concat([this.#header, rest]);
        const length = messageLength(this.#header);
        if (length === undefined) return true;
        if (length > this.#maxBytes) {
          const what = Number.isFinite(length) ? `an LDAP message of ${length} octets` : "something that is no LDAP";
          this.destroy(new Error(`${what}; at most ${this.#maxBytes} octets are read`));
          return false;
        }
        this.#message = Buffer.allocUnsafeSlow(length);
        rest = this.#header;
        this.#header = Buffer.alloc(0);
        this.#filled = 0;
      }
      const copied = rest.copy(this.#message, this.#filled);
      this.#filled += copied;
      rest = rest.subarray(copied);
      if (this.#filled === this.#message.length) {
        super.push(this.#message);
        this.#message = undefined;
      }
    }
    return true;
  }
}

/** Octets of the message that begins here; undefined where its header is not whole, infinite where it is none. */
function messageLength(bytes: Buffer): number | undefined {
  const first = bytes[1];
  if (bytes[0] !== SEQUENCE) return Number.POSITIVE_INFINITY;
  if (first === undefined) return undefined;
  if (first < 0x80) return 2 + first;
  const octets = first & 0x7f;
  if (octets < 1 || octets > 4) return Number.POSITIVE_INFINITY;
  if (bytes.length < 2 + octets) return undefined;
  return 2 + octets + bytes.readUIntBE(2, octets);
}

async function fetchByLdap({ url, reach, timeMs, maxBytes }: LdapJob): Promise<LdapOutcome> {
  const { host, port, dn, attribute } = url;
  if (reach !== undefined && isIP(host) !== 0 && !isWithin(host, reach))
    return { ok: false, problem: { reason: "AddressRefused", address: host } };
  const lookup = reach === undefined ? {} : { lookup: lookupWithin(reach) };
  const client = new Client({
    url: `ldap://${host.includes(":") ? `[${host}]` : host}:${port}`,
    timeout: timeMs,
    connectTimeout: timeMs,
    createConnection: () => new MessageSocket(maxBytes).connect({ host, port, ...lookup }),
  });
  try {
    const { searchEntries } = await client.search(dn, {
      scope: "base",
      attributes: [attribute],
      explicitBufferAttributes: [attribute],
      sizeLimit: 1,
    });
    // A server may name the attribute in its own way ("certificateRevocationList" for ";binary").
    const values = Object.entries(searchEntries[0] ?? {})
      .filter(([name]) => name !== "dn")
      .flatMap(([, value]) => value);
    const [der] = values.filter((value): value is Buffer => Buffer.isBuffer(value) && value.length > 0);
    if (der === undefined)
      return { ok: false, problem: { reason: "NoSuchEntry", detail: `"${dn}" has no ${attribute}` } };
    const own = new Uint8Array(der.length);
    own.set(der);
    return { ok: true, der: own };
  } catch (error) {
    if (error instanceof AddressRefused)
      return { ok: false, problem: { reason: "AddressRefused", address: error.address } };
    const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const reason = error instanceof Error && error.name === "NoSuchObjectError" ? "NoSuchEntry" : "Unreachable";
    return { ok: false, problem: { reason, detail: detail.trim().replace(/\s+/g, " ") } };
  } finally {
    await client.unbind().catch(() => undefined);
  }
}

/** What every LDAP message begins with. */
const SEQUENCE = 0x30;

const outcome = await fetchByLdap(workerData as LdapJob);
parentPort?.postMessage(outcome, outcome.ok ? [outcome.der.buffer] : []);
