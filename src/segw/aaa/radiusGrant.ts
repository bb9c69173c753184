/** What an Access-Accept grants (RFC 2865 5, RFC 3162, RFC 6911). */
import { attributeOf, type RadiusPacket } from "../../radius/codec/packet.ts";
import type { AaaGrant } from "./client.ts";
import { addressOfPrefix } from "./framedPrefix.ts";

/** Throws DecodeError for a value that is not of its attribute's format. */
export function grantOf(packet: RadiusPacket): AaaGrant {
  const addresses = [framedIpv4(packet), framedIpv6(packet)].filter((one) => one !== undefined);
  const sessionTimeout = attributeOf(packet, "Session-Timeout");
  const filter = attributeOf(packet, "Filter-Id");
  return {
    ...(addresses.length === 0 ? {} : { addresses }),
    ...(sessionTimeout === undefined ? {} : { sessionTimeout }),
    ...(filter === undefined ? {} : { filter }),
  };
}

/** Two values leave the address to the device or to us (RFC 2865 5.8). */
function framedIpv4(packet: RadiusPacket): string | undefined {
  const address = attributeOf(packet, "Framed-IP-Address");
  return address === "255.255.255.255" || address === "255.255.255.254" ? undefined : address;
}

/** RFC 6911 3.1; else a prefix that is one address, or one that Framed-Interface-Id makes one (RFC 3162 2.2, 2.3). */
function framedIpv6(packet: RadiusPacket): string | undefined {
  const address = attributeOf(packet, "Framed-IPv6-Address");
  if (address !== undefined) return address;
  const prefix = attributeOf(packet, "Framed-IPv6-Prefix");
  return prefix === undefined ? undefined : addressOfPrefix(prefix, attributeOf(packet, "Framed-Interface-Id"));
}
