/** Addresses, routes and state of a network interface, through iproute2's `ip`; every change may be repeated. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { cidrRange, formatIp, parseCidr } from "../../bytes/ip.ts";
import { TunUnavailable } from "./tunDevice.ts";

const run = promisify(execFile);

/** There exactly if the kernel has IPv6. */
const IPV6_ADDRESSES = "/proc/net/if_inet6";

/** Milliseconds after which an `ip` command counts as stuck. */
const LIMIT_MS = 10_000;

/** The kernel refused a change of an interface; `message` holds the command and its words. */
export class InterfaceError extends Error {
  override readonly name = "InterfaceError";
}

/** Brings it up with that MTU, without an IPv6 link-local address: nobody on a tunnel answers its chatter. */
export async function bringUp(name: string, mtu: number): Promise<void> {
  await ip("link", "set", "dev", name, "mtu", String(mtu));
  // Before it is up, and not in one command: the kernel would first bring it up, and make the address. A kernel without
  // IPv6 makes none, and refuses to be told.
  if (existsSync(IPV6_ADDRESSES)) await ip("link", "set", "dev", name, "addrgenmode", "none");
  await ip("link", "set", "dev", name, "up");
}

/** `address` as "10.1.0.5/32"; throws RangeError if it is none. */
export async function addAddress(name: string, address: string): Promise<void> {
  // Nobody else is on the link, so looking for duplicates would only delay its use by a second.
  const options = address.includes(":") ? ["nodad"] : [];
  await ip("address", "replace", hostText(address), "dev", name, ...options);
}

export async function removeAddress(name: string, address: string): Promise<void> {
  await ip("address", "delete", hostText(address), "dev", name);
}

/** A route of the machine's own that had to make way, as `ip` names it. */
export type DisplacedRoute = readonly string[];

/**
 * Sends traffic for a block such as "10.0.0.0/8" into the interface; throws RangeError if it is none. Gives the routes that
 * had to make way, for `restoreRoutes` when this one is gone.
 */
export async function addRoute(name: string, block: string): Promise<DisplacedRoute[]> {
  return replaceRoute([blockText(block), "dev", name]);
}

export async function removeRoute(name: string, block: string): Promise<void> {
  await ip("route", "delete", blockText(block), "dev", name);
}

/** Puts routes back that had to make way; throws InterfaceError for the first that cannot be, after the others. */
export async function restoreRoutes(displaced: readonly DisplacedRoute[]): Promise<void> {
  const failures: unknown[] = [];
  for (const route of displaced) await ip("route", "replace", ...route).catch((error) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/**
 * Keeps a host on the way that leads to it now, whatever blocks later go into a tunnel; the function it gives takes that
 * back. Without it a tunnel that carries everything would carry its own packets.
 */
export async function pinRoute(address: string): Promise<() => Promise<void>> {
  const [way] = JSON.parse(await ip("-json", "route", "get", address)) as { gateway?: string; dev: string }[];
  if (way === undefined) throw new InterfaceError(`no route to ${address}`);
  const host = hostText(`${address}/${address.includes(":") ? 128 : 32}`);
  const route = [host, ...(way.gateway === undefined ? [] : ["via", way.gateway]), "dev", way.dev];
  const displaced = await replaceRoute(route);
  return async () => {
    await ip("route", "delete", ...route);
    await restoreRoutes(displaced);
  };
}

/** The kernel's "replace" leaves one route to a destination of a metric, and does not say which others went. */
async function replaceRoute(route: DisplacedRoute): Promise<DisplacedRoute[]> {
  const before = await routesTo(route[0]!);
  await ip("route", "replace", ...route);
  if (before.length === 0) return [];
  const after = (await routesTo(route[0]!)).map(String);
  return before.filter((one) => !after.includes(String(one)));
}

async function routesTo(block: string): Promise<DisplacedRoute[]> {
  const family = block.includes(":") ? "-6" : "-4";
  const lines = await ip(family, "-oneline", "route", "show", "exact", block);
  const words = lines.split("\n").map((line) => line.split(/[\s\\]+/).filter((word) => word !== ""));
  // What the kernel says of a route's state is none of its settings.
  return words.filter(({ length }) => length > 0).map((line) => line.filter((word) => !ROUTE_STATES.has(word)));
}

const ROUTE_STATES = new Set(["linkdown", "dead", "offload", "trap", "rt_trap", "rt_offload", "cloned"]);

function hostText(text: string): string {
  const { address, prefix } = cidr(text);
  return `${formatIp(address)}/${prefix}`;
}

function blockText(text: string): string {
  const parsed = cidr(text);
  return `${formatIp(cidrRange(parsed).start)}/${parsed.prefix}`;
}

function cidr(text: string) {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new RangeError(`"${text}" is no address or block`);
  return parsed;
}

async function ip(...args: string[]): Promise<string> {
  try {
    const { stdout } = await run("ip", args, { timeout: LIMIT_MS });
    return stdout;
  } catch (error) {
    const { code, stderr } = error as { code?: string | number; stderr?: string };
    if (code === "ENOENT") throw new TunUnavailable("the command `ip` is missing", "install iproute2");
    throw new InterfaceError(`ip ${args.join(" ")}: ${stderr?.trim() || String(error)}`);
  }
}
