/** The gateway as a process: configuration, certificates, sockets, data plane and log around `SecurityGateway`. */
import { createPublicKey } from "node:crypto";
import { parseIp } from "../bytes/ip.ts";
import { postJson } from "../http/jsonClient.ts";
import { fetchOcsp } from "../http/ocspClient.ts";
import { RoleFileError, readCertificates, readConfig, readKey } from "../ipsec/roleFiles.ts";
import {
  type CaptureChoice,
  openPlane,
  openPorts,
  PLANE_NEEDS,
  type RoleEnvironment,
  RoleObserver,
} from "../ipsec/roleShell.ts";
import { createLogger } from "../observe/log.ts";
import { policyOf } from "../revocation/config.ts";
import { type OpenStatusService, openStatusService } from "../revocation/open.ts";
import { hasAddress, hasDns } from "../trust/serverName.ts";
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
  const status = openStatus(config, at("."), credentials, environment);
  const sessions: { gateway?: SecurityGateway } = {};
  const onAaaProblem = (problem: string) => log.warn({ event: "aaaProblem", problem }, problem);
  const aaa =
    config.aaa === undefined
      ? undefined
      : await openAaaClient(config.aaa, config.name, at, environment, {
          onDetach: (session) => sessions.gateway?.detach(session) ?? false,
          onReauthorize: (session) => sessions.gateway?.reauthorize(session) ?? false,
          sessionOf: (session) => sessions.gateway?.sessionOf(session),
          onChange: (session, change) => sessions.gateway?.change(session, change) ?? "UnknownSession",
          onUp: (server) => log.info({ event: "aaaUp", server }, `the AAA server ${server} can be asked`),
          onProblem: onAaaProblem,
        });
  const gateway = new SecurityGateway({
    config,
    credentials,
    clock,
    random,
    timers,
    fetchOcsp,
    status: status?.service,
    aaa,
    onDeviceLost: (sa, refusal) =>
      log.warn(
        { event: "deviceLost", sa, ...refusal },
        `a device is sent away: ${refusal.message} (${refusal.reason})`,
      ),
    onAaaProblem,
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
      await observer.close();
      log.info({ event: "stopped" }, "stopped");
    },
  };
}

/** The status service, where a rule for devices checks anything. */
function openStatus(
  { revocation, ike }: GatewayConfig,
  folder: string,
  { deviceRoots }: GatewayCredentials,
  { clock, random }: RoleEnvironment,
): OpenStatusService | undefined {
  const { issuers, otherwise } = policyOf(revocation).device;
  if ([otherwise, ...issuers.map(({ rule }) => rule)].every(({ methods }) => methods === "none")) return undefined;
  const allowWeakAlgorithms = ike.allowWeakAlgorithms;
  return openStatusService({ section: revocation, folder, cas: deviceRoots, allowWeakAlgorithms, clock, random });
}

function readCredentials(config: GatewayConfig, at: (path: string) => string): GatewayCredentials {
  const file = at(config.credentials.chain);
  const chain = readCertificates(file);
  const key = readKey(at(config.credentials.key));
  // TS 33.320 7.2.3-1.
  if (chain.length > MAX_PATH)
    throw new RoleFileError(
      `${file} holds ${chain.length} certificates; a gateway sends at most ${MAX_PATH}, without the root`,
    );
  const [own] = chain;
  const address = parseIp(config.name);
  const named = address === undefined ? hasDns(own!, config.name) : hasAddress(own!, address);
  // TS 33.320 7.2.2-4: devices would refuse it; better to hear so at start.
  if (!named)
    throw new RoleFileError(
      `the certificate in ${file} does not carry "${config.name}" in subjectAltName, as every device will demand`,
    );
  if (own!.publicKey?.equals(createPublicKey(key)) !== true)
    throw new RoleFileError(`${at(config.credentials.key)} is not the key of the first certificate in ${file}`);
  return {
    chain,
    key,
    ownRoots: config.credentials.roots.flatMap((path) => readCertificates(at(path))),
    deviceRoots: config.trust.roots.flatMap((path) => readCertificates(at(path))),
  };
}

/** TS 33.320 7.2.3-1. */
const MAX_PATH = 4;
