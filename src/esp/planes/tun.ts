/**
 * The plane that does ESP here, a packet at a time, between a TUN device and the IKE socket's port 4500. It runs wherever
 * a TUN device does, also where the kernel has no ESP; production uses the kernel's plane.
 *
 * MTU: over IPv4 a packet grows by at most 65 octets with AES-GCM (IP 20, UDP 8, ESP 8, IV 8, padding 3, trailer 2, ICV
 * 16) and 101 with AES-CBC and HMAC-SHA2-512 (IV 16, padding 15, ICV 32), and by 20 more over IPv6. One of 1400 becomes
 * 1464 and 1492, so it fits a 1500-octet IPv4 path with every suite; an IPv6 path with AES-GCM and up to HMAC-SHA2-256.
 *
 * Routes: one that covers the peer's own outer address would lead its ESP packets back into the tunnel; the caller keeps
 * that address out of them.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Random } from "../../sim/environment.ts";
import type { ChildSaId, ChildSaSpec, ChildSaUsage, DataPlane, PlaneHost, UdpAddress } from "../dataPlane.ts";
import type { Hold } from "../hold.ts";
import { type DropReason, EspProcessor } from "../processor.ts";
import {
  addAddress,
  addRoute,
  bringUp,
  type DisplacedRoute,
  InterfaceError,
  pinRoute,
  removeAddress,
  removeRoute,
  restoreRoutes,
} from "./networkInterface.ts";
import { TunDevice, type TunUnavailable } from "./tunDevice.ts";

/** Octets; see the header of this file. */
const DEFAULT_TUN_MTU = 1400;

/** The least that IPv6 works with (RFC 8200 5), and the longest IP packet. */
const MIN_MTU = 1280;
const MAX_MTU = 65_535;

export interface TunPlaneOptions {
  /** Interface name, up to 15 characters; a "%d" in it becomes the first free number. */
  name: string;
  /** Octets, 1280..65535. */
  mtu?: number;
  /** The interface's own addresses, such as "10.1.0.5/32". */
  addresses?: readonly string[];
  /** Blocks that are reached through it. */
  routes?: readonly string[];
  host: PlaneHost;
  /** For the IVs of CBC ciphers. */
  random: Random;
  /** Told if the interface is lost while in use; the plane then only counts drops, and is to be closed. */
  onLost?(error: TunUnavailable): void;
  /** Told at the end of a route of the machine's own that could not be put back, as when what it leads through is gone. */
  onNotRestored?(error: InterfaceError): void;
}

/** Throws TunUnavailable where there can be no TUN device, InterfaceError if the kernel refuses an address or a route. */
export async function createTunPlane(options: TunPlaneOptions): Promise<TunPlane> {
  const { mtu = DEFAULT_TUN_MTU, host, random } = options;
  if (!(mtu >= MIN_MTU && mtu <= MAX_MTU))
    throw new RangeError(`an MTU of ${mtu} is not within ${MIN_MTU}..${MAX_MTU}`);
  const processor = new EspProcessor(random, (event) => host.onEvent(event));
  const device = await TunDevice.open({
    name: options.name,
    mtu,
    onPacket(inner) {
      const sealed = processor.outbound(inner);
      if (sealed !== undefined) host.sendUdp(sealed.packet, sealed.from, sealed.to);
    },
    onLost: (error) => options.onLost?.(error),
  });
  const plane = new TunPlane(device, processor, (error) => options.onNotRestored?.(error));
  try {
    await bringUp(device.name, mtu);
    for (const address of options.addresses ?? []) await plane.addAddress(address);
    for (const route of options.routes ?? []) await plane.addRoute(route);
  } catch (error) {
    await plane.close();
    throw error;
  }
  return plane;
}

/** Made by `createTunPlane`. */
export class TunPlane implements DataPlane {
  readonly name = "tun";
  readonly needsUdpEncapsulation = true;
  readonly #device: TunDevice;
  readonly #processor: EspProcessor;
  readonly #onNotRestored: (error: InterfaceError) => void;
  /** By the block of ours that they made way for. */
  readonly #displaced = new Map<string, readonly DisplacedRoute[]>();

  constructor(device: TunDevice, processor: EspProcessor, onNotRestored: (error: InterfaceError) => void) {
    this.#device = device;
    this.#processor = processor;
    this.#onNotRestored = onNotRestored;
  }

  get interfaceName(): string {
    return this.#device.name;
  }

  /** Packets dropped so far, by reason. */
  get drops(): ReadonlyMap<DropReason, number> {
    return this.#processor.drops;
  }

  install(spec: ChildSaSpec): void {
    this.#processor.install(spec);
  }

  remove(id: ChildSaId): void {
    this.#processor.remove(id);
  }

  move(id: ChildSaId, local: UdpAddress, remote: UdpAddress): void {
    this.#processor.move(id, local, remote);
  }

  setHold(id: ChildSaId, hold: Hold | undefined): void {
    this.#processor.setHold(id, hold);
  }

  usage(id: ChildSaId): ChildSaUsage | undefined {
    return this.#processor.usage(id);
  }

  receive(packet: Bytes, from: UdpAddress): void {
    const inner = this.#processor.inbound(packet, from);
    if (inner !== undefined) this.#device.write(inner);
  }

  /** Gives the interface an address, such as the one a CFG_REPLY brought ("10.1.0.5/32"). */
  addAddress(address: string): Promise<void> {
    return addAddress(this.#device.name, address);
  }

  removeAddress(address: string): Promise<void> {
    return removeAddress(this.#device.name, address);
  }

  /** Sends traffic for a block into the tunnel; a route of the machine's own to that block comes back afterwards. */
  async addRoute(block: string): Promise<void> {
    const displaced = await addRoute(this.#device.name, block);
    // Of a route that is there already nothing else is displaced.
    if (displaced.length > 0) this.#displaced.set(block, displaced);
  }

  async removeRoute(block: string): Promise<void> {
    await removeRoute(this.#device.name, block);
    await this.#restore(block);
  }

  /** Keeps a host outside the tunnel, such as the peer's outer address; the function it gives takes that back. */
  pinRoute(address: string): Promise<() => Promise<void>> {
    return pinRoute(address);
  }

  async close(): Promise<void> {
    // The interface takes its routes with it.
    await this.#device.close();
    for (const block of [...this.#displaced.keys()]) await this.#restore(block);
  }

  async #restore(block: string): Promise<void> {
    const displaced = this.#displaced.get(block) ?? [];
    this.#displaced.delete(block);
    try {
      await restoreRoutes(displaced);
    } catch (error) {
      if (!(error instanceof InterfaceError)) throw error;
      this.#onNotRestored(error);
    }
  }
}
