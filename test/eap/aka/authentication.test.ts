import assert from "node:assert/strict";
import { test } from "node:test";
import { AKA, AKA_PRIME } from "../../../src/eap/aka/variant.ts";
import { tuak } from "../../../src/eap/tuak.ts";
import { agreed, converse, Device, IMSI, Operator, REALM, type Settings, shapes } from "./conversation.ts";

const VARIANTS = [AKA, AKA_PRIME];
const only = (variant: (typeof VARIANTS)[number]): Settings => ({ serverVariants: [variant], peerVariants: [variant] });

for (const variant of VARIANTS) {
  const { type, name, prefix } = variant;

  test(`${name}: full authentication gives both ends the same MSK, EMSK and Session-Id`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    const outcome = converse(operator, device, only(variant));
    const result = agreed(outcome);
    assert.deepEqual(shapes(outcome), [
      "request 1",
      "response 1",
      `request ${type}/1`,
      `response ${type}/1`,
      "success",
    ]);
    assert.equal(result.subscriber, IMSI);
    assert.equal(result.identity, `${prefix.permanent}${IMSI}@${REALM}`);
    assert.deepEqual([result.method, result.reauthentication], [type, false]);
    assert.deepEqual([result.msk.length, result.emsk.length, result.sessionId.length], [64, 64, 33]);
    assert.equal(result.sessionId[0], type);
    // RAND and AUTN, as they stand in the challenge behind their headers (RFC 5247 A.3).
    const challenge = outcome.packets[2]!.packet;
    assert.deepEqual(result.sessionId.subarray(1, 17), challenge.subarray(12, 28));
    assert.deepEqual(result.sessionId.subarray(17), challenge.subarray(32, 48));
  });

  test(`${name}: an identity from the layer below needs no EAP-Request/Identity`, () => {
    const outcome = converse(new Operator(1), new Device(), { ...only(variant), beginning: "identity" });
    agreed(outcome);
    assert.deepEqual(shapes(outcome), [`request ${type}/1`, `response ${type}/1`, "success"]);
  });

  test(`${name}: an EAP-Response/Identity that is relayed begins with the next identifier`, () => {
    const outcome = converse(new Operator(1), new Device(), { ...only(variant), beginning: "response" });
    agreed(outcome);
    assert.equal(outcome.packets[0]!.packet[1], 78);
  });

  test(`${name}: the identity is asked for again where the server does not trust the layer below`, () => {
    const outcome = converse(new Operator(1), new Device(), { ...only(variant), server: { alwaysAskIdentity: true } });
    const result = agreed(outcome);
    assert.deepEqual(shapes(outcome).slice(2, 4), [`request ${type}/5`, `response ${type}/5`]);
    assert.equal(result.identity, `${prefix.permanent}${IMSI}@${REALM}`);
  });

  test(`${name}: the second time the peer says its pseudonym, and the server knows it`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    const settings = { ...only(variant), server: { maxReauthentications: 0 } };
    agreed(converse(operator, device, settings));
    const second = agreed(converse(operator, device, settings));
    assert.match(second.identity, new RegExp(`^${prefix.pseudonym}[0-9a-f]{32}@${REALM}$`));
    const third = agreed(converse(operator, device, settings));
    assert.notEqual(third.identity, second.identity);
    assert.equal(operator.vectors, 3);
  });

  test(`${name}: without pseudonyms the permanent identity stays in use`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    const settings = { ...only(variant), server: { maxReauthentications: 0, pseudonyms: false } };
    const first = agreed(converse(operator, device, settings));
    assert.equal(agreed(converse(operator, device, settings)).identity, first.identity);
  });

  test(`${name}: a pseudonym that the server lost is followed by the permanent identity, and replaced`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    const settings = { ...only(variant), server: { maxReauthentications: 0 } };
    agreed(converse(operator, device, settings));
    const lost = device.remembered.get(type)!.pseudonym;
    operator.pseudonyms.clear();
    const outcome = converse(operator, device, settings);
    assert.equal(agreed(outcome).identity, `${prefix.permanent}${IMSI}@${REALM}`);
    assert.deepEqual(shapes(outcome).slice(2, 4), [`request ${type}/5`, `response ${type}/5`]);
    assert.equal(outcome.packets[2]!.packet[8], 10); // AT_PERMANENT_ID_REQ
    assert.notEqual(device.remembered.get(type)!.pseudonym, lost);
  });

  test(`${name}: a peer forgets a pseudonym that was not taken and not replaced`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, { ...only(variant), server: { maxReauthentications: 0 } }));
    operator.pseudonyms.clear();
    agreed(converse(operator, device, { ...only(variant), server: { maxReauthentications: 0, pseudonyms: false } }));
    assert.equal(device.remembered.get(type)!.pseudonym, undefined);
  });

  test(`${name}: fast re-authentication needs no vector, gives new keys, and ends where the limit is`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    const settings = only(variant);
    const seen = new Set([agreed(converse(operator, device, settings)).msk.toString("hex")]);
    for (let round = 1; round <= 3; round++) {
      const outcome = converse(operator, device, settings);
      const result = agreed(outcome);
      assert.ok(result.reauthentication);
      assert.match(result.identity, new RegExp(`^${prefix.reauth}[0-9a-f]{32}@aaa.example$`));
      assert.deepEqual(shapes(outcome).slice(2), [`request ${type}/13`, `response ${type}/13`, "success"]);
      assert.equal(result.sessionId.length, 33);
      // AT_MAC of the request is its end (RFC 8940 2.2).
      assert.deepEqual(result.sessionId.subarray(17), outcome.packets[2]!.packet.subarray(-16));
      seen.add(result.msk.toString("hex"));
    }
    assert.equal(operator.vectors, 1);
    assert.equal(seen.size, 4);
    const fourth = agreed(converse(operator, device, settings));
    assert.ok(!fourth.reauthentication);
    assert.match(fourth.identity, new RegExp(`^${prefix.pseudonym}`));
    assert.equal(operator.vectors, 2);
  });

  test(`${name}: an identity for fast re-authentication that the server lost leads to the pseudonym`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, only(variant)));
    operator.reauths.clear();
    const outcome = converse(operator, device, only(variant));
    assert.match(agreed(outcome).identity, new RegExp(`^${prefix.pseudonym}`));
    assert.equal(outcome.packets[2]!.packet[8], 17); // AT_FULLAUTH_ID_REQ
  });

  test(`${name}: a server that lost everything asks twice and comes to the permanent identity`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, only(variant)));
    operator.reauths.clear();
    operator.pseudonyms.clear();
    const outcome = converse(operator, device, only(variant));
    assert.equal(agreed(outcome).identity, `${prefix.permanent}${IMSI}@${REALM}`);
    assert.equal(shapes(outcome).filter((shape) => shape === `request ${type}/5`).length, 2);
  });

  test(`${name}: all three rounds are run through, from the fast identity to the permanent one`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, only(variant)));
    operator.reauths.clear();
    operator.pseudonyms.clear();
    const outcome = converse(operator, device, { ...only(variant), server: { alwaysAskIdentity: true } });
    agreed(outcome);
    const requests = outcome.packets.filter(({ packet }) => packet[0] === 1 && packet[5] === 5);
    assert.deepEqual(
      requests.map(({ packet }) => packet[8]),
      [13, 17, 10],
    );
  });

  test(`${name}: a context of fast re-authentication whose limit was lowered leads straight to a challenge`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, only(variant)));
    for (const context of operator.reauths.values()) context.counter = 9;
    const outcome = converse(operator, device, only(variant));
    const result = agreed(outcome);
    assert.ok(!result.reauthentication);
    assert.match(result.identity, new RegExp(`^${prefix.reauth}`));
    assert.equal(shapes(outcome)[2], `request ${type}/1`);
  });

  test(`${name}: where fast re-authentication was turned off, its identities lead to the pseudonym`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, only(variant)));
    const result = agreed(converse(operator, device, { ...only(variant), server: { maxReauthentications: 0 } }));
    assert.match(result.identity, new RegExp(`^${prefix.pseudonym}`));
    assert.ok(!operator.asks.includes("takeReauth"));
  });

  test(`${name}: a counter that the peer has seen leads to a full authentication in the same conversation`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, only(variant)));
    device.remembered.get(type)!.reauth!.counter = 2;
    const outcome = converse(operator, device, only(variant));
    const result = agreed(outcome);
    assert.ok(!result.reauthentication);
    assert.match(result.identity, new RegExp(`^${prefix.reauth}`));
    const expected = [
      `request ${type}/13`,
      `response ${type}/13`,
      `request ${type}/1`,
      `response ${type}/1`,
      "success",
    ];
    assert.deepEqual(shapes(outcome).slice(2), expected);
    assert.ok(agreed(converse(operator, device, only(variant))).reauthentication);
  });

  test(`${name}: a USIM ahead of the HSS is caught up with by AUTS`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    device.array = device.array.map(() => 5000);
    const outcome = converse(operator, device, only(variant));
    agreed(outcome);
    const expected = [`request ${type}/1`, `response ${type}/4`, `request ${type}/1`, `response ${type}/1`, "success"];
    assert.deepEqual(shapes(outcome).slice(2), expected);
    assert.equal(operator.counter.seq, 5001);
  });

  test(`${name}: success is indicated protected where both ends want it, after full and fast authentication`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    const settings = { ...only(variant), server: { resultIndications: true } };
    for (const subtype of [1, 13, 13]) {
      const outcome = converse(operator, device, settings);
      agreed(outcome);
      assert.deepEqual(shapes(outcome).slice(2), [
        `request ${type}/${subtype}`,
        `response ${type}/${subtype}`,
        `request ${type}/12`,
        `response ${type}/12`,
        "success",
      ]);
    }
  });

  test(`${name}: a peer that wants no result indication gets none`, () => {
    const settings = { ...only(variant), server: { resultIndications: true }, peer: { resultIndications: false } };
    const outcome = converse(new Operator(1), new Device(), settings);
    agreed(outcome);
    assert.equal(shapes(outcome).at(-1), "success");
    assert.ok(!shapes(outcome).includes(`request ${type}/12`));
  });

  test(`${name}: an authorized subscriber enters, and the question is asked once it is authentic`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    agreed(converse(operator, device, { ...only(variant), server: { authorize: true } }));
    assert.deepEqual(operator.asks, ["vector", "authorize"]);
  });

  test(`${name}: TUAK serves as well as Milenage`, () => {
    const [operator, device] = [new Operator(1), new Device()];
    operator.functions = device.functions = tuak(Buffer.alloc(32, 1), Buffer.alloc(32, 2));
    agreed(converse(operator, device, only(variant)));
  });
}

test("a peer that has both is offered EAP-AKA' first, and takes it", () => {
  const outcome = converse(new Operator(1), new Device(), {
    serverVariants: [AKA_PRIME, AKA],
    peerVariants: [AKA_PRIME, AKA],
  });
  assert.equal(agreed(outcome).method, 50);
});

test("a peer that has EAP-AKA only refuses EAP-AKA' by Nak and authenticates with EAP-AKA", () => {
  const outcome = converse(new Operator(1), new Device(), { serverVariants: [AKA_PRIME, AKA], peerVariants: [AKA] });
  const result = agreed(outcome);
  assert.equal(result.method, 23);
  assert.deepEqual(shapes(outcome).slice(2, 5), ["request 50/5", "response 3", "request 23/1"]);
});

test("EAP-AKA and EAP-AKA' keep their identities apart", () => {
  const [operator, device] = [new Operator(1), new Device()];
  agreed(converse(operator, device, { serverVariants: [AKA], peerVariants: [AKA] }));
  const outcome = converse(operator, device, { serverVariants: [AKA_PRIME], peerVariants: [AKA_PRIME] });
  assert.equal(agreed(outcome).reauthentication, false);
  assert.equal(device.remembered.size, 2);
});
