/** The AAA client that a configuration describes. */
import { readFileSync } from "node:fs";
import { parseIp } from "../../bytes/ip.ts";
import type { TlsCredentials } from "../../http/mutualTls.ts";
import { RoleFileError } from "../../ipsec/roleFiles.ts";
import type { RadiusServerTarget } from "../../radius/transport/requester.ts";
import type { Clock, Random } from "../../sim/environment.ts";
import type { AaaClient, AaaClientHost } from "./client.ts";
import type { AaaSection } from "./config.ts";
import { DiameterAaaClient } from "./diameterClient.ts";
import { RadiusAaaClient, type RadiusClientSettings } from "./radiusClient.ts";

/** Who asks. */
export interface GatewayIdentity {
  name: string;
  /** That it listens on, "0.0.0.0" and "::" among them. */
  addresses: readonly string[];
}

/** Opens it; throws RoleFileError for a file that cannot be read. */
export async function openAaaClient(
  section: AaaSection,
  gateway: GatewayIdentity,
  at: (path: string) => string,
  environment: { clock: Clock; random: Random },
  host: AaaClientHost,
): Promise<AaaClient> {
  const { server } = section;
  const tls =
    section.tls === undefined
      ? undefined
      : {
          certificates: readText(at(section.tls.chain)),
          key: readText(at(section.tls.key)),
          authorities: section.tls.roots.map((path) => readText(at(path))).join(""),
        };
  if (server.protocol === "diameter") return openDiameter(server, tls, environment, host);
  return openRadius(server, gateway, tls, at, environment, host);
}

type Environment = { clock: Clock; random: Random };
type Server<P extends AaaSection["server"]["protocol"]> = Extract<AaaSection["server"], { protocol: P }>;

function openDiameter(
  server: Server<"diameter">,
  tls: TlsCredentials | undefined,
  environment: Environment,
  host: AaaClientHost,
): Promise<AaaClient> {
  const destinationRealm = server.destinationRealm ?? server.realm;
  const peers = server.peers.map((peer, priority) => {
    const realm = peer.realm ?? destinationRealm;
    return { host: peer.host, realm, connect: true, priority };
  });
  const endpoints = new Map(
    server.peers.map(({ host: name, address, port, tls: secured }) => [
      name.toLowerCase(),
      { address, port, tls: secured },
    ]),
  );
  const service = { ...environment, peers, endpoints, timers: { answer: server.answerWithin }, tls };
  // Seconds since 1970 grow with every restart (RFC 6733 8.16).
  const originStateId = Math.floor(environment.clock.now() / 1000);
  return DiameterAaaClient.start(
    { host: server.host, realm: server.realm, destinationRealm, originStateId, service },
    host,
  );
}

function openRadius(
  { servers, dynamicAuthorization }: Server<"radius">,
  gateway: GatewayIdentity,
  tls: TlsCredentials | undefined,
  at: (path: string) => string,
  environment: Environment,
  host: AaaClientHost,
): Promise<AaaClient> {
  const secretOf = (file: string) => Buffer.from(readText(at(file)).trim(), "utf8");
  const targets = (portOf: (server: (typeof servers)[number]) => number) =>
    servers.map((server): RadiusServerTarget => {
      const { name, address, secretFile } = server;
      if (secretFile === undefined) return { name, address, port: server.port, transport: "radsec" };
      return { name, address, port: portOf(server), transport: "udp", secret: secretOf(secretFile) };
    });
  const accounted = servers.some(({ accountingPort }) => accountingPort !== 0);
  const clients = servers.flatMap(({ name, address: block, secretFile }) =>
    secretFile === undefined ? [] : [{ name, by: { kind: "address" as const, block, secret: secretOf(secretFile) } }],
  );
  const addresses = [
    ...gateway.addresses,
    ...(dynamicAuthorization === undefined ? [] : [dynamicAuthorization.address]),
  ];
  const settings: RadiusClientSettings = {
    gateway: gateway.name,
    addresses: addresses.some(isAny) ? [] : addresses,
    authentication: { ...environment, servers: targets(({ port }) => port), tls },
    accounting: accounted
      ? { ...environment, servers: targets(({ accountingPort }) => accountingPort), tls }
      : undefined,
    dynamicAuthorization:
      dynamicAuthorization === undefined
        ? undefined
        : { ...environment, udp: [{ ...dynamicAuthorization, purpose: "dynamicAuthorization" }], radsec: [], clients },
  };
  return RadiusAaaClient.start(settings, host);
}

/** An address that stands for all that the machine has. */
function isAny(address: string): boolean {
  return parseIp(address)?.every((octet) => octet === 0) === true;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new RoleFileError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? error})`);
  }
}
