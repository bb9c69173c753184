import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeAkaMessage } from "../../../src/eap/aka/message.ts";
import { AkaPeer } from "../../../src/eap/aka/peer.ts";
import type { AkaPeerWorld } from "../../../src/eap/aka/peerTypes.ts";
import { AkaServer } from "../../../src/eap/aka/server.ts";
import type { AkaServerWorld } from "../../../src/eap/aka/serverTypes.ts";
import { AKA, AKA_PRIME } from "../../../src/eap/aka/variant.ts";
import { EapAuthenticator } from "../../../src/eap/authenticator.ts";
import { EapPeer } from "../../../src/eap/peer.ts";
import { seededRandom } from "../../../src/sim/random.ts";
import { mutated, octets, withOwnLength } from "../arbitrary.ts";
import { agreed, converse, Device, type Direction, Operator, type Outcome, type Settings } from "./conversation.ts";
import { peerOptions, serverOptions } from "./options.ts";

const VARIANTS = [AKA, AKA_PRIME];
const VARIED: readonly Settings[] = VARIANTS.flatMap((variant) => [
  { serverVariants: [variant], peerVariants: [variant] },
  { serverVariants: [variant], peerVariants: [variant], server: { resultIndications: true, alwaysAskIdentity: true } },
]);

/** No two ends that believe in success may believe in different keys. */
function noDisagreement(outcome: Outcome): void {
  const { server, peer } = outcome;
  if (server === undefined || peer === undefined || "reason" in server || "reason" in peer) return;
  agreed(outcome);
}

test("through loss, doubling and reordering both ends agree, and each vector is used once", () => {
  for (let seed = 0; seed < 100; seed++) {
    for (const settings of VARIED) {
      const random = seededRandom(`link ${seed}`);
      const [operator, device] = [new Operator(seed), new Device()];
      let held: Buffer[] = [];
      const link: Settings["link"] = (packet) => {
        if (random.chance(0.15)) return [];
        const late = held;
        held = [];
        if (random.chance(0.1)) {
          held = [];
          return [packet, packet, ...late.filter((old) => old[0] === packet[0])];
        }
        if (random.chance(0.1)) held = [packet];
        return [packet, ...late.filter((old) => old[0] === packet[0])];
      };
      // The last packet has no answer, so nobody repeats it: whoever uses EAP bare lives with that (RFC 3748 4.2).
      const lastArrives: Settings["link"] = (packet, direction, n) =>
        packet[0]! > 2 ? [packet] : link(packet, direction, n);
      for (let round = 0; round < 3; round++) {
        const outcome = converse(operator, device, { ...settings, seed: `${seed} ${round}`, link: lastArrives });
        if (outcome.server !== undefined && "reason" in outcome.server) {
          assert.equal(outcome.server.reason, "PeerSilent", `seed ${seed}`);
          continue;
        }
        agreed(outcome);
      }
      assert.ok(operator.vectors <= 3, "a repetition drew another vector");
    }
  }
});

test("whatever single bit is changed on the way, the ends never hold different keys", () => {
  for (const settings of VARIED) {
    for (const warm of [false, true]) {
      const unharmed = run(settings, warm, undefined);
      agreed(unharmed);
      const counts = { request: 0, response: 0 };
      for (const { direction, packet } of unharmed.packets) {
        const n = counts[direction]++;
        for (let at = 0; at < packet.length; at++) {
          const outcome = run(settings, warm, (bytes, way, count) => {
            if (way !== direction || count !== n) return [bytes];
            const changed = Buffer.from(bytes);
            changed[at % changed.length]! ^= 1 << (at % 8);
            return [changed];
          });
          noDisagreement(outcome);
        }
      }
    }
  }
});

/** One conversation; a warm one begins with what an earlier one taught. */
function run(settings: Settings, warm: boolean, link: Settings["link"]): Outcome {
  const [operator, device] = [new Operator(1), new Device()];
  if (warm) agreed(converse(operator, device, settings));
  return converse(operator, device, link === undefined ? settings : { ...settings, link });
}

test("packets replaced by strange ones at any place neither throw nor lead to different keys", () => {
  const strange = fc.oneof(octets(0, 60), mutated(fc.constantFrom(...samples())).map(withOwnLength));
  fc.assert(
    fc.property(
      fc.constantFrom(...VARIED),
      fc.boolean(),
      fc.constantFrom<Direction>("request", "response"),
      fc.nat({ max: 4 }),
      fc.array(strange, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      (settings, warm, direction, at, packets, keep) => {
        const outcome = run(settings, warm, (packet, way, n) => {
          if (way !== direction || n !== at) return [packet];
          // With the identifier that is waited for, so that they are looked at.
          const fitting = packets.map((one) => (one.length > 1 ? Buffer.from(one).fill(packet[1]!, 1, 2) : one));
          return keep ? [...fitting, packet] : fitting;
        });
        noDisagreement(outcome);
      },
    ),
    { numRuns: 400 },
  );
});

/** Packets of real conversations, as material to damage. */
function samples(): Buffer[] {
  return VARIED.flatMap((settings) => run(settings, true, undefined).packets.map(({ packet }) => packet));
}

test("a peer that never comes to the point is left after a bounded number of rounds", () => {
  for (const variant of VARIANTS) {
    const random = seededRandom(1);
    const server = new EapAuthenticator<AkaServerWorld>({
      random,
      methods: [{ type: variant.type, make: () => new AkaServer(variant, serverOptions(random)) }],
    });
    const answers = ["1", "2", "4", "7", "8", "0", "6"].map((digit) => Buffer.from(`${digit}nobody@example`));
    let requests = 0;
    let effects = server.begin({ kind: "nothing" });
    while (!server.ended) {
      const [effect] = effects;
      assert.ok(effect !== undefined && requests < 50);
      if (effect.kind === "ask") {
        const { ask } = effect.ask;
        assert.ok(ask === "resolvePseudonym" || ask === "takeReauth");
        const answer = ask === "takeReauth" ? { ask, context: undefined } : { ask, imsi: undefined };
        effects = server.answer(effect.askId, answer);
        continue;
      }
      assert.ok(effect.kind === "send");
      const id = effect.packet[1]!;
      const identity = answers[requests++ % answers.length]!;
      effects = server.receive(
        effect.packet[4] === 1
          ? Buffer.concat([Buffer.from([2, id, 0, 5 + identity.length, 1]), identity])
          : encodeAkaMessage("response", variant, id, "identity", { AT_IDENTITY: identity }),
      );
    }
    assert.ok(requests <= 6, `${requests} requests`);
  }
});

test("a server that asks for identities without end, or in the wrong order, is left by the peer", () => {
  const requests = {
    any: { AT_ANY_ID_REQ: true },
    full: { AT_FULLAUTH_ID_REQ: true },
    permanent: { AT_PERMANENT_ID_REQ: true },
  } as const;
  const orders: [readonly (keyof typeof requests)[], boolean][] = [
    [["any", "full", "permanent"], true],
    [["full", "permanent"], true],
    [["permanent"], true],
    [["any", "any"], false],
    [["full", "any"], false],
    [["full", "full"], false],
    [["permanent", "full"], false],
    [["any", "permanent", "permanent"], false],
  ];
  for (const [order, fine] of orders) {
    const peer = new AkaPeer(AKA, peerOptions(seededRandom(1)), Buffer.from("x"));
    const subtypes = order.map((name, id) => {
      const [effect] = peer.receive(encodeAkaMessage("request", AKA, id, "identity", requests[name]));
      assert.ok(effect?.kind === "response");
      return effect.packet[5];
    });
    assert.equal(subtypes.includes(14), !fine, order.join(" "));
  }
  for (const attributes of [{}, { ...requests.any, ...requests.full }]) {
    const peer = new AkaPeer(AKA, peerOptions(seededRandom(1)), Buffer.from("x"));
    const [effect] = peer.receive(encodeAkaMessage("request", AKA, 1, "identity", attributes));
    assert.ok(effect?.kind === "response" && effect.packet[5] === 14);
  }
});

test("a server that notifies twice, or asks for an identity after a challenge, is left by the peer", () => {
  const once = new AkaPeer(AKA, peerOptions(seededRandom(1)), Buffer.from("x"));
  const notify = (id: number) => encodeAkaMessage("request", AKA, id, "notification", { AT_NOTIFICATION: 16384 });
  assert.equal(once.receive(notify(1))[0]?.kind, "response");
  assert.equal(once.fail()?.reason, "Notified");
  assert.equal(once.receive(notify(2))[0]?.kind, "discard");

  const rejecting = new AkaPeer(AKA, peerOptions(seededRandom(1)), Buffer.from("x"));
  const block = Buffer.alloc(16);
  const challenge = { AT_RAND: block, AT_AUTN: block };
  rejecting.receive(encodeAkaMessage("request", AKA, 1, "challenge", challenge, { kAut: block }));
  rejecting.answer({ ask: "usim", answer: { kind: "syncFailure", auts: Buffer.alloc(14) } });
  const [effect] = rejecting.receive(encodeAkaMessage("request", AKA, 2, "identity", { AT_ANY_ID_REQ: true }));
  assert.ok(effect?.kind === "response" && effect.packet[5] === 14);
  assert.equal(rejecting.fail()?.reason, "IdentityRequestOutOfOrder");
});

test("a server that sends requests without end is left by the peer", () => {
  const random = seededRandom(1);
  const peer = new EapPeer<AkaPeerWorld>({
    identity: Buffer.from("x"),
    protectedBelow: true,
    methods: [{ type: 23, make: (identity) => new AkaPeer(AKA, peerOptions(random), identity) }],
  });
  const kinds = Array.from({ length: 30 }, (_, id) => peer.receive(Buffer.from([1, id, 0, 5, 2]))[1]?.kind);
  assert.equal(kinds.filter((kind) => kind === "send").length, 20);
  assert.match(String(peer.receive(Buffer.from([1, 99, 0, 5, 2]))[0]?.kind), /dropped/);
});

test("answers that come late, twice, or to another question change nothing", () => {
  const random = seededRandom(1);
  const server = new EapAuthenticator<AkaServerWorld>({
    random,
    methods: [{ type: 23, make: () => new AkaServer(AKA, serverOptions(random)) }],
  });
  const [asked] = server.begin({ kind: "identity", identity: Buffer.from("0001010123456789@x") });
  assert.ok(asked?.kind === "ask");
  const kinds = (effects: readonly { kind: string }[]) => effects.map(({ kind }) => kind);
  assert.deepEqual(kinds(server.answer(asked.askId + 1, { ask: "resolvePseudonym", imsi: "x" })), ["dropped"]);
  const answer = { ask: "vector", refusal: "Unavailable", message: "the HSS is silent" } as const;
  assert.deepEqual(kinds(server.answer(asked.askId, answer)), ["send"]);
  assert.deepEqual(kinds(server.answer(asked.askId, answer)), ["dropped"]);

  const confused = new AkaServer(AKA, serverOptions(random));
  confused.begin(Buffer.from("0001010123456789@x"), 1);
  for (const wrong of [
    { ask: "resolvePseudonym", imsi: "001010123456789" },
    { ask: "takeReauth", context: undefined },
    { ask: "authorize", verdict: "allowed" },
  ] as const)
    assert.deepEqual(kinds(confused.answer(wrong, 2)), ["discard"]);
  const peer = new AkaPeer(AKA, peerOptions(random), Buffer.from("x"));
  assert.deepEqual(kinds(peer.answer({ ask: "usim", answer: { kind: "macFailure" } })), ["discard"]);
});
