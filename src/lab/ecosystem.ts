/**
 * Everything the lab's roles start from, in one folder: the PKI with its certificates, a TrE for each device, and one
 * configuration file a role, all of the kind that a person would write.
 *
 *     pki/                      CAs, OCSP signers, what was issued and revoked
 *     segw/segw.yaml            with chain and key beside it
 *     henb-N/henb.yaml, tre/, files/
 */
import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { type KeyKind, Pki } from "../pki/authority.ts";
import type { Clock, Random } from "../sim/environment.ts";
import { signManifest } from "../tre/integrity.ts";
import type { Places } from "./places.ts";

export interface Ecosystem {
  pki: string;
  gatewayConfig: string;
  devices: readonly LabDevice[];
}

/** A device of the lab and what is to become of it. */
export interface LabDevice {
  /** From 1. */
  index: number;
  fqdn: string;
  config: string;
  expected: "established" | "refused";
  /** Why it is to be refused, for people. */
  fault: "revoked" | undefined;
}

export interface EcosystemOptions {
  directory: string;
  places: Places;
  deviceCount: number;
  keys: KeyKind;
  dataPlane: "tun" | "none";
  poolBlock: string;
  clock: Clock;
  random: Random;
}

export const GATEWAY_NAME = "segw.operator.example";

/** Makes the folder; the last of two or more devices gets a certificate that is revoked at once. */
export function createEcosystem(options: EcosystemOptions): Ecosystem {
  const { directory, places, deviceCount, keys, clock, random } = options;
  const responder = `http://${places.core.address}:${places.core.port}/ocsp`;
  const pkiDirectory = join(directory, "pki");
  const pki = Pki.create(
    pkiDirectory,
    { clock, random },
    { keys, operator: "Example Operator", manufacturer: "Example Manufacturer", ocspUrl: responder },
  );
  try {
    const gatewayConfig = createGateway(options, pki);
    const devices = Array.from({ length: deviceCount }, (_, at) =>
      createDevice(options, pki, at + 1, at > 0 && at === deviceCount - 1),
    );
    return { pki: pkiDirectory, gatewayConfig, devices };
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
    revocation: { device: { methods: "ocsp", scope: "leaf", origins: ["certificate"] } },
    integrityInfo: { policy: "require" },
    protected: [places.protectedBlock],
    pool: { blocks: [poolBlock] },
    dataPlane: { kind: dataPlane, interface: "segw0" },
    log: { messages: true },
  });
}

function createDevice(options: EcosystemOptions, pki: Pki, index: number, revoked: boolean): LabDevice {
  const { directory, places, dataPlane } = options;
  const fqdn = `ap-${String(index).padStart(4, "0")}.henb.example`;
  const folder = join(directory, `henb-${index}`);
  for (const path of ["tre/roots", "files"]) mkdirSync(join(folder, path), { recursive: true, mode: 0o700 });
  const issued = pki.issue({ profile: "henb", dns: [fqdn] });
  if (revoked) pki.revoke(issued.certificate.serial, "keyCompromise");
  pki.writeFiles(issued, join(folder, "tre", "identity"));
  copyFileSync(pki.caFile("operator-root"), join(folder, "tre", "roots", "operator-root.pem"));
  writeFirmware(folder, index);
  const config = writeConfig(join(folder, "henb.yaml"), {
    tre: { directory: "tre", files: "files" },
    gateway: { name: GATEWAY_NAME, addresses: [places.gateway.address], ports: places.gateway.ports },
    local: { address: places.device(index).address, ports: places.device(index).ports },
    ocsp: { inBand: "path" },
    sendIntegrityInfo: true,
    reconnect: { initial: 0 },
    requestAddresses: ["ipv4"],
    reach: [places.protectedBlock],
    dataPlane: { kind: dataPlane, interface: "henb0" },
  });
  return { index, fqdn, config, expected: revoked ? "refused" : "established", fault: revoked ? "revoked" : undefined };
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
