/** Gateway and devices as a whole, through bad networks and over time (TS 33.320 A.1). */
import assert from "node:assert/strict";
import test, { after } from "node:test";
import type { ChildSaSpec } from "../../src/esp/dataPlane.ts";
import type { Command } from "../../src/ike/endpoint.ts";
import type { IkeSaId } from "../../src/ike/sa/effects.ts";
import { forSeedsSettled, type Link } from "../../src/sim/world.ts";
import { Credentials, SEGW_ADDRESS } from "./credentials.ts";
import { Ecosystem, type SimulatedDevice, type SimulatedGateway } from "./ecosystem.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const FQDNS = ["ap-1.example", "ap-2.example", "ap-3.example"];
const FOLDERS = FQDNS.map((fqdn) => credentials.deviceFolder(credentials.issueDevice(fqdn)));
const GATEWAY = credentials.gateway();
/** Loses every fifth datagram, repeats every tenth, and turns the order of those that leave within 400 ms. */
const BAD: Link = { loss: 0.2, duplicate: 0.1, delay: [5, 400] };
const GOOD: Link = { loss: 0, duplicate: 0, delay: [1, 5] };
const NO_REKEYING = { ike: { rekeyAfter: 0, dpdInterval: 0 }, esp: { rekeyAfter: 0 } };

test("a device attaches: both sides know whom they speak with, how its status was learnt, and which address it has", async () => {
  const { eco, segw, henb } = await attached();
  assert.deepEqual(henb.addresses, ["10.64.0.1"]);
  assert.equal(henb.of("established")[0]?.evidence.ocsp, "in-band good");
  assert.deepEqual(henb.of("established")[0]?.evidence.path, [
    "O=Operator, CN=segw.operator.example",
    "O=Operator, CN=SeGW CA",
    "O=Operator, CN=Root CA",
  ]);
  assert.equal(segw.of("established")[0]?.peer.text, FQDNS[0]);
  assert.equal(segw.of("established")[0]?.evidence.ocsp, "OCSP good");
  const [ours, theirs] = [henb.children[0]!, segw.children[0]!];
  assertMirrored(ours, theirs);
  assert.deepEqual(rangesOf(ours.localSelectors), ["10.64.0.1-10.64.0.1"]);
  assert.deepEqual(rangesOf(ours.remoteSelectors), ["10.40.0.0-10.40.0.255"]);
  assert.deepEqual([segw.faults, henb.faults], [[], []]);
  await endsClean(eco, segw, [henb]);
});

test("devices attach through loss, duplication and reordering: one session each, and nothing is left after them", async () => {
  await forSeedsSettled(40, process.env.FEMTOGATE_SEED, async (seed) => {
    const eco = new Ecosystem(credentials, { seed, link: BAD });
    const segw = eco.gateway({ ...NO_REKEYING, ike: { ...NO_REKEYING.ike, fragmentSize: 576, ...PATIENT } }, GATEWAY);
    const henbs = FOLDERS.map((folder, index) => eco.device(folder, { ike: PATIENT }, { index: index + 1 }));
    for (const henb of henbs) await henb.start();
    await eco.until("all attached", () => henbs.every(({ isAttached }) => isAttached), 400_000);
    // Late copies of what brought them here still arrive: one of IKE_SA_INIT is half-open for its 30 s.
    await eco.pass(40_000);
    assert.equal(segw.service.size, 3, "IKE SAs of the gateway");
    assert.deepEqual(
      segw
        .of("established")
        .map(({ peer }) => peer.text)
        .sort(),
      FQDNS,
    );
    assert.equal(segw.gateway.pool.size, 3, "addresses");
    assert.equal(new Set(henbs.flatMap(({ addresses }) => addresses)).size, 3, "each its own");
    for (const henb of henbs)
      assert.equal(segw.children.filter((child) => mirrored(henb.children[0]!, child)).length, 1);
    await endsClean(eco, segw, henbs);
  });
});

test("a device that comes back replaces its older IKE SA and keeps its address, also through loss (A.1-9)", async () => {
  await forSeedsSettled(20, process.env.FEMTOGATE_SEED, async (seed) => {
    const { eco, segw, henb, index } = await attached({ seed, link: seed % 2 === 0 ? BAD : GOOD });
    const [before] = henb.addresses;
    henb.crash();
    const again = eco.device(FOLDERS[0]!, { ike: PATIENT }, { index });
    await again.start();
    await eco.until("attached again", () => again.isAttached, 400_000);
    assert.deepEqual(again.addresses, [before]);
    assert.equal(segw.gateway.pool.size, 1);
    await eco.until("the older one is gone", () => segw.service.size === 1);
    assert.equal(segw.of("closed")[0]?.cause, "replacedByNewerSa");
    assert.equal(segw.gateway.pool.size, 1, "the address outlives the older IKE SA");
    assertMirrored(again.children[0]!, segw.children[0]!);
    assert.equal(segw.children.length, 1);
    await endsClean(eco, segw, [again]);
  });
});

test("a device that attaches twice at once hears the Delete of its older IKE SA by INFORMATIONAL (A.1-9)", async () => {
  const { eco, segw, henb } = await attached({}, { ...NO_REKEYING, reconnect: { initial: 0 } });
  const twin = eco.device(FOLDERS[0]!, {}, { index: 2 });
  await twin.start();
  await eco.until("the older one hears", () => henb.of("closed").length > 0);
  assert.equal(henb.of("closed")[0]?.cause, "deletedByPeer");
  assert.deepEqual(henb.heard, ["D(IKE SA)"]);
  assert.equal(henb.state, "Stopped");
  await eco.until("the gateway hears the answer", () => segw.service.size === 1);
  await endsClean(eco, segw, [twin]);
});

test("with uniqueDevices off a device may have several IKE SAs, each with an address of its own", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ uniqueDevices: false }, GATEWAY);
  const henbs = [1, 2].map((index) => eco.device(FOLDERS[0]!, {}, { index }));
  for (const henb of henbs) await henb.start();
  await eco.until("both", () => henbs.every(({ isAttached }) => isAttached));
  await eco.pass(60_000);
  assert.equal(segw.service.size, 2);
  assert.deepEqual(henbs.flatMap(({ addresses }) => addresses).sort(), ["10.64.0.1", "10.64.0.2"]);
  await endsClean(eco, segw, henbs);
});

for (const [what, ours, theirs] of [
  ["the IKE SA from both sides", "rekeyIke", "rekeyIke"],
  ["the CHILD SA from both sides", "rekeyChildren", "rekeyChildren"],
  ["the IKE SA by the device and the CHILD SA by the gateway", "rekeyIke", "rekeyChildren"],
  ["the CHILD SA by the device and the IKE SA by the gateway", "rekeyChildren", "rekeyIke"],
] as [string, Command, Command][]) {
  test(`rekeying ${what} at once leaves one IKE SA, one CHILD SA and the same address, which still goes with a newer attach`, async () => {
    await forSeedsSettled(12, process.env.FEMTOGATE_SEED, async (seed) => {
      const { eco, segw, henb } = await attached({ seed, link: seed % 3 === 0 ? BAD : { ...GOOD, delay: [5, 300] } });
      const address = henb.addresses;
      henb.service.command(currentOf(henb), ours);
      segw.service.command(currentOf(segw), theirs);
      await eco.pass(200_000);
      for (const party of [henb, segw]) {
        assert.equal(party.service.size, 1, "IKE SAs");
        assert.equal(party.children.length, 1, "CHILD SAs");
      }
      assertMirrored(henb.children[0]!, segw.children[0]!);
      assert.deepEqual(henb.addresses, address);
      assert.equal(segw.gateway.pool.size, 1);
      henb.crash();
      const again = eco.device(FOLDERS[0]!, { ike: PATIENT }, { index: 2 });
      await again.start();
      await eco.until("attached again", () => again.isAttached && segw.service.size === 1, 400_000);
      assert.deepEqual(again.addresses, address);
      await endsClean(eco, segw, [again]);
    });
  });
}

test("an IKE SA that is rekeyed every few minutes for a day keeps its address and never loses its tunnel", async () => {
  const often = { ike: { ...PATIENT, rekeyAfter: "30m" }, esp: { rekeyAfter: "10m" } };
  const { eco, segw, henb } = await attached({ link: { ...BAD, loss: 0.1 } }, often);
  await eco.pass(24 * 3600_000);
  assert.deepEqual(
    henb.of("closed").filter(({ cause }) => cause !== "rekeyed"),
    [],
  );
  assert.ok(henb.of("ikeRekeyed").length >= 40, `${henb.of("ikeRekeyed").length} times`);
  assert.deepEqual(henb.addresses, ["10.64.0.1"]);
  assert.ok(henb.isAttached);
  eco.world.link = GOOD;
  await endsClean(eco, segw, [henb]);
});

test("behind a NAT that gives the device a new port, the gateway follows it and the device follows nobody", async () => {
  const nat = { address: "198.51.100.7", shift: 50_000 };
  const eco = new Ecosystem(credentials);
  eco.world.attach(nat.address, () => assert.fail("the NAT passes everything on"));
  eco.world.tap = (packet, from, to) => {
    if (to.address === SEGW_ADDRESS) {
      from.address = nat.address;
      from.port += nat.shift;
    } else if (to.address === nat.address) {
      // What comes for a binding that is no more is lost.
      if (to.port - nat.shift !== 500 && to.port - nat.shift !== 4500) return "drop";
      to.address = henb.address;
      to.port -= nat.shift;
    }
    return packet;
  };
  const segw = eco.gateway({ ...NO_REKEYING, ike: { rekeyAfter: 0, dpdInterval: "30s" } }, GATEWAY);
  const henb = eco.device(FOLDERS[0]!, { ...NO_REKEYING, ike: { rekeyAfter: 0, dpdInterval: "30s" } });
  await henb.start();
  await eco.until("attached", () => henb.isAttached);
  assert.deepEqual(segw.children[0]?.remote, { address: nat.address, port: 54_500 });
  assert.equal(henb.children[0]?.udpEncapsulated, true);

  nat.shift = 40_000;
  await eco.until("followed", () => segw.of("moved").length > 0);
  assert.deepEqual(segw.of("moved")[0]?.remote, { address: nat.address, port: 44_500 });
  assert.deepEqual(segw.children[0]?.remote, { address: nat.address, port: 44_500 }, "the data plane knows as well");
  await eco.pass(300_000);
  assert.ok(henb.isAttached, "the IKE SA lives on");
  assert.equal(henb.of("moved").length, 0);

  // An authentic answer of the gateway that comes from elsewhere is taken, and changes nothing.
  const rewrite = eco.world.tap!;
  let displaced = 0;
  eco.world.tap = (packet, from, to) => {
    const passed = rewrite(packet, from, to);
    if (from.address !== SEGW_ADDRESS) return passed;
    displaced += 1;
    from.address = "198.51.100.99";
    return passed;
  };
  henb.service.command(currentOf(henb), "checkLiveness");
  await eco.pass(5_000);
  eco.world.tap = rewrite;
  assert.ok(displaced > 0);
  assert.deepEqual(henb.of("moved"), []);
  assert.deepEqual(henb.children[0]?.remote, { address: SEGW_ADDRESS, port: 4_500 });

  // ESP finds the new binding before IKE does.
  const moved = { address: nat.address, port: 60_000 };
  segw.service.onEvent({ kind: "remoteMoved", id: segw.children[0]!.id, remote: moved });
  assert.deepEqual(segw.children[0]?.remote, moved);
});

test("a gateway that falls silent is given up by the device, which attaches again once it is back", async () => {
  const { eco, segw, henb } = await attached({}, { ike: { dpdInterval: "10s", retransmission: QUICK } });
  eco.world.link = { ...GOOD, loss: 1 };
  await eco.until("noticed", () => henb.state === "Waiting");
  assert.equal(henb.of("closed")[0]?.cause, "peerUnresponsive");
  assert.equal(henb.children.length, 0);
  await eco.until("noticed by the gateway as well", () => segw.service.size === 0);
  assert.equal(segw.of("closed")[0]?.cause, "peerUnresponsive");
  assert.equal(segw.gateway.pool.size, 0);
  eco.world.link = GOOD;
  await eco.until("attached again", () => henb.isAttached, 600_000);
  assert.deepEqual(henb.addresses, ["10.64.0.1"], "the address it had");
  await endsClean(eco, segw, [henb]);
});

test("a gateway that ends deletes every IKE SA, and its devices wait and come back to the next one", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({}, GATEWAY);
  const henbs = FOLDERS.map((folder, index) => eco.device(folder, {}, { index: index + 1 }));
  for (const henb of henbs) await henb.start();
  await eco.until("all attached", () => henbs.every(({ isAttached }) => isAttached));
  await eco.during(segw.service.close(2_000));
  assert.deepEqual(
    segw.of("closed").map(({ cause }) => cause),
    ["shutdown", "shutdown", "shutdown"],
  );
  for (const henb of henbs) {
    assert.equal(henb.of("closed")[0]?.cause, "deletedByPeer");
    assert.equal(henb.state, "Waiting");
    assert.equal(henb.children.length, 0);
  }
  const next = eco.gateway({}, GATEWAY);
  await eco.until("all back", () => henbs.every(({ isAttached }) => isAttached), 600_000);
  await endsClean(eco, next, henbs);
});

test("a gateway that ends takes no more devices", async () => {
  const { eco, segw, henb } = await attached();
  henb.crash();
  const closing = segw.service.close(2_000);
  const late = eco.device(FOLDERS[1]!, {}, { index: 2 });
  await late.start();
  await eco.during(closing);
  assert.equal(segw.of("established").length, 1);
  assert.equal(late.state, "Attaching");
  await late.device.stop();
});

test("a gateway whose devices are gone ends after the configured time all the same", async () => {
  const { eco, segw, henb } = await attached();
  henb.crash();
  const before = eco.world.now();
  await eco.during(segw.service.close(2_000));
  assert.equal(eco.world.now() - before, 2_000);
  assert.ok(segw.plane.closed);
  // Nothing of the device is left that could wait for something: not its IKE SA, address or AAA session.
  assert.deepEqual([segw.service.size, segw.gateway.pool.size], [0, 0]);
  assert.deepEqual(
    segw.of("closed").map(({ cause }) => cause),
    ["shutdown"],
  );
});

test("waiting times between attempts double up to their limit, half of each at random", async () => {
  const eco = new Ecosystem(credentials);
  const henb = eco.device(FOLDERS[0]!, {
    ike: { retransmission: { initial: "100ms", factor: 1, tries: 1 } },
    reconnect: { initial: "1s", most: "16s" },
  });
  const tries: number[] = [];
  eco.world.tap = (packet) => {
    tries.push(eco.world.now());
    return packet;
  };
  await henb.start();
  await eco.pass(200_000);
  assert.deepEqual(new Set(henb.refusals), new Set(["PeerUnresponsive"]));
  const gaps = tries.slice(1).map((at, index) => at - tries[index]! - 100);
  for (const [attempt, gap] of gaps.entries()) {
    const base = Math.min(16_000, 1000 * 2 ** (attempt + 1));
    assert.ok(gap >= base / 2 && gap <= base + 15, `gap ${attempt + 1}: ${gap} ms, base ${base}`);
  }
  assert.equal(henb.pathsSought, tries.length);
});

test("a device that is stopped before it knows the way to its gateway sends nothing", async () => {
  const eco = new Ecosystem(credentials);
  const henb = eco.device(FOLDERS[0]!);
  const starting = henb.start();
  const stopping = henb.device.stop();
  await eco.during(Promise.all([starting, stopping]));
  await eco.pass(3600_000);
  assert.deepEqual([eco.world.sent, henb.events.length, henb.service.size], [0, 0, 0]);
  assert.equal(henb.state, "Stopped");
});

test("a device that is stopped while it waits, or while it attaches, tries no more", async () => {
  const eco = new Ecosystem(credentials);
  const waiting = eco.device(FOLDERS[0]!, { ike: { retransmission: { initial: "100ms", factor: 1, tries: 1 } } });
  const attaching = eco.device(FOLDERS[1]!, {}, { index: 2 });
  await waiting.start();
  await attaching.start();
  await eco.until("waiting", () => waiting.state === "Waiting");
  await eco.during(Promise.all([waiting.device.stop(), attaching.device.stop()]));
  const { sent } = eco.world;
  await eco.pass(3600_000);
  assert.equal(eco.world.sent, sent);
  assert.deepEqual([waiting.state, attaching.state], ["Stopped", "Stopped"]);
  assert.deepEqual(attaching.refusals, ["Cancelled"]);
});

async function attached(options: { seed?: number; link?: Link } = {}, changes: Record<string, unknown> = NO_REKEYING) {
  const eco = new Ecosystem(credentials, options);
  const ike = { ...PATIENT, ...(changes.ike as object) };
  const { reconnect, ...shared } = changes;
  const segw = eco.gateway({ ...shared, ike }, GATEWAY);
  const index = 1;
  const henb = eco.device(
    FOLDERS[0]!,
    { ...shared, ike, ...(reconnect === undefined ? {} : { reconnect }) },
    { index },
  );
  await henb.start();
  await eco.until("attached", () => henb.isAttached && segw.children.length === 1, 400_000);
  return { eco, segw, henb, index };
}

/** All devices go; then neither side holds anything, and nobody says a word for an hour. */
async function endsClean(eco: Ecosystem, segw: SimulatedGateway, henbs: readonly SimulatedDevice[]): Promise<void> {
  await eco.during(Promise.all(henbs.map(({ device }) => device.stop())));
  for (const henb of henbs) {
    assert.equal(henb.service.size, 0, "IKE SAs of the device");
    assert.equal(henb.children.length, 0, "CHILD SAs of the device");
    assert.ok(henb.plane.closed);
    assert.deepEqual(henb.faults, []);
  }
  await eco.until("the gateway has let go", () => segw.service.size === 0, 600_000);
  assert.equal(segw.service.halfOpen, 0);
  assert.equal(segw.gateway.pool.size, 0, "addresses in use");
  assert.equal(segw.children.length, 0, "CHILD SAs of the gateway");
  assert.deepEqual(segw.faults, []);
  const { sent } = eco.world;
  await eco.pass(3600_000);
  assert.equal(eco.world.sent, sent, "datagrams after the end");
}

function currentOf(party: SimulatedGateway | SimulatedDevice): IkeSaId {
  let current: IkeSaId | undefined;
  for (const event of party.events) {
    if (event.kind === "established") current = event.sa;
    if (event.kind === "ikeRekeyed") current = event.to;
  }
  assert.ok(current !== undefined);
  return current;
}

/** The keys both ends hold must be each other's mirror. */
function mirrored(a: ChildSaSpec, b: ChildSaSpec): boolean {
  return (
    a.outbound.spi === b.inbound.spi &&
    a.inbound.spi === b.outbound.spi &&
    a.outbound.encryptionKey.equals(b.inbound.encryptionKey) &&
    a.inbound.encryptionKey.equals(b.outbound.encryptionKey)
  );
}

function assertMirrored(a: ChildSaSpec, b: ChildSaSpec): void {
  assert.ok(mirrored(a, b), "the CHILD SAs are each other's mirror");
}

function rangesOf(selectors: ChildSaSpec["localSelectors"]): string[] {
  return selectors.map(({ startAddress, endAddress }) => `${startAddress.join(".")}-${endAddress.join(".")}`);
}

const PATIENT = { retransmission: { initial: "500ms", factor: 1.3, tries: 14 } };
const QUICK = { initial: "500ms", factor: 1.5, tries: 4 };
