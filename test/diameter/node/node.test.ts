import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AA,
  CapabilitiesExchange,
  DeviceWatchdog,
  makeAnswer,
  makeErrorAnswer,
  makeRequest,
  readAnswer,
  readRequest,
} from "../../../src/diameter/codec/commands.ts";
import { type DiameterMessage, decodeMessage, encodeMessage } from "../../../src/diameter/codec/message.ts";
import { Application, CommandCode, ResultCode } from "../../../src/diameter/codec/numbers.ts";
import { forSeeds } from "../../../src/sim/world.ts";
import { type Host, Network, SWM } from "./network.ts";

const MINUTE = 60_000;
const TO_AAA = { application: Application.SWm, realm: "example" };
const seeds = (count: number, simulate: (seed: number) => void) =>
  forSeeds(count, process.env.FEMTOGATE_SEED, simulate);

function aar(host: Host, extra: { "Destination-Host"?: string; "Route-Record"?: string[] } = {}): DiameterMessage {
  return makeRequest(AA, Application.SWm, host.node.newEndToEnd(), {
    "Session-Id": `${host.name};1;1`,
    "Auth-Application-Id": Application.SWm,
    "Origin-Host": host.name,
    "Origin-Realm": "example",
    "Destination-Realm": "example",
    "Auth-Request-Type": 2,
    ...extra,
  });
}

function aaa(request: DiameterMessage, host: string, resultCode: number = ResultCode.SUCCESS): DiameterMessage {
  return makeAnswer(AA, request, {
    "Session-Id": readRequest(AA, request)["Session-Id"],
    "Auth-Application-Id": Application.SWm,
    "Auth-Request-Type": 2,
    "Origin-Host": host,
    "Origin-Realm": "example",
    "Result-Code": resultCode,
  });
}

const answering = (host: Host) => {
  host.onRequest = ({ handle, message }) => host.answer(handle, aaa(message, host.name));
};

/** A gateway that connects to one or two AAA servers, all open. */
function network(seed: number | string, servers: readonly string[] = ["aaa1.example"]) {
  const net = new Network(seed);
  const aaaHosts = servers.map((name) => net.add(name, { peers: [{ host: "segw.example" }] }));
  const segw = net.add("segw.example", {
    peers: servers.map((host, priority) => ({ host, connect: true, priority })),
  });
  net.world.run(1000);
  assert.ok(
    segw.node.peers().every(({ state }) => state === "Open"),
    "all peers are open",
  );
  return { net, segw, servers: aaaHosts };
}

test("two nodes exchange capabilities, and a request gets its answer", () => {
  const { net, segw, servers } = network(1);
  const server = servers[0]!;
  answering(server);
  const transaction = segw.request(aar(segw), TO_AAA);
  net.world.run(100);
  const [end] = segw.ends.get(transaction)!;
  assert.ok(end?.kind === "answered");
  assert.equal(end.peer, "aaa1.example");
  assert.ok(readAnswer(AA, end.message).ok);
  assert.equal(segw.node.waiting + server.node.waiting, 0);
});

test("CER and CEA say what a node is and speaks (RFC 6733 5.3)", () => {
  const { segw, servers } = network(1);
  const cer = readRequest(CapabilitiesExchange, segw.sent[0]!);
  const expected = {
    "Origin-Host": "segw.example",
    "Origin-Realm": "example",
    "Vendor-Id": 0,
    "Product-Name": "Femtogate",
    "Origin-State-Id": 1,
    "Host-IP-Address": ["10.0.0.1"],
    "Supported-Vendor-Id": [10415],
    "Vendor-Specific-Application-Id": [{ "Vendor-Id": 10415, "Auth-Application-Id": Application.SWm }],
  };
  assert.deepEqual(cer, expected);
  const cea = readAnswer(CapabilitiesExchange, servers[0]!.sent[0]!);
  assert.deepEqual(cea.values, { ...expected, "Origin-Host": "aaa1.example", "Result-Code": 2001 });
});

test("a stranger, a peer without a common application and a peer under another's certificate are refused", () => {
  const net = new Network(2);
  const server = net.add("aaa1.example", { peers: [{ host: "segw.example" }, { host: "odd.example" }] });
  net.add("stranger.example", { peers: [{ host: "aaa1.example", connect: true }] });
  net.add("odd.example", {
    spoken: [{ id: 4, vendor: 0, accounting: false }],
    peers: [{ host: "aaa1.example", connect: true }],
  });
  net.certificates.set("segw.example", ["other.example"]);
  net.add("segw.example", { peers: [{ host: "aaa1.example", connect: true }] });
  net.world.run(1000);
  const refused = server.events.flatMap((event) => (event.kind === "connectionRefused" ? [event.resultCode] : []));
  assert.deepEqual(
    refused.sort(),
    [ResultCode.UNKNOWN_PEER, ResultCode.UNKNOWN_PEER, ResultCode.NO_COMMON_APPLICATION].sort(),
  );
  assert.ok(server.node.peers().every(({ state }) => state === "Closed"));
});

test("a peer that wants security within the connection is refused: TLS comes first or not at all (RFC 6733 13.1)", () => {
  const net = new Network(17);
  const server = net.add("aaa1.example", { peers: [{ host: "segw.example" }] });
  const codes = [[1], [1, 0]].map((security) => {
    const cer = makeRequest(CapabilitiesExchange, 0, 1, {
      "Origin-Host": "segw.example",
      "Origin-Realm": "example",
      "Vendor-Id": 0,
      "Product-Name": "x",
      "Auth-Application-Id": [Application.SWm],
      "Inband-Security-Id": security,
    });
    const effects = server.node.received(server.node.accepted(undefined)!, encodeMessage(cer));
    const sent = effects.flatMap((effect) => (effect.kind === "send" ? [effect.message] : []));
    return readAnswer(CapabilitiesExchange, sent[0]!).outcome.code;
  });
  assert.deepEqual(codes, [ResultCode.NO_COMMON_SECURITY, ResultCode.SUCCESS]);
});

test("a server whose certificate is for another name gets no CER", () => {
  const net = new Network(3);
  net.certificates.set("aaa1.example", ["mallory.example"]);
  const server = net.add("aaa1.example", { peers: [{ host: "segw.example" }] });
  const segw = net.add("segw.example", { peers: [{ host: "aaa1.example", connect: true }] });
  net.world.run(1000);
  assert.deepEqual(segw.sent, []);
  assert.deepEqual(server.events, []);
  net.certificates.set("aaa1.example", ["x.example", "AAA1.example"]);
  net.world.run(MINUTE);
  assert.equal(segw.node.peers()[0]!.state, "Open");
});

test("when both connect at once, one connection is left, opened by the lesser identity (RFC 6733 5.6.4)", () => {
  seeds(50, (seed) => {
    const net = new Network(seed);
    const a = net.add("a.example", { peers: [{ host: "b.example", connect: true }] });
    const b = net.add("b.example", { peers: [{ host: "a.example", connect: true }] });
    net.world.run(20_000);
    assert.deepEqual([a.node.peers()[0]!.state, b.node.peers()[0]!.state], ["Open", "Open"]);
    assert.equal(a.halves.size, 1);
    assert.equal(b.halves.size, 1);
    const ups = a.events.filter((event) => event.kind === "peerUp");
    assert.equal(ups.length, 1);
    answering(b);
    const transaction = a.request(aar(a), TO_AAA);
    net.world.run(100);
    assert.equal(a.ends.get(transaction)![0]!.kind, "answered");
  });
});

test("of two connections the peer with the greater identity keeps the one that the other opened", () => {
  const net = new Network(4);
  // Both are there before either answers: the tap holds both CERs until both were sent.
  const held: (() => void)[] = [];
  net.tap = (bytes, from) => {
    if (decodeMessage(bytes).header.command !== CommandCode.CapabilitiesExchange || held.length === 2) return bytes;
    const half = [...net.hosts.get(from)!.halves.values()][0]!;
    held.push(() => net.send(half, bytes));
    return "drop";
  };
  const a = net.add("a.example", { peers: [{ host: "b.example", connect: true }] });
  const b = net.add("b.example", { peers: [{ host: "a.example", connect: true }] });
  net.world.runUntil(() => held.length === 2, 5000);
  for (const release of held) release();
  net.world.run(1000);
  const up = (host: Host) => host.events.find((event) => event.kind === "peerUp");
  assert.deepEqual(up(a), { kind: "peerUp", peer: "b.example", product: "Femtogate", initiated: true });
  assert.deepEqual(up(b), { kind: "peerUp", peer: "a.example", product: "Femtogate", initiated: false });
});

test("a silent peer is asked for a sign of life, passed over, and cut off (RFC 3539 3.4.1)", () => {
  const { net, segw } = network(5);
  net.world.run(10 * MINUTE);
  assert.equal(segw.node.peers()[0]!.watchdog, "Okay", "watchdogs keep an idle connection");
  assert.ok(segw.sent.some((message) => message.header.command === CommandCode.DeviceWatchdog));
  net.frozen.add("aaa1.example");
  const silentSince = net.world.now();
  net.world.runUntil(() => segw.seen().includes("peerSuspect aaa1.example"), 5 * MINUTE);
  assert.ok(net.world.now() - silentSince < 66_000, "two intervals at most");
  net.world.runUntil(() => segw.seen().includes("peerDown aaa1.example"), 5 * MINUTE);
  assert.ok(net.world.now() - silentSince < 98_000, "three intervals at most");
  net.frozen.clear();
  net.world.runUntil(() => segw.node.peers()[0]!.state === "Open", 5 * MINUTE);
  assert.equal(segw.node.peers()[0]!.watchdog, "Reopen");
  net.world.runUntil(() => segw.node.peers()[0]!.watchdog === "Okay", 5 * MINUTE);
  assert.equal(segw.node.peers()[0]!.watchdog, "Okay", "after three DWAs");
});

test("any message is a sign of life: a busy connection carries no watchdogs", () => {
  const { net, segw, servers } = network(6);
  answering(servers[0]!);
  const before = segw.sent.length;
  for (let i = 0; i < 60; i++) {
    segw.request(aar(segw), TO_AAA);
    net.world.run(10_000);
  }
  const watchdogs = segw.sent.slice(before).filter(({ header }) => header.command === CommandCode.DeviceWatchdog);
  assert.deepEqual(watchdogs, []);
});

test("a request goes to the first server, and to the second with its T bit when the first dies (RFC 6733 5.5.4)", () => {
  seeds(50, (seed) => {
    const { net, segw, servers } = network(seed, ["aaa1.example", "aaa2.example"]);
    const [first, second] = servers as [Host, Host];
    answering(second);
    const transaction = segw.request(aar(segw), TO_AAA);
    net.world.run(50);
    assert.equal(first.requests.length, 1);
    assert.equal(second.requests.length, 0);
    net.kill(first);
    net.world.run(100);
    const ends = segw.ends.get(transaction)!;
    assert.deepEqual(
      ends.map((end) => end.kind),
      ["answered"],
    );
    const [once, again] = [first.requests[0]!.message.header, second.requests[0]!.message.header];
    assert.equal(once.retransmitted, false);
    assert.equal(again.retransmitted, true);
    assert.equal(again.endToEnd, once.endToEnd);
    assert.notEqual(again.hopByHop, once.hopByHop);
    assert.equal(segw.node.waiting, 0);
  });
});

test("a server that never answers, and one that says it is too busy, are replaced by the other", () => {
  const { net, segw, servers } = network(7, ["aaa1.example", "aaa2.example"]);
  const [first, second] = servers as [Host, Host];
  answering(second);
  const silent = segw.request(aar(segw), TO_AAA);
  net.world.run(5_100);
  assert.equal(segw.ends.get(silent)![0]!.kind, "answered");
  // The late answer of the first is dropped, not taken for another.
  first.answer(first.requests[0]!.handle, aaa(first.requests[0]!.message, first.name));
  net.world.run(100);
  assert.equal(segw.ends.get(silent)!.length, 1);
  assert.ok(segw.events.some((event) => event.kind === "dropped" && event.reason === "unexpectedAnswer"));
  first.onRequest = ({ handle, message }) =>
    first.answer(
      handle,
      makeErrorAnswer(
        message,
        { host: first.name, realm: "example" },
        { resultCode: ResultCode.TOO_BUSY, message: "" },
      ),
    );
  const busy = segw.request(aar(segw), TO_AAA);
  net.world.run(100);
  const [end] = segw.ends.get(busy)!;
  assert.ok(end?.kind === "answered" && end.peer === "aaa2.example");
});

test("an answer to another session's request is dropped, though its Hop-by-Hop Identifier be right", () => {
  const { net, segw } = network(18);
  const swapped = (field: "endToEnd" | "command" | "hopByHop") => {
    const transaction = segw.request(aar(segw), TO_AAA);
    const answer = aaa(segw.sent.at(-1)!, "aaa1.example");
    const header = { ...answer.header, [field]: (answer.header[field] ^ 1) >>> 0 };
    const [connection] = segw.halves.keys();
    segw.perform(segw.node.received(connection!, encodeMessage({ ...answer, header })));
    assert.deepEqual(segw.ends.get(transaction), [], field);
    net.world.run(50);
  };
  swapped("endToEnd");
  swapped("command");
  swapped("hopByHop");
});

test("a request ends exactly once, whatever servers and links do", () => {
  seeds(100, (seed) => {
    const { net, segw, servers } = network(seed, ["aaa1.example", "aaa2.example"]);
    const { random } = net.world;
    for (const server of servers)
      server.onRequest = ({ handle, message }) => {
        if (random.chance(0.2)) return;
        net.world.after(random.below(12_000), () => {
          if (!server.alive) return;
          server.answer(handle, aaa(message, server.name));
          server.answer(handle, aaa(message, server.name));
        });
      };
    const transactions = Array.from({ length: 30 }, () => {
      net.world.run(random.below(1000));
      if (random.chance(0.05)) net.frozen.add("aaa1.example");
      if (random.chance(0.05)) net.frozen.clear();
      if (random.chance(0.03) && servers[1]!.alive) net.kill(servers[1]!);
      return segw.request(aar(segw), TO_AAA);
    });
    net.world.run(2 * MINUTE);
    for (const transaction of transactions) assert.equal(segw.ends.get(transaction)!.length, 1);
    assert.equal(segw.node.waiting, 0, "nothing is kept of a request that ended");
  });
});

test("without a peer a request fails at once, and with too many waiting it does too", () => {
  const net = new Network(8);
  const segw = net.add("segw.example", {
    peers: [{ host: "aaa1.example", connect: true }],
    limits: { transactions: 2 },
  });
  net.world.run(100);
  const reasonOf = (host: Host, transaction: ReturnType<Host["request"]>) => {
    const [end] = host.ends.get(transaction)!;
    return end?.kind === "unanswered" ? end.reason : end?.kind;
  };
  assert.equal(reasonOf(segw, segw.request(aar(segw), TO_AAA)), "NoPeer");
  net.add("aaa1.example", { peers: [{ host: "segw.example" }] });
  net.world.run(MINUTE);
  segw.request(aar(segw), TO_AAA);
  segw.request(aar(segw), TO_AAA);
  assert.equal(reasonOf(segw, segw.request(aar(segw), TO_AAA)), "TooBusy");
  const other = segw.request(aar(segw), { application: Application.SWm, realm: "elsewhere.example" });
  assert.equal(reasonOf(segw, other), "TooBusy");
  net.world.run(MINUTE);
  assert.equal(reasonOf(segw, segw.request(aar(segw), { ...TO_AAA, realm: "elsewhere.example" })), "NoPeer");
  assert.equal(reasonOf(segw, segw.request(aar(segw), { ...TO_AAA, application: Application.SWx })), "NoPeer");
  assert.equal(reasonOf(segw, segw.request(aar(segw), { ...TO_AAA, host: "aaa9.example" })), "NoPeer");
});

test("a relay takes requests for any host and realm, a direct connection to the host goes first", () => {
  const net = new Network(9);
  const anything = { id: Application.relay, vendor: 0, accounting: false };
  const relay = net.add("relay.example", { spoken: [SWM, anything], peers: [{ host: "segw.example" }] });
  const direct = net.add("aaa1.example", { peers: [{ host: "segw.example" }] });
  const segw = net.add("segw.example", {
    peers: [
      { host: "relay.example", connect: true, priority: 0 },
      { host: "aaa1.example", connect: true, priority: 9 },
    ],
  });
  net.world.run(1000);
  segw.request(aar(segw), { ...TO_AAA, host: "AAA1.example" });
  segw.request(aar(segw), { ...TO_AAA, host: "aaa2.example" });
  segw.request(aar(segw), { ...TO_AAA, realm: "elsewhere.example" });
  net.world.run(100);
  assert.equal(direct.requests.length, 1);
  assert.equal(relay.requests.length, 2);
});

test("a request that comes again is carried out once and gets the same answer on its new way", () => {
  const { net, segw, servers } = network(10);
  const server = servers[0]!;
  const request = aar(segw);
  segw.request(request, TO_AAA);
  net.world.run(50);
  // Again while the first is at work, and again after it was answered.
  const second = segw.request({ ...request, header: { ...request.header, retransmitted: true } }, TO_AAA);
  net.world.run(50);
  assert.equal(server.requests.length, 1);
  server.answer(server.requests[0]!.handle, aaa(server.requests[0]!.message, server.name));
  net.world.run(50);
  assert.equal(segw.ends.get(second)![0]!.kind, "answered", "the way it was asked for last");
  const third = segw.request(request, TO_AAA);
  net.world.run(50);
  assert.equal(server.requests.length, 1);
  assert.equal(segw.ends.get(third)![0]!.kind, "answered");
  assert.deepEqual(
    server.events.flatMap((event) => (event.kind === "duplicate" ? [event.answered] : [])),
    [false, true],
  );
});

test("the memory of answered requests is bounded", () => {
  const net = new Network(11);
  const server = net.add("aaa1.example", { peers: [{ host: "segw.example" }], limits: { duplicates: 10 } });
  const segw = net.add("segw.example", { peers: [{ host: "aaa1.example", connect: true }] });
  net.world.run(1000);
  answering(server);
  const first = aar(segw);
  segw.request(first, TO_AAA);
  for (let i = 0; i < 10; i++) segw.request(aar(segw), TO_AAA);
  net.world.run(100);
  segw.request(first, TO_AAA);
  net.world.run(100);
  assert.equal(server.requests.length, 12, "the oldest was forgotten, and carried out again");
});

test("what is not for this node is refused with the reason (RFC 6733 6.1, 7.1.3)", () => {
  const { net, segw, servers } = network(12);
  const server = servers[0]!;
  const code = (message: DiameterMessage) => {
    const transaction = segw.request(message, TO_AAA);
    net.world.run(50);
    const [end] = segw.ends.get(transaction)!;
    return end?.kind === "answered" ? readAnswer(AA, end.message).outcome.code : undefined;
  };
  const changed = (header: Partial<DiameterMessage["header"]>) => {
    const message = aar(segw);
    return { ...message, header: { ...message.header, ...header } };
  };
  assert.equal(code(changed({ application: 4 })), ResultCode.APPLICATION_UNSUPPORTED);
  assert.equal(code(changed({ command: 9999 })), ResultCode.COMMAND_UNSUPPORTED);
  assert.equal(code(aar(segw, { "Route-Record": ["x", "AAA1.example"] })), ResultCode.LOOP_DETECTED);
  assert.equal(code(aar(segw, { "Destination-Host": "aaa2.example" })), ResultCode.UNABLE_TO_DELIVER);
  const elsewhere = makeRequest(AA, Application.SWm, segw.node.newEndToEnd(), {
    ...readRequest(AA, aar(segw)),
    "Destination-Realm": "elsewhere.example",
  });
  assert.equal(code(elsewhere), ResultCode.REALM_NOT_SERVED);
  assert.deepEqual(server.requests, []);
});

test("a malformed AVP costs its own request only, and its sender hears which it was", () => {
  const { net, segw, servers } = network(13);
  answering(servers[0]!);
  let spoiled = false;
  net.tap = (bytes) => {
    const { command, request } = decodeMessage(bytes).header;
    if (command !== CommandCode.AA || !request || spoiled) return bytes;
    spoiled = true;
    const copy = Buffer.from(bytes);
    copy.writeUIntBE(0xffffff, 20 + 5, 3);
    return copy;
  };
  const first = segw.request(aar(segw), TO_AAA);
  const second = segw.request(aar(segw), TO_AAA);
  net.world.run(100);
  const codes = [first, second].map((transaction) => {
    const [end] = segw.ends.get(transaction)!;
    return end?.kind === "answered" ? readAnswer(AA, end.message).outcome.code : undefined;
  });
  assert.deepEqual(codes, [ResultCode.INVALID_AVP_LENGTH, ResultCode.SUCCESS]);
  assert.ok(servers[0]!.events.some((event) => event.kind === "dropped" && event.reason === "malformed"));
});

test("who says nothing, or anything but CER first, is disconnected, and strangers are counted", () => {
  const net = new Network(14);
  const server = net.add("aaa1.example", { peers: [], limits: { strangers: 2 } });
  const first = server.node.accepted(undefined)!;
  const second = server.node.accepted(undefined)!;
  assert.equal(server.node.accepted(undefined), undefined);
  const watchdog = makeRequest(DeviceWatchdog, 0, 1, { "Origin-Host": "x", "Origin-Realm": "y" });
  const effects = server.node.received(first, encodeMessage(watchdog));
  assert.deepEqual(
    effects.map((effect) => effect.kind),
    ["event", "close"],
  );
  const third = server.node.accepted(undefined)!;
  assert.notEqual(third, undefined);
  net.world.run(10_000);
  const closed = server.node.advance().flatMap((effect) => (effect.kind === "close" ? [effect.connection] : []));
  assert.deepEqual(closed, [second, third]);
  assert.equal(server.node.nextDeadline(), Number.POSITIVE_INFINITY);
});

test("a node that stops says so; its peers do not count that as a fault, and come back later (RFC 6733 5.4)", () => {
  const { net, segw, servers } = network(15);
  const server = servers[0]!;
  server.perform(server.node.stop());
  net.world.run(100);
  assert.deepEqual(
    segw.events.filter((event) => event.kind === "peerDown"),
    [{ kind: "peerDown", peer: "aaa1.example", cause: "closed" }],
  );
  assert.equal(segw.halves.size + server.halves.size, 0);
  net.kill(server);
  const again = net.add("aaa1.example", { peers: [{ host: "segw.example" }], originStateId: 2 });
  net.world.run(MINUTE);
  assert.equal(again.node.peers()[0]!.state, "Open");
  assert.ok(segw.seen().includes("peerRestarted aaa1.example"), "a larger Origin-State-Id (RFC 6733 8.16)");
});

test("two nodes that stop at the same moment agree at once", () => {
  const { net, segw, servers } = network(17);
  const server = servers[0]!;
  server.perform(server.node.stop());
  segw.perform(segw.node.stop());
  net.world.run(100);
  assert.equal(segw.halves.size + server.halves.size, 0, "no connection waits for the time limit");
});

test("a second connection in a peer's name is turned away, unless its certificate proves the name", () => {
  const { segw, servers } = network(16);
  const cer = segw.sent[0]!;
  const server = servers[0]!;
  const impostor = server.node.accepted(undefined)!;
  const effects = server.node.received(impostor, encodeMessage(cer));
  assert.deepEqual(
    effects.map((effect) => effect.kind),
    ["close", "event"],
  );
  assert.equal(server.node.peers()[0]!.state, "Open");
  const proven = server.node.accepted(["segw.example"])!;
  const kinds = server.node.received(proven, encodeMessage(cer)).map((effect) => effect.kind);
  assert.deepEqual(kinds, ["close", "event", "send", "event"]);
});
