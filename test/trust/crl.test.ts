import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { DecodeError } from "../../src/bytes/reader.ts";
import * as write from "../../src/der/writer.ts";
import { type CrlCheck, type CrlProblem, checkCrl, describeCrlProblem } from "../../src/trust/crl.ts";
import { basicConstraints, buildCrl, extension, keyUsage, type NewCrl, signed } from "../../src/x509/build.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { Oid } from "../../src/x509/oids.ts";
import { mutated } from "../ike/codec/arbitrary.ts";
import { DAY, KEY_MAKERS, LEAF_EXTENSIONS, type Made, make, NOW } from "../x509/made.ts";

const ca = make({ name: "CA" });
const leaf = make({ name: "leaf", issuer: ca, extensions: LEAF_EXTENSIONS });
const revoked = make({ name: "revoked", issuer: ca, extensions: LEAF_EXTENSIONS });

const crlOf = (by: Made, over: Partial<NewCrl> = {}): Bytes =>
  buildCrl({
    issuer: by.certificate.subject,
    thisUpdate: NOW - DAY,
    nextUpdate: NOW + DAY,
    number: 1,
    entries: [{ serial: revoked.certificate.serial, revokedAt: NOW - 2 * DAY, reason: 1 }],
    authorityKeyId: by.certificate.extensions.subjectKeyId!,
    signer: by.signer,
    ...over,
  });
const check = (der: Bytes, over: Partial<CrlCheck> = {}) =>
  checkCrl({
    crl: parseCrl(der),
    certificate: leaf.certificate,
    issuer: ca.certificate,
    time: NOW,
    tolerance: 300_000,
    allowWeakAlgorithms: false,
    ...over,
  });
const problemOf = (der: Bytes, over: Partial<CrlCheck> = {}): CrlProblem => {
  const verdict = check(der, over);
  assert.ok(verdict.status === "invalid", `expected invalid, got ${verdict.status}`);
  return verdict.problem;
};

for (const [kind, makeKeys] of Object.entries(KEY_MAKERS)) {
  test(`a CRL signed with ${kind} says good of what it does not list and revoked of what it does`, () => {
    const issuer = make({ name: "CA", keys: makeKeys() });
    const listed = { issuer: issuer.certificate, certificate: revoked.certificate };
    const evidence = { issuer: "O=Femtogate, CN=CA", number: "1", thisUpdate: NOW - DAY, nextUpdate: NOW + DAY };
    assert.deepEqual(check(crlOf(issuer), { issuer: issuer.certificate }), { status: "good", evidence });
    assert.deepEqual(check(crlOf(issuer), listed), { status: "revoked", at: NOW - 2 * DAY, reasonCode: 1, evidence });
  });
}

test("a CRL of another CA, or of the same name under another key, says nothing", () => {
  assert.equal(problemOf(crlOf(make({ name: "Other" }))).reason, "OtherIssuer");
  assert.equal(problemOf(crlOf(make({ name: "CA" }))).reason, "OtherIssuer");
});

test("a CRL outside its time is told by which end, with the tolerance", () => {
  assert.equal(check(crlOf(ca, { nextUpdate: NOW - 300_000 })).status, "good");
  const late = NOW - 301_000;
  assert.deepEqual(problemOf(crlOf(ca, { nextUpdate: late })), { reason: "Stale", nextUpdate: late, time: NOW });
  const early = NOW + 301_000;
  const future = { reason: "FromTheFuture", thisUpdate: early, time: NOW };
  assert.deepEqual(problemOf(crlOf(ca, { thisUpdate: early })), future);
});

test("a CRL that never expires is stale", () => {
  const { subject } = ca.certificate;
  const bare = write.sequence(write.integer(1), ca.signer.algorithm, subject.der, write.time(NOW - DAY));
  assert.equal(problemOf(signed(bare, ca.signer)).reason, "Stale");
});

test("a forged CRL, one signed with SHA-1, and one of a CA that may not sign any are refused", () => {
  assert.equal(problemOf(crlOf(ca, { signer: leaf.signer })).reason, "BadSignature");
  const keys = KEY_MAKERS["RSA-2048"]();
  const rsaCa = make({ name: "CA", keys });
  const sha1 = {
    algorithm: write.sequence(write.oid(Oid.sha1WithRsa), write.nullValue()),
    sign: (data: Bytes) => sign("sha1", data, keys.privateKey),
  };
  const old = crlOf(rsaCa, { signer: sha1 });
  const issuer = rsaCa.certificate;
  assert.equal(problemOf(old, { issuer }).reason, "WeakAlgorithm");
  assert.equal(check(old, { issuer, allowWeakAlgorithms: true }).status, "good");
  const noCrls = make({ name: "CA", extensions: [basicConstraints(true), keyUsage("keyCertSign")] });
  assert.equal(problemOf(crlOf(noCrls), { issuer: noCrls.certificate }).reason, "IssuerMayNotSign");
});

test("a lone delta CRL, and critical extensions that are not processed, of the list or of an entry, say nothing, even good", () => {
  const bare = (...rest: readonly Bytes[]) =>
    signed(
      write.sequence(
        write.integer(1),
        ca.signer.algorithm,
        ca.certificate.subject.der,
        write.time(NOW - DAY),
        write.time(NOW + DAY),
        ...rest,
      ),
      ca.signer,
    );
  const critical = (oid: string, value = write.sequence()) => write.sequence(extension({ oid, critical: true, value }));
  const delta = bare(write.explicit(0, critical(Oid.deltaCrlIndicator, write.integer(1))));
  assert.deepEqual(problemOf(delta), { reason: "DeltaWithoutBase", issuer: "O=Femtogate, CN=CA" });
  const expected = { reason: "UnknownCriticalExtension", oid: "1.2.3.4" };
  assert.deepEqual(problemOf(bare(write.explicit(0, critical("1.2.3.4")))), expected);
  const entry = write.sequence(write.integer(99), write.time(NOW), critical("1.2.3.4"));
  assert.deepEqual(problemOf(bare(write.sequence(entry))), expected);
  const broken = write.sequence(write.integer(99));
  assert.equal(problemOf(bare(write.sequence(broken))).reason, "Malformed");
});

test("a revoked certificate never becomes good, whatever octets of the CRL are changed", () => {
  fc.assert(
    fc.property(mutated(fc.constant(crlOf(ca))), (bytes) => {
      try {
        assert.notEqual(check(bytes, { certificate: revoked.certificate }).status, "good");
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});

test("every problem has a sentence of its own", () => {
  const problems: CrlProblem[] = [
    { reason: "Malformed", detail: "x" },
    { reason: "NoCrl", issuer: "x" },
    { reason: "OtherIssuer", issuer: "x", expected: "y" },
    { reason: "OutOfScope", issuer: "x", detail: "y" },
    { reason: "ReasonsNotCovered", issuer: "x", reasons: ["y"] },
    { reason: "DeltaWithoutBase", issuer: "x" },
    { reason: "IssuerNotTrusted", issuer: "x", detail: "y" },
    { reason: "IssuerMayNotSign", issuer: "x" },
    { reason: "WeakAlgorithm", issuer: "x" },
    { reason: "BadSignature", issuer: "x" },
    { reason: "UnknownCriticalExtension", oid: "1.2.3" },
    { reason: "FromTheFuture", thisUpdate: NOW, time: NOW },
    { reason: "Stale", nextUpdate: NOW, time: NOW },
  ];
  assert.equal(new Set(problems.map(describeCrlProblem)).size, problems.length);
});
