/**
 * What a Filter-Id of the AAA server's stands for: the part of the protected networks that a device may reach
 * (RFC 2865 5.11, RFC 7155 4.4.4).
 *
 * A filter is put upon what the data plane lets through, not upon the traffic selectors that the device is told: it may
 * change while the tunnel stands, and IKE's selectors only with a new negotiation that the device could refuse.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { TrafficSelector } from "../esp/selector.ts";
import { blockSelector } from "../ipsec/settings.ts";
import type { GatewayConfig } from "./config.ts";

export class Filters {
  readonly #blocks: ReadonlyMap<string, readonly TrafficSelector[]>;

  constructor(filters: GatewayConfig["filters"]) {
    this.#blocks = new Map(filters.map(({ name, reach }) => [name, reach.map(blockSelector)]));
  }

  has(name: string): boolean {
    return this.#blocks.has(name);
  }

  /** What is left of local selectors under a filter; all of it without one, nothing under one that there is not. */
  narrowed(name: string | undefined, selectors: readonly TrafficSelector[]): TrafficSelector[] {
    if (name === undefined) return [...selectors];
    const blocks = this.#blocks.get(name) ?? [];
    return selectors.flatMap((selector) => blocks.flatMap((block) => intersection(selector, block)));
  }
}

/** The selector's addresses that the block holds as well. */
function intersection(selector: TrafficSelector, block: TrafficSelector): TrafficSelector[] {
  if (selector.type !== block.type) return [];
  const startAddress = later(selector.startAddress, block.startAddress);
  const endAddress = earlier(selector.endAddress, block.endAddress);
  return startAddress.compare(endAddress) > 0 ? [] : [{ ...selector, startAddress, endAddress }];
}

const later = (a: Bytes, b: Bytes) => (a.compare(b) >= 0 ? a : b);
const earlier = (a: Bytes, b: Bytes) => (a.compare(b) <= 0 ? a : b);
