/** What the operator makes of INTEGRITY_INFO (TS 33.320 A.1-6). */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { IntegrityPolicy, type IntegrityPolicyOptions } from "../../src/segw/integrityPolicy.ts";
import { fqdnIdentity } from "../../src/tre/identity.ts";
import { signIntegrityReport } from "../../src/tre/integrityReport.ts";
import type { PeerCredentials } from "../../src/tre/trustedEnvironment.ts";
import type { Certificate } from "../../src/x509/certificate.ts";

const NOW = Date.UTC(2026, 5, 1);
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
// Only the key of the certificate is looked at.
const device = { publicKey } as Certificate;
const binding = Buffer.alloc(32, 7);

function credentials(): PeerCredentials {
  const statement = { intact: true, nonce: Buffer.alloc(16, 1), measuredAt: NOW, manifestDigest: Buffer.alloc(32, 2) };
  const report = signIntegrityReport(statement, binding, privateKey);
  const empty = Buffer.alloc(0);
  return {
    ...fqdnIdentity("ap-1.example"),
    certificates: [],
    ocspResponses: [],
    authMethod: 14,
    authData: empty,
    octets: empty,
    connectedTo: { fqdn: "segw.example" },
    integrity: { report, binding },
  };
}

interface Posted {
  url: string;
  body: Record<string, unknown>;
}

function policy(options: Partial<IntegrityPolicyOptions> = {}, answer: (url: string) => unknown = () => undefined) {
  const posted: Posted[] = [];
  const faults: string[] = [];
  const made = new IntegrityPolicy({
    required: false,
    maxAge: 1000,
    clock: { now: () => NOW },
    async postJson(url, body) {
      posted.push({ url, body: body as Posted["body"] });
      return answer(url);
    },
    onFault: (what) => faults.push(what),
    ...options,
  });
  return { made, posted, faults };
}

const unreachable = () => {
  throw new Error("unreachable");
};

test("a sound statement is let through, and so is a missing one where none is required", async () => {
  const { made } = policy();
  assert.equal(await made.judge(device, credentials()), "trusted");
  assert.equal(
    await made.judge(device, { ...credentials(), integrity: { report: undefined, binding } }),
    "IntegrityMissing",
  );
});

test("statistics count every outcome", async () => {
  const { made } = policy();
  await made.judge(device, credentials());
  await made.judge(device, { ...credentials(), integrity: { report: undefined, binding } });
  await made.judge(device, { ...credentials(), integrity: { report: undefined, binding } });
  assert.deepEqual(
    [...made.statistics],
    [
      ["trusted", 1],
      ["IntegrityMissing", 2],
    ],
  );
});

test("where it is required, a device without one is refused with the reason", async () => {
  const { made } = policy({ required: true });
  const refusal = await made.judge(device, { ...credentials(), integrity: { report: undefined, binding } });
  assert.ok(typeof refusal === "object");
  assert.equal(refusal.reason, "IntegrityMissing");
  assert.match(refusal.message, /ap-1\.example/);
});

test("each statement goes to the fraud information gathering system, which nobody waits for", async () => {
  const { made, posted, faults } = policy({ fraudCollector: "http://figs.example/" }, unreachable);
  assert.equal(await made.judge(device, credentials()), "trusted");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    posted.map(({ url, body }) => [url, body.device, body.trusted, body.measuredAt]),
    [["http://figs.example/", "ap-1.example", true, NOW]],
  );
  assert.equal(faults.length, 1);
});

test("the validation entity decides about sound statements only, and no answer is no trust", async () => {
  const validator = "http://validator.example/";
  const yes = policy({ required: true, validator }, () => ({ trustworthy: true }));
  assert.equal(await yes.made.judge(device, credentials()), "trusted");
  for (const answer of [() => ({ trustworthy: false }), () => undefined, () => ({ trustworthy: "yes" }), unreachable]) {
    const { made } = policy({ required: true, validator }, answer);
    const refusal = await made.judge(device, credentials());
    assert.ok(typeof refusal === "object");
    assert.equal(refusal.reason, "IntegrityNotValidated");
  }
  const unsound = policy({ required: true, validator }, () => ({ trustworthy: true }));
  await unsound.made.judge(device, { ...credentials(), integrity: { report: undefined, binding } });
  assert.deepEqual(unsound.posted, []);
});
