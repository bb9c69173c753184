/** The gateway as a process: configuration, certificates, sockets, data plane and log around `SecurityGateway`. */
import { postJson } from "../http/jsonClient.ts";
import { readOwnCredentials } from "../ipsec/ownCredentials.ts";
import { readCertificates, readConfig } from "../ipsec/roleFiles.ts";
import {
  type CaptureChoice,
  openPlane,
  openPorts,
  PLANE_NEEDS,
  type RoleEnvironment,
  RoleObserver,
} from "../ipsec/roleShell.ts";
import { createLogger } from "../observe/log.ts";
import { HttpExchanger } from "../revocation/httpExchange.ts";
import { HttpOcspTransport, ocspLimits } from "../revocation/ocspTransport.ts";
import { openStatusIfUsed } from "../revocation/open.ts";
import type { AaaProfile } from "./aaa/client.ts";
import { openAaaClient } from "./aaa/open.ts";
import { type GatewayConfig, gatewayConfig } from "./config.ts";
import { type GatewayCredentials, SecurityGateway } from "./gateway.ts";

export interface RunningGateway {
  gateway: SecurityGateway;
  /** Deletes all IKE SAs, waits for the devices' answers as long as configured, and lets go of everything. */
  stop(): Promise<void>;
}

export interface ServeOptions {
  /** Takes each log line. */
  write(line: string): void;
  capture: CaptureChoice | undefined;
}

/** Starts the gateway that a configuration file describes; throws typed errors that say what to put right. */
export async function serveGateway(
  file: string,
  environment: RoleEnvironment,
  options: ServeOptions,
): Promise<RunningGateway> {
  const { config, at } = readConfig(gatewayConfig, file);
  const { clock, random, timers } = environment;
  const log = createLogger(config.log, "segw", clock, options.write);
  const credentials = readCredentials(config, at);
  const observer = await RoleObserver.open(log, clock, "segw", options.capture);
  const status = openStatusIfUsed("device", {
    section: config.revocation,
    folder: at("."),
    cas: credentials.deviceRoots,
    allowWeakAlgorithms: config.ike.allowWeakAlgorithms,
    clock,
    random,
    log,
  });
  const exchanger = new HttpExchanger();
  const sessions: { gateway?: SecurityGateway } = {};
  const onAaaProblem = (problem: string) => log.warn({ event: "aaaProblem", problem }, problem);
  const aaa =
    config.aaa === undefined
      ? undefined
      : await openAaaClient(config.aaa, { name: config.name, addresses: config.listen }, at, environment, {
          onDetach: (session) => sessions.gateway?.detach(session) ?? false,
          onReauthorize: (session) => sessions.gateway?.reauthorize(session) ?? false,
          sessionOf: (session) => sessions.gateway?.sessionOf(session),
          onChange: (session, change) => sessions.gateway?.change(session, change) ?? "UnknownSession",
          onUp: (server) => log.info({ event: "aaaUp", server }, `the AAA server ${server} can be asked`),
          onProblem: onAaaProblem,
          onMessage: config.log.messages ? ({ record, text }) => log.info(record, text) : undefined,
        });
  const gateway = new SecurityGateway({
    config,
    credentials,
    clock,
    random,
    timers,
    ocspTransport: new HttpOcspTransport(exchanger, ocspLimits(OCSP_TIME_LIMIT)),
    status: status?.service,
    aaa,
    onDeviceLost: (sa, refusal) =>
      log.warn(
        { event: "deviceLost", sa, ...refusal },
        `a device is sent away: ${refusal.message} (${refusal.reason})`,
      ),
    onAaaProblem,
    onGranted: (sa, device, hostingParty, profile) =>
      log.info(
        { event: "granted", sa, device, hostingParty, profile },
        `${device} is granted: ${describeProfile(profile)}`,
      ),
    onGrantChanged: (sa, device, grant) =>
      log.info({ event: "grantChanged", sa, device, ...grant }, `the AAA server changes what ${device} is granted`),
    postJson,
    plane: PLANE_NEEDS,
    onEvent: (event) => observer.event(event),
    onFault: (what, error) => observer.fault(what, error),
    exportKeys: options.capture?.withKeys ?? false,
  });
  sessions.gateway = gateway;
  const { service } = gateway;
  const { plane } = await openPlane(service, observer, random, { ...config.dataPlane, routes: config.pool.blocks });
  try {
    const ports = await openPorts(service, observer, { addresses: config.listen, ports: config.ports });
    service.connect(ports, plane);
    const bound = ports.bound.map(({ ike, natT }) => ({ address: ike.address, ike: ike.port, natT: natT.port }));
    log.info(
      { event: "listening", bound, name: config.name },
      `${config.name} serves ${bound.map(({ address }) => address).join(", ")}`,
    );
  } catch (error) {
    await plane.close();
    await observer.close();
    throw error;
  }
  return {
    gateway,
    async stop() {
      log.info({ event: "stopping", ikeSas: service.size }, `stopping: ${service.size} IKE SAs are deleted`);
      await gateway.close();
      await status?.[Symbol.asyncDispose]();
      exchanger[Symbol.dispose]();
      await observer.close();
      log.info({ event: "stopped" }, "stopped");
    },
  };
}

function readCredentials(
  { credentials, trust, name }: GatewayConfig,
  at: (path: string) => string,
): GatewayCredentials {
  return {
    ...readOwnCredentials({ chain: at(credentials.chain), key: at(credentials.key) }, name),
    ownRoots: credentials.roots.flatMap((path) => readCertificates(at(path))),
    deviceRoots: trust.roots.flatMap((path) => readCertificates(at(path))),
  };
}

function describeProfile({ secondRound, sessionTimeout, filter, addresses = [] }: AaaProfile): string {
  const granted = [
    `hosting party ${secondRound}`,
    ...(sessionTimeout === undefined ? [] : [`${sessionTimeout} s`]),
    ...(filter === undefined ? [] : [`filter ${filter}`]),
    ...addresses,
  ];
  return granted.join(", ");
}

/** Milliseconds for a query about our own certificates. */
const OCSP_TIME_LIMIT = 5_000;
