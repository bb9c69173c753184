/**
 * The device's inner network: the address the gateway assigned and the routes its traffic selectors call for, on the
 * tunnel's interface.
 */

import { compareBytes } from "../bytes/bytes.ts";
import { cidrRange, formatIp, parseIp, rangeBlocks } from "../bytes/ip.ts";
import type { TrafficSelector } from "../esp/selector.ts";

/** What of a tunnel interface is needed here; the TUN plane has it. */
export interface TunnelInterface {
  addAddress(address: string): Promise<void>;
  removeAddress(address: string): Promise<void>;
  addRoute(block: string): Promise<void>;
  removeRoute(block: string): Promise<void>;
  /** Keeps a host outside the tunnel; the function it gives takes that back. */
  pinRoute(address: string): Promise<() => Promise<void>>;
}

export class InnerNetwork {
  readonly #tunnel: TunnelInterface;
  #addresses: string[] = [];
  #routes: string[] = [];
  #unpin: (() => Promise<void>) | undefined;
  #changes: Promise<void> = Promise.resolve();

  constructor(tunnel: TunnelInterface) {
    this.#tunnel = tunnel;
  }

  /** Uses these inner addresses and reaches `selectors` through the tunnel, but never `gateway`, its outer end. */
  use(addresses: readonly string[], selectors: readonly TrafficSelector[], gateway: string): Promise<void> {
    return this.#inTurn(async () => {
      const hosts = addresses.map((address) => `${address}/${address.includes(":") ? 128 : 32}`);
      const families = new Set(addresses.map((address) => (address.includes(":") ? 8 : 7)));
      const blocks = selectors.filter(({ type }) => families.has(type)).flatMap(blocksOf);
      for (const host of hosts) if (!this.#addresses.includes(host)) await this.#tunnel.addAddress(host);
      for (const host of this.#addresses) if (!hosts.includes(host)) await this.#tunnel.removeAddress(host);
      this.#addresses = hosts;
      if (this.#unpin === undefined && blocks.some((block) => covers(block, gateway)))
        this.#unpin = await this.#tunnel.pinRoute(gateway);
      for (const block of blocks) if (!this.#routes.includes(block.text)) await this.#tunnel.addRoute(block.text);
      for (const route of this.#routes)
        if (!blocks.some(({ text }) => text === route)) await this.#tunnel.removeRoute(route);
      this.#routes = blocks.map(({ text }) => text);
    });
  }

  /** Takes everything back. */
  clear(): Promise<void> {
    return this.#inTurn(async () => {
      for (const route of this.#routes) await this.#tunnel.removeRoute(route);
      for (const host of this.#addresses) await this.#tunnel.removeAddress(host);
      this.#routes = [];
      this.#addresses = [];
      await this.#unpin?.();
      this.#unpin = undefined;
    });
  }

  /** One change at a time, in the order asked for; one that fails does not stop the next. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => undefined);
    return done;
  }
}

interface Block {
  text: string;
  start: Buffer;
  end: Buffer;
}

/** A default route as two halves: more specific than the system's own, which stays as it is. */
function blocksOf(selector: TrafficSelector): Block[] {
  const blocks = rangeBlocks(selector.startAddress, selector.endAddress, MAX_BLOCKS);
  return blocks.flatMap(({ address, prefix }) => {
    if (prefix > 0) return [block(address, prefix)];
    const upper = Buffer.from(address);
    upper[0] = 0x80;
    return [block(address, 1), block(upper, 1)];
  });
}

function block(address: Buffer, prefix: number): Block {
  const { start, end } = cidrRange({ address, prefix });
  return { text: `${formatIp(start)}/${prefix}`, start, end };
}

function covers({ start, end }: Block, address: string): boolean {
  const octets = parseIp(address);
  return (
    octets !== undefined &&
    octets.length === start.length &&
    compareBytes(octets, start) >= 0 &&
    compareBytes(octets, end) <= 0
  );
}

/** Routes that one selector may need; one with a range that takes more is not worth its routes. */
const MAX_BLOCKS = 64;
