/**
 * A gateway, a device and what lies behind the gateway, as processes on hosts of their own.
 *
 *     henb 192.0.2.11 ── 192.0.2.1 segw 10.40.0.1 ── 10.40.0.2 core
 *        10.64.0.1 ═══════ tunnel ═══════╛
 */
import { join } from "node:path";
import { readCertificates } from "../../src/ipsec/roleFiles.ts";
import { RoleProcess, type RoleRecord } from "../../src/lab/roleProcess.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import type { Credentials } from "../e2e/credentials.ts";
import { SEGW } from "../e2e/credentials.ts";
import { Hosts } from "../net/namespaces.ts";
import { deviceConfigIn, gatewayFolder } from "./loopback.ts";

export const CORE = "10.40.0.2";
export const GATEWAY = "192.0.2.1";
export const INNER = "10.64.0.1";
const PORTS = { ike: 500, natT: 4500 };
/** Milliseconds for whatever is waited for. */
const LIMIT = 40_000;

export class Site implements AsyncDisposable {
  readonly hosts = Hosts.create("site");
  readonly certificate: Certificate;
  readonly #gatewayConfig: string;
  readonly #roles: RoleProcess[] = [];
  readonly #records = new Map<RoleProcess, RoleRecord[]>();

  constructor(credentials: Credentials, folder: string) {
    this.hosts.linkPeers("segw", GATEWAY, "henb", "192.0.2.11");
    this.hosts.link("segw", "10.40.0.1/24", "core", `${CORE}/24`);
    this.hosts.route("core", "10.64.0.0/16", "10.40.0.1");
    this.hosts.forward("segw");
    this.#gatewayConfig = gatewayFolder(credentials, folder, PORTS, {
      listen: [GATEWAY],
      dataPlane: { kind: "tun", interface: "segw0" },
    });
    this.certificate = readCertificates(join(folder, "segw.chain.pem"))[0]!;
  }

  /** Starts a role or another command on a host. */
  start(host: string, ...args: string[]): RoleProcess {
    const records: RoleRecord[] = [];
    const role = RoleProcess.start({
      name: host,
      prefix: ["ip", "netns", "exec", this.hosts.host(host)],
      args,
      onRecord: (record) => void records.push(record),
    });
    this.#roles.push(role);
    this.#records.set(role, records);
    return role;
  }

  async startGateway(): Promise<RoleProcess> {
    const segw = this.start("segw", "segw", this.#gatewayConfig);
    await event(segw, "listening");
    return segw;
  }

  /** A device that makes one attempt and checks its gateway in this way. */
  startDevice(folder: string, ocsp: Record<string, unknown>): RoleProcess {
    const config = deviceConfigIn(folder, PORTS, {
      gateway: { name: SEGW, addresses: [GATEWAY] },
      local: { address: "192.0.2.11" },
      ocsp,
      dataPlane: { kind: "tun", interface: "henb0" },
    });
    return this.start("henb", "henb", config);
  }

  /** What a role has logged so far. */
  records(role: RoleProcess): readonly RoleRecord[] {
    return this.#records.get(role)!;
  }

  /** How many of three pings are answered. */
  async pings(from: string, to: string): Promise<number> {
    const { stdout } = await this.hosts.run(from, "ping", ["-c", "3", "-i", "0.3", "-W", "1", to]);
    return Number(/ (\d+) received/.exec(stdout)?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of this.#roles.reverse()) await role.stop();
    this.hosts.close();
  }
}

/** The next event of that name in a role's log. */
export function event(role: RoleProcess, name: string): Promise<RoleRecord> {
  return role.waitFor(name, (record) => record.event === name, LIMIT);
}
