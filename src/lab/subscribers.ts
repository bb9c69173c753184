/** The lab's AAA server: its configuration, the devices it lets in, and a USIM and a subscriber for each hosting party. */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { aaaConfig } from "../aaa/config.ts";
import { Devices } from "../aaa/devices.ts";
import { Subscribers } from "../aaa/hss/subscribers.ts";
import { openDatabase } from "../aaa/serve.ts";
import { readConfig } from "../ipsec/roleFiles.ts";
import type { LabDevice } from "./ecosystem.ts";
import type { Places } from "./places.ts";

export const AAA_NAME = "aaa.operator.example";
export const REALM = "operator.example";

/** Writes aaa/aaa.yaml below `directory` and fills its database; gives the configuration's path. */
export async function createAaa(
  directory: string,
  places: Places,
  gateway: string,
  devices: readonly LabDevice[],
): Promise<string> {
  const folder = join(directory, "aaa");
  mkdirSync(folder, { mode: 0o700 });
  const file = join(folder, "aaa.yaml");
  const settings = {
    database: "aaa.sqlite",
    diameter: {
      host: AAA_NAME,
      realm: REALM,
      listen: [places.aaa],
      peers: [{ host: gateway, realm: REALM }],
    },
    policy: { unknownDevices: "deny", hostingPartyBinding: "required" },
  };
  writeFileSync(file, stringify(settings));
  const { config, at } = readConfig(aaaConfig, file);
  const database = await openDatabase(config, at);
  try {
    const known = new Devices(database, config.policy);
    const subscribers = new Subscribers(database);
    for (const { fqdn, flow, fault, imsi, folder: home } of devices) {
      // TS 33.320 7.x: one device that is authentic, and yet not allowed to connect.
      const verdict = fault === "notAuthorized" ? "deny" : "allow";
      await known.put({ identity: fqdn, verdict, authentication: flow === "A.2" ? "combined" : "device-only" });
      if (flow !== "A.2") continue;
      const [k, opc] = [randomBytes(16), randomBytes(16)];
      await subscribers.add({ imsi, algorithm: "milenage", k, opc });
      await known.bind(imsi, fqdn);
      writeUsim(home, imsi, fault === "wrongKey" ? randomBytes(16) : k, opc);
    }
  } finally {
    await database.close();
  }
  return file;
}

function writeUsim(home: string, imsi: string, k: Buffer, opc: Buffer): void {
  const folder = join(home, "usim");
  mkdirSync(folder, { mode: 0o700 });
  const card = { imsi, algorithm: { name: "milenage", k: k.toString("hex"), opc: opc.toString("hex") } };
  writeFileSync(join(folder, "usim.yaml"), stringify(card), { mode: 0o600 });
}
