/** The device as a process: configuration, TrE, sockets, data plane and log around `HomeNodeB`. */
import { lookup } from "node:dns/promises";
import type { ChildSaSpec } from "../esp/dataPlane.ts";
import { readConfig } from "../ipsec/roleFiles.ts";
import {
  type CaptureChoice,
  openPlane,
  openPorts,
  PLANE_NEEDS,
  type RoleEnvironment,
  RoleObserver,
} from "../ipsec/roleShell.ts";
import { hashNumbers, profilePolicy } from "../ipsec/settings.ts";
import { createLogger } from "../observe/log.ts";
import { HttpExchanger } from "../revocation/httpExchange.ts";
import { HttpOcspTransport, ocspLimits } from "../revocation/ocspTransport.ts";
import type { Random } from "../sim/environment.ts";
import { SoftwareTre } from "../tre/softwareTre.ts";
import { SoftwareUsim } from "../tre/softwareUsim.ts";
import { HOSTING_PARTY_DEFAULTS, UsimHostingParty } from "../tre/usimHostingParty.ts";
import { type DeviceConfig, deviceConfig } from "./config.ts";
import { type DeviceState, HomeNodeB } from "./device.ts";
import type { StatusNetwork } from "./gatewayStatus.ts";
import { innerAccess } from "./innerAccess.ts";
import { InnerNetwork } from "./innerNetwork.ts";
import { ocspPolicy } from "./ocspConfig.ts";
import { openManagement } from "./openManagement.ts";
import { OuterPaths } from "./outerPaths.ts";
import type { StatusNews } from "./statusGuard.ts";

export interface RunningDevice {
  device: HomeNodeB;
  /** Resolves when the device will not try again: integrity failed, or a single attempt was asked for and failed. */
  ended: Promise<DeviceState>;
  stop(): Promise<void>;
}

export interface ServeOptions {
  /** Takes each log line. */
  write(line: string): void;
  capture: CaptureChoice | undefined;
}

/** Starts the device that a configuration file describes; throws typed errors that say what to put right. */
export async function serveDevice(
  file: string,
  environment: RoleEnvironment,
  options: ServeOptions,
): Promise<RunningDevice> {
  const { config, at } = readConfig(deviceConfig, file);
  const { clock, random, timers } = environment;
  const log = createLogger(config.log, "henb", clock, options.write);
  const tre = new SoftwareTre(at(config.tre.directory), at(config.tre.files), {
    clock,
    acceptedHashes: hashNumbers(config.ike),
    allowWeakAlgorithms: config.ike.allowWeakAlgorithms,
    ...ocspPolicy(config.ocsp),
    profile: profilePolicy(config.profile, "segw"),
  });
  const observer = await RoleObserver.open(log, clock, "henb", options.capture);
  const outer: OuterPaths = new OuterPaths(config, (address) =>
    openPorts(device.service, observer, { addresses: [address], ports: config.local.ports }),
  );
  const management =
    config.management &&
    openManagement(config.management, { tre: at(config.tre.directory), folder: at(".") }, environment, log);
  let network: InnerNetwork | undefined;
  let child: ChildSaSpec | undefined;
  let tunnelInUse: Promise<void> = Promise.resolve();
  const exchanger = new HttpExchanger({ keepAlive: false });
  let stopping = false;
  let told = false;
  const ended = Promise.withResolvers<DeviceState>();
  const fault = (what: string, error: unknown) => observer.fault(what, error);

  const device: HomeNodeB = new HomeNodeB({
    config,
    tre,
    hostingParty: openHostingParty(config, at, random),
    clock,
    random,
    timers,
    plane: PLANE_NEEDS,
    nextPath: (attempt) => outer.next(attempt),
    onEvent(event) {
      observer.event(event);
      if (event.kind !== "childInstalled") return;
      tunnelInUse = useTunnel();
      tunnelInUse.catch((error) => fault("the inner network cannot be used", error));
    },
    onFault: fault,
    onState,
    onChild: (spec) => {
      child = spec;
    },
    statusNetwork: statusNetwork(exchanger, config.ocsp.timeLimit),
    tunnelReady: () => tunnelInUse,
    onStatus,
    exportKeys: options.capture?.withKeys ?? false,
  });

  function onState(state: DeviceState): void {
    if (state.kind === "Unfit") {
      log.error(
        { event: "integrityFailed", problems: state.problems },
        `nothing is sent: ${state.problems.join("; ")} (TS 33.320 A.1)`,
      );
    }
    const refusal = state.kind === "Waiting" || state.kind === "Stopped" ? state.refusal : undefined;
    // Other refusals are events of IKE, and logged as such.
    if (!stopping && (refusal?.reason === "NoPath" || refusal?.reason === "NoTunnel"))
      log.warn({ event: "failed", ...refusal }, `not attached: ${refusal.message} (${refusal.reason})`);
    if (state.kind === "Waiting")
      log.info({ event: "waiting", attempt: state.attempt }, "not attached; waiting for the next attempt");
    if (state.kind === "Waiting" || state.kind === "Stopped") void giveBack();
    if (state.kind === "Unfit" || state.kind === "Stopped") ended.resolve(state);
  }

  async function giveBack(): Promise<void> {
    told = false;
    management?.client.detached();
    await network?.clear().catch((error) => fault("the inner network cannot be taken back", error));
  }

  async function useTunnel(): Promise<void> {
    const { state } = device;
    if ((state.kind !== "AwaitStatus" && state.kind !== "Attached") || child === undefined || stopping) return;
    const { remote, remoteSelectors } = child;
    await network?.use(state.addresses, remoteSelectors, remote.address, await management?.outside());
    if (device.state.kind === "AwaitStatus")
      log.info(
        { event: "awaitStatus", addresses: state.addresses },
        "the tunnel carries no user data before the gateway's status is known",
      );
    tellAttached();
  }

  /** Only once users are served: a tunnel on hold is none to them. */
  function tellAttached(): void {
    const { state } = device;
    // A tunnel that is rekeyed is the same attachment.
    if (state.kind !== "Attached" || stopping || told) return;
    told = true;
    log.info(
      { event: "attached", addresses: state.addresses, dns: state.dns, ocsp: state.ocsp, eap: state.eap },
      `attached with ${state.addresses.join(" and ") || "no inner address"}`,
    );
    management?.client.attached(innerAccess(child?.remoteSelectors ?? [], state.addresses, state.dns));
  }

  function onStatus(news: StatusNews): void {
    if (news.kind === "good") {
      const { ocsp, goodUntil } = news;
      log.info({ event: "gatewayStatus", ocsp, goodUntil }, `the gateway's certificate: ${ocsp}`);
      if (news.first) tellAttached();
    } else if (news.ends) {
      const { refusal } = news;
      log.warn(
        { event: "failed", ...refusal, by: "us" },
        `the tunnel is torn down: ${refusal.message} (${refusal.reason})`,
      );
    } else {
      const { reason, message, evidence } = news.refusal;
      log.warn({ event: "gatewayStatus", reason, message, evidence }, `the gateway's status is not known: ${message}`);
    }
  }

  const { plane, tun } = await openPlane(device.service, observer, random, {
    ...config.dataPlane,
    addresses: [],
    routes: [],
  });
  if (tun !== undefined) network = new InnerNetwork(tun);
  device.service.connect(outer, plane);
  try {
    await device.start();
  } catch (error) {
    await device.stop();
    await observer.close();
    throw error;
  }
  return {
    device,
    ended: ended.promise,
    async stop() {
      // While the interface is there: a route past the tunnel would outlive it.
      stopping = true;
      await giveBack();
      await device.stop();
      await management?.[Symbol.asyncDispose]();
      exchanger[Symbol.dispose]();
      await observer.close();
      log.info({ event: "stopped" }, "stopped");
    },
  };
}

/** Names are resolved as the system does it, outside the tunnel while that is on hold: only OCSP passes there. */
function statusNetwork(exchanger: HttpExchanger, timeLimit: number): StatusNetwork {
  const transport = new HttpOcspTransport(exchanger, ocspLimits(timeLimit));
  return {
    resolve: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
    ask: (url, request, method, ends) => transport.ask(url, request, method, { ends }),
  };
}

/** The module with its USIM, where a hosting party is configured; throws UsimError or ConfigError. */
function openHostingParty(
  { hostingParty }: DeviceConfig,
  at: (path: string) => string,
  random: Random,
): UsimHostingParty | undefined {
  if (hostingParty === undefined) return undefined;
  const { usim, methods, realm, networkName } = hostingParty;
  return new UsimHostingParty(new SoftwareUsim(at(usim)), random, {
    ...HOSTING_PARTY_DEFAULTS,
    methods,
    realm,
    networkName,
  });
}
