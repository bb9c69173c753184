/**
 * What gateway and device processes share around an `IkeService`: sockets, the data plane, the log and the capture.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { DataPlane, UdpAddress } from "../esp/dataPlane.ts";
import { NonePlane } from "../esp/planes/none.ts";
import { createTunPlane, type TunPlane } from "../esp/planes/tun.ts";
import type { IkeEvent } from "../ike/sa/effects.ts";
import { CaptureFile } from "../observe/captureFile.ts";
import type { Logger } from "../observe/log.ts";
import { StrangerLog } from "../observe/strangerLog.ts";
import type { Clock, Random, Timers } from "../sim/environment.ts";
import { describeEvent } from "./eventRecord.ts";
import type { IkeService } from "./ikeService.ts";
import { UdpPorts } from "./udpPorts.ts";

/** The world a role runs in. */
export interface RoleEnvironment {
  clock: Clock;
  random: Random;
  timers: Timers;
}

/** Where to capture to; keys only where a person asked for them. */
export interface CaptureChoice {
  file: string;
  withKeys: boolean;
}

export interface DataPlaneSettings {
  kind: "tun" | "none";
  interface: string;
  mtu?: number | undefined;
  addresses: readonly string[];
  /** Blocks that are reached through the tunnel from the start. */
  routes: readonly string[];
}

/** Planes are known by what they need before they are made. */
export const PLANE_NEEDS = { needsUdpEncapsulation: true } as const;

/** Logs events and feeds a capture with them. */
export class RoleObserver {
  readonly log: Logger;
  readonly capture: CaptureFile | undefined;
  readonly #clock: Clock;
  readonly #strangers: StrangerLog;

  private constructor(log: Logger, clock: Clock, capture: CaptureFile | undefined) {
    this.log = log;
    this.#clock = clock;
    this.#strangers = new StrangerLog(clock);
    this.capture = capture;
  }

  static async open(log: Logger, clock: Clock, role: string, choice: CaptureChoice | undefined): Promise<RoleObserver> {
    const capture =
      choice === undefined
        ? undefined
        : await CaptureFile.open(choice.file, {
            application: "femtogate",
            interfaceName: role,
            withKeys: choice.withKeys,
            onFailure: (message) => log.warn({ event: "captureFailed" }, message),
          });
    return new RoleObserver(log, clock, capture);
  }

  event(event: IkeEvent): void {
    if (event.kind === "keys") return this.capture?.keys(event);
    const described = describeEvent(event);
    if (described === undefined) return;
    const { level, record, text } = described;
    // Whoever fails has not been authenticated, whatever name it gave.
    if (event.kind === "failed")
      this.#strangers.say((more, tail) => this.log[level]({ ...record, ...more }, `${text}${tail}`));
    else this.log[level](record, text);
  }

  fault(what: string, error: unknown): void {
    const problem = error instanceof Error ? error.message : String(error);
    const stack = error instanceof Error && error.name === "Error" ? error.stack : undefined;
    this.log.error({ event: "fault", problem, stack }, `${what}: ${problem}`);
  }

  datagram(payload: Bytes, from: UdpAddress, to: UdpAddress): void {
    this.capture?.datagram({ at: this.#clock.now(), from, to, payload });
  }

  async close(): Promise<void> {
    await this.capture?.close();
  }
}

/** Binds the ports for a service; throws PortUnavailable. */
export function openPorts(
  service: IkeService,
  observer: RoleObserver,
  where: { addresses: readonly string[]; ports: { ike: number; natT: number } },
): Promise<UdpPorts> {
  return UdpPorts.open({
    ...where,
    handler: service,
    ...(observer.capture === undefined
      ? {}
      : { tap: (datagram: Bytes, from: UdpAddress, to: UdpAddress) => observer.datagram(datagram, from, to) }),
    onSendError: (error, to) =>
      observer.log.debug(
        { event: "sendFailed", to: `${to.address} ${to.port}` },
        `not sent to ${to.address}: ${error.message}`,
      ),
  });
}

/** Makes the data plane; throws TunUnavailable or InterfaceError where it cannot be had. */
export async function openPlane(
  service: IkeService,
  observer: RoleObserver,
  random: Random,
  settings: DataPlaneSettings,
): Promise<{ plane: DataPlane; tun: TunPlane | undefined }> {
  if (settings.kind === "none") return { plane: new NonePlane((event) => service.onEvent(event)), tun: undefined };
  const tun = await createTunPlane({
    name: settings.interface,
    ...(settings.mtu === undefined ? {} : { mtu: settings.mtu }),
    addresses: settings.addresses,
    routes: settings.routes,
    host: service,
    random,
    onLost: (error) => observer.fault("the data plane is lost", error),
    onNotRestored: (error) => observer.fault("a route of this machine's could not be put back", error),
  });
  return { plane: tun, tun };
}
