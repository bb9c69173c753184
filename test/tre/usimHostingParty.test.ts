import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { AkaServer } from "../../src/eap/aka/server.ts";
import type { AkaServerOptions, AkaServerWorld } from "../../src/eap/aka/serverTypes.ts";
import { AKA, AKA_PRIME } from "../../src/eap/aka/variant.ts";
import { type AuthenticatorEffect, EapAuthenticator } from "../../src/eap/authenticator.ts";
import type { EapRefusal, EapResult } from "../../src/eap/method.ts";
import { milenage } from "../../src/eap/milenage.ts";
import type { UsimAnswer } from "../../src/eap/usim.ts";
import { seededRandom } from "../../src/sim/random.ts";
import { HostingPartyError, type HostingPartyModule, type HostingPartyStep } from "../../src/tre/hostingPartyModule.ts";
import { SoftwareUsim } from "../../src/tre/softwareUsim.ts";
import { UsimError } from "../../src/tre/usim.ts";
import { HOSTING_PARTY_DEFAULTS, type HostingPartyPolicy, UsimHostingParty } from "../../src/tre/usimHostingParty.ts";
import { Operator } from "../eap/aka/conversation.ts";
import { serverOptions } from "../eap/aka/options.ts";
import { USIM, usimFolder } from "./usimFolder.ts";

const NAI = `0${USIM.imsi}@nai.epc.mnc001.mcc001.3gppnetwork.org`;
const random = seededRandom("hosting party");

function hostingParty(
  policy: Partial<HostingPartyPolicy> = {},
  usim = new SoftwareUsim(usimFolder()),
): UsimHostingParty {
  return new UsimHostingParty(usim, random, { ...HOSTING_PARTY_DEFAULTS, ...policy });
}

/** One authentication as IKEv2 carries it: the identity in IDi, then EAP packets until the end. */
async function authenticate(
  operator: Operator,
  module: HostingPartyModule,
  options: Partial<AkaServerOptions> = {},
  variants = [AKA],
): Promise<{ server: EapResult | EapRefusal; last: HostingPartyStep; identity: string }> {
  const server = new EapAuthenticator<AkaServerWorld>({
    random,
    methods: variants.map((variant) => ({
      type: variant.type,
      make: () => new AkaServer(variant, serverOptions(random, options)),
    })),
  });
  const settle = (effects: readonly AuthenticatorEffect<AkaServerWorld>[]): AuthenticatorEffect<AkaServerWorld>[] =>
    effects.flatMap((effect) => {
      if (effect.kind === "ask") return settle(server.answer(effect.askId, operator.answer(effect.ask)));
      if (effect.kind !== "store") return [effect];
      operator.store(effect.record);
      return [];
    });
  const identity = await module.begin();
  for (let effects = settle(server.begin({ kind: "identity", identity })); ; ) {
    const [effect] = effects;
    assert.ok(effect !== undefined && effect.kind !== "dropped" && "packet" in effect, JSON.stringify(effects));
    const step = await module.receive(effect.packet);
    if (effect.kind === "succeeded") return { server: effect.result, last: step, identity: identity.toString() };
    if (effect.kind === "failed") return { server: effect.refusal, last: step, identity: identity.toString() };
    assert.ok(step.kind === "respond", JSON.stringify(step));
    effects = settle(server.receive(step.packet));
  }
}

test("the hosting party's identity follows from its card", async () => {
  assert.deepEqual(await hostingParty().identity(), { imsi: USIM.imsi, nai: NAI });
  const other = hostingParty({ methods: ["EAP-AKA'"], realm: "operator.example" });
  assert.deepEqual(await other.identity(), { imsi: USIM.imsi, nai: `6${USIM.imsi}@operator.example` });
});

test("after EAP success AUTH is prf(prf(MSK, Key Pad for IKEv2), octets), for every PRF", async () => {
  const module = hostingParty();
  const { server, last, identity } = await authenticate(new Operator(1), module);
  assert.ok(!("reason" in server));
  assert.equal(identity, NAI);
  assert.deepEqual(last, { kind: "succeeded", method: "EAP-AKA", reauthentication: false });
  const octets = Buffer.from("what is signed");
  for (const hash of ["sha1", "sha256", "sha384", "sha512"] as const) {
    const key: Buffer = createHmac(hash, server.msk).update("Key Pad for IKEv2").digest();
    const expected: Buffer = createHmac(hash, key).update(octets).digest();
    assert.deepEqual(await module.computeAuth(hash, octets), expected);
    assert.ok(await module.verifyAuth(hash, octets, expected));
    expected[0]! ^= 1;
    assert.ok(!(await module.verifyAuth(hash, octets, expected)));
    assert.ok(!(await module.verifyAuth(hash, octets, Buffer.alloc(3))));
  }
});

test("without success, and once a new authentication begins, there is no AUTH", async () => {
  const module = hostingParty();
  await assert.rejects(module.computeAuth("sha256", Buffer.alloc(1)), HostingPartyError);
  await assert.rejects(module.receive(Buffer.from([3, 0, 0, 4])), HostingPartyError);
  await authenticate(new Operator(1), module);
  await module.computeAuth("sha256", Buffer.alloc(1));
  await module.begin();
  await assert.rejects(module.computeAuth("sha256", Buffer.alloc(1)), HostingPartyError);
  await assert.rejects(module.verifyAuth("sha256", Buffer.alloc(1), Buffer.alloc(32)), HostingPartyError);
});

test("EAP-Success from nowhere gives no AUTH", async () => {
  const module = hostingParty();
  await module.begin();
  assert.equal((await module.receive(Buffer.from([3, 0, 0, 4]))).kind, "ignored");
  await assert.rejects(module.computeAuth("sha256", Buffer.alloc(1)), HostingPartyError);
});

test("the next authentication is fast, then by pseudonym: the permanent identity is said once", async () => {
  const [operator, module] = [new Operator(1), hostingParty()];
  const identities: string[] = [];
  for (let i = 0; i < 4; i++) {
    const { server, identity } = await authenticate(operator, module, { maxReauthentications: 1 });
    assert.ok(!("reason" in server));
    identities.push(identity[0]!);
  }
  assert.deepEqual(identities, ["0", "4", "2", "4"]);
});

test("EAP-AKA' is spoken where the policy has it, and refused where it has not", async () => {
  const both = hostingParty({ methods: ["EAP-AKA'", "EAP-AKA"], networkName: "WLAN" });
  const { last } = await authenticate(new Operator(1), both, {}, [AKA_PRIME, AKA]);
  assert.deepEqual(last, { kind: "succeeded", method: "EAP-AKA'", reauthentication: false });
  const { server } = await authenticate(new Operator(1), hostingParty(), {}, [AKA_PRIME]);
  assert.ok("reason" in server && server.reason === "NoCommonMethod");
  assert.throws(() => hostingParty({ methods: [] }), HostingPartyError);
});

test("a network that does not know the key is told no more than that, and the reason is for people", async () => {
  const operator = new Operator(1);
  operator.functions = milenage(Buffer.alloc(16, 1), Buffer.alloc(16, 2));
  const { server, last } = await authenticate(operator, hostingParty());
  assert.ok("reason" in server && server.reason === "AuthenticationRejected");
  assert.ok(last.kind === "failed" && last.refusal.reason === "NetworkNotAuthentic");
});

test("a card that fails ends the authentication with its own words", async () => {
  const broken = {
    subscriber: async () => ({ imsi: USIM.imsi, mncDigits: 2 as const }),
    authenticate: async (): Promise<UsimAnswer> => {
      throw new UsimError("NoCard", "there is no card in the reader");
    },
  };
  const { last } = await authenticate(new Operator(1), new UsimHostingParty(broken, random));
  assert.ok(last.kind === "failed" && last.refusal.message === "there is no card in the reader");
});

test("an answer of the card for an authentication that was given up is not used", async () => {
  const usim = new SoftwareUsim(usimFolder());
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const slow = {
    subscriber: () => usim.subscriber(),
    authenticate: async (rand: Buffer, autn: Buffer) => {
      asked.resolve();
      await gate.promise;
      return usim.authenticate(rand, autn);
    },
  };
  const module = new UsimHostingParty(slow, random);
  const operator = new Operator(1);
  const server = new EapAuthenticator<AkaServerWorld>({
    random,
    methods: [{ type: 23, make: () => new AkaServer(AKA, serverOptions(random)) }],
  });
  const [question] = server.begin({ kind: "identity", identity: await module.begin() });
  assert.ok(question?.kind === "ask");
  const [challenge] = server.answer(question.askId, operator.answer(question.ask));
  assert.ok(challenge?.kind === "send");
  const pending = module.receive(challenge.packet);
  await asked.promise;
  await module.begin();
  gate.resolve();
  assert.deepEqual(await pending, { kind: "ignored", problem: "another authentication has begun" });
});
