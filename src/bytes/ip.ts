/** IPv4 and IPv6 addresses between text and octets (RFC 4291 2.2, RFC 5952). */
import type { Bytes } from "./bytes.ts";

/** 4 or 16 octets for a textual address, or undefined if it is none. */
export function parseIp(text: string): Bytes | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Canonical text of 4 or 16 octets. */
export function formatIp(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((address[i]! << 8) | address[i + 1]!);
  const [start, length] = longestZeroRun(groups);
  if (length < 2) return groups.map((group) => group.toString(16)).join(":");
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

export interface Cidr {
  address: Bytes;
  prefix: number;
}

/** "10.0.0.0/8" or a bare address (full-length prefix), or undefined if it is neither. */
export function parseCidr(text: string): Cidr | undefined {
  const [addressText, prefixText, ...more] = text.split("/");
  const address = parseIp(addressText ?? "");
  if (address === undefined || more.length > 0) return undefined;
  const bits = address.length * 8;
  if (prefixText === undefined) return { address, prefix: bits };
  if (!/^\d{1,3}$/.test(prefixText) || Number(prefixText) > bits) return undefined;
  return { address, prefix: Number(prefixText) };
}

/** First and last address of a block. */
export function cidrRange({ address, prefix }: Cidr): { start: Bytes; end: Bytes } {
  const start = Buffer.from(address);
  const end = Buffer.from(address);
  for (let i = 0; i < address.length; i++) {
    const hostBits = Math.min(8, Math.max(0, (i + 1) * 8 - prefix));
    const hostMask = (1 << hostBits) - 1;
    start[i] = start[i]! & ~hostMask;
    end[i] = end[i]! | hostMask;
  }
  return { start, end };
}

/** 4 octets for a prefix length, as INTERNAL_IP4_NETMASK wants it. */
export function netmask(prefix: number): Bytes {
  return cidrRange({ address: Buffer.alloc(4), prefix }).end.map((octet) => ~octet & 0xff) as Bytes;
}

/** The blocks that a range of addresses is made of, at most `limit`; what is left over then is left out. */
export function rangeBlocks(start: Uint8Array, end: Uint8Array, limit: number): Cidr[] {
  const bits = start.length * 8;
  const last = toNumber(end);
  const blocks: Cidr[] = [];
  for (let at = toNumber(start); at <= last && blocks.length < limit; ) {
    let hostBits = 0;
    // As large as the address's own zeros and the range's end allow.
    while (hostBits < bits && (at >> BigInt(hostBits)) % 2n === 0n && at + (1n << BigInt(hostBits + 1)) - 1n <= last)
      hostBits += 1;
    blocks.push({ address: fromNumber(at, start.length), prefix: bits - hostBits });
    at += 1n << BigInt(hostBits);
  }
  return blocks;
}

function toNumber(address: Uint8Array): bigint {
  return address.reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
}

function fromNumber(value: bigint, length: number): Bytes {
  return Buffer.from(value.toString(16).padStart(length * 2, "0"), "hex");
}

function parseIpv4(text: string): Bytes | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255))
    return undefined;
  return Buffer.from(parts.map(Number));
}

function parseIpv6(text: string): Bytes | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const isShort = halves.length === 2;
  const head = groupsOf(halves[0]!, { ipv4AtEnd: !isShort });
  const tail = isShort ? groupsOf(halves[1]!, { ipv4AtEnd: true }) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (isShort ? missing < 2 : missing !== 0) return undefined;
  return Buffer.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

/** Octets of groups between colons; an IPv4 address may stand for the last two of the whole address (RFC 4291 2.2). */
function groupsOf(text: string, { ipv4AtEnd }: { ipv4AtEnd: boolean }): number[] | undefined {
  if (text === "") return [];
  const octets: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (ipv4AtEnd && index === parts.length - 1 && part.includes(".")) {
      const embedded = parseIpv4(part);
      if (embedded === undefined) return undefined;
      octets.push(...embedded);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(part)) return undefined;
      const group = Number.parseInt(part, 16);
      octets.push(group >> 8, group & 0xff);
    }
  }
  return octets;
}

function longestZeroRun(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let i = 0; i < groups.length; i++) {
    let end = i;
    while (groups[end] === 0) end++;
    if (end - i > best[1]) best = [i, end - i];
  }
  return best;
}
