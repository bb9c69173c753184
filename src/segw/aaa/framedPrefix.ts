/** An inner address out of Framed-IPv6-Prefix, whose octets RADIUS and Diameter share (RFC 3162 2.3). */
import type { Bytes } from "../../bytes/bytes.ts";
import { formatIp } from "../../bytes/ip.ts";

/**
 * The address, if the prefix is one or `interfaceId` (RFC 3162 2.2) makes it one; undefined for any other prefix, of
 * which a gateway would have to choose an address by itself, and for octets that are no prefix.
 */
export function addressOfPrefix(prefix: Bytes, interfaceId: Bytes | undefined): string | undefined {
  const bits = prefix[1];
  if (bits === undefined || bits > 128 || prefix.length > 2 + 16 || prefix.length < 2 + Math.ceil(bits / 8))
    return undefined;
  const address = Buffer.alloc(16);
  prefix.copy(address, 0, 2);
  if (bits === 128) return formatIp(address);
  if (bits > 64 || interfaceId?.length !== 8) return undefined;
  interfaceId.copy(address, 8);
  return formatIp(address);
}
