/** A second round of authentication by EAP (RFC 4739, TS 33.320 A.2) between strongSwan and us, either way around. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { stringify } from "yaml";
import { Subscribers } from "../../../src/aaa/hss/subscribers.ts";
import { makeTables } from "../../../src/aaa/tables.ts";
import { RoleProcess, type RoleRecord } from "../../../src/lab/roleProcess.ts";
import { SqliteDatabase } from "../../../src/store/sqlite.ts";
import { startEapServer } from "../freeradius/eapServer.ts";
import { MATRIX } from "./algorithms.ts";
import { AP_NAME, Attachment, type OurRole, type SwanChanges } from "./attachment.ts";
import { createAuthority, issueCertificate } from "./certificates.ts";
import type { Settings } from "./settings.ts";
import type { StrongSwan } from "./strongswan.ts";

const SECRET = "a secret that gateway and AAA server share";
const IMSI = "001010123456789";
const K = "465b5ce8b199b49faa5f0a2ee238a6bc";
const OTHER_K = "00112233445566778899aabbccddeeff";
const OPC = "cd63cb71954a9f4e48a5994e37a02baf";
const NAI = `0${IMSI}@nai.epc.mnc001.mcc001.3gppnetwork.org`;
const ADDRESS = "10.20.0.77";
const ONCE = { reconnect: { initial: 0 } };

/** Our AAA server in the gateway's namespace, with one subscriber; gives its RADIUS port and what it says. */
async function ourAaa(ends: AsyncDisposableStack, attachment: Attachment) {
  const folder = join(attachment.directory, "aaa");
  mkdirSync(folder);
  const file = join(folder, "aaa.yaml");
  writeFileSync(join(folder, "secret"), SECRET);
  writeFileSync(
    file,
    stringify({
      radius: {
        authentication: [{ address: "127.0.0.1", port: 0 }],
        clients: [{ name: "strongswan", block: "127.0.0.1", secretFile: "secret" }],
      },
      policy: { unknownDevices: "allow", hostingPartyBinding: "off" },
    }),
  );
  const database = new SqliteDatabase(join(folder, "aaa.sqlite"));
  await makeTables(database);
  const subscriber = { imsi: IMSI, k: Buffer.from(K, "hex"), opc: Buffer.from(OPC, "hex"), address: ADDRESS };
  await new Subscribers(database).add({ algorithm: "milenage", ...subscriber });
  await database.close();
  const records: RoleRecord[] = [];
  const started = RoleProcess.start({
    name: "aaa",
    args: ["aaa", "serve", file],
    prefix: ["ip", "netns", "exec", attachment.hosts.host("segw")],
    onRecord: (record) => records.push(record),
  });
  ends.defer(() => started.stop());
  const isListening = ({ event }: RoleRecord) => event === "listening";
  const { radius } = (records.find(isListening) ?? (await started.waitFor("listening", isListening, 15_000))) as {
    radius: number[];
  };
  return { port: radius[0]!, records };
}

/** Our H(e)NB with a USIM. */
function ourCombinedDevice(attachment: Attachment, k: string): OurRole {
  const folder = join(attachment.directory, "card");
  mkdirSync(folder, { mode: 0o700 });
  const card = { imsi: IMSI, algorithm: { name: "milenage", k, opc: OPC } };
  writeFileSync(join(folder, "usim.yaml"), stringify(card), { mode: 0o600 });
  return attachment.ourDevice({ ...ONCE, hostingParty: { usim: folder } });
}

/** strongSwan as a gateway that wants a certificate and then EAP, which it relays to the AAA server at that port. */
function theirCombinedGateway(attachment: Attachment, port: number) {
  return attachment.theirGateway({
    plugins: ["md5", "sha1", "eap-radius", "eap-identity"],
    connection: {
      pools: "radius",
      remote: undefined,
      "remote-1": { auth: "pubkey", id: AP_NAME, round: 1 },
      "remote-2": { auth: "eap-radius", id: "%any", round: 2 },
    },
    charon: {
      plugins: { "eap-radius": { servers: { aaa: { address: "127.0.0.1", auth_port: port, secret: SECRET } } } },
    },
  });
}

for (const algorithms of [MATRIX[1]!, MATRIX[3]!]) {
  test(`our H(e)NB with a USIM passes both rounds at strongSwan, which asks our AAA server by RADIUS (A.2; ${algorithms.keys})`, {
    timeout: 60_000,
  }, async () => {
    await using ends = new AsyncDisposableStack();
    const attachment = ends.use(await Attachment.create(algorithms));
    const aaa = await ourAaa(ends, attachment);
    const segw = await theirCombinedGateway(attachment, aaa.port);
    const henb = ourCombinedDevice(attachment, K);
    const attached = await henb.event("attached");
    // Framed-IP-Address of the subscriber's profile.
    assert.deepEqual(attached.addresses, [ADDRESS]);
    const established = await henb.event("established");
    assert.equal(established.eap, "aka success");
    const ping = await attachment.ping();
    assert.ok(ping.ok, ping.output);
    const [sa] = await segw.listSas();
    assert.equal(sa?.remoteId, NAI);
    assert.deepEqual(sa.remoteVirtualIps, [ADDRESS]);
    await segw.waitForLog(/authentication of 'ap-1.example' with .* successful/);
    await segw.waitForLog(new RegExp(`authentication of '${NAI}' with EAP successful`));
    const accepted = aaa.records.find(({ event }) => event === "accepted");
    assert.equal(accepted?.subscriber, IMSI);
  });
}

test("a USIM with another K than the HSS has is refused in strongSwan's second round, and nothing stands", {
  timeout: 60_000,
}, async () => {
  await using ends = new AsyncDisposableStack();
  const attachment = ends.use(await Attachment.create(MATRIX[3]!));
  const aaa = await ourAaa(ends, attachment);
  const segw = await theirCombinedGateway(attachment, aaa.port);
  const henb = ourCombinedDevice(attachment, OTHER_K);
  const failed = await henb.event("failed");
  // The USIM finds that the challenge was not made with its K, and says AT_AUTN is wrong.
  assert.equal(failed.reason, "NetworkNotAuthentic");
  // The certificate round had passed.
  await segw.waitForLog(/authentication of 'ap-1.example' with .* successful/);
  await segw.waitForLog(/RADIUS authentication of '.*' failed/);
  assert.deepEqual(await segw.listSas(), []);
  const refused = aaa.records.find(({ event }) => event === "refused");
  assert.equal(refused?.reason, "AuthenticationFailed");
});

/** Our gateway, which asks FreeRADIUS about device and hosting party and knows no EAP method itself. */
function ourRelayingGateway(attachment: Attachment): Promise<OurRole> {
  const secretFile = join(attachment.directory, "radius-secret");
  writeFileSync(secretFile, SECRET);
  return attachment.ourGateway({
    hostingParty: { byDefault: "required" },
    aaa: { server: { protocol: "radius", servers: [{ name: "freeradius", address: "127.0.0.1", secretFile }] } },
  });
}

/** strongSwan as a device that shows its certificate and then authenticates its hosting party by EAP. */
function theirCombinedDevice(attachment: Attachment, second: Settings, changes: SwanChanges = {}) {
  return attachment.theirDevice({
    ...changes,
    connection: {
      local: undefined,
      "local-1": { round: 1, auth: "pubkey", id: AP_NAME, certs: `${AP_NAME}.crt.pem` },
      "local-2": { round: 2, ...second },
    },
  });
}

const PARTY = { name: "party@operator.example", password: "a hosting party's password" };
const PARTY_NAME = "party.operator.example";
const RADIUS_NAME = "radius.operator.example";
const MSCHAPV2 = ["md5", "sha1", "eap-mschapv2"];

function theirPasswordDevice(attachment: Attachment, password: string) {
  return theirCombinedDevice(
    attachment,
    { auth: "eap-mschapv2", id: PARTY.name },
    { plugins: MSCHAPV2, secrets: { "eap-party": { id: PARTY.name, secret: `"${password}"` } } },
  );
}

test("strongSwan's certificate round and EAP-MSCHAPv2 round pass at our SeGW, which relays to FreeRADIUS", {
  timeout: 60_000,
}, async () => {
  await using ends = new AsyncDisposableStack();
  const attachment = ends.use(await Attachment.create(MATRIX[3]!));
  const radius = ends.use(await startEapServer({ ...serverIn(attachment), method: "mschapv2" }));
  const segw = await ourRelayingGateway(attachment);
  const henb = await theirPasswordDevice(attachment, PARTY.password);
  await provesBothRounds(attachment, segw, henb);
  // Where the device is, in both rounds and in accounting (RFC 2868 3.3).
  const places = radius.lines.filter((line) => /Tunnel-Client-Endpoint:0 = "10\.9\.0\.2"/.test(line));
  assert.ok(places.length >= 3, `${places.length}`);
  assert.ok(radius.lines.some((line) => /Acct-Status-Type = Stop/.test(line)));
});

test("a wrong password in the EAP-MSCHAPv2 round is refused, and nothing stands", { timeout: 60_000 }, async () => {
  await using ends = new AsyncDisposableStack();
  const attachment = ends.use(await Attachment.create(MATRIX[3]!));
  const radius = ends.use(await startEapServer({ ...serverIn(attachment), method: "mschapv2" }));
  const segw = await ourRelayingGateway(attachment);
  const henb = await theirPasswordDevice(attachment, "another password");
  await assert.rejects(henb.initiate("inner"), /establishing CHILD_SA 'inner' failed/);
  const failed = await segw.event("failed");
  assert.equal(failed.reason, "HostingPartyRefused");
  assert.deepEqual(await henb.listSas(), []);
  assert.ok(radius.lines.some((line) => /MS-CHAP2-Response is incorrect/.test(line)));
});

for (const algorithms of [MATRIX[1]!, MATRIX[3]!]) {
  test(`strongSwan's certificate round and EAP-TLS round pass at our SeGW in the same way (${algorithms.keys})`, {
    timeout: 60_000,
  }, async () => {
    await using ends = new AsyncDisposableStack();
    const attachment = ends.use(await Attachment.create(algorithms));
    const { directory } = attachment;
    // Users are the operator's, and of another CA than devices.
    const kind = algorithms.keys === "rsa-2048" ? "rsa-2048" : "ec-p256";
    const authority = await createAuthority(directory, "users", kind);
    const server = await issueCertificate(directory, RADIUS_NAME, kind, authority, [`DNS:${RADIUS_NAME}`]);
    const party = await issueCertificate(directory, PARTY_NAME, kind, authority, [`DNS:${PARTY_NAME}`]);
    const tls = { chain: server.certificate, key: server.key, authority: authority.certificate };
    ends.use(await startEapServer({ ...serverIn(attachment), method: "tls", tls }));
    const segw = await ourRelayingGateway(attachment);
    const second = { auth: "eap-tls", id: PARTY_NAME, certs: basename(party.certificate), aaa_id: RADIUS_NAME };
    const henb = await theirCombinedDevice(attachment, second, {
      plugins: ["eap-tls"],
      credentials: [party],
      authorities: [authority.certificate],
    });
    await provesBothRounds(attachment, segw, henb, PARTY_NAME);
  });
}

function serverIn(attachment: Attachment) {
  return { secret: SECRET, prefix: ["ip", "netns", "exec", attachment.hosts.host("segw")], user: PARTY };
}

async function provesBothRounds(attachment: Attachment, segw: OurRole, henb: StrongSwan, party = PARTY.name) {
  await henb.initiate("inner");
  const established = await segw.event("established");
  assert.equal(established.peer, AP_NAME);
  assert.equal(established.hostingParty, party);
  assert.equal(established.eap, "eap success");
  const ping = await attachment.ping();
  assert.ok(ping.ok, ping.output);
  // While its AAA server is still there to hear that the session is over.
  await segw.process.stop();
}
