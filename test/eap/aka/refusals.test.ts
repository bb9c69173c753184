import assert from "node:assert/strict";
import { test } from "node:test";
import type { Attributes } from "../../../src/eap/aka/attributes.ts";
import { permanentIdentity } from "../../../src/eap/aka/identity.ts";
import { type AkaKeys, akaKeys, akaPrimeKeys, deriveCkIkPrime } from "../../../src/eap/aka/keys.ts";
import { decodeAkaMessage, encodeAkaMessage, encryptAttributes } from "../../../src/eap/aka/message.ts";
import type { AkaServerAnswer } from "../../../src/eap/aka/serverTypes.ts";
import { AKA, AKA_PRIME, type AkaVariant, KDF_1, type KeyDerivation } from "../../../src/eap/aka/variant.ts";
import { AMF_PLAIN, makeVector } from "../../../src/eap/authenticationVector.ts";
import { milenage } from "../../../src/eap/milenage.ts";
import { decodeEap, encodeEap } from "../../../src/eap/packet.ts";
import {
  agreed,
  converse,
  Device,
  type Direction,
  IMSI,
  Operator,
  type Outcome,
  REALM,
  reasons,
  type Settings,
  shapes,
} from "./conversation.ts";

const VARIANTS = [AKA, AKA_PRIME];
const only = (variant: (typeof VARIANTS)[number]): Settings => ({ serverVariants: [variant], peerVariants: [variant] });

/** Changes the n-th packet of a direction. */
function change(direction: Direction, at: number, edit: (packet: Buffer) => Buffer): NonNullable<Settings["link"]> {
  return (packet, way, n) => [way === direction && n === at ? edit(packet) : packet];
}

function flipped(packet: Buffer, at: number): Buffer {
  const changed = Buffer.from(packet);
  changed[at < 0 ? changed.length + at : at]! ^= 1;
  return changed;
}

function refusalOf(end: Outcome["server"]) {
  assert.ok(end !== undefined && "reason" in end);
  return end;
}

for (const variant of VARIANTS) {
  const { type, name } = variant;

  test(`${name}: a USIM with another key rejects the network`, () => {
    const device = new Device();
    device.functions = milenage(Buffer.alloc(16, 5), Buffer.alloc(16, 6));
    const outcome = converse(new Operator(1), device, only(variant));
    assert.deepEqual(reasons(outcome), ["AuthenticationRejected", "NetworkNotAuthentic"]);
    assert.deepEqual(shapes(outcome).slice(-2), [`response ${type}/2`, "failure"]);
  });

  test(`${name}: a RES that is wrong under right keys is refused, and the peer is told no more than failure`, () => {
    const device = new Device();
    device.override = (ask) => {
      device.override = undefined;
      const { answer } = device.answer(ask);
      assert.ok(answer.kind === "authenticated");
      return { ...answer, res: flipped(answer.res, 0) };
    };
    const outcome = converse(new Operator(1), device, only(variant));
    assert.deepEqual(reasons(outcome), ["WrongRes", "Notified"]);
    assert.deepEqual(refusalOf(outcome.peer).evidence, { code: 16384 });
    assert.deepEqual(shapes(outcome).slice(-3), [`request ${type}/12`, `response ${type}/12`, "failure"]);
  });

  test(`${name}: a RES that is only the beginning of the right one is refused`, () => {
    const device = new Device();
    device.override = (ask) => {
      device.override = undefined;
      const { answer } = device.answer(ask);
      assert.ok(answer.kind === "authenticated");
      return { ...answer, res: answer.res.subarray(0, 4) };
    };
    assert.equal(reasons(converse(new Operator(1), device, only(variant)))[0], "WrongRes");
  });

  test(`${name}: a challenge whose AT_MAC is wrong is not answered with RES`, () => {
    const outcome = converse(new Operator(1), new Device(), {
      ...only(variant),
      link: change("request", 1, (packet) => flipped(packet, -1)),
    });
    assert.deepEqual(reasons(outcome), ["ClientError", "WrongMac"]);
    assert.equal(shapes(outcome)[3], `response ${type}/14`);
  });

  test(`${name}: an answer to the challenge whose AT_MAC is wrong is refused`, () => {
    const outcome = converse(new Operator(1), new Device(), {
      ...only(variant),
      link: change("response", 1, (packet) => flipped(packet, -1)),
    });
    assert.deepEqual(reasons(outcome), ["WrongMac", "Notified"]);
  });

  test(`${name}: a challenge that is replayed draws a synchronization failure, never RES again`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    const settings = { ...only(variant), server: { maxReauthentications: 0 } };
    let replayed: AkaServerAnswer | undefined;
    operator.override = (ask) => {
      if (ask.ask !== "vector") return undefined;
      if (replayed === undefined) {
        const { override } = operator;
        operator.override = undefined;
        replayed = operator.answer(ask);
        operator.override = override;
      }
      return replayed;
    };
    agreed(converse(operator, device, settings));
    const outcome = converse(operator, device, settings);
    const subtypes = shapes(outcome).filter((shape) => shape.startsWith(`response ${type}`));
    assert.deepEqual(subtypes, [`response ${type}/4`, `response ${type}/4`, `response ${type}/12`]);
    assert.deepEqual(reasons(outcome), ["CannotSynchronize", "Notified"]);
  });

  test(`${name}: a USIM that never accepts SQN is given up after one resynchronization`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    device.override = () => ({ kind: "syncFailure", auts: Buffer.alloc(14) });
    operator.override = (ask) => {
      if (ask.ask !== "vector") return undefined;
      const vector = makeVector(operator.functions, Buffer.alloc(16, 1), 32, Buffer.from("8000", "hex"));
      return { ask: "vector", vector };
    };
    const outcome = converse(operator, device, only(variant));
    assert.deepEqual(reasons(outcome), ["CannotSynchronize", "Notified"]);
    assert.equal(device.asks, 2);
  });

  test(`${name}: a forged AUTS is refused by the HSS`, () => {
    const device = new Device();
    device.override = () => ({ kind: "syncFailure", auts: Buffer.alloc(14) });
    assert.deepEqual(reasons(converse(new Operator(1), device, only(variant))), ["WrongAuts", "Notified"]);
  });

  test(`${name}: an unknown subscriber is refused before any challenge`, () => {
    const outcome = converse(new Operator(1), new Device(), { ...only(variant), peer: { imsi: "001019999999999" } });
    assert.deepEqual(reasons(outcome), ["UnknownSubscriber", "Notified"]);
    assert.deepEqual(shapes(outcome).slice(2), [`request ${type}/12`, `response ${type}/12`, "failure"]);
  });

  test(`${name}: a vector of wrong lengths from the HSS is not sent on`, () => {
    for (const part of ["rand", "autn", "xres", "ck", "ik"] as const) {
      const operator = new Operator(1);
      operator.override = (ask) => {
        if (ask.ask !== "vector") return undefined;
        const vector = makeVector(operator.functions, Buffer.alloc(16, 1), 32, Buffer.from("8000", "hex"));
        return { ask: "vector", vector: { ...vector, [part]: Buffer.alloc(3) } };
      };
      const outcome = converse(operator, new Device(), only(variant));
      assert.equal(reasons(outcome)[0], "BadVector");
      assert.match(refusalOf(outcome.server).message, new RegExp(part, "i"));
    }
  });

  test(`${name}: an identity that leads nowhere is asked for, and then refused`, () => {
    for (const identity of ["", "anonymous@example", "0", "0abc@x", `0${"1".repeat(16)}@x`, "2", "9001010123456789"]) {
      const outcome = converse(new Operator(1), new Device(), {
        ...only(variant),
        identity,
        link: (packet, direction) => {
          if (direction === "request" || packet[5] !== 5 || packet[4] !== type) return [packet];
          const { id } = decodeEap(packet);
          return [encodeAkaMessage("response", variant, id, "identity", { AT_IDENTITY: Buffer.from(identity) })];
        },
      });
      assert.equal(reasons(outcome)[0], "NoUsableIdentity", identity);
    }
  });

  test(`${name}: an identity of another kind than was asked for is refused`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, only(variant)));
    const { reauth, pseudonym } = device.remembered.get(type)!;
    operator.pseudonyms.clear();
    operator.reauths.clear();
    for (const identity of [reauth!.identity, pseudonym!]) {
      const outcome = converse(operator, device, {
        ...only(variant),
        link: (packet, direction) => {
          if (direction === "request" || packet[5] !== 5 || packet[4] !== type) return [packet];
          const { id } = decodeEap(packet);
          return [encodeAkaMessage("response", variant, id, "identity", { AT_IDENTITY: Buffer.from(identity) })];
        },
      });
      assert.equal(reasons(outcome)[0], "NoUsableIdentity");
    }
  });

  test(`${name}: a change of an AKA-Identity message is found by AT_CHECKCODE, or changes nothing`, () => {
    const settings = { ...only(variant), server: { alwaysAskIdentity: true } };
    // The reserved octets of AT_ANY_ID_REQ mean nothing, so only the checkcode can tell.
    const outcome = converse(new Operator(1), new Device(), {
      ...settings,
      link: change("request", 1, (packet) => flipped(packet, -1)),
    });
    assert.deepEqual(reasons(outcome), ["ClientError", "WrongCheckcode"]);
  });

  test(`${name}: the server checks AT_CHECKCODE too`, () => {
    for (const AT_CHECKCODE of [Buffer.alloc(0), Buffer.alloc(20), Buffer.alloc(32)]) {
      const device = new Device();
      let challenge: Buffer | undefined;
      const outcome = converse(new Operator(1), device, {
        ...only(variant),
        server: { alwaysAskIdentity: true },
        link: (packet, direction, n) => {
          if (direction === "request" && n === 2) challenge = packet;
          if (direction === "request" || n !== 2) return [packet];
          const { AT_RES } = decodeAkaMessage("response", variant, packet).attributes;
          const { kAut } = keysOf(variant, device, challenge!);
          return [
            encodeAkaMessage("response", variant, packet[1]!, "challenge", { AT_RES: AT_RES!, AT_CHECKCODE }, { kAut }),
          ];
        },
      });
      assert.equal(reasons(outcome)[0], "WrongCheckcode");
    }
  });

  test(`${name}: a result indication that the server did not offer is not taken for agreed`, () => {
    const device = new Device();
    let challenge: Buffer | undefined;
    const outcome = converse(new Operator(1), device, {
      ...only(variant),
      link: (packet, direction, n) => {
        if (direction === "request" && n === 1) challenge = packet;
        if (direction === "request" || n !== 1) return [packet];
        const { AT_MAC: _, ...rest } = decodeAkaMessage("response", variant, packet).attributes;
        const { kAut } = keysOf(variant, device, challenge!);
        return [
          encodeAkaMessage("response", variant, packet[1]!, "challenge", { ...rest, AT_RESULT_IND: true }, { kAut }),
        ];
      },
    });
    agreed(outcome);
    assert.equal(shapes(outcome).at(-2), `response ${type}/1`);
  });

  test(`${name}: a peer may keep its permanent identity to itself once it has a pseudonym`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    const settings = { ...only(variant), peer: { revealPermanent: false }, server: { maxReauthentications: 0 } };
    agreed(converse(operator, device, settings));
    agreed(converse(operator, device, settings));
    operator.pseudonyms.clear();
    assert.deepEqual(reasons(converse(operator, device, settings)), ["ClientError", "PermanentIdentityWithheld"]);
  });

  test(`${name}: a subscriber that may not enter is told so under the protection of the new keys`, () => {
    for (const [authorization, code, reason] of [
      ["notSubscribed", 1031, "NotSubscribed"],
      ["temporarilyDenied", 1026, "TemporarilyDenied"],
    ] as const) {
      const [operator, device] = [new Operator(1), new Device()];
      const settings = { ...only(variant), server: { authorize: true } };
      operator.authorization = authorization;
      const full = converse(operator, device, settings);
      const fast = converse(operator, device, settings);
      assert.ok(shapes(fast).includes(`request ${type}/13`));
      for (const outcome of [full, fast]) {
        assert.deepEqual(reasons(outcome), [reason, "Notified"]);
        assert.deepEqual(refusalOf(outcome.peer).evidence, { code });
        const notification = outcome.packets.at(-3)!.packet;
        assert.ok(decodeAkaMessage("request", variant, notification).macOffset !== undefined);
      }
    }
  });

  test(`${name}: a notification after authentication that is changed, forged or unprotected is not believed`, () => {
    const settings = { ...only(variant), server: { resultIndications: true } };
    for (const edit of [
      (packet: Buffer) => flipped(packet, -1),
      (packet: Buffer) => encodeAkaMessage("request", variant, packet[1]!, "notification", { AT_NOTIFICATION: 32768 }),
      (packet: Buffer) => encodeAkaMessage("request", variant, packet[1]!, "notification", { AT_NOTIFICATION: 0xc000 }),
    ]) {
      const outcome = converse(new Operator(1), new Device(), { ...settings, link: change("request", 2, edit) });
      assert.equal(reasons(outcome)[0], "ClientError");
      assert.match(reasons(outcome)[1]!, /WrongMac|MalformedRequest/);
    }
  });

  test(`${name}: a success that was indicated but not acknowledged with the keys is no success`, () => {
    const settings = { ...only(variant), server: { resultIndications: true } };
    const outcome = converse(new Operator(1), new Device(), {
      ...settings,
      link: change("response", 2, (packet) => flipped(packet, -1)),
    });
    assert.equal(reasons(outcome)[0], "WrongMac");
  });

  test(`${name}: the counter in a notification after fast re-authentication is checked by both ends`, () => {
    const settings = { ...only(variant), server: { resultIndications: true } };
    for (const direction of ["request", "response"] as const) {
      for (const counter of [undefined, 0, 2]) {
        const [operator, device] = [new Operator(1), new Device()];
        agreed(converse(operator, device, settings));
        const { kAut, kEncr } = device.remembered.get(type)!.reauth!;
        const encrypted =
          counter === undefined ? {} : encryptAttributes(kEncr, Buffer.alloc(16), { AT_COUNTER: counter });
        const attributes = direction === "request" ? { AT_NOTIFICATION: 32768, ...encrypted } : encrypted;
        const forge = (packet: Buffer) =>
          encodeAkaMessage(direction, variant, packet[1]!, "notification", attributes, { kAut });
        const outcome = converse(operator, device, { ...settings, link: change(direction, 2, forge) });
        const [server, peer] = reasons(outcome);
        if (direction === "request") assert.equal(peer, counter === undefined ? "MalformedRequest" : "WrongMac");
        else assert.equal(server, counter === undefined ? "MalformedResponse" : "WrongMac");
      }
    }
  });

  test(`${name}: EAP-Success before the success that was agreed on is ignored`, () => {
    const settings = { ...only(variant), server: { resultIndications: true } };
    const outcome = converse(new Operator(1), new Device(), {
      ...settings,
      link: (packet, direction, n) => {
        if (direction === "request" && n === 2) return [encodeEap({ kind: "success", id: packet[1]! - 1 }), packet];
        return [packet];
      },
    });
    agreed(outcome);
    assert.deepEqual(outcome.dropped, ["peer: a success that nothing has led to"]);
  });

  test(`${name}: EAP-Failure from nowhere is ignored where packets are not protected, and believed where they are`, () => {
    const forged: Settings["link"] = (packet, direction, n) =>
      direction === "request" && n === 1 ? [packet, encodeEap({ kind: "failure", id: packet[1]! })] : [packet];
    const open = converse(new Operator(1), new Device(), { ...only(variant), link: forged });
    agreed(open);
    assert.deepEqual(open.dropped, ["peer: a failure that nothing has led to"]);
    const inside = converse(new Operator(1), new Device(), { ...only(variant), link: forged, protectedBelow: true });
    assert.equal(reasons(inside)[1], "UnexplainedFailure");
  });

  test(`${name}: EAP-Success in answer to nothing, or before authentication, is ignored`, () => {
    const early: Settings["link"] = (packet, direction, n) =>
      direction === "request" && n === 1 ? [encodeEap({ kind: "success", id: packet[1]! - 1 }), packet] : [packet];
    const outcome = converse(new Operator(1), new Device(), { ...only(variant), link: early });
    agreed(outcome);
    assert.equal(outcome.dropped.length, 1);
  });

  test(`${name}: a card that is gone ends the conversation with its message`, () => {
    const device = new Device();
    device.override = () => ({ kind: "unavailable", message: "no card in the reader" });
    const outcome = converse(new Operator(1), device, only(variant));
    assert.deepEqual(reasons(outcome), ["ClientError", "UsimUnavailable"]);
    assert.equal(refusalOf(outcome.peer).message, "no card in the reader");
  });

  test(`${name}: a fast re-authentication with wrong AT_MAC on either side is refused`, () => {
    for (const direction of ["request", "response"] as const) {
      const [operator, device] = [new Operator(1), new Device()];
      agreed(converse(operator, device, only(variant)));
      const link = change(direction, 1, (packet) => flipped(packet, -1));
      const outcome = converse(operator, device, { ...only(variant), link });
      const expected = direction === "request" ? ["ClientError", "WrongMac"] : ["WrongMac", "Notified"];
      assert.deepEqual(reasons(outcome), expected);
      // What was given for one use is used up: the next time a full authentication follows.
      assert.ok(!agreed(converse(operator, device, only(variant))).reauthentication);
    }
  });

  test(`${name}: a fast re-authentication that the peer did not ask for is refused`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, only(variant)));
    const known = device.remembered.get(type)!;
    device.remembered.set(type, { ...known, reauth: undefined });
    const identity = known.reauth!.identity;
    const outcome = converse(operator, device, { ...only(variant), identity });
    assert.deepEqual(reasons(outcome), ["ClientError", "NoReauthentication"]);
  });
}

// ---- EAP-AKA' alone (RFC 9048) ----

/** A function that nobody else has, so that there is something to negotiate. */
const OTHER: KeyDerivation = { kdf: 65280, derive: (identity, ck, ik) => KDF_1.derive(identity, ik, ck) };
const prime = only(AKA_PRIME);

test("EAP-AKA': a peer that does not know the first function chooses another, and both use it", () => {
  const outcome = converse(new Operator(1), new Device(), { ...prime, server: { keyDerivations: [OTHER, KDF_1] } });
  agreed(outcome);
  const expected = ["request 50/1", "response 50/1", "request 50/1", "response 50/1", "success"];
  assert.deepEqual(shapes(outcome).slice(2), expected);
  const kdfs = [2, 4].map((n) => decodeAkaMessage("request", AKA_PRIME, outcome.packets[n]!.packet).attributes);
  assert.deepEqual(
    kdfs.map(({ AT_KDF }) => AT_KDF),
    [
      [65280, 1],
      [1, 65280, 1],
    ],
  );
});

test("EAP-AKA': the function chosen stays chosen through a resynchronization", () => {
  const device = new Device();
  device.array = device.array.map(() => 5000);
  const settings = { ...prime, server: { keyDerivations: [OTHER, KDF_1] } };
  const outcome = converse(new Operator(1), device, settings);
  agreed(outcome);
  assert.equal(shapes(outcome).filter((shape) => shape === "request 50/1").length, 3);
});

test("EAP-AKA': a function that both know is used without negotiation", () => {
  const both = { keyDerivations: [OTHER, KDF_1] };
  const outcome = converse(new Operator(1), new Device(), { ...prime, server: both, peer: both });
  agreed(outcome);
  assert.equal(shapes(outcome).length, 5);
});

test("EAP-AKA': no function in common is as bad as a wrong AUTN", () => {
  const outcome = converse(new Operator(1), new Device(), { ...prime, server: { keyDerivations: [OTHER] } });
  assert.deepEqual(reasons(outcome), ["AuthenticationRejected", "NoCommonKdf"]);
});

test("EAP-AKA': a list of functions that is changed after the choice is found out", () => {
  const settings = { ...prime, server: { keyDerivations: [OTHER, KDF_1] } };
  for (const list of [
    [1, 1],
    [1, 65280],
    [65280, 65280, 1],
    [1, 65280, 1, 2],
    [65280, 1],
  ]) {
    const outcome = converse(new Operator(1), new Device(), {
      ...settings,
      link: change("request", 2, (packet) => withKdfs(packet, list)),
    });
    assert.deepEqual(reasons(outcome), ["ClientError", "KdfListChanged"], String(list));
  }
});

test("EAP-AKA': a list that was cut to bid down does not survive AT_MAC", () => {
  const both = { keyDerivations: [OTHER, KDF_1] };
  const outcome = converse(new Operator(1), new Device(), {
    ...prime,
    server: both,
    peer: both,
    link: change("request", 1, (packet) => withKdfs(packet, [1])),
  });
  assert.deepEqual(reasons(outcome), ["ClientError", "WrongMac"]);
});

test("EAP-AKA': a list with a function twice, or none, is as bad as a wrong AUTN", () => {
  for (const [list, reason] of [
    [[1, 1], "KdfTwice"],
    [[], "NoKdf"],
  ] as const) {
    const outcome = converse(new Operator(1), new Device(), {
      ...prime,
      link: change("request", 1, (packet) => withKdfs(packet, list)),
    });
    assert.deepEqual(reasons(outcome), ["AuthenticationRejected", reason]);
  }
});

test("EAP-AKA': a choice of the first function, of one not offered, of two, or a second choice is refused", () => {
  const settings = { ...prime, server: { keyDerivations: [OTHER, KDF_1] } };
  const choose =
    (...lists: number[][]): NonNullable<Settings["link"]> =>
    (packet, direction, n) => {
      const list = direction === "response" ? lists[n - 1] : undefined;
      return [
        list === undefined
          ? packet
          : encodeAkaMessage("response", AKA_PRIME, packet[1]!, "challenge", { AT_KDF: list }),
      ];
    };
  for (const link of [choose([65280]), choose([7]), choose([1, 65280]), choose([1], [1])]) {
    const outcome = converse(new Operator(1), new Device(), { ...settings, link });
    assert.equal(reasons(outcome)[0], "WrongKdf");
  }
});

test("EAP-AKA': a synchronization failure must bring back the list that was offered", () => {
  const device = new Device();
  device.array = device.array.map(() => 5000);
  for (const AT_KDF of [[], [2], [1, 2]]) {
    const outcome = converse(new Operator(1), device, {
      ...prime,
      link: change("response", 1, (packet) => {
        const { AT_AUTS } = decodeAkaMessage("response", AKA_PRIME, packet).attributes;
        return encodeAkaMessage("response", AKA_PRIME, packet[1]!, "synchronizationFailure", {
          AT_AUTS: AT_AUTS!,
          AT_KDF,
        });
      }),
    });
    assert.equal(reasons(outcome)[0], "WrongKdf");
  }
});

test("EAP-AKA': another network than the device is in is as bad as a wrong AUTN", () => {
  const outcome = converse(new Operator(1), new Device(), { ...prime, peer: { networkName: "HRPD" } });
  assert.deepEqual(reasons(outcome), ["AuthenticationRejected", "WrongNetworkName"]);
  agreed(converse(new Operator(1), new Device(), { ...prime, peer: { networkName: undefined } }));
  const nameless = converse(new Operator(1), new Device(), { ...prime, server: { networkName: "" } });
  assert.deepEqual(reasons(nameless), ["AuthenticationRejected", "NoNetworkName"]);
});

test("EAP-AKA': a network name that is changed on the way gives other keys", () => {
  const outcome = converse(new Operator(1), new Device(), {
    ...prime,
    peer: { networkName: undefined },
    link: change("request", 1, (packet) => {
      const at = packet.indexOf("WLAN");
      return Buffer.concat([packet.subarray(0, at), Buffer.from("HRPD"), packet.subarray(at + 4)]);
    }),
  });
  assert.deepEqual(reasons(outcome), ["ClientError", "WrongMac"]);
});

test("EAP-AKA': a vector without the separation bit is as bad as a wrong AUTN, and USIM is not asked", () => {
  const [operator, device] = [new Operator(1), new Device()];
  operator.override = (ask) => {
    if (ask.ask !== "vector") return undefined;
    return { ask: "vector", vector: makeVector(operator.functions, Buffer.alloc(16, 1), 32, AMF_PLAIN) };
  };
  assert.deepEqual(reasons(converse(operator, device, prime)), ["AuthenticationRejected", "NotSeparated"]);
  assert.equal(device.asks, 0);
});

// ---- Bidding down (RFC 9048 4) ----

test("a man in the middle who makes both choose EAP-AKA is found out by a peer that knows both", () => {
  const outcome = converse(new Operator(1), new Device(), {
    serverVariants: [AKA_PRIME, AKA],
    peerVariants: [AKA_PRIME, AKA],
    // He answers the offer of EAP-AKA' in the peer's name; the peer's own answer never arrives.
    link: (packet, direction) => {
      if (direction === "request" || packet[4] !== AKA_PRIME.type) return [packet];
      return [encodeEap({ kind: "response", id: packet[1]!, content: { kind: "nak", desired: [AKA.type] } })];
    },
  });
  // The peer is in the midst of EAP-AKA' and takes no other method (RFC 3748 2.1).
  assert.deepEqual(reasons(outcome), ["PeerSilent", undefined]);
});

test("an offer of EAP-AKA that says EAP-AKA' was preferred is rejected by a peer that knows both", () => {
  const outcome = converse(new Operator(1), new Device(), {
    serverVariants: [AKA],
    peerVariants: [AKA_PRIME, AKA],
    server: { prefersAkaPrime: true },
  });
  assert.deepEqual(reasons(outcome), ["AuthenticationRejected", "BiddingDown"]);
});

test("AT_BIDDING does not trouble a peer that knows EAP-AKA only, nor one whose server has EAP-AKA only", () => {
  agreed(converse(new Operator(1), new Device(), { ...only(AKA), server: { prefersAkaPrime: true } }));
  agreed(converse(new Operator(1), new Device(), { serverVariants: [AKA], peerVariants: [AKA_PRIME, AKA] }));
});

test("AT_BIDDING cannot be taken away unseen", () => {
  const outcome = converse(new Operator(1), new Device(), {
    serverVariants: [AKA],
    peerVariants: [AKA_PRIME, AKA],
    server: { prefersAkaPrime: true },
    link: (packet, direction) => {
      if (direction === "response" || packet[4] !== 23 || packet[5] !== 1) return [packet];
      const at = packet.indexOf(Buffer.from("88018000", "hex"));
      const cut = Buffer.concat([packet.subarray(0, at), packet.subarray(at + 4)]);
      cut.writeUInt16BE(cut.length, 2);
      return [cut];
    },
  });
  assert.deepEqual(reasons(outcome), ["ClientError", "WrongMac"]);
});

/** The same challenge with another list in AT_KDF; AT_MAC stays what it was. */
function withKdfs(packet: Buffer, AT_KDF: readonly number[]): Buffer {
  const { attributes } = decodeAkaMessage("request", AKA_PRIME, packet);
  return encodeAkaMessage("request", AKA_PRIME, packet[1]!, "challenge", { ...attributes, AT_KDF });
}

/** The keys that a challenge to the permanent identity gives. */
function keysOf(variant: AkaVariant, { functions }: Device, challenge: Buffer): AkaKeys {
  const { AT_RAND: rand, AT_AUTN: autn } = decodeAkaMessage("request", variant, challenge)
    .attributes as Required<Attributes>;
  const { ck, ik } = functions.f2345(rand);
  const identity = Buffer.from(permanentIdentity(variant, IMSI, REALM));
  if (variant === AKA) return akaKeys(identity, ck, ik);
  const prime = deriveCkIkPrime(ck, ik, Buffer.from("WLAN"), autn);
  return akaPrimeKeys(identity, prime.ck, prime.ik);
}
