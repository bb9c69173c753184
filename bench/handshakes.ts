/**
 * Handshakes per CPU-second of a gateway: IKE_SA_INIT and IKE_AUTH with certificates both ways, a virtual address and
 * one CHILD SA; and the memory an established device keeps.
 *
 * Gateway and devices are in two namespaces and share the machine's cores, so time on the clock says little; the CPU
 * time of the gateway's processes is what counts. Each figure is the median of three runs, each on a fresh gateway that
 * has served some devices before the measurement begins. The devices are the same for every gateway. No gateway logs a
 * handshake, and none looks for older IKE SAs of a device: the devices' identities repeat.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hosts, NamespacesUnavailable } from "../test/net/namespaces.ts";
import { type Bench, BenchUnavailable, median, type Row } from "./bench.ts";
import { charonGateway } from "./peers/charon.ts";
import { femtogateDevices, femtogateGateway } from "./peers/femtogate.ts";
import { type Credentials, createCredentials, type DevicesPeer, type GatewayPeer, type Suite } from "./peers/peer.ts";
import { type ProcessUsage, readUsage } from "./processUsage.ts";

const SUITES: readonly Suite[] = [
  { title: "RSA-2048 + Curve25519", keys: "rsa-2048", ike: "aes128gcm16-prfsha256-x25519", esp: "aes128gcm16" },
  { title: "P-256 + Curve25519", keys: "ec-p256", ike: "aes128gcm16-prfsha256-x25519", esp: "aes128gcm16" },
];

/** The first is the reference. */
const GATEWAYS: readonly GatewayPeer[] = [charonGateway, femtogateGateway];
const DEVICES: DevicesPeer = femtogateDevices;

const GATEWAY_ADDRESS = "10.9.0.1";
const RUNS = 3;
const DEVICE_COUNT = 256;
/** Handshakes before the measurement begins: a gateway runs for months, so what a start costs does not count. */
const WARM_UP = 500;
const HANDSHAKES = 1000;
/** More of them, for memory: a few hundred drown in what an allocator keeps in reserve. */
const FURTHER = 2500;

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
      for (const suite of SUITES) {
        const folder = await mkdtemp(join(directory, "suite-"));
        const credentials = await createCredentials(folder, suite, DEVICE_COUNT);
        for (const gateway of GATEWAYS) rows.push(...(await measure(folder, suite, credentials, gateway)));
      }
      return rows;
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

async function measure(
  directory: string,
  suite: Suite,
  credentials: Credentials,
  gateway: GatewayPeer,
): Promise<Row[]> {
  const runs: Figures[] = [];
  for (let i = 0; i < RUNS; i++) {
    runs.push(await measureOnce(await mkdtemp(join(directory, "run-")), suite, credentials, gateway));
  }
  const of = {
    subject: gateway.subject,
    reference: gateway === GATEWAYS[0],
    ...(gateway.note === undefined ? {} : { note: gateway.note }),
  };
  return [
    {
      ...of,
      measure: `handshakes per CPU-second, ${suite.title}`,
      value: median(runs.map((run) => run.handshakesPerCpuSecond)),
      unit: "/s",
    },
    {
      ...of,
      measure: `memory per established IKE SA with one CHILD SA, ${suite.title}`,
      value: median(runs.map((run) => run.kbPerSa)),
      unit: "kB",
    },
  ];
}

async function measureOnce(
  directory: string,
  suite: Suite,
  credentials: Credentials,
  peer: GatewayPeer,
): Promise<Figures> {
  await using ends = new AsyncDisposableStack();
  const hosts = ends.adopt(createHosts(), async (made) => made.close());
  hosts.link("gateway", `${GATEWAY_ADDRESS}/24`, "devices", "10.9.0.2/24");
  const setup = { directory, gatewayAddress: GATEWAY_ADDRESS, suite, credentials };
  const gateway = ends.adopt(await peer.start({ ...setup, namespace: hosts.host("gateway") }), (it) => it.stop());
  const devices = ends.adopt(await DEVICES.start({ ...setup, namespace: hosts.host("devices") }), (it) => it.stop());
  await devices.attach(WARM_UP);
  const before = await usageOf(gateway.pids);
  await devices.attach(HANDSHAKES);
  const after = await usageOf(gateway.pids);
  await devices.attach(FURTHER);
  const full = await usageOf(gateway.pids);
  return {
    handshakesPerCpuSecond: (HANDSHAKES * 1000) / (after.cpuMs - before.cpuMs),
    kbPerSa: (full.residentKb - before.residentKb) / (HANDSHAKES + FURTHER),
  };
}

async function usageOf(pids: readonly number[]): Promise<ProcessUsage> {
  const usages = await Promise.all(pids.map(readUsage));
  return {
    cpuMs: usages.reduce((sum, usage) => sum + usage.cpuMs, 0),
    residentKb: usages.reduce((sum, usage) => sum + usage.residentKb, 0),
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
