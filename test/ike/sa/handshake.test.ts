import assert from "node:assert/strict";
import test from "node:test";
import { parseEspProposal, parseIkeProposal } from "../../../src/ike/sa/proposal.ts";
import { forSeeds, World } from "../../../src/sim/world.ts";
import { connection, DEVICE, deviceConnection, establishedPair, GATEWAY, mirrored, Peer, pair } from "./pair.ts";

test("a device and a gateway establish an IKE SA and a CHILD SA with mirrored keys", () => {
  const { device, gateway } = establishedPair();
  assert.equal(device.of("established")[0]?.peer.text, GATEWAY);
  assert.equal(gateway.of("established")[0]?.peer.text, DEVICE);
  assert.equal(device.children.size, 1);
  assert.equal(gateway.children.size, 1);
  const [ours] = device.children.values();
  const [theirs] = gateway.children.values();
  assert.ok(mirrored(ours!, theirs!));
  assert.deepEqual(device.of("established")[0]?.addresses[0]?.value, Buffer.from([10, 0, 0, 5]));
  assert.equal(gateway.endpoint.halfOpen, 0);
});

test("each suite and group of the two proposals agrees on keys", () => {
  for (const ike of [
    "aes128gcm16-prfsha384-ecp384",
    "aes256-sha512-modp2048",
    "aes192-sha1-ecp521",
    "aes128-sha384-ecp256",
    "aes256gcm16-prfsha512-modp3072",
  ]) {
    for (const esp of ["aes128gcm16-esn", "aes256-sha512", "aes192-sha1", "aes128-sha384"]) {
      const proposals = { ikeProposals: [parse.ike(ike)], espProposals: [parse.esp(esp)] };
      const { device, gateway } = establishedPair(new World(2), proposals, proposals);
      assert.ok(mirrored([...device.children.values()][0]!, [...gateway.children.values()][0]!), `${ike} ${esp}`);
    }
  }
});

test("the gateway prefers its own order, and INVALID_KE_PAYLOAD moves the device to its group", () => {
  const { device, gateway } = establishedPair(
    new World(3),
    { ikeProposals: [parse.ike("aes128-sha256-ecp256-modp2048")] },
    { ikeProposals: [parse.ike("aes128-sha256-modp2048")] },
  );
  assert.equal(gateway.of("established")[0]?.suite.group, 14);
  assert.equal(device.of("message").filter((m) => m.direction === "sent" && m.header.exchangeType === 34).length, 2);
});

test("a gateway without a common proposal says NO_PROPOSAL_CHOSEN and keeps nothing", () => {
  const { world, device, gateway } = pair(new World(4), { ikeProposals: [parse.ike("aes256gcm16-prfsha512-ecp521")] });
  device.connect(deviceConnection({ ikeProposals: [parse.ike("aes128-sha256-modp2048")] }), gateway.address);
  world.run(5000);
  assert.equal(device.of("failed")[0]?.refusal.notify, 14);
  assert.equal(gateway.endpoint.size, 0);
  assert.equal(device.endpoint.size, 0);
});

test("above the threshold the gateway asks for a cookie, and the device brings it", () => {
  const world = new World(5);
  const device = new Peer(world, "192.0.2.1", undefined);
  const gateway = new Peer(world, "192.0.2.2", connection(GATEWAY), { cookieThreshold: 0 });
  device.connect(deviceConnection(), gateway.address);
  assert.ok(world.runUntil(() => device.children.size === 1, 10_000));
  assert.ok(device.of("message").some((m) => m.direction === "received" && m.payloads.includes("N(COOKIE)")));
});

test("half-open IKE SAs of peers that never come back go after their time, and above the limit none is made", () => {
  const world = new World(6);
  const gateway = new Peer(world, "192.0.2.2", connection(GATEWAY), { maxHalfOpen: 3 });
  world.tap = (packet) => (packet[18] === 35 ? "drop" : packet);
  for (let i = 1; i <= 5; i++)
    new Peer(world, `198.51.100.${i}`, undefined).connect(deviceConnection(), gateway.address);
  world.run(500);
  assert.equal(gateway.endpoint.size, 3);
  world.run(60_000);
  assert.equal(gateway.endpoint.size, 0);
  assert.ok(gateway.of("dropped").some((event) => event.reason === "halfOpenLimit"));
});

test("IKE_AUTH with certificates and OCSP goes in fragments, none larger than configured", () => {
  const world = new World(7);
  let largest = 0;
  world.tap = (packet) => {
    largest = Math.max(largest, packet.length + 28);
    return packet;
  };
  const { device } = establishedPair(world, { fragmentSize: 576 }, { fragmentSize: 576 });
  assert.ok(largest <= 576, `largest datagram ${largest}`);
  assert.ok(device.of("message").some((m) => m.fragments > 3));
});

test("a NAT on the way moves both sides to port 4500 and to encapsulation", () => {
  const { device, gateway } = establishedPair(new World(8), { forceUdpEncapsulation: true });
  const [ours] = device.children.values();
  const [theirs] = gateway.children.values();
  assert.equal(ours?.remote.port, 4500);
  assert.equal(theirs?.remote.port, 4500);
  assert.ok(ours?.udpEncapsulated && theirs?.udpEncapsulated);
});

test("without a NAT both stay on port 500 and do not encapsulate", () => {
  const { device } = establishedPair(new World(9));
  const [ours] = device.children.values();
  assert.equal(ours?.remote.port, 500);
  assert.equal(ours?.udpEncapsulated, false);
});

test("a newer IKE SA of the same device makes the gateway delete the older one by INFORMATIONAL (TS 33.320 A.1-9)", () => {
  const { world, device, gateway } = establishedPair(new World(10));
  const old = gateway.current;
  device.connect(deviceConnection(), gateway.address);
  assert.ok(world.runUntil(() => gateway.of("closed").length > 0 && device.of("closed").length > 0, 10_000));
  assert.equal(gateway.of("closed")[0]?.sa, old);
  assert.equal(gateway.of("closed")[0]?.cause, "replacedByNewerSa");
  assert.equal(device.of("closed")[0]?.cause, "deletedByPeer");
  assert.equal(gateway.endpoint.size, 1);
  assert.equal(gateway.children.size, 1);
  assert.equal(device.children.size, 1);
});

test("a device attaches through loss, duplication and reordering, and nothing leaks", () => {
  forSeeds(60, process.env.FEMTOGATE_SEED, (seed) => {
    const world = new World(seed, { loss: 0.15, duplicate: 0.15, delay: [5, 400] });
    const { device, gateway } = pair(world);
    const patient = { retransmission: { initial: 500, factor: 1.3, tries: 12 } };
    device.connect(deviceConnection({ fragmentSize: 800, ...patient }), gateway.address);
    assert.ok(
      world.runUntil(() => device.children.size === 1, 180_000),
      "attached",
    );
    world.run(40_000);
    assert.equal(gateway.of("established").length, 1);
    assert.equal(gateway.endpoint.size, 1);
    assert.equal(gateway.endpoint.halfOpen, 0);
    device.command(device.current, "close");
    assert.ok(
      world.runUntil(() => device.endpoint.size === 0 && gateway.endpoint.size === 0, 180_000),
      "gone",
    );
    assert.equal(device.children.size + gateway.children.size, 0);
  });
});

const parse = { ike: parseIkeProposal, esp: parseEspProposal };
