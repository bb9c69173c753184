/**
 * Writing pcapng (draft-ietf-opsawg-pcapng): the blocks of a capture of UDP datagrams, as octets.
 *
 * A gateway's socket hands over payloads, not packets, so the IP and UDP headers are made here from the two addresses,
 * with right checksums; the interface is LINKTYPE_RAW, which needs no Ethernet header to be invented. Sections are
 * big-endian, as the format allows: one writer serves the blocks and the headers within them.
 *
 * Rejected: classic pcap (no comments, no direction, seconds that end in 2106, one link type for good).
 */
import type { Bytes } from "../bytes/bytes.ts";
import { parseIp } from "../bytes/ip.ts";
import { Writer } from "../bytes/writer.ts";
import type { Milliseconds } from "../sim/environment.ts";

export interface CapturedEndpoint {
  /** IPv4 or IPv6 in text, as a socket reports it; a scope ("%eth0") is left out, an IPv4-mapped address is IPv4. */
  address: string;
  port: number;
}

export interface CapturedDatagram {
  /** When it passed; a fraction of a millisecond is kept down to the nanosecond. */
  at: Milliseconds;
  from: CapturedEndpoint;
  to: CapturedEndpoint;
  payload: Bytes;
  /** Puts the non-ESP marker of RFC 3948 2.2 in front: IKE on the NAT traversal port. */
  nonEspMarker?: boolean;
  /** Seen from the one who captures. */
  direction?: "sent" | "received";
  /** Shown by Wireshark beside the packet. */
  comment?: string;
}

export interface CaptureDescription {
  /** Program that writes, with its version ("femtogate 0.1.0"). */
  application: string;
  /** What Wireshark shows as the interface's name ("segw"). */
  interfaceName: string;
}

/** The blocks every section begins with: section header and the description of its one interface. */
export function captureHeader({ application, interfaceName }: CaptureDescription): Bytes {
  const section = block(SECTION_HEADER_BLOCK, (writer) => {
    // Section length -1: unknown, as it is for whoever writes while packets pass (4.1).
    writer.u32(BYTE_ORDER_MAGIC).u16(1).u16(0).u64(UNKNOWN_LENGTH);
    textOption(writer, SHB_USERAPPL, application);
    endOfOptions(writer);
  });
  const description = block(INTERFACE_DESCRIPTION_BLOCK, (writer) => {
    writer.u16(LINKTYPE_RAW).u16(0).u32(0);
    textOption(writer, IF_NAME, interfaceName);
    option(writer, IF_TSRESOL, Buffer.of(NANOSECONDS));
    endOfOptions(writer);
  });
  return Buffer.concat([section, description]);
}

/**
 * One Enhanced Packet Block (4.3). Throws RangeError where the addresses are none, are of two families, or the datagram
 * is longer than IP can carry: nothing a socket took or gave is any of these.
 */
export function capturedPacket(datagram: CapturedDatagram): Bytes {
  const packet = ipPacket(datagram);
  const whole = Math.floor(datagram.at);
  const nanoseconds = BigInt(whole) * 1_000_000n + BigInt(Math.round((datagram.at - whole) * 1e6));
  return block(
    ENHANCED_PACKET_BLOCK,
    (writer) => {
      writer.u32(0).u64(nanoseconds).u32(packet.length).u32(packet.length).bytes(packet);
      pad(writer);
      if (datagram.direction !== undefined) {
        option(writer, EPB_FLAGS, Buffer.of(0, 0, 0, datagram.direction === "received" ? INBOUND : OUTBOUND));
      }
      if (datagram.comment !== undefined) textOption(writer, OPT_COMMENT, datagram.comment);
      if (datagram.direction !== undefined || datagram.comment !== undefined) endOfOptions(writer);
    },
    packet.length + 128,
  );
}

function ipPacket({ from, to, payload, nonEspMarker }: CapturedDatagram): Bytes {
  let source = octetsOf(from.address);
  let destination = octetsOf(to.address);
  // A socket bound to "::" also carries IPv4: "unspecified" is of whichever family its peer is.
  if (isUnspecified(source)) source = Buffer.alloc(destination.length);
  if (isUnspecified(destination)) destination = Buffer.alloc(source.length);
  if (source.length !== destination.length) {
    throw new RangeError(`a datagram from ${from.address} to ${to.address} crosses address families`);
  }
  const marker = nonEspMarker === true ? NON_ESP_MARKER : 0;
  const length = UDP_HEADER + marker + payload.length;
  const header =
    source.length === 4 ? ipv4Header(source, destination, length) : ipv6Header(source, destination, length);
  const udp = new Writer(length).u16(from.port).u16(to.port).u16(length).u16(0).zeros(marker).bytes(payload);
  const pseudo = new Writer(40).bytes(source).bytes(destination).u32(length).u32(UDP);
  // A sum of zero goes as all ones, since zero says that there is none (RFC 768).
  udp.patchU16(6, checksum(pseudo.view(), udp.view()) || 0xffff);
  return Buffer.concat([header, udp.view()]);
}

function ipv4Header(source: Bytes, destination: Bytes, length: number): Bytes {
  if (length + IPV4_HEADER > 0xffff) throw new RangeError(`a datagram of ${length} octets does not fit IPv4`);
  const writer = new Writer(IPV4_HEADER)
    .u8(0x45)
    .u8(0)
    .u16(IPV4_HEADER + length);
  writer.u16(0).u16(DONT_FRAGMENT).u8(HOP_LIMIT).u8(UDP).u16(0).bytes(source).bytes(destination);
  writer.patchU16(10, checksum(writer.view()));
  return writer.view();
}

function ipv6Header(source: Bytes, destination: Bytes, length: number): Bytes {
  if (length > 0xffff) throw new RangeError(`a datagram of ${length} octets does not fit IPv6`);
  const writer = new Writer(40).u32(0x6000_0000).u16(length).u8(UDP).u8(HOP_LIMIT);
  return writer.bytes(source).bytes(destination).view();
}

function octetsOf(address: string): Bytes {
  const octets = parseIp(address.split("%")[0]!);
  if (octets === undefined) throw new RangeError(`"${address}" is no IP address`);
  return octets.length === 16 && octets.subarray(0, 12).equals(IPV4_MAPPED) ? octets.subarray(12) : octets;
}

function isUnspecified(address: Bytes): boolean {
  return address.every((octet) => octet === 0);
}

/** The internet checksum (RFC 1071) over parts, all but the last of even length. */
function checksum(...parts: readonly Bytes[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let at = 0; at + 1 < part.length; at += 2) sum += part.readUInt16BE(at);
    if (part.length % 2 === 1) sum += part[part.length - 1]! << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function block(type: number, body: (writer: Writer) => void, expected = 128): Bytes {
  const writer = new Writer(expected).u32(type).u32(0);
  body(writer);
  writer.u32(writer.length + 4);
  writer.patchU32(4, writer.length);
  return writer.view();
}

function textOption(writer: Writer, code: number, text: string): void {
  let octets = Buffer.from(text, "utf8");
  // Cut before a character, never within one.
  if (octets.length > MAX_TEXT)
    octets = Buffer.from(
      octets
        .subarray(0, MAX_TEXT)
        .toString("utf8")
        .replace(/\ufffd+$/, ""),
    );
  option(writer, code, octets);
}

function option(writer: Writer, code: number, value: Bytes): void {
  writer.u16(code).u16(value.length).bytes(value);
  pad(writer);
}

function endOfOptions(writer: Writer): void {
  writer.u32(0);
}

function pad(writer: Writer): void {
  writer.zeros((4 - (writer.length % 4)) % 4);
}

const SECTION_HEADER_BLOCK = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION_BLOCK = 1;
const ENHANCED_PACKET_BLOCK = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const UNKNOWN_LENGTH = 0xffff_ffff_ffff_ffffn;
const LINKTYPE_RAW = 101;
/** if_tsresol: ten to the power of minus nine seconds. */
const NANOSECONDS = 9;

const OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
const INBOUND = 1;
const OUTBOUND = 2;
/** Octets of a text option; the format's own limit is 65535. */
const MAX_TEXT = 4096;

const IPV4_MAPPED = Buffer.from("00000000000000000000ffff", "hex");
const IPV4_HEADER = 20;
const DONT_FRAGMENT = 0x4000;
const HOP_LIMIT = 64;
const UDP = 17;
const UDP_HEADER = 8;
const NON_ESP_MARKER = 4;
