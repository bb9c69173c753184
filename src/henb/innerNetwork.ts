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
  /** What is in use, noted step by step, so that a change that failed half-way is taken back as well. */
  readonly #addresses = new Set<string>();
  readonly #routes = new Set<string>();
  /** What stays outside by a route of its own, with the way to take that back. */
  readonly #pinned = new Map<string, () => Promise<void>>();
  #changes: Promise<void> = Promise.resolve();

  constructor(tunnel: TunnelInterface) {
    this.#tunnel = tunnel;
  }

  /**
   * Uses these inner addresses and reaches `selectors` through the tunnel, but never `gateway`, its outer end, nor
   * `others`, as far as there is another way to them.
   */
  use(
    addresses: readonly string[],
    selectors: readonly TrafficSelector[],
    gateway: string,
    others: readonly string[] = [],
  ): Promise<void> {
    return this.#inTurn(async () => {
      const hosts = new Set(addresses.map((address) => `${address}/${address.includes(":") ? 128 : 32}`));
      const families = new Set(addresses.map((address) => (address.includes(":") ? 8 : 7)));
      const blocks = selectors.filter(({ type }) => families.has(type)).flatMap(blocksOf);
      for (const host of without(hosts, this.#addresses)) {
        await this.#tunnel.addAddress(host);
        this.#addresses.add(host);
      }
      for (const host of without(this.#addresses, hosts)) await this.#removeAddress(host);
      await this.#pin(gateway, blocks);
      // Nobody but whoever wanted to reach them is concerned, and hears of it there.
      for (const address of others) await this.#pin(address, blocks).catch(() => undefined);
      const routes = new Set(blocks.map(({ text }) => text));
      for (const route of without(routes, this.#routes)) {
        await this.#tunnel.addRoute(route);
        this.#routes.add(route);
      }
      for (const route of without(this.#routes, routes)) await this.#removeRoute(route);
    });
  }

  /** Takes everything back, as far as it can be: what one step cannot do does not keep the others from being done. */
  clear(): Promise<void> {
    return this.#inTurn(async () => {
      const pinned = [...this.#pinned.values()];
      this.#pinned.clear();
      const steps = [
        ...[...this.#routes].map((route) => () => this.#removeRoute(route)),
        ...[...this.#addresses].map((host) => () => this.#removeAddress(host)),
        ...pinned,
      ];
      const failures: unknown[] = [];
      for (const step of steps) await step().catch((error) => failures.push(error));
      if (failures.length > 0) throw failures[0];
    });
  }

  async #pin(address: string, blocks: readonly Block[]): Promise<void> {
    if (this.#pinned.has(address) || !blocks.some((block) => covers(block, address))) return;
    this.#pinned.set(address, await this.#tunnel.pinRoute(address));
  }

  async #removeAddress(host: string): Promise<void> {
    this.#addresses.delete(host);
    await this.#tunnel.removeAddress(host);
  }

  async #removeRoute(route: string): Promise<void> {
    this.#routes.delete(route);
    await this.#tunnel.removeRoute(route);
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

function without(all: ReadonlySet<string>, some: ReadonlySet<string>): string[] {
  return [...all].filter((one) => !some.has(one));
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
