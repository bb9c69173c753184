import assert from "node:assert/strict";
import test from "node:test";
import { parseEspProposal } from "../../../src/ike/sa/proposal.ts";
import { forSeeds, World } from "../../../src/sim/world.ts";
import { deviceConnection, establishedPair, mirrored, type Pair } from "./pair.ts";

const QUIET = { ikeRekeyAfter: 0, childRekeyAfter: 0, dpdInterval: 0, natKeepaliveInterval: 0 };
const PFS = { espProposals: [parseEspProposal("aes256gcm16-x25519")] };

/** In an IKE header: the octet of the exchange type, before that of the flags (RFC 7296 3.1). */
const EXCHANGE_TYPE = 18;
const CREATE_CHILD_SA = 36;
const RESPONSE = 0x20;

function settled({ world, device, gateway }: Pair): void {
  world.run(200_000);
  assert.equal(device.endpoint.size, 1, "IKE SAs of the device");
  assert.equal(gateway.endpoint.size, 1, "IKE SAs of the gateway");
  assert.equal(device.children.size, 1, "CHILD SAs of the device");
  assert.equal(gateway.children.size, 1, "CHILD SAs of the gateway");
  assert.ok(
    mirrored([...device.children.values()][0]!, [...gateway.children.values()][0]!),
    "the CHILD SAs are each other's mirror",
  );
}

for (const side of ["device", "gateway"] as const) {
  test(`the ${side} rekeys the CHILD SA, and the old one is deleted`, () => {
    const pair = establishedPair(new World(1), { ...QUIET, ...PFS }, { ...QUIET, ...PFS });
    const before = [...pair.device.children.values()][0]!.inbound.spi;
    pair[side].command(pair[side].current, "rekeyChildren");
    settled(pair);
    assert.notEqual([...pair.device.children.values()][0]!.inbound.spi, before);
  });

  test(`the ${side} rekeys the IKE SA, which keeps its CHILD SA`, () => {
    const pair = establishedPair(new World(2), QUIET, QUIET);
    const child = [...pair.device.children.values()][0]!.inbound.spi;
    pair[side].command(pair[side].current, "rekeyIke");
    settled(pair);
    assert.equal([...pair.device.children.values()][0]!.inbound.spi, child);
    assert.equal(pair.device.of("ikeRekeyed").length, 1);
    // The new IKE SA works in both directions.
    pair.device.command(pair.device.current, "checkLiveness");
    pair.gateway.command(pair.gateway.current, "rekeyChildren");
    settled(pair);
  });

  test(`the ${side} deletes the IKE SA, and nothing is left on either side`, () => {
    const pair = establishedPair(new World(3), QUIET, QUIET);
    pair[side].command(pair[side].current, "close");
    pair.world.run(10_000);
    assert.equal(pair.device.endpoint.size + pair.gateway.endpoint.size, 0);
    assert.equal(pair.device.children.size + pair.gateway.children.size, 0);
  });
}

test("CHILD SAs that both sides rekey at once leave exactly one", () => {
  forSeeds(100, process.env.FEMTOGATE_SEED, (seed) => {
    const world = new World(seed, { loss: seed % 2 === 0 ? 0.2 : 0, duplicate: 0.1, delay: [5, 300] });
    const pair = establishedPair(world, { ...QUIET, ...PFS }, { ...QUIET, ...PFS });
    pair.device.command(pair.device.current, "rekeyChildren");
    pair.gateway.command(pair.gateway.current, "rekeyChildren");
    settled(pair);
  });
});

test("IKE SAs that both sides rekey at once leave exactly one, with its CHILD SA", () => {
  forSeeds(100, process.env.FEMTOGATE_SEED, (seed) => {
    const world = new World(seed, { loss: seed % 2 === 0 ? 0.2 : 0, duplicate: 0.1, delay: [5, 300] });
    const pair = establishedPair(world, QUIET, QUIET);
    pair.device.command(pair.device.current, "rekeyIke");
    pair.gateway.command(pair.gateway.current, "rekeyIke");
    settled(pair);
  });
});

test("of IKE SAs that both sides rekey at once the one too many ends as rekeyed, though its Delete comes before the answer", () => {
  forSeeds(40, process.env.FEMTOGATE_SEED, (seed) => {
    const pair = establishedPair(new World(seed), QUIET, QUIET);
    const sender = seed % 2 === 0 ? pair.gateway : pair.device;
    let lost = false;
    pair.world.tap = (packet, from) => {
      const isAnswer = packet[EXCHANGE_TYPE] === CREATE_CHILD_SA && (packet[EXCHANGE_TYPE + 1]! & RESPONSE) !== 0;
      if (lost || !isAnswer || from.address !== sender.address) return packet;
      lost = true;
      return "drop";
    };
    pair.device.command(pair.device.current, "rekeyIke");
    pair.gateway.command(pair.gateway.current, "rekeyIke");
    settled(pair);
    const closed = [...pair.device.of("closed"), ...pair.gateway.of("closed")];
    assert.deepEqual(
      closed.filter(({ cause }) => cause !== "rekeyed"),
      [],
    );
    assert.ok(closed.length >= 2);
  });
});

test("an IKE SA rekeyed by one side while the other rekeys the CHILD SA settles", () => {
  forSeeds(100, process.env.FEMTOGATE_SEED, (seed) => {
    const world = new World(seed, { loss: 0, duplicate: 0.1, delay: [5, 300] });
    const pair = establishedPair(world, QUIET, QUIET);
    pair.device.command(pair.device.current, "rekeyIke");
    pair.gateway.command(pair.gateway.current, "rekeyChildren");
    settled(pair);
  });
});

test("timers rekey again and again, through loss, and traffic keys stay mirrored", () => {
  forSeeds(20, process.env.FEMTOGATE_SEED, (seed) => {
    const world = new World(seed, { loss: 0.1, duplicate: 0.1, delay: [5, 200] });
    const often = { ikeRekeyAfter: 300_000, childRekeyAfter: 120_000, rekeyJitter: 0.3, dpdInterval: 20_000 };
    const pair = establishedPair(world, often, often);
    world.run(3600_000);
    assert.ok(pair.device.of("ikeRekeyed").length >= 9, "IKE SA rekeyed");
    assert.ok(pair.device.of("childInstalled").length >= 25, "CHILD SA rekeyed");
    assert.equal(pair.device.of("closed").filter((event) => event.cause !== "rekeyed").length, 0);
    // Let what is in the middle of an exchange end.
    pair.world.link = { loss: 0, duplicate: 0, delay: [1, 1] };
    pair.world.runUntil(
      () =>
        pair.device.endpoint.size === 1 &&
        pair.gateway.endpoint.size === 1 &&
        pair.device.children.size === 1 &&
        pair.gateway.children.size === 1,
      120_000,
    );
    assert.ok(mirrored([...pair.device.children.values()][0]!, [...pair.gateway.children.values()][0]!));
  });
});

test("a peer that falls silent is noticed by the liveness check and given up", () => {
  const pair = establishedPair(new World(5), { ...QUIET, dpdInterval: 10_000 }, QUIET);
  pair.world.tap = (_packet, from) => (from.address === pair.gateway.address ? "drop" : _packet);
  pair.world.run(120_000);
  assert.equal(pair.device.of("closed")[0]?.cause, "peerUnresponsive");
  assert.equal(pair.device.children.size, 0);
});

test("a live peer keeps the IKE SA, and only silence brings liveness checks", () => {
  const pair = establishedPair(new World(6), { ...QUIET, dpdInterval: 10_000 }, QUIET);
  pair.world.run(100_000);
  assert.equal(pair.device.endpoint.size, 1);
  const checks = pair.device.of("message").filter((m) => m.direction === "sent" && m.header.exchangeType === 37).length;
  assert.ok(checks >= 8 && checks <= 10, `${checks} checks in 100 s`);
});

test("a device behind a NAT sends keep-alives and is followed when the NAT rebinds", () => {
  const pair = establishedPair(new World(7), { ...QUIET, forceUdpEncapsulation: true }, QUIET);
  let rebound = 0;
  pair.world.tap = (packet, from) => {
    if (from.address === pair.device.address) {
      from.port = 61_000;
      rebound += 1;
    }
    return packet;
  };
  pair.device.command(pair.device.current, "checkLiveness");
  pair.world.run(5000);
  assert.ok(rebound > 0);
  assert.equal(pair.gateway.of("moved")[0]?.remote.port, 61_000);
});

test("a request that is replayed is answered from memory, and one out of order is dropped", () => {
  const pair = establishedPair(new World(8), QUIET, QUIET);
  const seen: Buffer[] = [];
  pair.world.tap = (packet, from) => {
    if (from.address === pair.device.address) seen.push(Buffer.from(packet));
    return packet;
  };
  pair.device.command(pair.device.current, "checkLiveness");
  pair.world.run(1000);
  pair.device.command(pair.device.current, "checkLiveness");
  pair.world.run(1000);
  const at = { address: pair.device.address, port: 500 };
  const to = { address: pair.gateway.address, port: 500 };
  const first = pair.gateway.endpoint.receive(seen[0]!, at, to, false);
  assert.ok(
    first.some((e) => e.kind === "event" && e.event.kind === "dropped" && e.event.reason === "unexpectedMessageId"),
  );
  const last = pair.gateway.endpoint.receive(seen[1]!, at, to, false);
  assert.equal(last.filter((e) => e.kind === "send").length, 1);
});

test("a protected message that was tampered with changes nothing", () => {
  const pair = establishedPair(new World(9), QUIET, QUIET);
  pair.world.tap = (packet, from) => {
    if (from.address !== pair.device.address || packet[18] === 34) return packet;
    const damaged = Buffer.from(packet);
    damaged[damaged.length - 20] = damaged[damaged.length - 20]! ^ 1;
    return damaged;
  };
  pair.device.command(pair.device.current, "checkLiveness");
  pair.world.run(3000);
  assert.ok(pair.gateway.of("dropped").every((event) => event.reason === "integrityFailed"));
  assert.ok(pair.gateway.of("dropped").length > 0);
  assert.equal(pair.gateway.endpoint.size, 1);
});

test("a device refuses a gateway that cannot prove itself, tells it, and keeps nothing", () => {
  const pair = establishedPairRefused();
  assert.equal(pair.device.of("failed")[0]?.refusal.reason, "NoValidOcspResponse");
  assert.equal(pair.device.endpoint.size, 0);
  assert.equal(pair.gateway.of("closed")[0]?.cause, "authenticationFailed");
  assert.equal(pair.gateway.endpoint.size, 0);
  assert.equal(pair.gateway.children.size, 0);
});

test("a gateway that refuses a device tells it AUTHENTICATION_FAILED and no more", async () => {
  const { pair } = await import("./pair.ts");
  const made = pair(new World(12));
  made.gateway.oracle = (request) =>
    request.ask === "verifyPeer"
      ? { ask: "verifyPeer", result: { reason: "Revoked", message: "the certificate is revoked" } }
      : trusting(request);
  made.device.connect(deviceConnection(), made.gateway.address);
  made.world.run(5000);
  assert.equal(made.gateway.of("failed")[0]?.refusal.reason, "Revoked");
  assert.equal(made.device.of("failed")[0]?.refusal.notify, 24);
  assert.equal(made.device.endpoint.size + made.gateway.endpoint.size, 0);
  const told = made.gateway
    .of("message")
    .filter((m) => m.direction === "sent")
    .at(-1);
  assert.deepEqual(told?.payloads, ["N(AUTHENTICATION_FAILED)"]);
});

test("without an address to give, the gateway says so and the device lets go", async () => {
  const { pair } = await import("./pair.ts");
  const made = pair(new World(13));
  made.gateway.oracle = (request) =>
    request.ask === "assignAddress"
      ? { ask: "assignAddress", result: { reason: "PoolExhausted", message: "no address left" } }
      : trusting(request);
  made.device.connect(deviceConnection(), made.gateway.address);
  made.world.run(10_000);
  assert.equal(made.device.of("childFailed")[0]?.notify, 36);
  assert.equal(made.device.endpoint.size + made.gateway.endpoint.size, 0);
});

import { pair as newPair, trustingOracle as trusting } from "./pair.ts";

function establishedPairRefused(): Pair {
  const made = newPair(new World(11));
  made.device.oracle = (request) =>
    request.ask === "verifyPeer"
      ? { ask: "verifyPeer", result: { reason: "NoValidOcspResponse", message: "no valid OCSP response came" } }
      : trusting(request);
  made.device.connect(deviceConnection(), made.gateway.address);
  made.world.run(10_000);
  return made;
}
