/**
 * Reading captures: pcapng (draft-ietf-opsawg-pcapng) and classic pcap (draft-ietf-opsawg-pcap), in either byte order.
 *
 * Packets come out one at a time as views of the file. A capture that was cut short, as one is whose writer was killed,
 * gives what is whole in it; one that is damaged further up ends in a DecodeError.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Milliseconds } from "../sim/environment.ts";

export interface CapturedPacket {
  /** When it passed; undefined for a Simple Packet Block, which does not say. */
  at: Milliseconds | undefined;
  /** LINKTYPE_ value of what `bytes` begins with. */
  linkType: number;
  /** As much of the packet as was captured. */
  bytes: Bytes;
}

/** True if `bytes` begins as a capture does. */
export function isCapture(bytes: Bytes): boolean {
  if (bytes.length < 4) return false;
  const magic = bytes.readUInt32BE(0);
  return magic === SECTION_HEADER_BLOCK || CLASSIC.has(magic);
}

/** The packets of a capture in their order; throws DecodeError where it is none or is damaged. */
export function* readCapture(bytes: Bytes): Generator<CapturedPacket> {
  if (!isCapture(bytes)) throw new DecodeError("capture", 0, "begins neither as pcapng nor as pcap");
  yield* bytes.readUInt32BE(0) === SECTION_HEADER_BLOCK ? readPcapng(bytes) : readClassic(bytes);
}

interface CaptureInterface {
  linkType: number;
  /** Ticks a second. */
  resolution: bigint;
}

interface Section {
  littleEndian: boolean;
  interfaces: CaptureInterface[];
}

function* readPcapng(bytes: Bytes): Generator<CapturedPacket> {
  let section: Section | undefined;
  for (let at = 0; at + BLOCK_OVERHEAD <= bytes.length; ) {
    const start = at;
    // The section header's type reads the same in both orders; its magic says which one the section has.
    if (bytes.readUInt32BE(at) === SECTION_HEADER_BLOCK) {
      if (bytes.length < at + 12) return;
      section = { littleEndian: orderOf(bytes, at + 8), interfaces: [] };
    }
    if (section === undefined) throw new DecodeError("pcapng", at, "a block before the section header");
    const { u32 } = access(bytes, section.littleEndian);
    const length = u32(start + 4);
    if (length < BLOCK_OVERHEAD || length % 4 !== 0)
      throw new DecodeError("pcapng block length", start + 4, `${length} octets`);
    if (length > bytes.length - start) return;
    at += length;
    const packet = readBlock(bytes.subarray(start, at), start, section);
    if (packet !== undefined) yield packet;
  }
}

function readBlock(block: Bytes, offset: number, section: Section): CapturedPacket | undefined {
  const { u16, u32 } = access(block, section.littleEndian);
  const need = (length: number, name: string) => {
    if (block.length < length) throw new DecodeError(name, offset, `block of ${block.length} octets, needs ${length}`);
  };
  switch (u32(0)) {
    case INTERFACE_DESCRIPTION_BLOCK:
      need(20, "interface description");
      if (section.interfaces.length >= MAX_INTERFACES)
        throw new DecodeError("interface description", offset, `more than ${MAX_INTERFACES} interfaces`);
      section.interfaces.push({ linkType: u16(8), resolution: resolutionOf(block, section.littleEndian) });
      return undefined;
    case ENHANCED_PACKET_BLOCK: {
      need(32, "enhanced packet");
      const from = section.interfaces[u32(8)];
      if (from === undefined) throw new DecodeError("enhanced packet", offset + 8, `no interface ${u32(8)}`);
      const ticks = (BigInt(u32(12)) << 32n) | BigInt(u32(16));
      const captured = u32(20);
      need(32 + captured, "enhanced packet");
      const at = Number((ticks * 1_000_000n) / from.resolution) / 1000;
      return { at, linkType: from.linkType, bytes: block.subarray(28, 28 + captured) };
    }
    case SIMPLE_PACKET_BLOCK: {
      need(16, "simple packet");
      const from = section.interfaces[0];
      if (from === undefined) throw new DecodeError("simple packet", offset, "no interface");
      const captured = Math.min(u32(8), block.length - 16);
      return { at: undefined, linkType: from.linkType, bytes: block.subarray(12, 12 + captured) };
    }
    default:
      return undefined;
  }
}

/** if_tsresol (4.2): a power of ten, or with the highest bit of two; microseconds where it is left out. */
function resolutionOf(block: Bytes, littleEndian: boolean): bigint {
  const { u16 } = access(block, littleEndian);
  for (let at = 16; at + 4 <= block.length - 4; ) {
    const code = u16(at);
    const length = u16(at + 2);
    if (code === 0) break;
    if (code === IF_TSRESOL && length === 1 && at + 4 < block.length) {
      const value = block[at + 4]!;
      const power = BigInt(value & 0x7f);
      return (value & 0x80) !== 0 ? 2n ** power : 10n ** power;
    }
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return 1_000_000n;
}

function* readClassic(bytes: Bytes): Generator<CapturedPacket> {
  const { littleEndian, fraction } = CLASSIC.get(bytes.readUInt32BE(0))!;
  const { u32 } = access(bytes, littleEndian);
  if (bytes.length < 24) return;
  // The upper bits of the link type say how long a frame check sequence is, which nothing here looks at.
  const linkType = u32(20) & 0xffff;
  for (let at = 24; at + 16 <= bytes.length; ) {
    const captured = u32(at + 8);
    if (captured > bytes.length - at - 16) return;
    const start = at + 16;
    yield {
      at: u32(at) * 1000 + u32(at + 4) / fraction,
      linkType,
      bytes: bytes.subarray(start, start + captured),
    };
    at = start + captured;
  }
}

function orderOf(bytes: Bytes, at: number): boolean {
  if (bytes.readUInt32BE(at) === BYTE_ORDER_MAGIC) return false;
  if (bytes.readUInt32LE(at) === BYTE_ORDER_MAGIC) return true;
  throw new DecodeError("pcapng byte-order magic", at, "is none");
}

function access(bytes: Bytes, littleEndian: boolean): { u16: (at: number) => number; u32: (at: number) => number } {
  return littleEndian
    ? { u16: (at) => bytes.readUInt16LE(at), u32: (at) => bytes.readUInt32LE(at) }
    : { u16: (at) => bytes.readUInt16BE(at), u32: (at) => bytes.readUInt32BE(at) };
}

const SECTION_HEADER_BLOCK = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION_BLOCK = 1;
const SIMPLE_PACKET_BLOCK = 3;
const ENHANCED_PACKET_BLOCK = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const IF_TSRESOL = 9;
/** Octets of type and both lengths of a block. */
const BLOCK_OVERHEAD = 12;
const MAX_INTERFACES = 4096;

/** Magic numbers of pcap as they read in big-endian order; `fraction` turns the second field into milliseconds. */
const CLASSIC = new Map([
  [0xa1b2c3d4, { littleEndian: false, fraction: 1000 }],
  [0xd4c3b2a1, { littleEndian: true, fraction: 1000 }],
  [0xa1b23c4d, { littleEndian: false, fraction: 1_000_000 }],
  [0x4d3cb2a1, { littleEndian: true, fraction: 1_000_000 }],
]);
