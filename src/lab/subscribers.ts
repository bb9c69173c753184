/** The lab's AAA server and HSS: configurations, the devices that may connect, a USIM and a subscriber for each hosting party. */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { type AaaConfig, aaaConfig } from "../aaa/config.ts";
import { Devices } from "../aaa/devices.ts";
import { Subscribers } from "../aaa/hss/subscribers.ts";
import { openDatabase } from "../aaa/serve.ts";
import { readConfig } from "../ipsec/roleFiles.ts";
import type { Database } from "../store/sql.ts";
import type { LabDevice } from "./ecosystem.ts";
import type { Places } from "./places.ts";

export const AAA_NAME = "aaa.operator.example";
export const HSS_NAME = "hss.operator.example";
export const REALM = "operator.example";

/** Writes hss/hss.yaml and aaa/aaa.yaml below `directory` and fills their databases; gives the configurations' paths. */
export async function createAaa(
  directory: string,
  places: Places,
  gateway: string,
  devices: readonly LabDevice[],
): Promise<{ aaaConfig: string; hssConfig: string }> {
  const hssConfig = await createServer(
    join(directory, "hss"),
    "hss.yaml",
    {
      database: "hss.sqlite",
      diameter: {
        host: HSS_NAME,
        realm: REALM,
        listen: [places.hss],
        peers: [{ host: AAA_NAME, hssClient: true }],
      },
      hss: { kind: "local", serve: true },
    },
    async (database) => {
      const subscribers = new Subscribers(database);
      for (const { flow, fault, imsi, folder } of devices) {
        if (flow !== "A.2") continue;
        const [k, opc] = [randomBytes(16), randomBytes(16)];
        await subscribers.add({ imsi, algorithm: "milenage", k, opc, sessionTimeout: PARTY_SESSION });
        writeUsim(folder, imsi, fault === "wrongKey" ? randomBytes(16) : k, opc);
      }
    },
  );
  const aaaConfig = await createServer(
    join(directory, "aaa"),
    "aaa.yaml",
    {
      database: "aaa.sqlite",
      diameter: {
        host: AAA_NAME,
        realm: REALM,
        listen: [places.aaa],
        peers: [{ host: gateway }, { host: HSS_NAME, connect: places.hss }],
      },
      hss: { kind: "swx", realm: REALM, host: HSS_NAME },
      policy: { unknownDevices: "deny", hostingPartyBinding: "required" },
      log: { messages: true },
    },
    async (database, config) => {
      const known = new Devices(database, config.policy);
      for (const { fqdn, flow, fault, imsi } of devices) {
        // TS 33.320 7.x: one device that is authentic, and yet not allowed to connect.
        const verdict = fault === "notAuthorized" ? "deny" : "allow";
        await known.put({ identity: fqdn, verdict, authentication: flow === "A.2" ? "combined" : "device-only" });
        if (flow === "A.2") await known.bind(imsi, fqdn);
      }
    },
  );
  return { aaaConfig, hssConfig };
}

async function createServer(
  folder: string,
  name: string,
  settings: object,
  fill: (database: Database, config: AaaConfig) => Promise<void>,
): Promise<string> {
  mkdirSync(folder, { mode: 0o700 });
  const file = join(folder, name);
  writeFileSync(file, stringify(settings));
  const { config, at } = readConfig(aaaConfig, file);
  const database = await openDatabase(config, at);
  try {
    await fill(database, config);
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

/** Seconds: shorter than what the AAA server grants a device alone, so that the subscriber's profile is seen at work. */
const PARTY_SESSION = 3600;
