/** The generic ends of EAP, with a method that does nothing but count. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EapAuthenticator } from "../../src/eap/authenticator.ts";
import type { EapResult, PeerMethod, ServerMethod } from "../../src/eap/method.ts";
import { decodeEap, type EapContent, encodeEap } from "../../src/eap/packet.ts";
import { EapPeer } from "../../src/eap/peer.ts";
import { seededRandom } from "../../src/sim/random.ts";

interface Counting {
  ask: "go on?";
  answer: boolean;
  record: never;
}

const RESULT: EapResult = {
  method: 99,
  subscriber: "s",
  identity: "i",
  reauthentication: false,
  msk: Buffer.alloc(64, 1),
  emsk: Buffer.alloc(64, 2),
  sessionId: Buffer.from([99]),
};
const method = (type: number, body = Buffer.alloc(0)): EapContent => ({ kind: "method", type, body });
const request = (id: number, content: EapContent) => encodeEap({ kind: "request", id, content });
const response = (id: number, content: EapContent) => encodeEap({ kind: "response", id, content });
const identity = (text: string): EapContent => ({ kind: "identity", text: Buffer.from(text) });

/** Sends `rounds` requests and succeeds; asks before the second. */
function serverMethod(type: number, rounds = 2): ServerMethod<Counting> {
  let received = 0;
  return {
    type,
    begin: (_, id) => [{ kind: "request", packet: request(id, method(type)) }],
    receive(_, id) {
      if (++received === 1 && rounds > 1) return [{ kind: "ask", ask: "go on?" }];
      if (received < rounds) return [{ kind: "request", packet: request(id, method(type)) }];
      return [{ kind: "success", result: RESULT }];
    },
    answer: (answer, id) =>
      answer
        ? [{ kind: "request", packet: request(id, method(type)) }]
        : [{ kind: "failure", refusal: { reason: "No", message: "no", by: "us" } }],
  };
}

function peerMethod(type: number): PeerMethod<Counting> {
  let received = 0;
  return {
    type,
    receive: (bytes) => [{ kind: "response", packet: response(bytes[1]!, method(type, Buffer.from([++received]))) }],
    answer: () => [],
    succeed: () => (received > 0 ? RESULT : undefined),
    fail: () => undefined,
  };
}

function server(...types: number[]): EapAuthenticator<Counting> {
  return new EapAuthenticator<Counting>({
    random: seededRandom(1),
    methods: types.map((type) => ({ type, make: () => serverMethod(type) })),
  });
}

function peer(protectedBelow: boolean, ...types: number[]): EapPeer<Counting> {
  return new EapPeer<Counting>({
    identity: Buffer.from("me@example"),
    protectedBelow,
    methods: types.map((type) => ({ type, make: () => peerMethod(type) })),
  });
}

/** The one packet that is sent. */
function sent(effects: readonly { kind: string; packet?: Buffer }[]): Buffer {
  const packets = effects.filter(({ kind }) => kind === "send" || kind === "failed" || kind === "succeeded");
  assert.equal(packets.length, 1, JSON.stringify(effects));
  return packets[0]!.packet!;
}

function problem(effects: readonly { kind: string; problem?: string }[]): string {
  assert.deepEqual(
    effects.map(({ kind }) => kind),
    ["dropped"],
  );
  return effects[0]!.problem!;
}

test("the server asks for an identity, then runs its method to success under the last identifier", () => {
  const one = server(99);
  const first = sent(one.begin({ kind: "nothing" }));
  const id = first[1]!;
  assert.deepEqual(decodeEap(first), { kind: "request", id, content: identity("") });
  assert.equal(sent(one.receive(response(id, identity("me"))))[1], (id + 1) & 0xff);
  const [asked] = one.receive(response(id + 1, method(99)));
  assert.ok(asked?.kind === "ask");
  assert.equal(sent(one.answer(asked.askId, true))[1], id + 2);
  const effects = one.receive(response(id + 2, method(99)));
  assert.deepEqual(decodeEap(sent(effects)), { kind: "success", id: id + 2 });
  assert.ok(effects[0]?.kind === "succeeded" && effects[0].result === RESULT && one.ended);
  assert.match(problem(one.receive(response(id + 2, method(99)))), /no response is expected/);
});

test("identifiers go round at 256", () => {
  const one = server(99);
  const packet = sent(one.begin({ kind: "response", packet: response(255, identity("me")) }));
  assert.equal(packet[1], 0);
});

test("a conversation cannot begin with anything but an identity", () => {
  for (const packet of [response(1, method(99)), request(1, identity("x")), Buffer.from([2, 1, 0, 9, 1])])
    assert.match(problem(server(99).begin({ kind: "response", packet })), /./);
});

test("responses with another identifier, or of another kind or type than is waited for, are dropped", () => {
  const one = server(99);
  const id = sent(one.begin({ kind: "nothing" }))[1]!;
  assert.match(problem(one.receive(response((id + 1) & 0xff, identity("me")))), /is expected/);
  assert.match(problem(one.receive(response(id, method(99)))), /no identity/);
  assert.match(problem(one.receive(request(id, identity("me")))), /a request from the peer/);
  assert.match(problem(one.receive(Buffer.from([2, id]))), /EAP.length/);
  const next = sent(one.receive(response(id, identity("me"))))[1]!;
  assert.match(problem(one.receive(response(id, identity("me")))), /is expected/);
  assert.match(problem(one.receive(response(next, method(98)))), /another type/);
  assert.match(problem(one.receive(response(next, identity("me")))), /another type/);
  one.receive(response(next, method(99)));
  assert.match(problem(one.receive(response(next, method(99)))), /while an answer is awaited/);
});

test("an identity beyond what an attribute can carry is refused", () => {
  const one = server(99);
  const effects = one.begin({ kind: "identity", identity: Buffer.alloc(1017, 0x61) });
  assert.ok(effects[0]?.kind === "failed" && effects[0].refusal.reason === "IdentityTooLong");
  assert.equal(server(99).begin({ kind: "identity", identity: Buffer.alloc(1016, 0x61) })[0]?.kind, "send");
});

test("Nak leads to the first method that the peer desires and that was not offered yet", () => {
  const one = server(50, 23, 18);
  const offered = sent(one.begin({ kind: "identity", identity: Buffer.from("me") }));
  assert.equal(offered[4], 50);
  const next = sent(one.receive(response(offered[1]!, { kind: "nak", desired: [18, 23] })));
  assert.deepEqual([next[4], next[1]], [23, (offered[1]! + 1) & 0xff]);
  const last = one.receive(response(next[1]!, { kind: "nak", desired: [50, 23] }));
  assert.ok(last[0]?.kind === "failed" && last[0].refusal.reason === "NoCommonMethod");
  assert.deepEqual(decodeEap(sent(last)), { kind: "failure", id: next[1]! });
});

test("an expanded Nak is understood, and a Nak of nothing ends the conversation", () => {
  const one = server(50, 18, 23);
  const offered = sent(one.begin({ kind: "identity", identity: Buffer.from("me") }));
  const desired = [
    { vendor: 9, type: 18 },
    { vendor: 0, type: 23 },
  ];
  const next = sent(one.receive(response(offered[1]!, { kind: "expandedNak", desired })));
  assert.equal(next[4], 23);
  const end = one.receive(response(next[1]!, { kind: "nak", desired: [] }));
  assert.equal(end[0]?.kind, "failed");
});

test("a Nak after the method has begun is dropped", () => {
  const one = server(50, 23);
  const id = sent(one.begin({ kind: "identity", identity: Buffer.from("me") }))[1]!;
  const [asked] = one.receive(response(id, method(50)));
  assert.ok(asked?.kind === "ask");
  const second = sent(one.answer(asked.askId, true))[1]!;
  assert.match(problem(one.receive(response(second, { kind: "nak", desired: [23] }))), /in the midst/);
});

test("a request without an answer is repeated octet for octet, five times, and then given up", () => {
  const one = server(99);
  const first = sent(one.begin({ kind: "nothing" }));
  for (let i = 0; i < 5; i++) assert.equal(sent(one.retransmit()), first);
  const end = one.retransmit();
  assert.ok(end[0]?.kind === "failed" && end[0].refusal.reason === "PeerSilent" && one.ended);
  assert.deepEqual(one.retransmit(), []);
});

test("an answer sets the count of repetitions back, and nothing is repeated while the server itself is busy", () => {
  const one = server(99);
  const id = sent(one.begin({ kind: "nothing" }))[1]!;
  for (let i = 0; i < 5; i++) one.retransmit();
  const next = sent(one.receive(response(id, identity("me"))));
  for (let i = 0; i < 5; i++) assert.equal(sent(one.retransmit()), next);
  one.receive(response(next[1]!, method(99)));
  assert.deepEqual(one.retransmit(), []);
});

test("a method that goes on without end is stopped", () => {
  const one = new EapAuthenticator<Counting>({
    random: seededRandom(1),
    methods: [{ type: 99, make: () => serverMethod(99, 1000) }],
  });
  let effects = one.begin({ kind: "identity", identity: Buffer.from("me") });
  let requests = 0;
  while (!one.ended) {
    const [effect] = effects;
    if (effect?.kind === "ask") effects = one.answer(effect.askId, true);
    else {
      requests++;
      effects = one.receive(response(sent(effects)[1]!, method(99)));
    }
    assert.ok(requests < 100);
  }
  assert.equal(requests, 20);
  assert.ok(effects[0]?.kind === "failed" && effects[0].refusal.reason === "TooManyRounds");
});

test("the peer says its identity, and acknowledges a notice and shows it", () => {
  const one = peer(false, 99);
  assert.deepEqual(decodeEap(sent(one.receive(request(3, identity("who?"))))), {
    kind: "response",
    id: 3,
    content: identity("me@example"),
  });
  const effects = one.receive(request(4, { kind: "notification", text: Buffer.from("closing soon") }));
  assert.ok(effects[0]?.kind === "notice" && effects[0].text.toString() === "closing soon");
  const empty: EapContent = { kind: "notification", text: Buffer.alloc(0) };
  assert.deepEqual(decodeEap(sent(effects)), { kind: "response", id: 4, content: empty });
});

test("the peer refuses a method that it does not have by Nak, an expanded one in its own form", () => {
  const one = peer(false, 99, 50);
  assert.deepEqual(decodeEap(sent(one.receive(request(3, method(4))))), {
    kind: "response",
    id: 3,
    content: { kind: "nak", desired: [99, 50] },
  });
  const expanded: EapContent = { kind: "expanded", type: { vendor: 9, type: 1 }, body: Buffer.alloc(0) };
  assert.deepEqual(decodeEap(sent(one.receive(request(4, expanded)))), {
    kind: "response",
    id: 4,
    content: {
      kind: "expandedNak",
      desired: [
        { vendor: 0, type: 99 },
        { vendor: 0, type: 50 },
      ],
    },
  });
});

test("the peer gives no Nak and no identity once a method has begun", () => {
  const one = peer(false, 99, 50);
  one.receive(request(3, method(99)));
  const expanded: EapContent = { kind: "expanded", type: { vendor: 9, type: 1 }, body: Buffer.alloc(0) };
  for (const content of [method(4), method(50), expanded, identity("")])
    assert.match(problem(one.receive(request(4, content))), /in the midst/);
  assert.equal(sent(one.receive(request(4, method(99))))[1], 4);
});

test("a repeated request draws the same response, and is not processed again", () => {
  const one = peer(false, 99);
  const first = sent(one.receive(request(3, method(99))));
  assert.equal(sent(one.receive(request(3, method(99)))), first);
  assert.equal(first.at(-1), 1);
  assert.equal(sent(one.receive(request(4, method(99)))).at(-1), 2);
});

test("another request under the identifier of the last is dropped", () => {
  const one = peer(false, 99);
  one.receive(request(3, method(99)));
  assert.match(problem(one.receive(request(3, method(99, Buffer.from([1]))))), /another request with the identifier/);
});

test("a request that was dropped does not stand in the way of repeating the one before", () => {
  const one = peer(false, 99);
  const first = sent(one.receive(request(3, method(99))));
  problem(one.receive(request(4, method(50))));
  assert.equal(sent(one.receive(request(3, method(99)))), first);
});

test("success is believed where the method expects it and its identifier is that of the last request", () => {
  const early = peer(false, 99);
  assert.match(problem(early.receive(encodeEap({ kind: "success", id: 0 }))), /nothing has led to/);
  const one = peer(false, 99);
  one.receive(request(3, method(99)));
  assert.match(problem(one.receive(encodeEap({ kind: "success", id: 4 }))), /identifier 4/);
  const effects = one.receive(encodeEap({ kind: "success", id: 3 }));
  assert.ok(effects[0]?.kind === "succeeded" && effects[0].result === RESULT);
  assert.match(problem(one.receive(request(4, method(99)))), /has ended/);
});

test("where the layer below protects packets, identifiers of success and failure do not matter", () => {
  const one = peer(true, 99);
  one.receive(request(3, method(99)));
  assert.equal(one.receive(encodeEap({ kind: "success", id: 7 }))[0]?.kind, "succeeded");
  const other = peer(true, 99);
  other.receive(request(3, method(99)));
  assert.equal(other.receive(encodeEap({ kind: "failure", id: 7 }))[0]?.kind, "failed");
});

test("failure before any method is believed: the server may not know the identity", () => {
  const one = peer(false, 99);
  one.receive(request(3, identity("")));
  const effects = one.receive(encodeEap({ kind: "failure", id: 3 }));
  assert.ok(effects[0]?.kind === "failed" && effects[0].refusal.reason === "RefusedWithoutMethod");
});

test("a failure that the method does not expect is dropped where packets are not protected", () => {
  const one = peer(false, 99);
  one.receive(request(3, method(99)));
  assert.match(problem(one.receive(encodeEap({ kind: "failure", id: 3 }))), /nothing has led to/);
});

test("responses, and octets that are no packet, are dropped by the peer", () => {
  assert.match(problem(peer(false, 99).receive(response(1, identity("x")))), /a response from the server/);
  assert.match(problem(peer(false, 99).receive(Buffer.from([9, 9]))), /EAP.length/);
});
