/** Roles on 127.0.0.1 as they are configured by files, for tests that start them: a gateway with a PKI, and devices. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Credentials } from "../e2e/credentials.ts";
import { SEGW } from "../e2e/credentials.ts";

export interface Ports {
  ike: number;
  natT: number;
}

/** A folder with a gateway's configuration and what it names; gives the configuration file. */
export function gatewayFolder(
  credentials: Credentials,
  folder: string,
  ports: Ports,
  changes: Record<string, unknown> = {},
): string {
  mkdirSync(folder, { recursive: true });
  credentials.pki.writeFiles(credentials.issueGateway(), join(folder, "segw"));
  for (const ca of ["operator-root", "manufacturer-root"] as const)
    copyFileSync(credentials.pki.caFile(ca), join(folder, `${ca}.pem`));
  return writeConfig(join(folder, "segw.yaml"), {
    name: SEGW,
    listen: ["127.0.0.1"],
    ports,
    credentials: { chain: "segw.chain.pem", key: "segw.key.pem", roots: ["operator-root.pem"] },
    trust: { roots: ["manufacturer-root.pem"] },
    ownStatus: { send: "off" },
    protected: ["10.40.0.0/24"],
    pool: { blocks: ["10.64.0.0/16"] },
    dataPlane: { kind: "none" },
    ...changes,
  });
}

/** A device's configuration beside its TrE; gives the configuration file. */
export function deviceConfigIn(folder: string, gateway: Ports, changes: Record<string, unknown> = {}): string {
  return writeConfig(join(folder, "henb.yaml"), {
    tre: { directory: "tre", files: "files" },
    gateway: { name: SEGW, addresses: ["127.0.0.1"], ports: gateway },
    local: { address: "127.0.0.1", ports: { ike: 0, natT: 0 } },
    ocsp: { inBand: "off" },
    reconnect: { initial: 0 },
    reach: ["10.40.0.0/24"],
    dataPlane: { kind: "none" },
    ...changes,
  });
}

export function writeConfig(file: string, content: object): string {
  writeFileSync(file, stringify(content));
  return file;
}

/** Two UDP ports of 127.0.0.1 that were free just now. */
export async function freePorts(): Promise<Ports> {
  const sockets = [createSocket("udp4"), createSocket("udp4")];
  for (const socket of sockets) {
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
  }
  const [ike, natT] = sockets.map((socket) => socket.address().port);
  for (const socket of sockets) socket.close();
  return { ike: ike!, natT: natT! };
}
