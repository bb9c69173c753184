/**
 * Where the lab's roles live: each on a host of its own in network namespaces, or all on loopback where the machine allows
 * no more.
 *
 *     henb 1 (192.0.2.11) ──┐
 *     henb 2 (192.0.2.12) ──┼── 192.0.2.1 segw 10.40.0.1 ──── 10.40.0.2 core: PKI, OCSP responder, inner network
 *     ...                   ┘
 */
import { execFile } from "node:child_process";
import { Hosts } from "./namespaces.ts";

export interface Outer {
  address: string;
  ports: { ike: number; natT: number };
}

export interface PingResult {
  sent: number;
  received: number;
}

export interface Places {
  readonly kind: "namespaces" | "loopback";
  /** The gateway's outer side. */
  readonly gateway: Outer;
  /** The OCSP responder and CRL server. */
  readonly core: { address: string; port: number };
  /** The AAA server, Diameter over TCP. */
  readonly aaa: { address: string; port: number };
  /** The HSS, which is another process; Diameter over TCP. */
  readonly hss: { address: string; port: number };
  /** What lies behind the gateway. */
  readonly protectedBlock: string;
  /** Answers pings there; undefined where there is nothing to ping. */
  readonly innerTarget: string | undefined;
  /** Where the `index`th device is, from 1. */
  device(index: number): Outer;
  /** What goes in front of a role's command. */
  prefix(role: "segw" | "core" | number): readonly string[];
  ping(device: number, target: string, count: number): Promise<PingResult>;
  close(): void;
}

/** Hosts in namespaces; throws NamespacesUnavailable, or what `ip` says where the machine forbids them. */
export function namespacePlaces(devices: number, poolBlock: string): Places {
  const hosts = Hosts.create("fglab");
  try {
    hosts.link("segw", "10.40.0.1/24", "core", "10.40.0.2/24");
    hosts.route("core", poolBlock, "10.40.0.1");
    for (let index = 1; index <= devices; index++)
      hosts.linkPeers("segw", GATEWAY, deviceHost(index), deviceAddress(index));
    hosts.forward("segw");
  } catch (error) {
    hosts.close();
    throw error;
  }
  const nameOf = (role: "segw" | "core" | number) => (typeof role === "number" ? deviceHost(role) : role);
  return {
    kind: "namespaces",
    gateway: { address: GATEWAY, ports: IKE_PORTS },
    core: { address: "10.40.0.2", port: 80 },
    aaa: { address: "10.40.0.2", port: 3868 },
    hss: { address: "10.40.0.2", port: 3869 },
    protectedBlock: "10.40.0.0/24",
    innerTarget: "10.40.0.2",
    device: (index) => ({ address: deviceAddress(index), ports: IKE_PORTS }),
    prefix: (role) => ["ip", "netns", "exec", hosts.host(nameOf(role))],
    async ping(device, target, count) {
      const { stdout } = await hosts.run(deviceHost(device), "ping", [
        "-c",
        String(count),
        "-i",
        "0.2",
        "-W",
        "2",
        target,
      ]);
      return parsePing(stdout, count);
    },
    close: () => hosts.close(),
  };
}

/** Everything on 127.0.0.1 under high ports, which needs no rights at all; nothing can be pinged there. */
export async function loopbackPlaces(freePorts: (count: number) => Promise<number[]>): Promise<Places> {
  const [ike, natT, http, swm, swx] = await freePorts(5);
  const address = "127.0.0.1";
  return {
    kind: "loopback",
    gateway: { address, ports: { ike: ike!, natT: natT! } },
    core: { address, port: http! },
    aaa: { address, port: swm! },
    hss: { address, port: swx! },
    protectedBlock: "10.40.0.0/24",
    innerTarget: undefined,
    device: () => ({ address, ports: { ike: 0, natT: 0 } }),
    prefix: () => [],
    ping: async (_device, _target, count) => ({ sent: count, received: 0 }),
    close: () => undefined,
  };
}

/** True if this process can make namespaces and reach into them. */
export function namespacesWork(): boolean {
  try {
    const hosts = Hosts.create("fgprobe");
    try {
      hosts.host("a");
    } finally {
      hosts.close();
    }
    return true;
  } catch {
    return false;
  }
}

/** True if `unshare` gives an unprivileged user a user, network and mount namespace of its own. */
export function userNamespacesWork(): Promise<boolean> {
  return new Promise((resolve) => {
    execFile("unshare", [...UNSHARE, "sh", "-c", "mount -t tmpfs none /run && ip link"], { timeout: 5_000 }, (error) =>
      resolve(error === null),
    );
  });
}

/** Arguments of unshare(1) for a machine within the machine, where we are root. */
export const UNSHARE = ["--user", "--map-root-user", "--net", "--mount"] as const;

function parsePing(output: string, count: number): PingResult {
  const match = /(\d+) packets transmitted, (\d+) (?:packets )?received/.exec(output);
  return match === null ? { sent: count, received: 0 } : { sent: Number(match[1]), received: Number(match[2]) };
}

function deviceHost(index: number): string {
  return `henb${index}`;
}

/** 192.0.2.11 onwards (TEST-NET-1, RFC 5737), then 198.51.100.1 onwards. */
function deviceAddress(index: number): string {
  return index <= 200 ? `192.0.2.${10 + index}` : `198.51.100.${index - 200}`;
}

const GATEWAY = "192.0.2.1";
const IKE_PORTS = { ike: 500, natT: 4500 } as const;
