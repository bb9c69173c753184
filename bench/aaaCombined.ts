/**
 * Combined attachments (TS 33.320 A.2): certificates, device authorization, EAP-AKA and one CHILD SA, per CPU-second of
 * the gateway and of the AAA server behind it over Diameter. The devices are `femtogate load` in a process of its own.
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { RoleProcess } from "../src/lab/roleProcess.ts";
import { freePort } from "../test/net/freePort.ts";
import { makeSubscribers, type Subscriber, startAaa, writeAaa } from "./aaaServer.ts";
import { median, type Row } from "./bench.ts";
import { type Credentials, createCredentials, GATEWAY_IDENTITY } from "./peers/peer.ts";
import { readUsage } from "./processUsage.ts";

const RUNS = 3;
const DEVICES = 64;
const CONCURRENCY = 16;
const WARM_UP = 400;
const MEASURED = 1_000;
const SUITE = { title: "P-256", keys: "ec-p256", ike: "aes128gcm16-prfsha256-x25519", esp: "aes128gcm16" } as const;
const LIMIT_MS = 180_000;

interface Figures {
  perGatewaySecond: number;
  perAaaSecond: number;
}

export async function combinedAttachments(): Promise<Row[]> {
  const runs: Figures[] = [];
  const directory = await mkdtemp(join(tmpdir(), "femtogate-bench-combined-"));
  try {
    const credentials = await createCredentials(directory, SUITE, DEVICES);
    for (let i = 0; i < RUNS; i++) runs.push(await measureOnce(await mkdtemp(join(directory, "run-")), credentials));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  const row = (subject: string, of: (figures: Figures) => number): Row => ({
    measure: `combined attachments (A.2) per CPU-second, ${SUITE.title}`,
    subject,
    value: median(runs.map(of)),
    unit: "/s",
  });
  return [row("femtogate segw", (it) => it.perGatewaySecond), row("femtogate aaa", (it) => it.perAaaSecond)];
}

async function measureOnce(folder: string, credentials: Credentials): Promise<Figures> {
  await using ends = new AsyncDisposableStack();
  const subscribers = makeSubscribers(DEVICES);
  const file = await writeAaa(folder, subscribers, {
    diameter: {
      host: "aaa.bench.example",
      realm: "bench.example",
      listen: [{ address: "127.0.0.1", port: 0 }],
      peers: [{ host: GATEWAY_IDENTITY }],
    },
    policy: {
      unknownDevices: "allow",
      authentication: "combined",
      hostingPartyBinding: "off",
      oneSessionPerDevice: false,
    },
  });
  const aaa = await startAaa(file, ends);
  const ports = { ike: await freePort(), natT: await freePort() };
  const gateway = await startGateway(folder, credentials, ports, aaa.diameter, ends);
  const attach = await startDevices(folder, credentials, ports, subscribers, ends);
  await attach(WARM_UP);
  const usage = () => Promise.all([gateway, aaa.pid].map(readUsage));
  const before = await usage();
  await attach(MEASURED);
  const after = await usage();
  const [segw, server] = before.map(({ cpuMs }, index) => (MEASURED * 1000) / (after[index]!.cpuMs - cpuMs));
  return { perGatewaySecond: segw!, perAaaSecond: server! };
}

async function startGateway(
  folder: string,
  { root, gateway }: Credentials,
  ports: { ike: number; natT: number },
  aaaPort: number,
  ends: AsyncDisposableStack,
): Promise<number> {
  mkdirSync(join(folder, "segw"));
  const file = join(folder, "segw", "segw.yaml");
  copyFileSync(root.certificate, join(folder, "segw", "root.pem"));
  const settings = {
    name: GATEWAY_IDENTITY,
    listen: ["127.0.0.1"],
    ports,
    credentials: { chain: gateway.certificate, key: gateway.key },
    trust: { roots: ["root.pem"] },
    ike: { proposals: [SUITE.ike] },
    esp: { proposals: [SUITE.esp] },
    ownStatus: { send: "off" },
    aaa: {
      server: {
        protocol: "diameter",
        host: GATEWAY_IDENTITY,
        realm: "bench.example",
        peers: [{ host: "aaa.bench.example", address: "127.0.0.1", port: aaaPort }],
      },
    },
    protected: ["0.0.0.0/0"],
    pool: { blocks: ["10.64.0.0/12"] },
    uniqueDevices: false,
    limits: { cookieThreshold: 100_000, maxHalfOpen: 100_000 },
    dataPlane: { kind: "none" },
  };
  writeFileSync(file, stringify(settings));
  const up = Promise.withResolvers<void>();
  const role = RoleProcess.start({
    name: "femtogate segw",
    args: ["segw", file],
    prefix: [],
    onRecord: ({ event }) => {
      if (event === "aaaUp") up.resolve();
    },
  });
  ends.defer(() => role.crash());
  await role.waitFor("gateway", ({ event }) => event === "listening", LIMIT_MS);
  await up.promise;
  return role.pid!;
}

async function startDevices(
  folder: string,
  { root, devices }: Credentials,
  ports: { ike: number; natT: number },
  subscribers: readonly Subscriber[],
  ends: AsyncDisposableStack,
): Promise<(count: number) => Promise<void>> {
  const file = join(folder, "load.yaml");
  const settings = {
    gateway: { name: GATEWAY_IDENTITY, address: "127.0.0.1", ports },
    local: { address: "127.0.0.1" },
    trust: { roots: [root.certificate] },
    devices: devices.map(({ credential }, index) => ({
      chain: credential.certificate,
      key: credential.key,
      hostingParty: subscribers[index]!,
    })),
    ike: { proposals: [SUITE.ike] },
    esp: { proposals: [SUITE.esp] },
    ocsp: { inBand: "off" },
  };
  writeFileSync(file, stringify(settings));
  const role = RoleProcess.start({
    name: "femtogate load",
    program: join(import.meta.dirname, "./peers/femtogateLoad.ts"),
    args: [file],
    prefix: [],
    onRecord: () => undefined,
  });
  ends.defer(() => role.crash());
  await role.waitFor("load generator", ({ event }) => event === "ready", LIMIT_MS);
  return async (count) => {
    const attached = role.waitFor("result", ({ event }) => event === "attached", LIMIT_MS);
    role.say(`${count} ${CONCURRENCY}`);
    const { established, failed } = await attached;
    if (established !== count) throw new Error(`${established} of ${count} attached: ${JSON.stringify(failed)}`);
  };
}
