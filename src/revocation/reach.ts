/**
 * How far an address that a certificate names may lead (TS 33.320 7.2.2-8): to hosts that the policy allows, by way of
 * redirections too, and not to this machine or the network behind it.
 *
 * Whoever issues certificates to devices could else have a gateway knock at doors that only the gateway can reach. Names
 * are judged by what they resolve to, at the moment of connecting, so that DNS cannot say one thing first and another then.
 */
import { lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { sameBytes } from "../bytes/bytes.ts";
import { formatIp, parseIp } from "../bytes/ip.ts";

/** Of an address that a certificate names; an address by configuration has none, and leads wherever it likes. */
export interface Reach {
  /** `namedHosts` of the rule: domains and addresses; undefined for any. */
  hosts: readonly string[] | undefined;
}

/** A name or address that leads where no certificate may send us. */
export class AddressRefused extends Error {
  override readonly name = "AddressRefused";
  readonly address: string;

  constructor(address: string) {
    super(`leads to ${address}`);
    this.address = address;
  }
}

/**
 * True if a connection to `address` may be made. This machine, its links and groups are open only where the address
 * itself is listed; private networks also where the policy lists hosts at all, since it speaks of its own network then.
 */
export function isWithin(address: string, { hosts }: Reach): boolean {
  const octets = parseIp(address);
  if (octets === undefined) return false;
  if (hosts?.some((host) => isSame(parseIp(host), octets)) === true) return true;
  const embedded = octets.length === 16 && isIn(NAT64, octets) ? octets.subarray(12) : octets;
  if (isIn(LOCAL, embedded)) return false;
  return hosts !== undefined || !isIn(PRIVATE, embedded);
}

/** The system's resolver, without the addresses that are out of reach; an error where none is left. */
export function lookupWithin(reach: Reach): LookupFunction {
  return (hostname, options, callback) =>
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, "", 0);
      const open = addresses.filter(({ address }) => isWithin(address, reach));
      const [first] = open;
      if (first === undefined) return callback(new AddressRefused(addresses[0]?.address ?? hostname), "", 0);
      return options.all === true ? callback(null, open) : callback(null, first.address, first.family);
    });
}

/** Throws AddressRefused for an address in place of a name, which no resolver sees. */
export function checkLiteral(host: string, reach: Reach): void {
  const address = host.replace(/^\[|\]$/g, "");
  if (isIP(address) !== 0 && !isWithin(address, reach)) throw new AddressRefused(address);
}

/** Tells reaches apart. */
export function reachKey(reach: Reach | undefined): string {
  return reach === undefined ? "" : `named ${reach.hosts?.join(",") ?? "anywhere"}`;
}

function isSame(a: Buffer | undefined, b: Buffer): boolean {
  return a !== undefined && a.length === b.length && sameBytes(a, b);
}

/** IPv6 addresses with an IPv4 address mapped into them are judged by that one. */
function isIn(list: BlockList, octets: Buffer): boolean {
  return list.check(formatIp(octets), octets.length === 4 ? "ipv4" : "ipv6");
}

function blocks(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const [net, prefix] = text.split("/") as [string, string];
    list.addSubnet(net, Number(prefix), net.includes(":") ? "ipv6" : "ipv4");
  }
  return list;
}

/** RFC 6890: this host, loopback, link-local (where clouds keep credentials), multicast, reserved, broadcast. */
const LOCAL = blocks([
  ...["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"],
  ...["::/128", "::1/128", "fe80::/10", "ff00::/8"],
]);
/** RFC 1918, 4193, 6598, 2544, and translations that may end in any of these (RFC 3056, 4380). */
const PRIVATE = blocks([
  ...["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15"],
  ...["fc00::/7", "fec0::/10", "2002::/16", "2001::/32"],
]);
/** RFC 6052: the last 32 bits are an IPv4 address. */
const NAT64 = blocks(["64:ff9b::/96"]);
