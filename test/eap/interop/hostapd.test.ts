/** Our peer against hostapd's EAP server: see README.md. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AkaPeerOptions } from "../../../src/eap/aka/peerTypes.ts";
import { AKA, AKA_PRIME, type AkaVariant } from "../../../src/eap/aka/variant.ts";
import { milenage } from "../../../src/eap/milenage.ts";
import { Device, Operator } from "../aka/conversation.ts";
import { type Attempt, authenticateAt, Hostapd, type HostapdSettings } from "./hostapd.ts";

const METHODS = { 0: "AKA", 2: "AKA", 4: "AKA", 6: "AKA'", 7: "AKA'", 8: "AKA'" };

/** `count` authentications one after the other with one USIM. */
async function attempts(
  count: number,
  variants: readonly AkaVariant[],
  settings: Partial<HostapdSettings> = {},
  options: Partial<AkaPeerOptions> = {},
  device = new Device(),
): Promise<{ attempts: Attempt[]; operator: Operator; output: string }> {
  const operator = new Operator(1);
  await using hostapd = await Hostapd.start(operator, { methods: METHODS, ...settings });
  const done: Attempt[] = [];
  for (let i = 0; i < count; i++) done.push(await authenticateAt(hostapd, device, variants, options));
  return { attempts: done, operator, output: hostapd.output };
}

/** First digit of the identity that was used, once both sides are seen to hold the same MSK. */
function agreedDigit({ outcome, accepted, msk }: Attempt): string {
  assert.ok(!("reason" in outcome), JSON.stringify(outcome));
  assert.ok(accepted);
  assert.deepEqual(msk, outcome.msk);
  return outcome.identity[0]!;
}

for (const variant of [AKA, AKA_PRIME]) {
  const { permanent, pseudonym, reauth } = variant.prefix;

  test(`hostapd with ${variant.name}: full authentication, and the same MSK on both sides`, async () => {
    const run = await attempts(1, [variant]);
    assert.deepEqual(run.attempts.map(agreedDigit), [permanent]);
  });

  test(`hostapd with ${variant.name}: fast re-authentication, as often as one likes`, async () => {
    const run = await attempts(4, [variant]);
    assert.deepEqual(run.attempts.map(agreedDigit), [permanent, reauth, reauth, reauth]);
    assert.equal(run.operator.vectors, 1);
  });

  test(`hostapd with ${variant.name}: a counter that our peer has seen leads to a full authentication`, async () => {
    const operator = new Operator(1);
    const device = new Device();
    await using hostapd = await Hostapd.start(operator, { methods: METHODS });
    agreedDigit(await authenticateAt(hostapd, device, [variant]));
    device.remembered.get(variant.type)!.reauth!.counter = 2;
    const second = await authenticateAt(hostapd, device, [variant]);
    // The identity of the fast re-authentication goes into the keys of the full one.
    assert.equal(agreedDigit(second), reauth);
    assert.ok(!("reason" in second.outcome) && !second.outcome.reauthentication);
    assert.equal(operator.vectors, 2);
  });

  test(`hostapd with ${variant.name}: pseudonyms alone`, async () => {
    const run = await attempts(3, [variant], { identities: 1 });
    assert.deepEqual(run.attempts.map(agreedDigit), [permanent, pseudonym, pseudonym]);
  });

  test(`hostapd with ${variant.name}: protected result indications`, async () => {
    const run = await attempts(2, [variant], { resultIndications: true });
    assert.deepEqual(run.attempts.map(agreedDigit), [permanent, reauth]);
    assert.match(run.output, /Generating Notification/);
  });

  test(`hostapd with ${variant.name}: a USIM that is ahead of the HSS sends AUTS, and is caught up with`, async () => {
    const device = new Device();
    device.array = device.array.map(() => 100_000);
    const run = await attempts(1, [variant], {}, {}, device);
    assert.deepEqual(run.attempts.map(agreedDigit), [permanent]);
    assert.equal(run.operator.vectors, 2);
  });

  test(`hostapd with ${variant.name}: a USIM with another key rejects it`, async () => {
    const device = new Device();
    device.functions = milenage(Buffer.alloc(16, 1), Buffer.alloc(16, 2));
    const run = await attempts(1, [variant], {}, {}, device);
    const { outcome, accepted } = run.attempts[0]!;
    assert.ok("reason" in outcome && outcome.reason === "NetworkNotAuthentic" && !accepted);
  });

  test(`hostapd with ${variant.name}: an unknown subscriber is told so by a notification`, async () => {
    const run = await attempts(1, [variant], {}, { imsi: "001019999999999" });
    const { outcome, accepted } = run.attempts[0]!;
    assert.ok("reason" in outcome && outcome.reason === "Notified" && !accepted);
  });
}

test("hostapd that offers EAP-AKA' first: our peer with EAP-AKA alone refuses by Nak", async () => {
  const run = await attempts(1, [AKA], { methods: { ...METHODS, 0: "AKA',AKA" } });
  assert.deepEqual(run.attempts.map(agreedDigit), ["0"]);
  assert.equal("reason" in run.attempts[0]!.outcome ? undefined : run.attempts[0]!.outcome.method, 23);
});

test("hostapd's AT_BIDDING is understood: a peer that could have had EAP-AKA' rejects EAP-AKA", async () => {
  const run = await attempts(1, [AKA], { methods: { ...METHODS, 0: "AKA',AKA" } }, { acceptsAkaPrime: true });
  const { outcome, accepted } = run.attempts[0]!;
  assert.ok("reason" in outcome && outcome.reason === "BiddingDown" && !accepted, JSON.stringify(outcome));
});

test("hostapd that offers EAP-AKA' first: our peer that knows both takes it", async () => {
  const run = await attempts(1, [AKA_PRIME, AKA], { methods: { ...METHODS, 6: "AKA',AKA" } });
  assert.deepEqual(run.attempts.map(agreedDigit), ["6"]);
});

test("hostapd takes the rejection of its network name by our peer", async () => {
  const run = await attempts(1, [AKA_PRIME], {}, { networkName: "HRPD" });
  const { outcome, accepted } = run.attempts[0]!;
  assert.ok("reason" in outcome && outcome.reason === "WrongNetworkName" && !accepted);
});
