/** Gateway, device and load generator from their files, on loopback: what they refuse at start, and what they log. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { serveDevice } from "../../src/henb/serve.ts";
import { serveLoad } from "../../src/henb/serveLoad.ts";
import { PortUnavailable } from "../../src/ipsec/udpPorts.ts";
import { Hosts, whyNoHosts } from "../../src/lab/namespaces.ts";
import { RoleProcess, type RoleRecord } from "../../src/lab/roleProcess.ts";
import { serveGateway } from "../../src/segw/serve.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { toPem } from "../../src/x509/pem.ts";
import { femtogate } from "../cli/femtogate.ts";
import { Credentials } from "../e2e/credentials.ts";
import { deviceConfigIn, freePorts, gatewayFolder, writeConfig } from "./loopback.ts";

// Real time: these roles live by the machine's clock.
const credentials = new Credentials(1, Date.now());
const directory = mkdtempSync(join(tmpdir(), "femtogate-serve-"));
after(() => {
  credentials[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

const ANY = { ike: 0, natT: 0 };
let folders = 0;
const newFolder = () => join(directory, `segw-${++folders}`);
const AP = "ap-1.example";

test("a device attaches to a gateway, both log it as JSON, and both end clean", async () => {
  const ports = await freePorts();
  const segw = await serveGateway(
    gatewayFolder(credentials, newFolder(), ports, { log: { messages: true } }),
    systemEnvironment,
    listening(),
  );
  const heard = listening();
  const henb = await serveDevice(deviceConfigIn(newDevice(), ports), systemEnvironment, heard);
  const attached = await heard.record(({ event }) => event === "attached");
  assert.deepEqual(attached.addresses, ["10.64.0.1"]);
  assert.equal(attached.role, "henb");
  assert.equal(segw.gateway.service.size, 1);
  await henb.stop();
  assert.deepEqual(await henb.ended, { kind: "Stopped", refusal: undefined });
  assert.equal(segw.gateway.service.size, 0);
  assert.equal(segw.gateway.pool.size, 0);
  await segw.stop();
});

const BAD_GATEWAYS: [what: string, spoil: (folder: string) => Record<string, unknown>, message: RegExp][] = [
  [
    "more than four certificates (7.2.3-1)",
    (folder) => {
      const { chain } = credentials.issueGateway({ extraCas: 3 });
      writeFileSync(join(folder, "segw.chain.pem"), chain.map(({ der }) => toPem("CERTIFICATE", der)).join(""));
      return {};
    },
    /segw\.chain\.pem holds 5 certificates; at most 4 are sent, without the root/,
  ],
  [
    "a certificate without its own name (7.2.2-4)",
    () => ({ name: "other.example" }),
    /does not carry "other\.example" in subjectAltName, as every device will demand/,
  ],
  ["a certificate without its own address", () => ({ name: "192.0.2.99" }), /does not carry "192\.0\.2\.99"/],
  [
    "another key than its certificate's",
    (folder) => {
      credentials.pki.writeFiles(credentials.issueGateway(), join(folder, "other"));
      return { credentials: { chain: "segw.chain.pem", key: "other.key.pem" } };
    },
    /other\.key\.pem is not the key of the first certificate in .*segw\.chain\.pem/,
  ],
  [
    "a key that is none",
    (folder) => {
      writeFileSync(join(folder, "segw.key.pem"), "SECRET");
      return {};
    },
    /segw\.key\.pem holds no private key that can be read: PEM, PKCS#8 or SEC1, not encrypted$/,
  ],
  [
    "a certificate file without any",
    (folder) => {
      writeFileSync(join(folder, "segw.chain.pem"), "");
      return {};
    },
    /segw\.chain\.pem holds no PEM certificate/,
  ],
  [
    "a certificate that cannot be read, the second of its file",
    (folder) => {
      appendFileSync(join(folder, "manufacturer-root.pem"), toPem("CERTIFICATE", Buffer.from("3003020101", "hex")));
      return {};
    },
    /certificate 2 in .*manufacturer-root\.pem cannot be read: /,
  ],
  ["a file that is not there", () => ({ trust: { roots: ["gone.pem"] } }), /gone\.pem cannot be read \(ENOENT\)/],
];

for (const [what, spoil, message] of BAD_GATEWAYS) {
  test(`a gateway does not start with ${what}, and says so`, async () => {
    const folder = newFolder();
    gatewayFolder(credentials, folder, ANY);
    const file = gatewayWith(folder, spoil);
    await assert.rejects(serveGateway(file, systemEnvironment, listening()), (error: Error) => {
      assert.equal(error.name, "RoleFileError");
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /SECRET/);
      return true;
    });
  });
}

test("a gateway whose port another holds does not start, and neither its capture nor its plane is left open", async () => {
  const ports = await freePorts();
  const first = await serveGateway(gatewayFolder(credentials, newFolder(), ports), systemEnvironment, listening());
  const folder = newFolder();
  const file = gatewayFolder(credentials, folder, ports);
  const before = openFiles();
  const capture = { file: join(folder, "c.pcapng"), withKeys: false };
  await assert.rejects(serveGateway(file, systemEnvironment, { ...listening(), capture }), PortUnavailable);
  assert.equal(openFiles(), before);
  await first.stop();
});

test("a device whose files were changed logs it, sends nothing, and ends with status 1 (5.2-3)", async () => {
  const ear = createSocket("udp4").bind(0, "127.0.0.1");
  await once(ear, "listening");
  let heard = 0;
  ear.on("message", () => heard++);
  const { port } = ear.address();
  const folder = newDevice();
  writeFileSync(join(folder, "files", "firmware.bin"), "changed\n");
  const { status, out } = await femtogate(["henb", deviceConfigIn(folder, { ike: port, natT: port })]);
  assert.equal(status, 1);
  const [failed, stopped] = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as RoleRecord);
  assert.equal(failed?.event, "integrityFailed");
  assert.deepEqual(failed?.problems, ["firmware.bin has been changed"]);
  assert.equal(stopped?.event, "stopped");
  // What was sent to a socket of this host is there at once.
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(heard, 0);
  ear.close();
});

test("a device whose single attempt failed says why and ends with status 1", async () => {
  const ports = await freePorts();
  const { status, out } = await femtogate([
    "henb",
    deviceConfigIn(newDevice(), ports, {
      ike: { retransmission: { initial: "50ms", factor: 1, tries: 2 } },
      log: { format: "text" },
    }),
  ]);
  assert.equal(status, 1);
  assert.match(
    out,
    /warn +henb: no IKE SA with 127\.0\.0\.1:\d+: no answer from 127\.0\.0\.1 port \d+ in 2 tries \(PeerUnresponsive\)/,
  );
});

test("a device without a way to its gateway says which, and ends or waits as configured", {
  skip: whyNoHosts(),
}, async () => {
  const hosts = Hosts.create("noway");
  try {
    const prefix = ["ip", "netns", "exec", hosts.host("henb")];
    const changes = { gateway: { name: "segw.operator.example", addresses: ["192.0.2.1"] }, local: {} };
    const once = await femtogate(["henb", deviceConfigIn(newDevice(), ANY, changes)], { prefix });
    assert.equal(once.status, 1);
    assert.match(
      once.out,
      /"event":"failed","reason":"NoPath","message":"no way to 192\.0\.2\.1 \(ENETUNREACH\)","by":"us"/,
    );
    const records: RoleRecord[] = [];
    const waiting = RoleProcess.start({
      name: "henb",
      prefix,
      args: ["henb", deviceConfigIn(newDevice(), ANY, { ...changes, reconnect: { initial: "1h", most: "1h" } })],
      onRecord: (record) => records.push(record),
    });
    await waiting.waitFor("waiting", ({ event }) => event === "waiting", 20_000);
    await waiting.stop();
    assert.deepEqual(
      records.map(({ event }) => event),
      ["failed", "waiting", "stopped"],
    );
    assert.equal(await waiting.ended, 0);
  } finally {
    hosts.close();
  }
});

test("femtogate load attaches devices in turn, counts them, and deletes every IKE SA at its end", async () => {
  const ports = await freePorts();
  const heard = listening();
  const segw = await serveGateway(
    gatewayFolder(credentials, newFolder(), ports, { uniqueDevices: false }),
    systemEnvironment,
    heard,
  );
  const file = loadFolder(newFolder(), ports);
  const { status, out } = await femtogate(["load", file, "--count", "12", "--concurrency", "4", "--json"]);
  assert.equal(status, 0);
  const { established, failed, perSecond, latencyMs } = JSON.parse(out);
  assert.deepEqual([established, failed], [12, {}]);
  assert.ok(perSecond > 0 && latencyMs.median <= latencyMs.p90 && latencyMs.p90 <= latencyMs.most);
  const peers = heard.records.filter(({ event }) => event === "established").map(({ peer }) => peer);
  assert.deepEqual(
    peers.toSorted(),
    ["ap-1.example", "ap-2.example", "ap-3.example"].flatMap((name) => Array(4).fill(name)),
  );
  assert.equal(segw.gateway.service.size, 0);
  await segw.stop();
});

test("femtogate load whose attempts fail says how often and why, and ends with status 1", async () => {
  const ports = await freePorts();
  const segw = await serveGateway(
    gatewayFolder(credentials, newFolder(), ports, { trust: { roots: ["operator-root.pem"] } }),
    systemEnvironment,
    listening(),
  );
  const { status, out } = await femtogate(["load", loadFolder(newFolder(), ports), "--count", "3"]);
  assert.equal(status, 1);
  assert.match(out, /^0 established in .*\n {2}failed: 3 PeerRefused\n$/);
  await segw.stop();
});

test("a load device's certificate without an FQDN is refused by its file", async () => {
  const folder = newFolder();
  const file = loadFolder(folder, ANY);
  writeFileSync(join(folder, "ap-1.chain.pem"), toPem("CERTIFICATE", credentials.pki.ca("device-ca").der));
  await assert.rejects(serveLoad(file, systemEnvironment, assert.fail), {
    name: "RoleFileError",
    message: /ap-1\.chain\.pem names no FQDN in subjectAltName/,
  });
});

/** A device's folder, TrE and all. */
function newDevice(): string {
  return credentials.deviceFolder(credentials.issueDevice(AP));
}

function gatewayWith(folder: string, spoil: (folder: string) => Record<string, unknown>): string {
  const changes = spoil(folder);
  const kept = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
  const file = gatewayFolder(credentials, folder, ANY, changes);
  // What was spoilt stays so.
  for (const [name, content] of kept) if (name !== "segw.yaml") writeFileSync(join(folder, name), content);
  return file;
}

/** Three devices that take turns, one key for all. */
function loadFolder(folder: string, ports: { ike: number; natT: number }): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "root.pem"), toPem("CERTIFICATE", credentials.pki.ca("operator-root").der));
  const names = ["ap-1", "ap-2", "ap-3"];
  for (const name of names) credentials.pki.writeFiles(credentials.issueDevice(`${name}.example`), join(folder, name));
  return writeConfig(join(folder, "load.yaml"), {
    gateway: { name: "segw.operator.example", address: "127.0.0.1", ports },
    local: { address: "127.0.0.1" },
    trust: { roots: ["root.pem"] },
    devices: names.map((name) => ({ chain: `${name}.chain.pem`, key: `${name}.key.pem` })),
    ocsp: { inBand: "off" },
    reach: ["10.40.0.0/24"],
  });
}

/** Options of a role that listen to its log. */
function listening() {
  const records: RoleRecord[] = [];
  const waiting = new Set<() => void>();
  return {
    records,
    capture: undefined,
    write(line: string) {
      records.push(JSON.parse(line) as RoleRecord);
      for (const look of waiting) look();
    },
    record: (accept: (record: RoleRecord) => boolean) =>
      new Promise<RoleRecord>((resolve) => {
        const look = () => {
          const found = records.find(accept);
          if (found !== undefined) resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
}

function openFiles(): number {
  return existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0;
}
