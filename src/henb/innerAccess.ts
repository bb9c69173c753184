/**
 * What the tunnel gives a device access to: which places lie behind it, and the names that only the operator's DNS servers
 * know, asked through it (RFC 7296 3.15.1: INTERNAL_IP4_DNS, INTERNAL_IP6_DNS).
 */
import { Resolver } from "node:dns/promises";
import { isIPv6 } from "node:net";
import { parseIp } from "../bytes/ip.ts";
import { selectorsMatch, type TrafficSelector } from "../esp/selector.ts";
import type { Milliseconds } from "../sim/environment.ts";

/** What a device reaches through its tunnel, and as whom. */
export interface InnerAccess {
  addresses: readonly string[];
  /** Servers that the tunnel reaches, and no others: nothing meant for them leaves beside it. */
  dns: readonly string[];
  /** Whether a TCP connection to that place goes through the tunnel. */
  reaches(address: string, port: number): boolean;
}

/** By the traffic selectors of the gateway's side, the device's inner addresses and the DNS servers assigned to it. */
export function innerAccess(
  remoteSelectors: readonly TrafficSelector[],
  addresses: readonly string[],
  assigned: readonly string[],
): InnerAccess {
  const leadsTo = (protocol: number, address: string, port: number): boolean => {
    const octets = parseIp(address);
    return (
      speaks(addresses, isIPv6(address)) &&
      octets !== undefined &&
      selectorsMatch(remoteSelectors, protocol, octets, port)
    );
  };
  return {
    addresses,
    dns: assigned.filter((server) => leadsTo(UDP, server, DNS_PORT)),
    reaches: (address, port) => leadsTo(TCP, address, port),
  };
}

/** Addresses of a name, IPv6 first as the system would give them; empty if no server knows any in time. */
export async function resolveInside(
  name: string,
  inner: Pick<InnerAccess, "addresses" | "dns">,
  timeout: Milliseconds,
): Promise<string[]> {
  if (inner.dns.length === 0) return [];
  const resolver = new Resolver({ timeout, tries: TRIES });
  resolver.setServers(inner.dns);
  // From an inner address: by another one the gateway would have to drop the query.
  const own4 = inner.addresses.find((own) => !isIPv6(own));
  resolver.setLocalAddress(own4 ?? "0.0.0.0", inner.addresses.find(isIPv6) ?? "::");
  const six = speaks(inner.addresses, true) ? resolver.resolve6(name) : Promise.resolve([]);
  const four = speaks(inner.addresses, false) ? resolver.resolve4(name) : Promise.resolve([]);
  const found = await Promise.allSettled([six, four]);
  return found.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
}

/** Whether the tunnel carries that family: one that a device has an inner address of, or any where it was assigned none. */
function speaks(addresses: readonly string[], six: boolean): boolean {
  return addresses.length === 0 || addresses.some((own) => isIPv6(own) === six);
}

const TCP = 6;
const UDP = 17;
const DNS_PORT = 53;
const TRIES = 2;
