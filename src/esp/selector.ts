/** A traffic selector as ranges of addresses, ports and one protocol (RFC 7296 3.13.1, RFC 4301 4.4.1.1). */
import type { Bytes } from "../bytes/bytes.ts";

export interface TrafficSelector {
  /** 7 = TS_IPV4_ADDR_RANGE, 8 = TS_IPV6_ADDR_RANGE. */
  type: 7 | 8;
  /** IP protocol; 0 means any. */
  protocol: number;
  startPort: number;
  endPort: number;
  /** 4 or 16 octets, both ends inclusive. */
  startAddress: Bytes;
  endAddress: Bytes;
}

/** True if one of the selectors covers this end of a packet; `port` is negative where the packet shows none. */
export function selectorsMatch(
  selectors: readonly TrafficSelector[],
  protocol: number,
  address: Bytes,
  port: number,
): boolean {
  for (const selector of selectors) {
    if (selector.protocol !== 0 && selector.protocol !== protocol) continue;
    if (selector.startAddress.length !== address.length) continue;
    if (!portMatches(selector, port)) continue;
    if (address.compare(selector.startAddress) >= 0 && address.compare(selector.endAddress) <= 0) return true;
  }
  return false;
}

function portMatches(selector: TrafficSelector, port: number): boolean {
  if (isOpaque(selector)) return port < 0;
  if (port >= 0) return selector.startPort <= port && port <= selector.endPort;
  // A later fragment could belong to any port, so only "any port" covers it (RFC 4301 7).
  return isAnyPort(selector);
}

export function isAnyPort({ startPort, endPort }: Pick<TrafficSelector, "startPort" | "endPort">): boolean {
  return startPort === 0 && endPort === 0xffff;
}

/** Matches packets that show no port, such as later fragments (RFC 7296 3.13.1: start 65535, end 0). */
export function isOpaque({ startPort, endPort }: Pick<TrafficSelector, "startPort" | "endPort">): boolean {
  return startPort === 0xffff && endPort === 0;
}
