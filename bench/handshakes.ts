/**
 * Handshakes per CPU-second of a gateway: IKE_SA_INIT and IKE_AUTH with certificates both ways, a virtual address and
 * one CHILD SA, and the memory an established device keeps.
 *
 * Gateway and devices are in two namespaces and share the machine's cores, so time on the clock says little; the CPU
 * time of the gateway's process is what counts. Each figure is the median of three runs, each on a fresh gateway that
 * has served some devices before the measurement begins.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hosts, NamespacesUnavailable } from "../test/net/namespaces.ts";
import { type Bench, BenchUnavailable, median, type Row } from "./bench.ts";
import {
  attach,
  type Credentials,
  createCredentials,
  type Suite,
  startCharonDevices,
  startCharonGateway,
} from "./peers/charon.ts";
import { readUsage } from "./processUsage.ts";

const SUITES: readonly Suite[] = [
  { title: "RSA-2048 + Curve25519", keys: "rsa-2048", ike: "aes128gcm16-prfsha256-x25519", esp: "aes128gcm16" },
  { title: "P-256 + Curve25519", keys: "ec-p256", ike: "aes128gcm16-prfsha256-x25519", esp: "aes128gcm16" },
];

const GATEWAY_ADDRESS = "10.9.0.1";
const RUNS = 3;
const DEVICES = 256;
const WARM_UP = 64;
const HANDSHAKES = 1000;

interface Figures {
  handshakesPerCpuSecond: number;
  kbPerSa: number;
}

export const handshakes: Bench = {
  name: "handshakes",
  async run(): Promise<Row[]> {
    const directory = await mkdtemp(join(tmpdir(), "femtogate-bench-"));
    try {
      const rows: Row[] = [];
      for (const suite of SUITES) rows.push(...(await compare(directory, suite)));
      return rows;
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

async function compare(directory: string, suite: Suite): Promise<Row[]> {
  const folder = await mkdtemp(join(directory, "suite-"));
  const credentials = await createCredentials(folder, suite, DEVICES);
  const runs: Figures[] = [];
  for (let i = 0; i < RUNS; i++)
    runs.push(await measureCharon(await mkdtemp(join(folder, "run-")), suite, credentials));
  return rowsOf("charon 5.9.8", suite, runs, { reference: true, note: "kernel-libipsec, no routes installed" });
}

async function measureCharon(directory: string, suite: Suite, credentials: Credentials): Promise<Figures> {
  await using lab = openLab();
  const shared = { directory, suite, credentials };
  const gateway = await startCharonGateway({
    ...shared,
    namespace: lab.hosts.host("gateway"),
    address: GATEWAY_ADDRESS,
  });
  lab.defer(() => gateway.crash());
  const devices = await startCharonDevices({
    ...shared,
    namespace: lab.hosts.host("devices"),
    gatewayAddress: GATEWAY_ADDRESS,
  });
  lab.defer(() => devices.crash());
  await attach(devices, credentials, WARM_UP);
  const before = await readUsage(gateway.pid);
  await attach(devices, credentials, HANDSHAKES);
  const after = await readUsage(gateway.pid);
  return {
    handshakesPerCpuSecond: (HANDSHAKES * 1000) / (after.cpuMs - before.cpuMs),
    kbPerSa: (after.residentKb - before.residentKb) / HANDSHAKES,
  };
}

function rowsOf(subject: string, suite: Suite, runs: readonly Figures[], more: Partial<Row>): Row[] {
  return [
    {
      measure: `handshakes per CPU-second, ${suite.title}`,
      subject,
      value: median(runs.map((run) => run.handshakesPerCpuSecond)),
      unit: "/s",
      ...more,
    },
    {
      measure: `memory per established IKE SA with one CHILD SA, ${suite.title}`,
      subject,
      value: median(runs.map((run) => run.kbPerSa)),
      unit: "kB",
      ...more,
    },
  ];
}

/** Two hosts and what runs on them, ended in reverse order whatever happens. */
function openLab(): AsyncDisposable & { hosts: Hosts; defer(end: () => Promise<void>): void } {
  const hosts = createHosts();
  hosts.link("gateway", `${GATEWAY_ADDRESS}/24`, "devices", "10.9.0.2/24");
  const ends: (() => Promise<void>)[] = [];
  return {
    hosts,
    defer: (end) => ends.push(end),
    async [Symbol.asyncDispose]() {
      for (const end of ends.reverse()) await end();
      hosts.close();
    },
  };
}

function createHosts(): Hosts {
  try {
    return Hosts.create("bench");
  } catch (error) {
    if (error instanceof NamespacesUnavailable) throw new BenchUnavailable(error.message);
    throw error;
  }
}
