/**
 * Everything the lab's roles start from, in one folder: the PKI with its certificates, a TrE for each device, and one
 * configuration file a role, all of the kind that a person would write.
 *
 *     pki/                      CAs, OCSP signers, what was issued and revoked
 *     segw/segw.yaml            with chain and key beside it
 *     aaa/aaa.yaml, aaa.sqlite  subscribers, and which devices may connect
 *     henb-N/henb.yaml, tre/, files/, usim/
 */
import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { type KeyKind, Pki } from "../pki/authority.ts";
import type { Clock, Random } from "../sim/environment.ts";
import { signManifest } from "../tre/integrity.ts";
import type { Places } from "./places.ts";
import { type PlannedDevice, REASONS } from "./plan.ts";
import { AAA_NAME, createAaa, REALM } from "./subscribers.ts";

export interface Ecosystem {
  pki: string;
  gatewayConfig: string;
  aaaConfig: string;
  hssConfig: string;
  devices: readonly LabDevice[];
}

/** A device of the lab and what is to become of it. */
export interface LabDevice extends PlannedDevice {
  /** From 1. */
  index: number;
  fqdn: string;
  /** Its own folder. */
  folder: string;
  config: string;
  /** The hosting party's, used where the flow has one. */
  imsi: string;
  expected: "established" | "refused";
  expectedReason?: string;
}

export interface EcosystemOptions {
  directory: string;
  places: Places;
  plan: readonly PlannedDevice[];
  keys: KeyKind;
  dataPlane: "tun" | "none";
  poolBlock: string;
  clock: Clock;
  random: Random;
}

export const GATEWAY_NAME = "segw.operator.example";

/** Makes everything in the folder, which is empty. */
export async function createEcosystem(options: EcosystemOptions): Promise<Ecosystem> {
  const { directory, places, plan, keys, clock, random } = options;
  const ocspUrl = `http://${places.core.address}:${places.core.port}/ocsp`;
  const pkiDirectory = join(directory, "pki");
  const names = { operator: "Example Operator", manufacturer: "Example Manufacturer" };
  const pki = Pki.create(pkiDirectory, { clock, random }, { keys, ...names, ocspUrl });
  try {
    const gatewayConfig = createGateway(options, pki);
    const devices = plan.map((planned, at) => createDevice(options, pki, at + 1, planned));
    const servers = await createAaa(directory, places, GATEWAY_NAME, devices);
    return { pki: pkiDirectory, gatewayConfig, ...servers, devices };
  } finally {
    pki.close();
  }
}

function createGateway({ directory, places, dataPlane, poolBlock }: EcosystemOptions, pki: Pki): string {
  const folder = join(directory, "segw");
  mkdirSync(folder, { mode: 0o700 });
  pki.writeFiles(
    pki.issue({ profile: "segw", dns: [GATEWAY_NAME], ip: [places.gateway.address] }),
    join(folder, "segw"),
  );
  copyFileSync(pki.caFile("operator-root"), join(folder, "operator-root.crt.pem"));
  copyFileSync(pki.caFile("manufacturer-root"), join(folder, "manufacturer-root.crt.pem"));
  return writeConfig(join(folder, "segw.yaml"), {
    name: GATEWAY_NAME,
    listen: [places.gateway.address],
    ports: places.gateway.ports,
    credentials: { chain: "segw.chain.pem", key: "segw.key.pem", roots: ["operator-root.crt.pem"] },
    trust: { roots: ["manufacturer-root.crt.pem"] },
    ownStatus: { send: "path" },
    revocation: {
      device: {
        ...{ methods: "ocsp", scope: "leaf", origins: ["certificate"] },
        // A private network, which certificates may send us to only where it is named.
        namedHosts: [places.core.address],
      },
    },
    integrityInfo: { policy: "require" },
    aaa: {
      server: {
        protocol: "diameter",
        host: GATEWAY_NAME,
        realm: REALM,
        peers: [{ host: AAA_NAME, ...places.aaa }],
      },
    },
    protected: [places.protectedBlock],
    pool: { blocks: [poolBlock] },
    dataPlane: { kind: dataPlane, interface: "segw0" },
    log: { messages: true },
  });
}

function createDevice(options: EcosystemOptions, pki: Pki, index: number, planned: PlannedDevice): LabDevice {
  const { directory, places, dataPlane } = options;
  const fqdn = `ap-${String(index).padStart(4, "0")}.henb.example`;
  const folder = join(directory, `henb-${index}`);
  for (const path of ["tre/roots", "files"]) mkdirSync(join(folder, path), { recursive: true, mode: 0o700 });
  const issued = pki.issue({ profile: "henb", dns: [fqdn] });
  if (planned.fault === "revoked") pki.revoke(issued.certificate.serial, "keyCompromise");
  pki.writeFiles(issued, join(folder, "tre", "identity"));
  copyFileSync(pki.caFile("operator-root"), join(folder, "tre", "roots", "operator-root.pem"));
  writeFirmware(folder, index);
  const config = writeConfig(join(folder, "henb.yaml"), {
    tre: { directory: "tre", files: "files" },
    gateway: { name: GATEWAY_NAME, addresses: [places.gateway.address], ports: places.gateway.ports },
    local: { address: places.device(index).address, ports: places.device(index).ports },
    ocsp: { inBand: "path" },
    sendIntegrityInfo: true,
    ...(planned.flow === "A.2" ? { hostingParty: { usim: "usim", methods: [planned.method ?? "EAP-AKA"] } } : {}),
    reconnect: { initial: 0 },
    requestAddresses: ["ipv4"],
    reach: [places.protectedBlock],
    dataPlane: { kind: dataPlane, interface: "henb0" },
  });
  // MCC 001 and MNC 01 are for tests (ITU-T E.212).
  const imsi = `00101${String(index).padStart(10, "0")}`;
  const { fault } = planned;
  const expected =
    fault === undefined
      ? { expected: "established" as const }
      : { expected: "refused" as const, expectedReason: REASONS[fault] };
  return { ...planned, index, fqdn, folder, config, imsi, ...expected };
}

/** A file to be measured and the manufacturer's signed manifest of it (TS 33.320 A.1-1). */
function writeFirmware(folder: string, index: number): void {
  const firmware = Buffer.from(`firmware of device ${index}\n`);
  writeFileSync(join(folder, "files", "firmware.bin"), firmware);
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "tre", "manifest.json"), signManifest(new Map([["firmware.bin", firmware]]), privateKey));
  writeFileSync(join(folder, "tre", "manifest.pub.pem"), publicKey.export({ format: "pem", type: "spki" }));
}

function writeConfig(file: string, content: object): string {
  writeFileSync(file, stringify(content));
  return file;
}
