import assert from "node:assert/strict";
import test, { after } from "node:test";
import { type LoadDevice, LoadGenerator, type LoadResult } from "../../src/henb/load.ts";
import { loadUsim } from "../../src/henb/loadUsim.ts";
import { CfgAttribute } from "../../src/ike/codec/numbers.ts";
import { CONNECTION_DEFAULTS } from "../../src/ike/sa/connection.ts";
import { parseEspProposal, parseIkeProposal } from "../../src/ike/sa/proposal.ts";
import { blockSelector } from "../../src/ipsec/settings.ts";
import type { AaaClient } from "../../src/segw/aaa/client.ts";
import { fqdnIdentity } from "../../src/tre/identity.ts";
import { IMSI, K, OPC, operator, RecordingGateway } from "../aaa/made.ts";
import { Credentials, SEGW, SEGW_ADDRESS } from "../e2e/credentials.ts";
import { Ecosystem } from "../e2e/ecosystem.ts";
import { OpenPlane, WorldPorts } from "../e2e/party.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const FQDNS = ["ap-1.example", "ap-2.example", "ap-3.example"];
const ADDRESS = "192.0.2.200";

test("attempts are made in turn, never more at once than asked for, and each that stands is timed", async () => {
  const { eco, segw, load } = generator();
  let most = 0;
  eco.world.tap = (packet) => {
    most = Math.max(most, load.service.size - load.attached);
    return packet;
  };
  const result = await eco.during(load.attach(10, 3));
  assert.equal(most, 3);
  assert.equal(result.established, 10);
  assert.deepEqual([...result.failed], []);
  assert.equal(result.latencies.length, 10);
  // Four datagrams of a millisecond each, and the gateway's questions to its responder.
  assert.ok(
    result.latencies.every((latency) => latency >= 4 && latency <= 50),
    `${result.latencies}`,
  );
  assert.ok(result.duration >= Math.max(...result.latencies) && result.duration <= 400);
  assert.deepEqual(
    segw
      .of("established")
      .map(({ peer }) => peer.text)
      .sort(),
    [0, 0, 0, 0, 1, 1, 1, 2, 2, 2].map((index) => FQDNS[index]),
  );
  assert.deepEqual([load.attached, segw.service.size], [10, 10]);
  await eco.during(load.service.close(60_000));
  assert.deepEqual([load.attached, load.service.size, segw.service.size, segw.gateway.pool.size], [0, 0, 0, 0]);
});

test("what fails is counted by its reason, and the rest goes on", async () => {
  const revoked = credentials.issueDevice("ap-9.example");
  credentials.pki.revoke(revoked.certificate.serial);
  const { eco, load } = generator([deviceOf(FQDNS[0]!), deviceOf("ap-9.example", revoked)]);
  const result = await eco.during(load.attach(6, 6));
  assert.deepEqual([result.established, [...result.failed]], [3, [["PeerRefused", 3]]]);
  assert.equal(load.attached, 3);
  const silent = generator();
  silent.eco.world.tap = () => "drop";
  const nothing = await silent.eco.during(silent.load.attach(4, 2), 600_000);
  assert.deepEqual([nothing.established, [...nothing.failed]], [0, [["PeerUnresponsive", 4]]]);
  assert.equal(silent.load.attached, 0);
});

test("fewer attempts than may be under way are all begun at once", async () => {
  const { eco, load } = generator();
  const ending = load.attach(2, 100);
  assert.equal(load.service.size, 2);
  assert.equal((await eco.during(ending)).established, 2);
});

test("a gateway that is not the one of the certificate is refused by the load as by any device", async () => {
  const { eco, load } = generator([deviceOf(FQDNS[0]!, undefined, "other.operator.example")]);
  const result: LoadResult = await eco.during(load.attach(1, 1));
  assert.deepEqual([...result.failed], [["NameMismatch", 1]]);
});

test("an IKE SA that was rekeyed still counts, and still knows whose it is", async () => {
  const { eco, segw, load } = generator();
  await eco.during(load.attach(1, 1));
  segw.service.command(segw.of("established")[0]!.sa, "rekeyIke");
  await eco.until("rekeyed", () => segw.of("ikeRekeyed").length === 1 && segw.service.size === 1);
  assert.equal(load.attached, 1);
  segw.service.command(segw.of("ikeRekeyed")[0]!.to, "close");
  await eco.until("gone", () => segw.service.size === 0);
  assert.equal(load.attached, 0);
});

test("a device of the load with a USIM passes both rounds, several attempts of it at once; one without is refused (A.2)", async () => {
  const operated = await operator();
  const aaa: AaaClient = {
    authorize: async () => ({ kind: "accepted", secondRound: "required", grant: {} }),
    eap: async ({ id, device, party, from }, packet) => {
      const query = { session: id, gateway: new RecordingGateway("segw"), device, from, accountingId: undefined };
      const payload = packet ?? Buffer.alloc(0);
      const decision = await operated.aaa.eap({ ...query, user: packet === undefined ? party : undefined, payload });
      if (decision.kind === "challenge") return { answer: { kind: "request", packet: decision.packet }, grant: {} };
      assert.ok(decision.kind === "accept", JSON.stringify(decision));
      return { answer: { kind: "success", ...decision.eap!, eap: "eap success" }, grant: {} };
    },
    started: () => undefined,
    ended: async () => undefined,
    close: async () => undefined,
  };
  const usim = loadUsim({ imsi: IMSI, k: K, opc: OPC });
  const alone = deviceOf(FQDNS[0]!);
  const combined = { ...alone, usim, connection: { ...alone.connection, hostingParty: true } };
  const { eco, segw, load } = generator([combined], { aaa: SECTION }, aaa);
  const result = await eco.during(load.attach(6, 3));
  assert.deepEqual([result.established, [...result.failed]], [6, []]);
  assert.ok(segw.of("established").every(({ evidence }) => evidence.hostingParty?.startsWith(`0${IMSI}@`)));
  const without = generator([alone], { aaa: SECTION }, aaa);
  const refused = await without.eco.during(without.load.attach(1, 1));
  assert.equal(refused.established, 0);
});

const SECTION = {
  server: { protocol: "radius", servers: [{ name: "aaa", address: "127.0.0.1", secretFile: "secret" }] },
};

/** A load on a simulated network whose gateway lets a device have many IKE SAs. */
function generator(
  devices: LoadDevice[] = FQDNS.map((fqdn) => deviceOf(fqdn)),
  changes: Record<string, unknown> = {},
  aaa?: AaaClient,
) {
  const eco = new Ecosystem(credentials);
  const { world } = eco;
  const segw = eco.gateway({ uniqueDevices: false, ...changes }, credentials.gateway(), aaa);
  const load = new LoadGenerator({
    devices,
    policy: {
      clock: world,
      roots: [credentials.pki.ca("operator-root")],
      maxPath: 4,
      acceptedHashes: [2],
      allowWeakAlgorithms: false,
      checkServerName: true,
      inBandOcsp: "leaf",
      trustedResponders: [],
      ocspTolerance: 0,
      ocspMaxAge: 0,
      ocspDelegates: "trust",
    },
    path: () => ({
      local: { address: ADDRESS, port: 500 },
      remote: { address: SEGW_ADDRESS, port: 500 },
      natT: false,
      natPorts: { local: 4500, remote: 4500 },
    }),
    clock: world,
    random: world.random,
    timers: world,
    onFault: (what, error) => assert.fail(`${what}: ${error}`),
  });
  load.service.connect(new WorldPorts(world, ADDRESS, load.service), new OpenPlane());
  return { eco, segw, load };
}

function deviceOf(fqdn: string, issued = credentials.issueDevice(fqdn), connectedTo = SEGW): LoadDevice {
  return {
    chain: issued.chain,
    key: issued.key,
    connection: {
      ...CONNECTION_DEFAULTS,
      name: fqdn,
      identity: fqdnIdentity(fqdn),
      ikeProposals: [parseIkeProposal("aes128gcm16-prfsha256-x25519")],
      espProposals: [parseEspProposal("aes128gcm16")],
      trustedCaHashes: [],
      askOcsp: { responderHashes: [] },
      signatureHashes: [2],
      localSelectors: [blockSelector("0.0.0.0/0")],
      remoteSelectors: [blockSelector("10.40.0.0/24")],
      connectedTo: { fqdn: connectedTo },
      requestAttributes: [CfgAttribute.INTERNAL_IP4_ADDRESS],
    },
  };
}
