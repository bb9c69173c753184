/**
 * Certificate and CertificateStatus messages of TLS handshakes up to version 1.2 (RFC 5246 7.4.2, RFC 6066 8), seen in
 * captured TCP segments. In TLS 1.3 both are encrypted, and nothing is found.
 */
import { type Bytes, copyOf, EMPTY } from "../../bytes/bytes.ts";
import { DecodeError, Reader } from "../../bytes/reader.ts";
import type { TransportPacket } from "../../observe/transportPacket.ts";
import type { Presented } from "./capturedMaterial.ts";

interface Stream {
  /** Sequence number of the next octet that is wanted. */
  next: number;
  /** Segments that came before their turn. */
  waiting: Map<number, Bytes>;
  records: Bytes;
  handshake: Bytes;
  /** The end that was connected to; it is the one that presents a server's certificate. */
  server: boolean;
}

type Found = Pick<Presented, "certificates" | "ocspResponses">;

export class TlsCertificates {
  readonly #streams = new Map<string, Stream | "done">();
  #beyondLimit = 0;

  /** Takes a segment; gives what its sender presented once a message about it is whole. */
  segment({ from, to, sequence, begins, answers, payload }: TransportPacket): Presented | undefined {
    const name = `${from.address} ${from.port} ${to.address} ${to.port}`;
    if (begins) {
      if (this.#streams.size >= MAX_STREAMS) {
        this.#beyondLimit += 1;
        return undefined;
      }
      const next = (sequence + 1) >>> 0;
      this.#streams.set(name, { next, waiting: new Map(), records: EMPTY, handshake: EMPTY, server: answers });
      return undefined;
    }
    const stream = this.#streams.get(name);
    if (stream === undefined || stream === "done" || payload.length === 0) return undefined;
    try {
      const found = this.#advance(stream, sequence, payload);
      if (found === "over") this.#streams.set(name, "done");
      else if (found !== undefined) {
        const suggests = stream.server ? "hems" : "henb-tls";
        return { from: `TLS of ${from.address} port ${from.port}`, suggests, ...found };
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      // Not TLS, or not whole: there is nothing to learn from the rest of it.
      this.#streams.set(name, "done");
    }
    return undefined;
  }

  problems(): string[] {
    return this.#beyondLimit === 0 ? [] : [`${this.#beyondLimit} TCP connections beyond ${MAX_STREAMS} were not read`];
  }

  #advance(stream: Stream, sequence: number, payload: Bytes): Found | "over" | undefined {
    if (stream.waiting.size < MAX_WAITING) stream.waiting.set(sequence, payload);
    for (let segment = stream.waiting.get(stream.next); segment !== undefined; ) {
      stream.waiting.delete(stream.next);
      stream.next = (stream.next + segment.length) >>> 0;
      stream.records = Buffer.concat([stream.records, segment]);
      segment = stream.waiting.get(stream.next);
    }
    if (stream.records.length + stream.handshake.length > MAX_STREAM) return "over";
    const encrypted = takeRecords(stream);
    const found = takeMessages(stream);
    return found ?? (encrypted ? "over" : undefined);
  }
}

/** Moves whole handshake records over; true once the sender begins to encrypt. */
function takeRecords(stream: Stream): boolean {
  for (;;) {
    if (stream.records.length < 5) return false;
    const reader = new Reader(stream.records);
    const type = reader.u8("TLS content type");
    if (reader.u8("TLS version") !== 3) reader.fail("TLS version", "no TLS");
    reader.u8("TLS version");
    const length = reader.u16("TLS record length");
    if (length > MAX_RECORD) reader.fail("TLS record length", `${length} octets`);
    if (reader.remaining < length) return false;
    const fragment = reader.take(length, "TLS record");
    stream.records = stream.records.subarray(reader.position);
    if (type === CHANGE_CIPHER_SPEC || type === APPLICATION_DATA) return true;
    if (type === HANDSHAKE) stream.handshake = Buffer.concat([stream.handshake, fragment]);
  }
}

function takeMessages(stream: Stream): Found | undefined {
  const found: Found = { certificates: [], ocspResponses: [] };
  for (;;) {
    if (stream.handshake.length < 4) break;
    const reader = new Reader(stream.handshake);
    const type = reader.u8("handshake type");
    const length = reader.u24("handshake length");
    if (reader.remaining < length) break;
    const body = reader.sub(length, "handshake message");
    stream.handshake = stream.handshake.subarray(reader.position);
    if (type === CERTIFICATE) found.certificates.push(...certificateList(body));
    else if (type === CERTIFICATE_STATUS && body.u8("status_type") === OCSP)
      found.ocspResponses.push(copyOf(body.take(body.u24("OCSP response length"), "OCSP response")));
  }
  return found.certificates.length + found.ocspResponses.length === 0 ? undefined : found;
}

function certificateList(body: Reader): Bytes[] {
  const list = body.sub(body.u24("certificate_list length"), "certificate_list");
  const certificates: Bytes[] = [];
  while (!list.atEnd) {
    if (certificates.length >= MAX_CERTIFICATES) list.fail("certificate_list", `more than ${MAX_CERTIFICATES}`);
    certificates.push(copyOf(list.take(list.u24("certificate length"), "certificate")));
  }
  return certificates;
}

const CHANGE_CIPHER_SPEC = 20;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const CERTIFICATE = 11;
const CERTIFICATE_STATUS = 22;
const OCSP = 1;
const MAX_RECORD = 16_384 + 2048;
const MAX_STREAM = 256 * 1024;
const MAX_STREAMS = 10_000;
const MAX_WAITING = 64;
const MAX_CERTIFICATES = 16;
