/**
 * The way to the gateway: which of its addresses to try, and which of ours to use for that.
 *
 * Names are resolved and sockets bound at each attempt, never before: a device that is not fit sends nothing, no DNS
 * query either (TS 33.320 A.1-1), and one whose address has changed finds its new one.
 */
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import type { Bytes } from "../bytes/bytes.ts";
import type { UdpAddress } from "../esp/dataPlane.ts";
import type { Path } from "../ike/sa/ikeSa.ts";
import type { IkePorts } from "../ipsec/ikeService.ts";
import type { UdpPorts } from "../ipsec/udpPorts.ts";
import type { DeviceConfig } from "./config.ts";

/** The gateway cannot be reached at all; says why. */
export class NoPathError extends Error {
  override readonly name = "NoPathError";
}

export class OuterPaths implements IkePorts {
  readonly #config: Pick<DeviceConfig, "gateway" | "local">;
  readonly #bind: (address: string) => Promise<UdpPorts>;
  readonly #byAddress = new Map<string, UdpPorts>();

  constructor(config: Pick<DeviceConfig, "gateway" | "local">, bind: (address: string) => Promise<UdpPorts>) {
    this.#config = config;
    this.#bind = bind;
  }

  /** The path of the `attempt`th attempt, from 1: addresses of the gateway take turns. Throws NoPathError. */
  async next(attempt: number): Promise<Path> {
    const { gateway, local } = this.#config;
    const remotes = await this.#gatewayAddresses();
    const remote = remotes[(attempt - 1) % remotes.length];
    if (remote === undefined) throw new NoPathError(`${gateway.name} has no address`);
    const ports = await this.#portsOf(local.address ?? (await sourceAddress(remote, gateway.ports.ike)));
    const [bound] = ports.bound;
    return {
      local: bound!.ike,
      remote: { address: remote, port: gateway.ports.ike },
      natT: false,
      natPorts: { local: bound!.natT.port, remote: gateway.ports.natT },
    };
  }

  sendIke(packet: Bytes, from: UdpAddress, to: UdpAddress, natT: boolean): void {
    this.#byAddress.get(from.address)?.sendIke(packet, from, to, natT);
  }

  sendKeepalive(from: UdpAddress, to: UdpAddress): void {
    this.#byAddress.get(from.address)?.sendKeepalive(from, to);
  }

  sendEsp(packet: Bytes, from: UdpAddress, to: UdpAddress): void {
    this.#byAddress.get(from.address)?.sendEsp(packet, from, to);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byAddress.values()].map((ports) => ports.close()));
    this.#byAddress.clear();
  }

  async #gatewayAddresses(): Promise<readonly string[]> {
    const { name, addresses } = this.#config.gateway;
    if (addresses.length > 0) return addresses;
    if (isIP(name) > 0) return [name];
    try {
      return (await lookup(name, { all: true })).map(({ address }) => address);
    } catch (error) {
      throw new NoPathError(
        `${name} is not resolved by DNS (${(error as NodeJS.ErrnoException).code ?? error}); gateway.addresses can name its addresses`,
      );
    }
  }

  async #portsOf(address: string): Promise<UdpPorts> {
    const known = this.#byAddress.get(address);
    if (known !== undefined) return known;
    const ports = await this.#bind(address);
    this.#byAddress.set(address, ports);
    return ports;
  }
}

/** Our address towards a host, as the system's routes have it; nothing is sent for that. */
async function sourceAddress(remote: string, port: number): Promise<string> {
  const socket = createSocket(isIPv6(remote) ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.once("connect", resolve);
      // With a callback it would be that which hears of an error.
      socket.connect(port, remote);
    });
    return socket.address().address;
  } catch (error) {
    throw new NoPathError(`no way to ${remote} (${(error as NodeJS.ErrnoException).code ?? error})`);
  } finally {
    socket.close();
  }
}
