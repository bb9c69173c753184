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
import {
  agreed,
  converse,
  Device,
  type Direction,
  Operator,
  type Outcome,
  reasons,
  type Settings,
} from "./conversation.ts";
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

test("a challenge or an identity request after authentication is refused by the peer", () => {
  for (const variant of VARIANTS) {
    for (const subtype of ["challenge", "identity", "reauthentication"] as const) {
      const outcome = run({ serverVariants: [variant], peerVariants: [variant] }, false, (packet) => {
        if (packet[0] !== 3) return [packet];
        const block = Buffer.alloc(16);
        const attributes = {
          challenge: { AT_RAND: block, AT_AUTN: block },
          identity: { AT_ANY_ID_REQ: true as const },
          reauthentication: { AT_IV: block, AT_ENCR_DATA: block },
        }[subtype];
        const mac = subtype === "identity" ? undefined : { kAut: block };
        return [encodeAkaMessage("request", variant, packet[1]! + 1, subtype, attributes, mac), packet];
      });
      assert.deepEqual(reasons(outcome)[1], undefined);
      assert.equal(outcome.packets.at(-1)!.packet[5], 14);
      assert.equal(
        outcome.peerOf.receive(Buffer.from([4, outcome.packets.at(-1)!.packet[1]!, 0, 4]))[0]?.kind,
        "failed",
      );
    }
  }
});

test("a response that does not fit what was asked is refused by the server, whatever it is", () => {
  for (const variant of VARIANTS) {
    const auts = { AT_AUTS: Buffer.alloc(14), ...(variant === AKA_PRIME ? { AT_KDF: [1] } : {}) };
    const responses = {
      identity: { AT_IDENTITY: Buffer.from("0") },
      authenticationReject: {},
      synchronizationFailure: auts,
      notification: {},
      challenge: { AT_RES: Buffer.alloc(8) },
      reauthentication: { AT_IV: Buffer.alloc(16), AT_ENCR_DATA: Buffer.alloc(16) },
    } as const;
    const fitting: Record<number, readonly string[]> = {
      5: ["identity"],
      1: ["challenge", "authenticationReject", "synchronizationFailure"],
      13: ["reauthentication"],
    };
    for (const [awaited, fits] of Object.entries(fitting)) {
      for (const [subtype, attributes] of Object.entries(responses)) {
        if (fits.includes(subtype)) continue;
        const mac = subtype === "reauthentication" ? { kAut: Buffer.alloc(16) } : undefined;
        const settings = {
          serverVariants: [variant],
          peerVariants: [variant],
          server: { alwaysAskIdentity: awaited === "5" },
        };
        const outcome = run(settings, awaited === "13", (packet, direction, n) => {
          if (direction === "request" || n !== 1) return [packet];
          return [encodeAkaMessage("response", variant, packet[1]!, subtype as "challenge", attributes, mac)];
        });
        assert.equal(reasons(outcome)[0], "UnexpectedResponse", `${subtype} where ${awaited} is awaited`);
      }
    }
  }
});

test("a message that makes no sense is answered as RFC 4187 6.3 has it: Client-Error, or a notification", () => {
  for (const variant of VARIANTS) {
    const settings = { serverVariants: [variant], peerVariants: [variant] };
    const nonsense = (packet: Buffer) =>
      withOwnLength(Buffer.concat([packet.subarray(0, 8), Buffer.from("7f010000", "hex")]));
    const request = run(settings, false, (packet, way, n) => [
      way === "request" && n === 1 ? nonsense(packet) : packet,
    ]);
    assert.deepEqual(reasons(request), ["ClientError", "MalformedRequest"]);
    const response = run(settings, false, (packet, way, n) => [
      way === "response" && n === 1 ? nonsense(packet) : packet,
    ]);
    assert.deepEqual(reasons(response), ["MalformedResponse", "Notified"]);
  }
});

test("nonsense after the end of a method changes neither success nor failure", () => {
  for (const variant of VARIANTS) {
    const settings = { serverVariants: [variant], peerVariants: [variant], server: { resultIndications: true } };
    const nonsense = (id: number) => Buffer.from([1, id, 0, 12, variant.type, 99, 0, 0, 0x7f, 1, 0, 0]);
    const outcome = run(settings, false, (packet) => (packet[0] === 3 ? [nonsense(packet[1]! + 1), packet] : [packet]));
    agreed(outcome);
    assert.deepEqual(outcome.dropped, ["peer: a request in state ExpectSuccess"]);
  }
});

test("a peer whose USIM refuses every SQN gives up after two synchronization failures", () => {
  const peer = new AkaPeer(AKA, peerOptions(seededRandom(1)), Buffer.from("x"));
  const block = Buffer.alloc(16);
  const subtypes = [1, 2, 3].map((id) => {
    peer.receive(
      encodeAkaMessage("request", AKA, id, "challenge", { AT_RAND: block, AT_AUTN: block }, { kAut: block }),
    );
    const [effect] = peer.answer({ ask: "usim", answer: { kind: "syncFailure", auts: Buffer.alloc(14) } });
    assert.ok(effect?.kind === "response");
    return effect.packet[5];
  });
  assert.deepEqual(subtypes, [4, 4, 14]);
  assert.equal(peer.fail()?.reason, "CannotSynchronize");
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
