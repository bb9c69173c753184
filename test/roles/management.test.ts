/** A device that attaches and then talks to its H(e)MS (TS 33.320 8.3): past the tunnel on loopback, and through it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, type TestContext } from "node:test";
import { whyNoTun } from "../../src/esp/planes/tunDevice.ts";
import { serveDevice } from "../../src/henb/serve.ts";
import { Hosts, whyNoHosts } from "../../src/lab/namespaces.ts";
import { RoleProcess, type RoleRecord } from "../../src/lab/roleProcess.ts";
import { serveGateway } from "../../src/segw/serve.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { Credentials, SEGW } from "../e2e/credentials.ts";
import { HEMS, ServedHems } from "../hems/served.ts";
import { Daemon } from "../interop/daemon.ts";
import { deviceConfigIn, freePorts, gatewayFolder, writeConfig } from "./loopback.ts";

// Before the first test, since what comes after an await the runner does not wait for.
const noTunnel = whyNoHosts() || ((await whyNoTun())?.message ?? false);
const noDnsmasq = spawnSync("dnsmasq", ["--version"]).status !== 0 && "dnsmasq is not installed here";
const credentials = new Credentials(1, Date.now());
const directory = mkdtempSync(join(tmpdir(), "femtogate-management-"));
after(() => {
  credentials[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

const AP = "ap-1.henb.example";
const SILENT = { write: () => {}, capture: undefined };

/** A device's folder with a TLS certificate in its TrE. */
function deviceFolder(): string {
  const folder = credentials.deviceFolder(credentials.issueDevice(AP));
  const tls = credentials.pki.issue({ profile: "henb-tls", dns: [AP] });
  credentials.pki.writeFiles(tls, join(folder, "tre", "tls"));
  return folder;
}

/** Starts gateway and device on loopback, and gives the first record of the device that is about its H(e)MS. */
async function manage(t: TestContext, management: Record<string, unknown>): Promise<RoleRecord> {
  const ports = await freePorts();
  const segw = await serveGateway(
    gatewayFolder(credentials, mkdtempSync(join(directory, "segw-")), ports),
    systemEnvironment,
    SILENT,
  );
  t.after(() => segw.stop());
  const { promise, resolve } = Promise.withResolvers<RoleRecord>();
  const file = deviceConfigIn(deviceFolder(), ports, {
    management: { via: "direct", addresses: ["127.0.0.1"], ...management },
  });
  const henb = await serveDevice(file, systemEnvironment, {
    capture: undefined,
    write(line) {
      const record = JSON.parse(line) as RoleRecord;
      if (["managed", "managementFailed", "fault"].includes(record.event ?? "")) resolve(record);
    },
  });
  t.after(() => henb.stop());
  return promise;
}

test("after it has attached, a device has its session with the H(e)MS, whose stapled status is good", async (t) => {
  const hems = await ServedHems.start(t, undefined, { pki: credentials.pki });
  const record = await manage(t, { url: `https://${HEMS}:${hems.port}/acs` });
  assert.equal(record.event, "managed", record.text ?? "");
  const { ocsp, names, requests, address } = record;
  assert.deepEqual(
    { ocsp, names, requests, address },
    { ocsp: "in-band good", names: [HEMS], requests: 1, address: "127.0.0.1" },
  );
  assert.equal((await hems.event("sessionOpened")).device, AP);
});

test("where the responder is asked directly, its answer decides (8.3.2.1-2)", async (t) => {
  const hems = await ServedHems.start(t, () => ({ ownStatus: { staple: false } }), { pki: credentials.pki });
  const url = `https://${HEMS}:${hems.port}/acs`;
  const asking = (responder: string) => ({
    url,
    status: "direct",
    revocation: { managementServer: { methods: "ocsp", scope: "leaf", operator: { ocsp: [responder] } } },
  });
  assert.equal((await manage(t, asking(hems.ocspUrl))).ocsp, "OCSP good");
  assert.equal((await manage(t, asking("http://127.0.0.1:1/"))).reason, "StatusUnreachable");
  credentials.pki.revoke(hems.own.issued.certificate.serial, "keyCompromise");
  assert.equal((await manage(t, asking(hems.ocspUrl))).reason, "CertificateRevoked");
  assert.equal((await manage(t, { url, status: "stapled" })).reason, "NoValidOcspResponse");
  assert.equal(hems.of("sessionEnded").filter(({ requests }) => requests !== 0).length, 1);
});

/** A gateway between the device's host and the core, where the H(e)MS is; starts roles on these hosts. */
async function tunnelled(t: TestContext, gatewayChanges: Record<string, unknown> = {}) {
  const hosts = Hosts.create("mgmt");
  t.after(() => hosts.close());
  hosts.link("segw", "10.40.0.1/24", "core", "10.40.0.2/24");
  hosts.route("core", "10.64.0.0/16", "10.40.0.1");
  hosts.linkPeers("segw", "192.0.2.1", "henb", "192.0.2.11");
  hosts.forward("segw");
  hosts.route("core", "192.0.2.0/24", "10.40.0.1");
  hosts.route("henb", "10.0.0.0/8", "192.0.2.1");
  const start = async (host: string, name: string, file: string, until: readonly string[]) => {
    const prefix = ["ip", "netns", "exec", hosts.host(host)];
    const role = RoleProcess.start({ name, prefix, args: [name, file], onRecord: () => {} });
    t.after(() => role.stop());
    const record = await role.waitFor(until.join(" or "), ({ event }) => until.includes(event ?? ""), 30_000);
    return { role, record };
  };
  const core = mkdtempSync(join(directory, "core-"));
  credentials.pki.writeFiles(credentials.pki.issue({ profile: "hems", dns: [HEMS] }), join(core, "hems"));
  copyFileSync(credentials.pki.caFile("manufacturer-root"), join(core, "manufacturer-root.pem"));
  const hems = await start(
    "core",
    "hems",
    writeConfig(join(core, "hems.yaml"), {
      name: HEMS,
      listen: [{ address: "10.40.0.2" }],
      credentials: { chain: "hems.chain.pem", key: "hems.key.pem" },
      trust: { roots: ["manufacturer-root.pem"] },
      ownStatus: { staple: false },
    }),
    ["listening"],
  );
  const ports = { ike: 500, natT: 4500 };
  const gateway = gatewayFolder(credentials, mkdtempSync(join(directory, "tunnel-segw-")), ports, {
    listen: ["192.0.2.1"],
    dataPlane: { kind: "tun" },
    ...gatewayChanges,
  });
  await start("segw", "segw", gateway, ["listening"]);
  /** Gives the first record that is about the H(e)MS. */
  const attach = async (management: Record<string, unknown>) => {
    const file = deviceConfigIn(deviceFolder(), ports, {
      gateway: { name: SEGW, addresses: ["192.0.2.1"] },
      local: {},
      dataPlane: { kind: "tun" },
      management: { url: `https://${HEMS}:7548/acs`, status: "off", ...management },
    });
    return start("henb", "henb", file, ["managed", "managementFailed", "failed"]);
  };
  return { hosts, hems, attach };
}

test("through the tunnel the H(e)MS sees the device's inner address, and past it the outer one (8.3.1, 8.3.2.1)", {
  skip: noTunnel,
}, async (t) => {
  const { hems, attach } = await tunnelled(t);
  for (const [via, from] of [
    ["tunnel", "10.64.0.1"],
    ["direct", "192.0.2.11"],
  ] as const) {
    const opened = hems.role.waitFor("session", ({ event }) => event === "sessionOpened", 30_000);
    const device = await attach({ addresses: ["10.40.0.2"], via });
    assert.equal(device.record.event, "managed", device.record.text ?? "");
    assert.equal((await opened).from, from, via);
    await device.role.stop();
  }
  // The core's end of the link to the gateway is none of what the device wants to reach.
  const beside = await attach({ addresses: ["192.0.2.1"] });
  assert.equal(beside.record.reason, "HemsUnreachable");
  assert.match(beside.record.text ?? "", /is at 192\.0\.2\.1, which the tunnel does not lead to/);
});

test("where only the operator's DNS behind the tunnel knows the H(e)MS, that is asked (RFC 7296 3.15.1)", {
  skip: noTunnel || noDnsmasq,
}, async (t) => {
  // The last is no server that the tunnel leads to, and is not asked beside it.
  const pool = { blocks: ["10.64.0.0/16"], dns: ["10.40.0.2", "198.51.100.53"] };
  const { hosts, hems, attach } = await tunnelled(t, { pool });
  const failed = await attach({});
  assert.equal(failed.record.reason, "HemsUnreachable", failed.record.text ?? "");
  await failed.role.stop();
  await using _dns = await Daemon.start({
    name: "dnsmasq",
    prepare: ({ pidFile }) => ({
      command: "ip",
      args: [
        ...["netns", "exec", hosts.host("core"), "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"],
        ...["--no-resolv", "--no-hosts", "--user=root", `--pid-file=${pidFile}`],
        ...["--listen-address=10.40.0.2", "--bind-interfaces", `--address=/${HEMS}/10.40.0.2`],
      ],
    }),
  });
  const opened = hems.role.waitFor("session", ({ event }) => event === "sessionOpened", 30_000);
  const device = await attach({});
  assert.equal(device.record.event, "managed", device.record.text ?? "");
  assert.equal(device.record.address, "10.40.0.2");
  assert.equal((await opened).from, "10.64.0.1");
  await device.role.stop();
});
