/** The load generator as a process: configuration, certificates and sockets around `LoadGenerator`. */
import type { KeyObject } from "node:crypto";
import { NonePlane } from "../esp/planes/none.ts";
import { CfgAttribute } from "../ike/codec/numbers.ts";
import { CONNECTION_DEFAULTS } from "../ike/sa/connection.ts";
import { RoleFileError, readCertificates, readConfig, readKey } from "../ipsec/roleFiles.ts";
import { PLANE_NEEDS, type RoleEnvironment } from "../ipsec/roleShell.ts";
import { blockSelector, connectionFrom, hashNumbers } from "../ipsec/settings.ts";
import { UdpPorts } from "../ipsec/udpPorts.ts";
import { fqdnIdentity } from "../tre/identity.ts";
import { SignatureCache } from "../trust/signatureCache.ts";
import { type LoadDevice, LoadGenerator } from "./load.ts";
import { type LoadConfig, loadConfig } from "./loadConfig.ts";
import { loadUsim } from "./loadUsim.ts";

export interface RunningLoad {
  generator: LoadGenerator;
  /** Deletes all IKE SAs. */
  stop(): Promise<void>;
}

/** Prepares the load that a configuration file describes; `attach` of the generator starts it. */
export async function serveLoad(
  file: string,
  environment: RoleEnvironment,
  onFault: (what: string, error: unknown) => void,
): Promise<RunningLoad> {
  const { config, at } = readConfig(loadConfig, file);
  const { clock, random, timers } = environment;
  const ports: { current?: UdpPorts } = {};
  const generator = new LoadGenerator({
    devices: readDevices(config, at),
    policy: {
      clock,
      roots: config.trust.roots.flatMap((path) => readCertificates(at(path))),
      maxPath: MAX_PATH,
      acceptedHashes: hashNumbers(config.ike),
      allowWeakAlgorithms: config.ike.allowWeakAlgorithms,
      checkServerName: true,
      inBandOcsp: config.ocsp.inBand,
      trustedResponders: [],
      ocspTolerance: config.ocsp.tolerance,
      ocspMaxAge: config.ocsp.maxAge,
      ocspDelegates: config.ocsp.delegates,
      signatureCache: new SignatureCache(),
    },
    path: () => {
      const [bound] = ports.current!.bound;
      const { address, ports: remote } = config.gateway;
      return {
        local: bound!.ike,
        remote: { address, port: remote.ike },
        natT: false,
        natPorts: { local: bound!.natT.port, remote: remote.natT },
      };
    },
    clock,
    random,
    timers,
    onFault,
  });
  const { service } = generator;
  ports.current = await UdpPorts.open({
    addresses: [config.local.address],
    ports: config.local.ports,
    handler: service,
    onSendError: (error) => onFault("a datagram was not sent", error),
  });
  service.connect(ports.current, new NonePlane((event) => service.onEvent(event)));
  return { generator, stop: () => service.close(SHUTDOWN_LIMIT) };
}

function readDevices(config: LoadConfig, at: (path: string) => string): LoadDevice[] {
  const shared = connectionFrom(config.ike, config.esp, PLANE_NEEDS);
  const { name } = config.gateway;
  // Devices may share a key; reading it once for each would take longer than the load.
  const keys = new Map<string, KeyObject>();
  const keyAt = (path: string) => {
    const key = keys.get(path) ?? readKey(path);
    keys.set(path, key);
    return key;
  };
  return config.devices.map(({ chain: path, key, hostingParty }) => {
    const chain = readCertificates(at(path));
    const fqdn = chain[0]?.extensions.subjectAltName?.dns[0];
    if (fqdn === undefined)
      throw new RoleFileError(`the certificate in ${at(path)} names no FQDN in subjectAltName (TS 33.320 7.2.5.2.1)`);
    return {
      chain,
      key: keyAt(at(key)),
      ...(hostingParty === undefined ? {} : { usim: loadUsim(hostingParty) }),
      connection: {
        ...CONNECTION_DEFAULTS,
        ...shared,
        name: fqdn,
        identity: fqdnIdentity(fqdn),
        trustedCaHashes: [],
        askOcsp: config.ocsp.inBand === "off" ? undefined : { responderHashes: [] },
        localSelectors: [blockSelector("0.0.0.0/0")],
        remoteSelectors: config.reach.map(blockSelector),
        connectedTo: /^[0-9.]+$|:/.test(name) ? { address: name } : { fqdn: name },
        requestAttributes: [CfgAttribute.INTERNAL_IP4_ADDRESS],
        hostingParty: hostingParty !== undefined,
        followPeerAddress: false,
      },
    };
  });
}

/** TS 33.320 7.2.3-2. */
const MAX_PATH = 4;
/** Milliseconds. */
const SHUTDOWN_LIMIT = 5_000;
