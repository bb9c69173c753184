/** INTEGRITY_INFO: what a TrE signs and what a gateway makes of it (TS 33.320 7.2.2-13). */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../src/sim/random.ts";
import { type IntegrityProblem, judgeIntegrityReport, signIntegrityReport } from "../../src/tre/integrityReport.ts";

const NOW = Date.UTC(2026, 5, 1);
const DAY = 86_400_000;
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const random = seededRandom("integrity report");
const binding = random.bytes(32);
const statement = {
  intact: true,
  nonce: random.bytes(16),
  measuredAt: NOW - 3_600_000,
  manifestDigest: random.bytes(32),
};
const report = signIntegrityReport(statement, binding, privateKey);
const check = { binding, key: publicKey, time: NOW, maxAge: DAY };

function problemOf(octets: Buffer | undefined, changes: Partial<typeof check> = {}): IntegrityProblem | undefined {
  const verdict = judgeIntegrityReport(octets, { ...check, ...changes });
  return verdict.trusted ? undefined : verdict.problem;
}

test("a report that the TrE signed for this IKE SA is trusted and says what was measured", () => {
  const verdict = judgeIntegrityReport(report, check);
  assert.ok(verdict.trusted);
  assert.deepEqual(verdict.statement, statement);
});

test("RSA keys sign reports as well", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  assert.equal(problemOf(signIntegrityReport(statement, binding, rsa.privateKey), { key: rsa.publicKey }), undefined);
});

test("a report of another IKE SA is a replay", () => {
  assert.equal(problemOf(report, { binding: random.bytes(32) }), "IntegrityReplayed");
});

test("a report signed by another key is refused", () => {
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  assert.equal(problemOf(signIntegrityReport(statement, binding, other.privateKey)), "IntegritySignature");
});

test("a device that was measured too long ago, or in the future, is refused", () => {
  assert.equal(problemOf(report, { time: statement.measuredAt + DAY }), undefined);
  assert.equal(problemOf(report, { time: statement.measuredAt + DAY + 1 }), "IntegrityStale");
  assert.equal(problemOf(report, { time: statement.measuredAt - DAY - 1 }), "IntegrityStale");
});

test("a TrE that says it is not intact is believed", () => {
  assert.equal(problemOf(signIntegrityReport({ ...statement, intact: false }, binding, privateKey)), "IntegrityLost");
});

test("no report at all has a reason of its own", () => {
  assert.equal(problemOf(undefined), "IntegrityMissing");
});

test("no octet of a report can be changed and no octet left out", () => {
  fc.assert(
    fc.property(fc.nat(report.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(report);
      changed[at]! ^= flip;
      assert.notEqual(problemOf(changed), undefined);
      assert.notEqual(problemOf(report.subarray(0, at)), undefined);
    }),
  );
});

test("random octets are refused, whatever their length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (octets) =>
      assert.notEqual(problemOf(Buffer.from(octets)), undefined),
    ),
  );
});
