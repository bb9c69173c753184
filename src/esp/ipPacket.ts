/**
 * As much of an IP packet as policy needs: version, length, addresses, upper protocol and ports (RFC 791, RFC 8200).
 *
 * Hot path: reads the octets in place and copies nothing; the addresses are views of the packet.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { EspError } from "./error.ts";

/** Stands for a port that the packet does not show: a later fragment, or a protocol without ports (RFC 4301 4.4.1.1). */
export const OPAQUE_PORT = -1;

export interface Flow {
  version: 4 | 6;
  /** Octets of the whole packet by its own header; what follows is padding (RFC 4303 2.7). */
  length: number;
  protocol: number;
  source: Bytes;
  destination: Bytes;
  /** 0..65535 or `OPAQUE_PORT`; for ICMP both hold type * 256 + code (RFC 7296 3.13.1). */
  sourcePort: number;
  destinationPort: number;
}

/** Reads the headers of an IPv4 or IPv6 packet; throws EspError `BadIpPacket`. */
export function readFlow(packet: Bytes): Flow {
  const version = packet.length === 0 ? 0 : packet[0]! >> 4;
  if (version === 4) return readIpv4(packet);
  if (version === 6) return readIpv6(packet);
  throw bad("version", 0, `${version} is neither 4 nor 6`);
}

function readIpv4(packet: Bytes): Flow {
  if (packet.length < 20) throw bad("IPv4", packet.length, "ends within its header");
  const headerLength = (packet[0]! & 0x0f) * 4;
  const length = packet.readUInt16BE(2);
  if (headerLength < 20) throw bad("IPv4.headerLength", 0, `${headerLength} octets`);
  if (length < headerLength || length > packet.length) throw bad("IPv4.totalLength", 2, `${length} octets`);
  const isLaterFragment = (packet.readUInt16BE(6) & 0x1fff) !== 0;
  return flow(packet, 4, length, packet[9]!, 12, 4, isLaterFragment ? length : headerLength);
}

function readIpv6(packet: Bytes): Flow {
  if (packet.length < 40) throw bad("IPv6", packet.length, "ends within its header");
  const length = 40 + packet.readUInt16BE(4);
  if (length > packet.length) throw bad("IPv6.payloadLength", 4, `${length - 40} octets`);
  let next = packet[6]!;
  let at = 40;
  for (let count = 0; EXTENSION_HEADERS.has(next); count++) {
    if (count === MAX_EXTENSION_HEADERS) throw bad("IPv6.extensions", at, `more than ${MAX_EXTENSION_HEADERS}`);
    if (at + 8 > length) throw bad("IPv6.extensions", at, "end within a header");
    const kind = next;
    next = packet[at]!;
    if (kind === FRAGMENT) {
      // What a later fragment starts with is the middle of something.
      if ((packet.readUInt16BE(at + 2) & 0xfff8) !== 0) return flow(packet, 6, length, next, 8, 16, length);
      at += 8;
    } else {
      // RFC 4302 2.2 counts in units of 4 octets, all others of 8.
      at += kind === AUTHENTICATION ? (packet[at + 1]! + 2) * 4 : (packet[at + 1]! + 1) * 8;
    }
    if (at > length) throw bad("IPv6.extensions", at, "reach beyond the packet");
  }
  return flow(packet, 6, length, next, 8, 16, at);
}

function flow(
  packet: Bytes,
  version: 4 | 6,
  length: number,
  protocol: number,
  addressesAt: number,
  addressLength: number,
  upperAt: number,
): Flow {
  let sourcePort = OPAQUE_PORT;
  let destinationPort = OPAQUE_PORT;
  if (PORT_PROTOCOLS.has(protocol) && upperAt + 4 <= length) {
    sourcePort = packet.readUInt16BE(upperAt);
    destinationPort = packet.readUInt16BE(upperAt + 2);
  } else if (protocol === (version === 4 ? ICMP : ICMPV6) && upperAt + 2 <= length) {
    sourcePort = destinationPort = packet.readUInt16BE(upperAt);
  }
  const destinationAt = addressesAt + addressLength;
  return {
    version,
    length,
    protocol,
    source: packet.subarray(addressesAt, destinationAt),
    destination: packet.subarray(destinationAt, destinationAt + addressLength),
    sourcePort,
    destinationPort,
  };
}

function bad(field: string, offset: number, detail: string): EspError {
  return new EspError("BadIpPacket", field, offset, detail);
}

const ICMP = 1;
const ICMPV6 = 58;
const FRAGMENT = 44;
const AUTHENTICATION = 51;

/** TCP, UDP, DCCP, SCTP, UDP-Lite. */
const PORT_PROTOCOLS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);

/** Hop-by-hop, routing, fragment, authentication, destination options, mobility, HIP, Shim6 (RFC 7045 4). */
const EXTENSION_HEADERS: ReadonlySet<number> = new Set([0, 43, FRAGMENT, AUTHENTICATION, 60, 135, 139, 140]);

/** More than a sane sender uses; each is a few octets of work. */
const MAX_EXTENSION_HEADERS = 8;
