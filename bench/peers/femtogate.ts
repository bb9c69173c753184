/** Femtogate as the measure of a gateway (`femtogate segw`), and its load generator as the devices (`femtogate load`). */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { RoleProcess } from "../../src/lab/roleProcess.ts";
import { type DevicesPeer, GATEWAY_IDENTITY, type GatewayPeer, type Setup } from "./peer.ts";

/** Initiations under way at once, as many as charon's. */
const CONCURRENCY = 8;
/** Milliseconds. */
const LIMIT_MS = 60_000;

export const femtogateGateway: GatewayPeer = {
  subject: "femtogate segw",
  note: "data plane none",
  async start({ namespace, directory, gatewayAddress, suite, credentials }) {
    const folder = join(directory, "femtogate-gateway");
    mkdirSync(folder);
    const config = join(folder, "segw.yaml");
    copyFileSync(credentials.root.certificate, join(folder, "root.pem"));
    const settings = {
      name: GATEWAY_IDENTITY,
      listen: [gatewayAddress],
      credentials: { chain: credentials.gateway.certificate, key: credentials.gateway.key },
      trust: { roots: ["root.pem"] },
      ike: { proposals: [suite.ike] },
      esp: { proposals: [suite.esp] },
      ownStatus: { send: "off" },
      protected: ["0.0.0.0/0"],
      pool: { blocks: ["10.64.0.0/12"] },
      uniqueDevices: false,
      limits: { cookieThreshold: 100_000, maxHalfOpen: 100_000 },
      dataPlane: { kind: "none" },
      log: { level: "info" },
    };
    writeFileSync(config, stringify(settings));
    const role = RoleProcess.start({
      name: "femtogate segw",
      args: ["segw", config],
      prefix: ["ip", "netns", "exec", namespace],
      onRecord: () => undefined,
    });
    await role.waitFor("gateway", ({ event }) => event === "listening", LIMIT_MS);
    return { pids: [role.pid!], stop: () => role.crash() };
  },
};

export const femtogateDevices: DevicesPeer = {
  async start(setup) {
    const role = startLoad(setup);
    await role.waitFor("load generator", ({ event }) => event === "ready", LIMIT_MS);
    return {
      async attach(count) {
        const result = role.waitFor("result", ({ event }) => event === "attached", LIMIT_MS);
        role.say(`${count} ${CONCURRENCY}`);
        const { established, failed } = await result;
        if (established !== count) throw new Error(`${established} of ${count} attached: ${JSON.stringify(failed)}`);
      },
      stop: () => role.crash(),
    };
  },
};

function startLoad({ namespace, directory, gatewayAddress, suite, credentials }: Setup): RoleProcess {
  const config = join(directory, "load.yaml");
  const settings = {
    gateway: { name: GATEWAY_IDENTITY, address: gatewayAddress },
    local: { address: "10.9.0.2" },
    trust: { roots: [credentials.root.certificate] },
    devices: credentials.devices.map(({ credential }) => ({ chain: credential.certificate, key: credential.key })),
    ike: { proposals: [suite.ike] },
    esp: { proposals: [suite.esp] },
    ocsp: { inBand: "off" },
  };
  writeFileSync(config, stringify(settings));
  return RoleProcess.start({
    name: "femtogate load",
    program: LOAD,
    args: [config],
    prefix: ["ip", "netns", "exec", namespace],
    onRecord: () => undefined,
  });
}

const LOAD = fileURLToPath(new URL("./femtogateLoad.ts", import.meta.url));
