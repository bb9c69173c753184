/**
 * One side of ours and one of strongSwan's on two hosts, with certificates from our PKI: what every interop test begins
 * with. The topology is in this folder's README.
 */

import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { Hosts } from "../../../src/lab/namespaces.ts";
import { RoleProcess, type RoleRecord } from "../../../src/lab/roleProcess.ts";
import { type IssueRequest, type KeyKind, Pki } from "../../../src/pki/authority.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { signManifest } from "../../../src/tre/integrity.ts";
import type { Credential } from "./certificates.ts";
import type { Settings } from "./settings.ts";
import { StrongSwan } from "./strongswan.ts";

const GATEWAY = "10.9.0.1";
const DEVICE = "10.9.0.2";
/** Behind the gateway. */
const INNER = "192.168.77.1";
const SEGW_NAME = "segw.example";
export const AP_NAME = "ap-1.example";

/** The algorithms of one run, in strongSwan's notation, which is ours as well. */
export interface Algorithms {
  keys: KeyKind;
  ike: string;
  esp: string;
}

/** What a test changes of strongSwan's side. */
export interface SwanChanges {
  connection?: Settings;
  charon?: Settings;
  secrets?: Settings;
  plugins?: readonly string[];
  /** Further certificates, as of a second round. */
  credentials?: readonly Credential[];
  /** Whom it trusts besides. */
  authorities?: readonly string[];
}

/** A role of ours, with all it has logged. */
export class OurRole {
  readonly records: RoleRecord[] = [];
  readonly process: RoleProcess;

  constructor(namespace: string, role: "segw" | "henb", config: string) {
    this.process = RoleProcess.start({
      name: `our ${role}`,
      program: DRIVER,
      args: [role, config],
      prefix: ["ip", "netns", "exec", namespace],
      onRecord: (record) => this.records.push(record),
    });
  }

  /** The first record of that kind that has come or will come, from record `from` on. */
  async event(event: string, accept: (record: RoleRecord) => boolean = () => true, from = 0): Promise<RoleRecord> {
    const isIt = (record: RoleRecord) => record.event === event && accept(record);
    return this.records.slice(from).find(isIt) ?? this.process.waitFor(event, isIt, LIMIT_MS);
  }

  /** Runs `act` and gives the first record of that kind that comes after it began. */
  async after(
    act: () => void | Promise<void>,
    event: string,
    accept?: (record: RoleRecord) => boolean,
  ): Promise<RoleRecord> {
    const from = this.records.length;
    await act();
    return this.event(event, accept, from);
  }

  /** True if a message of that exchange came or went in more than one fragment. */
  fragmented(exchange: string, direction: "sent" | "received"): boolean {
    return this.records.some(
      (record) =>
        record.event === "message" &&
        record.exchange === exchange &&
        record.direction === direction &&
        Number(record.fragments) > 1,
    );
  }
}

export class Attachment implements AsyncDisposable {
  readonly algorithms: Algorithms;
  readonly directory: string;
  readonly hosts: Hosts;
  readonly pki: Pki;
  readonly #ends: AsyncDisposableStack;

  private constructor(algorithms: Algorithms, directory: string, ends: AsyncDisposableStack) {
    this.algorithms = algorithms;
    this.directory = directory;
    this.#ends = ends;
    this.hosts = ends.adopt(Hosts.create("swan"), (made) => made.close());
    this.hosts.link("segw", `${GATEWAY}/24`, "henb", `${DEVICE}/24`);
    this.hosts.addLoopbackAddress("segw", `${INNER}/32`);
    this.pki = ends.adopt(Pki.create(join(directory, "pki"), systemEnvironment, { keys: algorithms.keys }), (made) =>
      made.close(),
    );
  }

  static async create(algorithms: Algorithms): Promise<Attachment> {
    const ends = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), "femtogate-swan-"));
    ends.defer(() => rm(directory, { recursive: true, force: true }));
    return new Attachment(algorithms, directory, ends);
  }

  /** Our gateway, listening. */
  async ourGateway(changes: Record<string, unknown> = {}): Promise<OurRole> {
    const folder = this.#folder("our-segw");
    this.pki.writeFiles(this.pki.issue({ profile: "segw", dns: [SEGW_NAME] }), join(folder, "segw"));
    copyFileSync(this.pki.caFile("manufacturer-root"), join(folder, "root.pem"));
    const role = this.#start("segw", folder, {
      name: SEGW_NAME,
      listen: [GATEWAY],
      credentials: { chain: "segw.chain.pem", key: "segw.key.pem" },
      trust: { roots: ["root.pem"] },
      ...this.#proposals(),
      ownStatus: { send: "off" },
      protected: ["192.168.77.0/24"],
      pool: { blocks: ["10.20.0.0/24"], dns: ["10.20.0.53"] },
      log: { messages: true },
      ...changes,
    });
    await role.event("listening");
    return role;
  }

  /** Our device, on its way to attach. */
  ourDevice(changes: Record<string, unknown> = {}, identity: Partial<IssueRequest> = {}): OurRole {
    const folder = this.#folder("our-henb");
    for (const path of ["tre/roots", "files"]) mkdirSync(join(folder, path), { recursive: true });
    this.pki.writeFiles(
      this.pki.issue({ profile: "henb", dns: [AP_NAME], ...identity }),
      join(folder, "tre", "identity"),
    );
    copyFileSync(this.pki.caFile("operator-root"), join(folder, "tre", "roots", "operator.pem"));
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(join(folder, "files", "firmware"), "firmware");
    writeFileSync(
      join(folder, "tre", "manifest.json"),
      signManifest(new Map([["firmware", Buffer.from("firmware")]]), privateKey),
    );
    writeFileSync(join(folder, "tre", "manifest.pub.pem"), publicKey.export({ format: "pem", type: "spki" }));
    return this.#start("henb", folder, {
      tre: { directory: "tre", files: "files" },
      gateway: { name: SEGW_NAME, addresses: [GATEWAY] },
      ...this.#proposals(),
      // Debian's strongSwan 5.9.8 has no in-band OCSP.
      ocsp: { inBand: "off" },
      reach: ["192.168.77.0/24"],
      log: { messages: true },
      ...changes,
    });
  }

  /** strongSwan as the gateway. */
  async theirGateway(changes: SwanChanges = {}): Promise<StrongSwan> {
    const credential = this.#credential("segw", SEGW_NAME);
    const swan = await StrongSwan.start({
      namespace: this.hosts.host("segw"),
      directory: this.#folder("their-segw"),
      credentials: [credential, ...(changes.credentials ?? [])],
      authorityCertificates: [this.pki.caFile("segw-ca"), this.pki.caFile("manufacturer-root")],
      pools: { devices: { addrs: "10.20.0.0/24", dns: "10.20.0.53" } },
      connections: {
        devices: {
          version: 2,
          pools: "devices",
          proposals: this.algorithms.ike,
          fragmentation: true,
          send_cert: "always",
          local: { auth: "pubkey", id: SEGW_NAME, certs: credential.certificate },
          remote: { auth: "pubkey" },
          children: { inner: { local_ts: "192.168.77.0/24", esp_proposals: this.algorithms.esp } },
          ...changes.connection,
        },
      },
      ...optionsOf(changes),
    });
    this.#ends.defer(() => swan.stop());
    return swan;
  }

  /** strongSwan as the device; `initiate` attaches it. */
  async theirDevice(changes: SwanChanges = {}): Promise<StrongSwan> {
    const credential = this.#credential("henb", AP_NAME);
    const swan = await StrongSwan.start({
      namespace: this.hosts.host("henb"),
      directory: this.#folder("their-henb"),
      credentials: [credential, ...(changes.credentials ?? [])],
      authorityCertificates: [
        this.pki.caFile("device-ca"),
        this.pki.caFile("operator-root"),
        ...(changes.authorities ?? []),
      ],
      connections: {
        segw: {
          version: 2,
          remote_addrs: GATEWAY,
          vips: "0.0.0.0",
          proposals: this.algorithms.ike,
          fragmentation: true,
          send_cert: "always",
          local: { auth: "pubkey", id: AP_NAME, certs: credential.certificate },
          remote: { auth: "pubkey", id: SEGW_NAME },
          children: { inner: { remote_ts: "192.168.77.0/24", esp_proposals: this.algorithms.esp } },
          ...changes.connection,
        },
      },
      ...optionsOf(changes),
    });
    this.#ends.defer(() => swan.stop());
    return swan;
  }

  /** Pings what lies behind the gateway from the device, through the tunnel: there is no other way there. */
  async ping(): Promise<{ ok: boolean; output: string }> {
    const ping = await this.hosts.run("henb", "ping", ["-c", "2", "-i", "0.2", "-W", "2", INNER]);
    return { ok: ping.status === 0, output: ping.stdout + ping.stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ends.disposeAsync();
  }

  #proposals() {
    return { ike: { proposals: [this.algorithms.ike] }, esp: { proposals: [this.algorithms.esp] } };
  }

  #credential(profile: "segw" | "henb", name: string): Credential {
    const folder = this.#folder(`their-${profile}-credential`);
    const files = this.pki.writeFiles(this.pki.issue({ profile, dns: [name] }), join(folder, name));
    return { certificate: files.certificate, key: files.key };
  }

  #start(role: "segw" | "henb", folder: string, config: Record<string, unknown>): OurRole {
    const file = join(folder, `${role}.yaml`);
    // A key twice is the last one's: what a test changes of `ike` keeps the proposals.
    const { ike, esp } = this.#proposals();
    const merged = {
      ...config,
      ike: { ...ike, ...(config.ike as object) },
      esp: { ...esp, ...(config.esp as object) },
    };
    writeFileSync(file, stringify(merged));
    const started = new OurRole(this.hosts.host(role), role, file);
    this.#ends.defer(() => started.process.stop());
    return started;
  }

  #folder(name: string): string {
    const folder = join(this.directory, name);
    mkdirSync(folder, { recursive: true });
    return folder;
  }
}

function optionsOf({ charon, secrets, plugins }: SwanChanges) {
  return {
    ...(charon === undefined ? {} : { charon }),
    ...(secrets === undefined ? {} : { secrets }),
    ...(plugins === undefined ? {} : { plugins }),
  };
}

const DRIVER = fileURLToPath(new URL("../../roles/driver.ts", import.meta.url));
const LIMIT_MS = 15_000;
