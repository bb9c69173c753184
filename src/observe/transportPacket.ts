/** From a captured packet to the UDP datagram or TCP segment in it: link layers, IPv4 and IPv6. */
import type { Bytes } from "../bytes/bytes.ts";
import { formatIp } from "../bytes/ip.ts";
import type { CapturedPacket } from "./captureReader.ts";
import type { CapturedEndpoint } from "./pcapng.ts";

export interface TransportPacket {
  protocol: "udp" | "tcp";
  from: CapturedEndpoint;
  to: CapturedEndpoint;
  /** TCP only. */
  sequence: number;
  /** TCP only: SYN is set; with ACK it is the answer of the one connected to. */
  begins: boolean;
  answers: boolean;
  payload: Bytes;
}

/**
 * The transport packet, or undefined for anything else. IP fragments are not put together: IKE has its own fragments
 * (RFC 7383), and TCP has none.
 */
export function transportPacket({ linkType, bytes }: CapturedPacket): TransportPacket | undefined {
  const ip = ipOf(linkType, bytes);
  if (ip === undefined || ip.length < 1) return undefined;
  const inner = ip[0]! >> 4 === 4 ? ipv4(ip) : ip[0]! >> 4 === 6 ? ipv6(ip) : undefined;
  if (inner === undefined) return undefined;
  const { from, to, protocol, payload } = inner;
  if (protocol === UDP) {
    if (payload.length < 8) return undefined;
    const length = payload.readUInt16BE(4);
    if (length < 8 || length > payload.length) return undefined;
    const ports = { from: payload.readUInt16BE(0), to: payload.readUInt16BE(2) };
    return packet("udp", from, to, ports, payload.subarray(8, length), 0, 0);
  }
  if (protocol !== TCP || payload.length < 20) return undefined;
  const header = (payload[12]! >> 4) * 4;
  if (header < 20 || header > payload.length) return undefined;
  const ports = { from: payload.readUInt16BE(0), to: payload.readUInt16BE(2) };
  return packet("tcp", from, to, ports, payload.subarray(header), payload.readUInt32BE(4), payload[13]!);
}

function packet(
  protocol: "udp" | "tcp",
  from: Bytes,
  to: Bytes,
  ports: { from: number; to: number },
  payload: Bytes,
  sequence: number,
  flags: number,
): TransportPacket {
  return {
    protocol,
    from: { address: formatIp(from), port: ports.from },
    to: { address: formatIp(to), port: ports.to },
    sequence,
    begins: (flags & TCP_SYN) !== 0,
    answers: (flags & TCP_ACK) !== 0,
    payload,
  };
}

function ipOf(linkType: number, bytes: Bytes): Bytes | undefined {
  if (linkType === LINKTYPE_ETHERNET) return afterEtherType(bytes, 12);
  if (linkType === LINKTYPE_LINUX_SLL) return afterEtherType(bytes, 14);
  if (linkType === LINKTYPE_LINUX_SLL2) return bytes.length < 20 ? undefined : bytes.subarray(20);
  if (linkType === LINKTYPE_NULL || linkType === LINKTYPE_LOOP) return bytes.subarray(4);
  return RAW_IP.includes(linkType) ? bytes : undefined;
}

/** What follows the EtherType at `at`, behind up to two VLAN tags. */
function afterEtherType(bytes: Bytes, at: number): Bytes | undefined {
  for (let tags = 0; tags < 3; tags++) {
    if (bytes.length < at + 2) return undefined;
    const type = bytes.readUInt16BE(at);
    if (type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) return bytes.subarray(at + 2);
    if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) return undefined;
    at += 4;
  }
  return undefined;
}

interface IpPayload {
  from: Bytes;
  to: Bytes;
  protocol: number;
  payload: Bytes;
}

function ipv4(bytes: Bytes): IpPayload | undefined {
  if (bytes.length < 20) return undefined;
  const header = (bytes[0]! & 0x0f) * 4;
  const length = bytes.readUInt16BE(2);
  const fragmented = (bytes.readUInt16BE(6) & 0x3fff) !== 0;
  if (header < 20 || length < header || fragmented) return undefined;
  const payload = bytes.subarray(header, Math.min(length, bytes.length));
  return { from: bytes.subarray(12, 16), to: bytes.subarray(16, 20), protocol: bytes[9]!, payload };
}

function ipv6(bytes: Bytes): IpPayload | undefined {
  if (bytes.length < 40) return undefined;
  const end = Math.min(40 + bytes.readUInt16BE(4), bytes.length);
  let protocol = bytes[6]!;
  let at = 40;
  while (IPV6_OPTIONS.includes(protocol)) {
    if (end - at < 8) return undefined;
    protocol = bytes[at]!;
    at += 8 + bytes[at + 1]! * 8;
  }
  if (at > end) return undefined;
  return { from: bytes.subarray(8, 24), to: bytes.subarray(24, 40), protocol, payload: bytes.subarray(at, end) };
}

const LINKTYPE_NULL = 0;
const LINKTYPE_ETHERNET = 1;
const LINKTYPE_LOOP = 108;
const LINKTYPE_LINUX_SLL = 113;
const LINKTYPE_LINUX_SLL2 = 276;
/** LINKTYPE_RAW, its old values as BSDs wrote them, LINKTYPE_IPV4 and LINKTYPE_IPV6. */
const RAW_IP: readonly number[] = [101, 12, 14, 228, 229];
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_QINQ = 0x88a8;
/** Hop-by-hop, routing and destination options (RFC 8200 4). */
const IPV6_OPTIONS: readonly number[] = [0, 43, 60];
const TCP = 6;
const UDP = 17;
const TCP_SYN = 0x02;
const TCP_ACK = 0x10;
