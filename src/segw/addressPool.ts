/**
 * Inner addresses for devices (RFC 7296 3.15, TS 33.320 A.1-7): each identity holds one per block while it has an IKE SA.
 *
 * A device that comes back gets the address it had, as long as nobody else needed it. While a newer IKE SA of the same
 * device takes over from an older one (A.1-9), both hold the same address.
 */
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import { type Cidr, cidrRange, netmask, parseIp } from "../bytes/ip.ts";
import type { TrafficSelector } from "../esp/selector.ts";
import type { ConfigAttribute } from "../ike/codec/message.ts";
import { CfgAttribute } from "../ike/codec/numbers.ts";
import type { AssignedAddress, IkeSaId } from "../ike/sa/effects.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";

export interface AddressPoolOptions {
  /** IPv4 and IPv6 blocks, each address family served from its blocks in order. */
  blocks: readonly Cidr[];
  /** DNS servers to announce, 4 or 16 octets each. */
  dns: readonly Bytes[];
  /** One address per identity; false gives every IKE SA its own. */
  sharedByIdentity: boolean;
}

interface Lease {
  key: string;
  address: Bytes;
  block: Block;
  index: number;
  holders: Set<IkeSaId>;
}

export class AddressPool {
  readonly #options: AddressPoolOptions;
  readonly #blocks: readonly Block[];
  readonly #byKey = new Map<string, Lease>();
  readonly #byHolder = new Map<IkeSaId, Lease[]>();

  constructor(options: AddressPoolOptions) {
    this.#options = options;
    this.#blocks = options.blocks.map((block) => new Block(block));
  }

  /** Addresses in use. */
  get size(): number {
    return this.#blocks.reduce((sum, block) => sum + block.used, 0);
  }

  /** Answers a CFG_REQUEST: an address of each family asked for, as far as there are any; a refusal if there is none. */
  assign(identity: string, holder: IkeSaId, asked: readonly ConfigAttribute[]): AssignedAddress | PeerRefusal {
    const attributes: ConfigAttribute[] = [];
    const selectors: TrafficSelector[] = [];
    for (const [type, length] of FAMILIES) {
      const wish = asked.find((attribute) => attribute.type === type);
      if (wish === undefined) continue;
      const lease = this.#lease(identity, holder, length);
      if (lease === undefined) continue;
      attributes.push(...this.#attributes(type, lease.address, asked));
      selectors.push({
        type: length === 4 ? 7 : 8,
        protocol: 0,
        startPort: 0,
        endPort: 0xffff,
        startAddress: lease.address,
        endAddress: lease.address,
      });
    }
    if (selectors.length > 0) return { attributes, selectors };
    if (!FAMILIES.some(([type]) => asked.some((attribute) => attribute.type === type)))
      return { reason: "NoAddressRequested", message: `${identity} asked for configuration, but for no inner address` };
    return {
      reason: "NoAddressLeft",
      message: `no inner address is left for ${identity}: enlarge pool.blocks, of which ${this.size} addresses are in use`,
    };
  }

  /**
   * Addresses that the AAA server assigned (A.2-7): it keeps account of them, and no block here does. Of those that the
   * device did not ask for there may be none only if there is another one.
   */
  granted(addresses: readonly string[], asked: readonly ConfigAttribute[]): AssignedAddress | PeerRefusal {
    const attributes: ConfigAttribute[] = [];
    const selectors: TrafficSelector[] = [];
    for (const [type, length] of FAMILIES) {
      const octets = addresses.map(parseIp).find((one) => one?.length === length);
      if (octets === undefined || !asked.some((attribute) => attribute.type === type)) continue;
      attributes.push(...this.#attributes(type, octets, asked));
      const ends = { startAddress: octets, endAddress: octets };
      selectors.push({ type: length === 4 ? 7 : 8, protocol: 0, startPort: 0, endPort: 0xffff, ...ends });
    }
    if (selectors.length > 0) return { attributes, selectors };
    return {
      reason: "AddressNotAsked",
      message: `the AAA server assigns ${addresses.join(" and ")}, which the device did not ask for`,
    };
  }

  /** The IKE SA is gone; its addresses are free once no other IKE SA of the device holds them. */
  release(holder: IkeSaId): void {
    for (const lease of this.#byHolder.get(holder) ?? []) {
      lease.holders.delete(holder);
      if (lease.holders.size > 0) continue;
      lease.block.free(lease.index, lease.key);
      // Nobody comes back for an address that belonged to one IKE SA alone.
      if (!this.#options.sharedByIdentity) this.#byKey.delete(lease.key);
    }
    this.#byHolder.delete(holder);
  }

  /** Rekeying has put one IKE SA in the place of another. */
  transfer(from: IkeSaId, to: IkeSaId): void {
    const leases = this.#byHolder.get(from);
    if (leases === undefined) return;
    this.#byHolder.delete(from);
    this.#byHolder.set(to, leases);
    for (const lease of leases) {
      lease.holders.delete(from);
      lease.holders.add(to);
    }
  }

  #lease(identity: string, holder: IkeSaId, length: 4 | 16): Lease | undefined {
    const key = `${length} ${this.#options.sharedByIdentity ? identity : `${identity} ${holder}`}`;
    const known = this.#byKey.get(key);
    const lease = known === undefined || !known.block.take(known.index, key) ? this.#allocate(key, length) : known;
    if (lease === undefined) return undefined;
    lease.holders.add(holder);
    const held = this.#byHolder.get(holder);
    if (held === undefined) this.#byHolder.set(holder, [lease]);
    else held.push(lease);
    return lease;
  }

  #allocate(key: string, length: 4 | 16): Lease | undefined {
    for (const block of this.#blocks) {
      if (block.addressLength !== length) continue;
      const allocated = block.allocate(key);
      if (allocated === undefined) continue;
      if (allocated.formerOwner !== undefined) this.#byKey.delete(allocated.formerOwner);
      const lease: Lease = {
        key,
        address: block.addressAt(allocated.index),
        block,
        index: allocated.index,
        holders: new Set(),
      };
      this.#byKey.set(key, lease);
      return lease;
    }
    return undefined;
  }

  #attributes(type: number, address: Bytes, asked: readonly ConfigAttribute[]): ConfigAttribute[] {
    const { dns } = this.#options;
    const wants = (wanted: number) => asked.some((attribute) => attribute.type === wanted);
    if (type === CfgAttribute.INTERNAL_IP4_ADDRESS) {
      return [
        { type, value: address },
        // A netmask means that the block is reached directly (RFC 7296 3.15.1); here everything goes through us.
        ...(wants(CfgAttribute.INTERNAL_IP4_NETMASK) ? [HOST_NETMASK] : []),
        ...(wants(CfgAttribute.INTERNAL_IP4_DNS) ? servers(CfgAttribute.INTERNAL_IP4_DNS, dns, 4) : []),
      ];
    }
    return [
      { type, value: copyOf(Buffer.concat([address, Buffer.from([128])])) },
      ...(wants(CfgAttribute.INTERNAL_IP6_DNS) ? servers(CfgAttribute.INTERNAL_IP6_DNS, dns, 16) : []),
    ];
  }
}

function servers(type: number, dns: readonly Bytes[], length: number): ConfigAttribute[] {
  return dns.filter((address) => address.length === length).map((value) => ({ type, value }));
}

/** One block of addresses: which are taken, and who had the free ones last. */
class Block {
  readonly addressLength: number;
  readonly #start: Bytes;
  readonly #count: number;
  readonly #first: number;
  #next: number;
  readonly #taken = new Set<number>();
  /** Freed addresses in the order of their release, with the key that may have them back. */
  readonly #freed = new Map<number, string>();

  constructor(block: Cidr) {
    this.addressLength = block.address.length;
    this.#start = cidrRange(block).start;
    const hostBits = block.address.length * 8 - block.prefix;
    const total = 2 ** Math.min(hostBits, MAX_HOST_BITS);
    // The first address names the block and, in IPv4, the last is its broadcast address.
    const hasEnds = hostBits > 1;
    this.#first = hasEnds ? 1 : 0;
    this.#count = hasEnds && this.addressLength === 4 ? total - 1 : total;
    this.#next = this.#first;
  }

  get used(): number {
    return this.#taken.size;
  }

  /** Takes an address for the key that had it last or has it now; false if it went to somebody else. */
  take(index: number, key: string): boolean {
    if (this.#taken.has(index)) return true;
    if (this.#freed.get(index) !== key) return false;
    this.#freed.delete(index);
    this.#taken.add(index);
    return true;
  }

  /** A fresh address, or the one that has been free for longest. */
  allocate(key: string): { index: number; formerOwner: string | undefined } | undefined {
    if (this.#next < this.#count) {
      const index = this.#next++;
      this.#taken.add(index);
      return { index, formerOwner: undefined };
    }
    const oldest = this.#freed.entries().next().value;
    if (oldest === undefined) return undefined;
    const [index, formerOwner] = oldest;
    this.#freed.delete(index);
    this.#taken.add(index);
    return { index, formerOwner: formerOwner === key ? undefined : formerOwner };
  }

  free(index: number, key: string): void {
    this.#taken.delete(index);
    this.#freed.set(index, key);
  }

  addressAt(index: number): Bytes {
    // Not from Node's shared pool, of which one address would keep 64 kB alive as long as a device is attached.
    const address = copyOf(this.#start);
    for (let at = address.length - 1, carry = index; carry > 0 && at >= 0; at--) {
      const sum = address[at]! + (carry % 256);
      address[at] = sum & 0xff;
      carry = Math.floor(carry / 256) + (sum >> 8);
    }
    return address;
  }
}

const FAMILIES = [
  [CfgAttribute.INTERNAL_IP4_ADDRESS, 4],
  [CfgAttribute.INTERNAL_IP6_ADDRESS, 16],
] as const;

const HOST_NETMASK: ConfigAttribute = { type: CfgAttribute.INTERNAL_IP4_NETMASK, value: netmask(32) };

/** Of an IPv6 block, no more addresses than this many bits count are ever used. */
const MAX_HOST_BITS = 30;
