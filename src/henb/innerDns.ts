/**
 * Names of the operator's inner network, asked of the DNS servers that the gateway assigned, through the tunnel (RFC 7296
 * 3.15.1: INTERNAL_IP4_DNS, INTERNAL_IP6_DNS).
 */
import { Resolver } from "node:dns/promises";
import { isIPv6 } from "node:net";
import { parseIp } from "../bytes/ip.ts";
import { selectorsMatch, type TrafficSelector } from "../esp/selector.ts";
import type { Milliseconds } from "../sim/environment.ts";

/** What an attachment gives its device besides the tunnel itself. */
export interface InnerAccess {
  addresses: readonly string[];
  /** Servers that the tunnel reaches, and no others: nothing meant for them leaves beside it. */
  dns: readonly string[];
}

/** The servers among those assigned that lie behind the tunnel and can be asked from one of the inner addresses. */
export function dnsBehind(
  remoteSelectors: readonly TrafficSelector[],
  addresses: readonly string[],
  assigned: readonly string[],
): string[] {
  return assigned.filter((server) => {
    const octets = parseIp(server);
    const fits = addresses.some((own) => isIPv6(own) === isIPv6(server));
    return fits && octets !== undefined && selectorsMatch(remoteSelectors, UDP, octets, DNS_PORT);
  });
}

/** Addresses of a name, IPv6 first as the system would give them; empty if no server knows any in time. */
export async function resolveInside(name: string, inner: InnerAccess, timeout: Milliseconds): Promise<string[]> {
  if (inner.dns.length === 0) return [];
  const resolver = new Resolver({ timeout, tries: TRIES });
  resolver.setServers(inner.dns);
  // From an inner address: by another one the gateway would have to drop the query.
  resolver.setLocalAddress(
    inner.addresses.find((own) => !isIPv6(own)),
    inner.addresses.find(isIPv6),
  );
  // Only families that the device has an address of lead anywhere.
  const six = inner.addresses.some(isIPv6) ? resolver.resolve6(name) : Promise.resolve([]);
  const four = inner.addresses.some((own) => !isIPv6(own)) ? resolver.resolve4(name) : Promise.resolve([]);
  const found = await Promise.allSettled([six, four]);
  return found.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
}

const UDP = 17;
const DNS_PORT = 53;
const TRIES = 2;
