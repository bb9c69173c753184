import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { sealRequest, sealResponse, verifyResponse } from "../../../src/radius/codec/authenticators.ts";
import { Code } from "../../../src/radius/codec/numbers.ts";
import { attribute, attributeOf, decodePacket } from "../../../src/radius/codec/packet.ts";
import { type ClientSettings, RadiusServer, type Source } from "../../../src/radius/core/server.ts";
import { forSeeds, type Link, World } from "../../../src/sim/world.ts";
import { mutated, octets } from "../codec/arbitrary.ts";
import { SECRET, SimulatedClient, SimulatedServer } from "./network.ts";

const GATEWAY: ClientSettings = { name: "segw", by: { kind: "address", block: "10.0.0.0/24", secret: SECRET } };
const PERFECT_LINK: Link = { loss: 0, duplicate: 0, delay: [1, 1] };
const BAD_LINK: Link = { loss: 0.2, duplicate: 0.2, delay: [1, 800] };
const USER = [attribute("User-Name", "ap-1.example")];
const ACCEPT = { code: Code.AccessAccept, attributes: [attribute("Session-Timeout", 3600)] };
const seeds = (count: number, simulate: (seed: number) => void) =>
  forSeeds(count, process.env.FEMTOGATE_SEED, simulate);

test("a request through loss, duplication and reordering is carried out once, and answered once", () => {
  let finished = 0;
  seeds(100, (seed) => {
    const world = new World(seed, BAD_LINK);
    const server = new SimulatedServer(world, "10.0.1.1", [GATEWAY]);
    server.onRequest = (handle) => world.after(world.random.below(3000), () => server.answer(handle, ACCEPT));
    const client = new SimulatedClient(world, "10.0.0.5", ["10.0.1.1"], { attempts: 4 });
    const transactions = Array.from({ length: 20 }, () => client.request(Code.AccessRequest, USER));
    world.run(200_000);
    assert.equal(
      new Set(server.requests.map(({ packet }) => packet.authenticator.toString("hex"))).size,
      server.requests.length,
    );
    for (const transaction of transactions) {
      const ends = client.ends.get(transaction)!;
      assert.equal(ends.length, 1);
      if (ends[0]!.kind === "answered") finished += 1;
    }
    assert.equal(client.core.waiting + server.core.working, 0);
  });
  assert.ok(finished > 1900 || process.env.FEMTOGATE_SEED !== undefined, `${finished} of 2000 answered`);
});

test("a request is repeated with the same octets after 2 s, 4 s and so on up to 16 s (RFC 5080 2.2.1)", () => {
  const world = new World(1, PERFECT_LINK);
  const sent: { at: number; bytes: string }[] = [];
  const start = world.now();
  world.tap = (bytes) => {
    sent.push({ at: world.now() - start, bytes: bytes.toString("hex") });
    return "drop";
  };
  const client = new SimulatedClient(world, "10.0.0.5", ["10.0.1.1"], { attempts: 6 });
  const transaction = client.request(Code.AccessRequest, USER);
  world.run(200_000);
  assert.equal(new Set(sent.map(({ bytes }) => bytes)).size, 1);
  const waits = sent.slice(1).map(({ at }, index) => at - sent[index]!.at);
  for (const [index, nominal] of [2000, 4000, 8000, 16000, 16000].entries())
    assert.ok(Math.abs(waits[index]! - nominal) <= nominal * 0.1 + 1, `wait ${index}: ${waits[index]}`);
  const [end] = client.ends.get(transaction)!;
  assert.ok(end?.kind === "unanswered" && end.reason === "Timeout");
});

test("the second server takes over when the first is silent, which is then left alone for a while", () => {
  const world = new World(2, PERFECT_LINK);
  const first = new SimulatedServer(world, "10.0.1.1", [GATEWAY]);
  const second = new SimulatedServer(world, "10.0.1.2", [GATEWAY]);
  for (const server of [first, second]) server.onRequest = (handle) => server.answer(handle, ACCEPT);
  first.silent = true;
  const client = new SimulatedClient(world, "10.0.0.5", ["10.0.1.1", "10.0.1.2"]);
  const serverOf = (transaction: ReturnType<SimulatedClient["request"]>) => {
    const [end] = client.ends.get(transaction)!;
    return end?.kind === "answered" ? end.server : end?.reason;
  };
  const slow = client.request(Code.AccessRequest, USER);
  world.run(20_000);
  assert.equal(serverOf(slow), 1);
  const quick = client.request(Code.AccessRequest, USER);
  world.run(100);
  assert.equal(serverOf(quick), 1);
  first.silent = false;
  world.run(60_000);
  const back = client.request(Code.AccessRequest, USER);
  world.run(100);
  assert.equal(serverOf(back), 0);
  assert.deepEqual(client.events, [
    { kind: "serverSilent", server: "10.0.1.1" },
    { kind: "serverBack", server: "10.0.1.1" },
  ]);
});

test("a conversation that belongs to one server is not moved to another", () => {
  const world = new World(3, PERFECT_LINK);
  const second = new SimulatedServer(world, "10.0.1.2", [GATEWAY]);
  second.onRequest = (handle) => second.answer(handle, ACCEPT);
  const client = new SimulatedClient(world, "10.0.0.5", ["10.0.1.1", "10.0.1.2"]);
  const bound = client.request(Code.AccessRequest, USER, 0);
  world.run(60_000);
  const [end] = client.ends.get(bound)!;
  assert.ok(end?.kind === "unanswered" && end.reason === "Timeout");
  assert.equal(second.requests.length, 0);
});

test("more requests than one socket has Identifiers take further sockets, and are refused when all are full", () => {
  const world = new World(4, PERFECT_LINK);
  const server = new SimulatedServer(world, "10.0.1.1", [GATEWAY]);
  const client = new SimulatedClient(world, "10.0.0.5", ["10.0.1.1"], {}, undefined, 2);
  const transactions = Array.from({ length: 513 }, () => client.request(Code.AccessRequest, USER));
  world.run(100);
  assert.equal(server.requests.length, 512);
  const [last] = client.ends.get(transactions[512]!)!;
  assert.ok(last?.kind === "unanswered" && last.reason === "TooBusy");
  for (const { handle } of server.requests) server.answer(handle, ACCEPT);
  world.run(100);
  assert.equal(client.core.waiting, 0);
});

test("forged, foreign and late answers are dropped, and the request goes on waiting for the true one", () => {
  const world = new World(5, PERFECT_LINK);
  const server = new SimulatedServer(world, "10.0.1.1", [GATEWAY]);
  const client = new SimulatedClient(world, "10.0.0.5", ["10.0.1.1"]);
  const transaction = client.request(Code.AccessRequest, USER);
  world.run(100);
  const { handle, packet } = server.requests[0]!;
  const forged = (bytes: Buffer) =>
    world.send(bytes, { address: "10.0.1.1", port: 1812 }, { address: "10.0.0.5", port: 40_000 }, "");
  forged(sealResponse(Code.AccessAccept, packet, [], Buffer.from("guessed")));
  forged(sealResponse(Code.AccessAccept, { ...packet, authenticator: Buffer.alloc(16) }, [], SECRET));
  forged(sealResponse(Code.AccountingResponse, packet, [], SECRET));
  forged(sealResponse(Code.AccessAccept, { ...packet, identifier: packet.identifier ^ 1 }, [], SECRET));
  // BlastRADIUS: a right Response Authenticator over a packet without Message-Authenticator.
  forged(withoutMessageAuthenticator(packet));
  forged(Buffer.from("no RADIUS"));
  world.run(100);
  assert.deepEqual(client.ends.get(transaction), []);
  assert.deepEqual(
    client.events.map((event) => (event.kind === "dropped" ? event.reason : event.kind)),
    [
      "WrongAuthenticator",
      "WrongAuthenticator",
      "UnexpectedAnswer",
      "UnexpectedAnswer",
      "NoMessageAuthenticator",
      "Malformed",
    ],
  );
  server.answer(handle, ACCEPT);
  world.run(100);
  assert.equal(client.ends.get(transaction)![0]!.kind, "answered");
});

test("the MSK that a server hides is the one that its client finds", () => {
  const world = new World(6, PERFECT_LINK);
  const msk = world.random.bytes(64);
  const server = new SimulatedServer(world, "10.0.1.1", [GATEWAY]);
  server.onRequest = (handle) => server.answer(handle, { ...ACCEPT, msk });
  const client = new SimulatedClient(world, "10.0.0.5", ["10.0.1.1"]);
  const transaction = client.request(Code.AccessRequest, USER);
  world.run(100);
  const [end] = client.ends.get(transaction)!;
  assert.ok(end?.kind === "answered" && end.msk?.equals(msk));
});

test("a channel that is lost takes its requests along, to the next server or to an end", () => {
  const world = new World(7, PERFECT_LINK);
  const servers = [0, 1].map((name) => ({ name: String(name), secret: SECRET, reliable: true }));
  const client = new SimulatedClient(world, "10.0.0.5", ["10.0.1.1", "10.0.1.2"], {}, servers);
  const sent: string[] = [];
  world.tap = (_bytes, _from, to) => {
    sent.push(to.address);
    return "drop";
  };
  client.request(Code.AccessRequest, USER);
  const effects = client.core.lost(0, 0);
  assert.deepEqual(
    effects.map((effect) => effect.kind),
    ["event", "send"],
  );
  assert.deepEqual(
    client.core.lost(1, 0).map((effect) => effect.kind),
    ["event", "unanswered"],
  );
  assert.deepEqual(client.core.lost(1, 0), []);
  assert.deepEqual(sent, ["10.0.1.1"], "nothing is sent twice on a connection");
});

test("a server answers whom it knows, on ports for what they are for, with the secret of the longest block", () => {
  const world = new World(8, PERFECT_LINK);
  const clients: ClientSettings[] = [
    { name: "wide", by: { kind: "address", block: "10.0.0.0/8", secret: Buffer.from("wide") } },
    { name: "narrow", by: { kind: "address", block: "10.0.0.5", secret: SECRET } },
    { name: "six", by: { kind: "address", block: "2001:db8::/32", secret: SECRET } },
    { name: "named", by: { kind: "certificate", fqdn: "segw.example" } },
  ];
  const server = new RadiusServer({ clock: world, random: world.random, clients });
  const outcome = (source: Source, code: number, secret: Buffer) => {
    const [effect] = server.received(sealRequest(code, 1, USER, secret, world.random.bytes(16)), source);
    return effect?.kind === "requested" ? effect.client : effect?.kind === "dropped" ? effect.reason : effect?.kind;
  };
  const udp = (address: string, purpose: "authentication" | "accounting" | "dynamicAuthorization", port = 1) =>
    ({ kind: "udp", socket: 0, purpose, address, port }) as const;
  assert.equal(outcome(udp("10.0.0.5", "authentication"), Code.AccessRequest, SECRET), "narrow");
  assert.equal(outcome(udp("10.0.0.6", "authentication"), Code.AccessRequest, Buffer.from("wide")), "wide");
  assert.equal(outcome(udp("10.0.0.6", "authentication"), Code.AccessRequest, SECRET), "WrongMessageAuthenticator");
  assert.equal(outcome(udp("11.0.0.5", "authentication"), Code.AccessRequest, SECRET), "UnknownClient");
  assert.equal(outcome(udp("2001:db8::7", "accounting"), Code.AccountingRequest, SECRET), "six");
  assert.equal(outcome(udp("2001:db9::7", "accounting"), Code.AccountingRequest, SECRET), "UnknownClient");
  assert.equal(outcome(udp("10.0.0.5", "accounting"), Code.AccessRequest, SECRET), "UnexpectedCode");
  assert.equal(outcome(udp("10.0.0.5", "authentication"), Code.AccountingRequest, SECRET), "UnexpectedCode");
  assert.equal(outcome(udp("10.0.0.5", "authentication"), Code.AccessAccept, SECRET), "UnexpectedCode");
  assert.equal(outcome(udp("10.0.0.5", "dynamicAuthorization", 2), Code.DisconnectRequest, SECRET), "narrow");
  assert.equal(outcome(udp("10.0.0.5", "dynamicAuthorization", 3), Code.StatusServer, SECRET), "UnexpectedCode");
  const tls = { kind: "tls", connection: 1, names: ["other.example", "SEGW.example"] } as const;
  assert.equal(outcome(tls, Code.AccountingRequest, Buffer.from("radsec")), "named");
  assert.equal(
    outcome({ ...tls, names: ["mallory.example"] }, Code.AccessRequest, Buffer.from("radsec")),
    "UnknownClient",
  );
});

test("an answered request that comes again gets the same octets; its Identifier used anew is another request", () => {
  const world = new World(9, PERFECT_LINK);
  const server = new RadiusServer({ clock: world, random: world.random, clients: [GATEWAY] });
  const source = { kind: "udp", socket: 0, purpose: "all", address: "10.0.0.5", port: 9 } as const;
  const request = (fill: number) => sealRequest(Code.AccessRequest, 7, USER, SECRET, Buffer.alloc(16, fill));
  const [first] = server.received(request(1), source);
  assert.ok(first?.kind === "requested");
  assert.deepEqual(server.received(request(1), source), [], "still at work");
  const [answer] = server.answer(first.handle, ACCEPT);
  assert.deepEqual(server.received(request(1), source), [answer]);
  assert.deepEqual(server.answer(first.handle, ACCEPT), [], "a second answer goes nowhere");
  assert.equal(
    server.received(request(1), { ...source, port: 10 })[0]?.kind,
    "requested",
    "another port is another client",
  );
  const [second] = server.received(request(2), source);
  assert.ok(second?.kind === "requested");
  assert.deepEqual(server.received(request(2), source), []);
  // An answer of nothing makes room for another try.
  assert.deepEqual(server.answer(second.handle, undefined), []);
  assert.equal(server.received(request(2), source)[0]?.kind, "requested");
});

test("an answer that comes after its Identifier was used anew is not given to the new request", () => {
  const world = new World(10, PERFECT_LINK);
  const server = new RadiusServer({ clock: world, random: world.random, clients: [GATEWAY] });
  const source = { kind: "udp", socket: 0, purpose: "all", address: "10.0.0.5", port: 9 } as const;
  const requests = [1, 2].map((fill) => sealRequest(Code.AccessRequest, 7, USER, SECRET, Buffer.alloc(16, fill)));
  const [older, newer] = requests.map((bytes) => server.received(bytes, source)[0]!);
  assert.ok(older?.kind === "requested" && newer?.kind === "requested");
  const [late] = server.answer(older.handle, ACCEPT);
  assert.ok(late?.kind === "send");
  assert.equal(verifyResponse(late.bytes, Buffer.alloc(16, 1), SECRET), undefined);
  assert.notEqual(verifyResponse(late.bytes, Buffer.alloc(16, 2), SECRET), undefined);
  assert.deepEqual(server.received(requests[1]!, source), [], "the newer is still at work");
});

test("what is kept of answered requests is bounded by number and by time", () => {
  const world = new World(11, PERFECT_LINK);
  const limits = { duplicates: 10, duplicateLife: 30_000, working: 3 };
  const server = new RadiusServer({ clock: world, random: world.random, clients: [GATEWAY], limits });
  const source = (port: number) => ({ kind: "udp", socket: 0, purpose: "all", address: "10.0.0.5", port }) as const;
  const request = () => sealRequest(Code.AccessRequest, 7, USER, SECRET, world.random.bytes(16));
  for (let port = 0; port < 100; port++) {
    const [effect] = server.received(request(), source(port));
    assert.ok(effect?.kind === "requested");
    server.answer(effect.handle, ACCEPT);
  }
  assert.ok(server.remembered <= 10, `${server.remembered}`);
  world.run(30_001);
  const outcomes = [1, 2, 3, 4].map((port) => server.received(request(), source(port))[0]?.kind);
  assert.deepEqual(outcomes, ["requested", "requested", "requested", "dropped"]);
  assert.equal(server.remembered, 3);
});

test("every Proxy-State goes back in its order, after all else (RFC 2865 5.33)", () => {
  const world = new World(12, PERFECT_LINK);
  const server = new RadiusServer({ clock: world, random: world.random, clients: [GATEWAY] });
  const source = { kind: "udp", socket: 0, purpose: "all", address: "10.0.0.5", port: 9 } as const;
  const states = ["b", "a", "b"].map((text) => attribute("Proxy-State", Buffer.from(text)));
  const bytes = sealRequest(
    Code.AccessRequest,
    7,
    [states[0]!, ...USER, ...states.slice(1)],
    SECRET,
    Buffer.alloc(16, 1),
  );
  const [request] = server.received(bytes, source);
  assert.ok(request?.kind === "requested");
  const [answer] = server.answer(request.handle, ACCEPT);
  assert.ok(answer?.kind === "send");
  assert.deepEqual(decodePacket(answer.bytes).attributes.slice(-3), states);
});

test("Status-Server is answered on the spot in the terms of its port (RFC 5997)", () => {
  const world = new World(13, PERFECT_LINK);
  const server = new RadiusServer({ clock: world, random: world.random, clients: [GATEWAY] });
  for (const [purpose, code] of [
    ["authentication", Code.AccessAccept],
    ["accounting", Code.AccountingResponse],
  ] as const) {
    const source = { kind: "udp", socket: 0, purpose, address: "10.0.0.5", port: 9 } as const;
    const authenticator = world.random.bytes(16);
    const [effect] = server.received(sealRequest(Code.StatusServer, 1, [], SECRET, authenticator), source);
    assert.ok(effect?.kind === "send" && effect.bytes[0] === code);
    assert.equal(verifyResponse(effect.bytes, authenticator, SECRET), undefined);
  }
});

test("no octets from a known client make the server throw, and none but sealed ones reach the application", () => {
  const world = new World(14, PERFECT_LINK);
  const server = new RadiusServer({ clock: world, random: world.random, clients: [GATEWAY] });
  const source = { kind: "udp", socket: 0, purpose: "all", address: "10.0.0.5", port: 9 } as const;
  const sealed = octets(16, 16).map((random) => sealRequest(Code.AccessRequest, 1, USER, SECRET, random));
  fc.assert(
    fc.property(fc.oneof(octets(0, 200), mutated(sealed)), (bytes) => {
      for (const effect of server.received(bytes, source)) {
        if (effect.kind !== "requested") continue;
        assert.equal(attributeOf(effect.packet, "User-Name"), "ap-1.example");
        server.answer(effect.handle, undefined);
      }
    }),
    { numRuns: 1000 },
  );
});

function withoutMessageAuthenticator(request: { code: number; identifier: number; authenticator: Buffer }): Buffer {
  const sealed = sealResponse(Code.AccessAccept, request, [], SECRET);
  // An MD5 over 20 octets of header and the secret is what the attack of 2024 arranges.
  const bare = Buffer.from(sealed.subarray(0, 20));
  bare.writeUInt16BE(20, 2);
  request.authenticator.copy(bare, 4);
  md5(bare).copy(bare, 4);
  return bare;
}

function md5(bytes: Buffer): Buffer {
  return createHash("md5").update(bytes).update(SECRET).digest();
}
