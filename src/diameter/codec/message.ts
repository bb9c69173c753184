/** Diameter messages as a header and a list of AVPs (RFC 6733 3). */
import type { Bytes } from "../../bytes/bytes.ts";
import { MessageStream } from "../../bytes/framing.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { type Avp, readAvps, writeAvp } from "./avp.ts";
import { DiameterError } from "./error.ts";
import { ResultCode } from "./numbers.ts";

export interface DiameterHeader {
  /** R bit: a request; clear: an answer. */
  request: boolean;
  /** P bit: may be proxied, relayed or redirected. */
  proxiable: boolean;
  /** E bit: an answer that reports a protocol error. */
  error: boolean;
  /** T bit: perhaps sent before, after a change of link (RFC 6733 3). */
  retransmitted: boolean;
  command: number;
  application: number;
  /** Matches an answer with its request on one connection. */
  hopByHop: number;
  /** Stays the same end to end and in retransmissions. */
  endToEnd: number;
}

export interface DiameterMessage {
  header: DiameterHeader;
  avps: readonly Avp[];
}

const HEADER_LENGTH = 20;

/** Octets of the largest message taken; EAP carries 64 kB at most, and nothing else here is large. */
export const MAX_MESSAGE = 128 * 1024;

/**
 * Decodes one whole message. Throws DiameterError; `peekHeader` then gives what an answer needs. AVP data are views of
 * `bytes`.
 */
export function decodeMessage(bytes: Bytes): DiameterMessage {
  const header = peekHeader(bytes);
  if (header === undefined)
    throw new DiameterError(
      ResultCode.INVALID_MESSAGE_LENGTH,
      "Diameter header",
      0,
      `needs ${HEADER_LENGTH} octets, ${bytes.length} there`,
    );
  checkStart(bytes);
  const length = bytes.readUIntBE(1, 3);
  if (length !== bytes.length)
    throw new DiameterError(
      ResultCode.INVALID_MESSAGE_LENGTH,
      "Diameter length",
      1,
      `says ${length}, there are ${bytes.length}`,
    );
  if (header.request && header.error)
    throw new DiameterError(ResultCode.INVALID_HDR_BITS, "Diameter flags", 4, "a request has its E bit set");
  return { header, avps: readAvps(new Reader(bytes.subarray(HEADER_LENGTH), HEADER_LENGTH), "message") };
}

/** Messages out of a stream (RFC 6733 2.1); one that begins wrongly cannot be read on. */
export function messageStream(): MessageStream {
  return new MessageStream(4, checkStart);
}

/** The length that the first four octets of a message say; throws DiameterError if no message can begin so. */
function checkStart(bytes: Bytes): number {
  if (bytes[0] !== 1)
    throw new DiameterError(ResultCode.UNSUPPORTED_VERSION, "Diameter version", 0, `${bytes[0]}, this is 1`);
  const length = bytes.readUIntBE(1, 3);
  if (length < HEADER_LENGTH || length % 4 !== 0 || length > MAX_MESSAGE)
    throw new DiameterError(
      ResultCode.INVALID_MESSAGE_LENGTH,
      "Diameter length",
      1,
      `${length} is no multiple of 4 from ${HEADER_LENGTH} to ${MAX_MESSAGE}`,
    );
  return length;
}

/** The header of a message that may be damaged further on; undefined if even the header is incomplete. */
export function peekHeader(bytes: Bytes): DiameterHeader | undefined {
  if (bytes.length < HEADER_LENGTH) return undefined;
  const flags = bytes[4]!;
  return {
    request: (flags & FLAG_REQUEST) !== 0,
    proxiable: (flags & FLAG_PROXIABLE) !== 0,
    error: (flags & FLAG_ERROR) !== 0,
    retransmitted: (flags & FLAG_RETRANSMITTED) !== 0,
    command: bytes.readUIntBE(5, 3),
    application: bytes.readUInt32BE(8),
    hopByHop: bytes.readUInt32BE(12),
    endToEnd: bytes.readUInt32BE(16),
  };
}

/** The octets of a message, padding and lengths included. */
export function encodeMessage({ header, avps }: DiameterMessage): Bytes {
  const writer = new Writer(512);
  const flags =
    (header.request ? FLAG_REQUEST : 0) |
    (header.proxiable ? FLAG_PROXIABLE : 0) |
    (header.error ? FLAG_ERROR : 0) |
    (header.retransmitted ? FLAG_RETRANSMITTED : 0);
  writer.u32(0).u8(flags).u24(header.command).u32(header.application).u32(header.hopByHop).u32(header.endToEnd);
  for (const avp of avps) writeAvp(writer, avp);
  writer.patchU32(0, 0x0100_0000 + writer.length);
  return writer.view();
}

const FLAG_REQUEST = 0x80;
const FLAG_PROXIABLE = 0x40;
const FLAG_ERROR = 0x20;
const FLAG_RETRANSMITTED = 0x10;
