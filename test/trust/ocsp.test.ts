import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import * as write from "../../src/der/writer.ts";
import { checkOcspResponse, describeOcspProblem, type OcspCheck, type OcspProblem } from "../../src/trust/ocsp.ts";
import { SignatureCache } from "../../src/trust/signatureCache.ts";
import { extendedKeyUsage, extension, keyUsage, ocspNoCheck } from "../../src/x509/build.ts";
import {
  buildOcspError,
  buildOcspResponse,
  type CertStatus,
  certIdOf,
  type NewOcspResponse,
  ResponseStatus,
  type SingleResponse,
} from "../../src/x509/ocsp.ts";
import { Oid } from "../../src/x509/oids.ts";
import { mutated } from "../ike/codec/arbitrary.ts";
import { DAY, KEY_MAKERS, LEAF_EXTENSIONS, type Made, type Making, make, NOW } from "../x509/made.ts";

const ca = make({ name: "CA" });
const leaf = make({ name: "leaf", issuer: ca, extensions: LEAF_EXTENSIONS });
const other = make({ name: "other", issuer: ca, extensions: LEAF_EXTENSIONS });
const signerExtensions = [keyUsage("digitalSignature"), extendedKeyUsage(Oid.ocspSigning)];
const makeDelegate = (making: Making = {}) =>
  make({ name: "OCSP signer", issuer: ca, extensions: signerExtensions, ...making });
const delegate = makeDelegate();
const GOOD: CertStatus = { kind: "good" };

const about = (certificate: Made, over: Partial<SingleResponse> = {}): SingleResponse => ({
  id: certIdOf(certificate.certificate, ca.certificate),
  status: GOOD,
  thisUpdate: NOW - 3600_000,
  nextUpdate: NOW + DAY,
  ...over,
});
const signedBy = (by: Made, over: Partial<NewOcspResponse> = {}): Bytes =>
  buildOcspResponse({
    responderId: { byName: by.certificate.subject },
    producedAt: NOW - 3600_000,
    responses: [about(leaf)],
    nonce: undefined,
    certificates: by === ca ? [] : [by.certificate.der],
    signer: by.signer,
    ...over,
  });
const check = (response: Bytes, over: Partial<OcspCheck> = {}) =>
  checkOcspResponse({
    response,
    certificate: leaf.certificate,
    issuer: ca.certificate,
    time: NOW,
    tolerance: 300_000,
    maxAge: DAY,
    trustedResponders: [],
    allowWeakAlgorithms: false,
    ...over,
  });
const problemOf = (response: Bytes, over: Partial<OcspCheck> = {}): OcspProblem => {
  const verdict = check(response, over);
  assert.ok(verdict.status === "invalid", `expected invalid, got ${verdict.status}`);
  return verdict.problem;
};

test("a response signed by the CA itself or by its delegate is good, the responder named or given by key", () => {
  for (const by of [ca, delegate]) {
    for (const responderId of [
      { byName: by.certificate.subject },
      { byKey: by.certificate.extensions.subjectKeyId! },
    ]) {
      const verdict = check(signedBy(by, { responderId }));
      assert.deepEqual(verdict, {
        status: "good",
        evidence: {
          responder: by.certificate.subject.toString(),
          producedAt: NOW - 3600_000,
          thisUpdate: NOW - 3600_000,
          nextUpdate: NOW + DAY,
          withNonce: false,
        },
      });
    }
  }
});

for (const [kind, makeKeys] of Object.entries(KEY_MAKERS)) {
  test(`a delegate with ${kind} keys answers`, () => {
    assert.equal(check(signedBy(makeDelegate({ keys: makeKeys() }))).status, "good");
  });
}

test("revoked comes with time and reason, unknown is neither good nor revoked", () => {
  const revoked: CertStatus = { kind: "revoked", at: NOW - DAY, reason: 1 };
  const verdict = check(signedBy(delegate, { responses: [about(leaf, { status: revoked })] }));
  assert.ok(verdict.status === "revoked");
  assert.deepEqual([verdict.at, verdict.reasonCode], [NOW - DAY, 1]);
  assert.equal(
    check(signedBy(delegate, { responses: [about(leaf, { status: { kind: "unknown" } })] })).status,
    "unknown",
  );
});

test("of several answers the one about this certificate counts, by either hash, and of those the newest", () => {
  const revoked: CertStatus = { kind: "revoked", at: NOW - DAY, reason: undefined };
  const others = about(other, { status: revoked });
  const sha256 = { id: certIdOf(leaf.certificate, ca.certificate, "sha256") };
  assert.equal(check(signedBy(delegate, { responses: [others, about(leaf)] })).status, "good");
  assert.equal(check(signedBy(delegate, { responses: [others, about(leaf, sha256)] })).status, "good");
  const newer = about(leaf, { ...sha256, status: revoked, thisUpdate: NOW - 1000 });
  for (const responses of [
    [newer, about(leaf)],
    [about(leaf), newer],
  ])
    assert.equal(check(signedBy(delegate, { responses })).status, "revoked");
});

test("an answer about another certificate, or about the same serial under another CA, is none", () => {
  assert.equal(problemOf(signedBy(delegate, { responses: [about(other)] })).reason, "OtherCertificate");
  assert.equal(problemOf(signedBy(delegate, { responses: [] })).reason, "OtherCertificate");
  const otherCa = make({ name: "CA" });
  const id = certIdOf(leaf.certificate, otherCa.certificate);
  assert.equal(problemOf(signedBy(delegate, { responses: [about(leaf, { id })] })).reason, "OtherCertificate");
});

test("freshness is judged with the tolerance, and by age where there is no nextUpdate", () => {
  const answer = (thisUpdate: number, nextUpdate: number | undefined) =>
    signedBy(delegate, { responses: [about(leaf, { thisUpdate, nextUpdate })] });
  assert.equal(check(answer(NOW - DAY, NOW - 300_000)).status, "good");
  const stale = problemOf(answer(NOW - DAY, NOW - 301_000));
  assert.ok(stale.reason === "Stale");
  assert.deepEqual([stale.nextUpdate, stale.time, stale.said.status], [NOW - 301_000, NOW, "good"]);
  assert.equal(check(answer(NOW + 300_000, NOW + DAY)).status, "good");
  assert.deepEqual(problemOf(answer(NOW + 301_000, NOW + DAY)), {
    reason: "FromTheFuture",
    at: NOW + 301_000,
    time: NOW,
  });
  const early = signedBy(delegate, { producedAt: NOW + 301_000 });
  assert.deepEqual(problemOf(early), { reason: "FromTheFuture", at: NOW + 301_000, time: NOW });
  assert.equal(problemOf(answer(NOW - 1000, NOW - 2000)).reason, "Malformed");
  assert.equal(check(answer(NOW - DAY, undefined)).status, "good");
  assert.equal(problemOf(answer(NOW - DAY - 301_000, undefined)).reason, "Stale");
});

test("what a response said before it went stale is told only if it was signed by somebody who may", () => {
  const old = { nextUpdate: NOW - DAY, status: { kind: "revoked", at: NOW - 2 * DAY, reason: 4 } } as const;
  const responses = [about(leaf, { thisUpdate: NOW - 2 * DAY, ...old })];
  const stale = problemOf(signedBy(delegate, { responses }));
  assert.ok(stale.reason === "Stale" && stale.said.status === "revoked");
  assert.deepEqual([stale.said.at, stale.said.reasonCode], [NOW - 2 * DAY, 4]);
  assert.equal(problemOf(signedBy(delegate, { responses, signer: other.signer })).reason, "BadSignature");
});

test("a delegate without nocheck is told, so that its own status can be checked; others need none (4.2.2.2.1)", () => {
  const delegateOf = (by: Made, over: Partial<OcspCheck> = {}) => {
    const verdict = check(signedBy(by), { delegates: "report", ...over });
    assert.ok(verdict.status === "good");
    return verdict.delegate;
  };
  assert.equal(delegateOf(delegate)?.fingerprint, delegate.certificate.fingerprint);
  assert.equal(delegateOf(delegate, { delegates: "trust" }), undefined);
  assert.equal(delegateOf(makeDelegate({ more: [ocspNoCheck()] })), undefined);
  assert.equal(delegateOf(ca), undefined);
  assert.equal(delegateOf(delegate, { trustedResponders: [delegate.certificate] }), undefined);
});

test("where delegates without nocheck are refused, theirs alone are worth nothing (4.2.2.2.1)", () => {
  const refuse = { delegates: "refuse" } as const;
  assert.deepEqual(problemOf(signedBy(delegate), refuse), {
    reason: "UncheckedDelegate",
    responder: delegate.certificate.subject.toString(),
  });
  const trusted = { ...refuse, trustedResponders: [delegate.certificate] };
  assert.equal(check(signedBy(delegate), trusted).status, "good", "trusted by configuration");
  for (const by of [makeDelegate({ more: [ocspNoCheck()] }), ca])
    assert.equal(check(signedBy(by), refuse).status, "good");
});

test("another nonce than the one sent is a mismatch; a cached response without one is accepted unless required", () => {
  const nonce = Buffer.alloc(16, 1);
  const fresh = check(signedBy(delegate, { nonce }), { nonce, nonceRequired: true });
  assert.ok(fresh.status === "good" && fresh.evidence.withNonce);
  assert.equal(problemOf(signedBy(delegate), { nonce, nonceRequired: true }).reason, "NonceMissing");
  assert.equal(problemOf(signedBy(delegate, { nonce: Buffer.alloc(16, 2) }), { nonce }).reason, "NonceMismatch");
  assert.equal(check(signedBy(delegate), { nonce }).status, "good");
  assert.equal(check(signedBy(delegate, { nonce })).status, "good");
});

test("who was not delegated by this CA for OCSP, and now, may not answer", () => {
  const stranger = make({ name: "Stranger CA" });
  const pretenders: [string, Made, RegExp][] = [
    ["no OCSP purpose", makeDelegate({ extensions: LEAF_EXTENSIONS }), /does not allow ocspSigning/],
    ["any purpose", makeDelegate({ extensions: [extendedKeyUsage(Oid.anyExtendedKeyUsage)] }), /ocspSigning/],
    ["of another CA", makeDelegate({ issuer: stranger }), /no path/],
    ["forged", makeDelegate({ signer: stranger.signer }), /does not verify/],
    ["expired", makeDelegate({ notAfter: NOW - 2000 }), /expired/],
    ["not yet valid", makeDelegate({ notBefore: NOW + 2000 }), /not valid before/],
    ["the device itself", leaf, /ocspSigning/],
  ];
  for (const [who, pretender, why] of pretenders) {
    const problem = problemOf(signedBy(pretender));
    assert.ok(
      problem.reason === "UntrustedResponder" && why.test(problem.detail),
      `${who}: ${describeOcspProblem(problem)}`,
    );
  }
  const indirect = make({ name: "Sub CA", issuer: ca });
  assert.equal(problemOf(signedBy(makeDelegate({ issuer: indirect }))).reason, "UntrustedResponder");
  assert.match(
    describeOcspProblem(problemOf(signedBy(delegate, { certificates: [] }))),
    /neither in the response nor trusted/,
  );
});

test("a responder trusted by configuration may answer, while its certificate is valid", () => {
  const trusted = make({ name: "Operator's responder" });
  const response = signedBy(trusted, { certificates: [] });
  assert.equal(problemOf(response).reason, "UntrustedResponder");
  assert.equal(check(response, { trustedResponders: [trusted.certificate] }).status, "good");
  const expired = make({ name: "Operator's responder", notAfter: NOW - 2000 });
  const late = problemOf(signedBy(expired), { trustedResponders: [expired.certificate] });
  assert.ok(late.reason === "UntrustedResponder" && /not valid at this time/.test(late.detail));
});

test("of two delegates of one name the one whose key signed decides", () => {
  const renewed = makeDelegate();
  const certificates = [delegate.certificate.der, renewed.certificate.der];
  assert.equal(check(signedBy(renewed, { certificates })).status, "good");
  assert.equal(check(signedBy(renewed, { certificates: certificates.toReversed() })).status, "good");
});

test("a signature by another key than the named responder's is bad", () => {
  const expected = { reason: "BadSignature", responder: delegate.certificate.subject.toString() };
  assert.deepEqual(problemOf(signedBy(delegate, { signer: other.signer })), expected);
});

test("a response signed with SHA-1 is refused unless allowed", () => {
  const keys = KEY_MAKERS["RSA-2048"]();
  const old = makeDelegate({ keys });
  const signer = {
    algorithm: write.sequence(write.oid(Oid.sha1WithRsa), write.nullValue()),
    sign: (data: Bytes) => sign("sha1", data, keys.privateKey),
  };
  assert.equal(problemOf(signedBy(old, { signer })).reason, "UntrustedResponder");
  assert.equal(check(signedBy(old, { signer }), { allowWeakAlgorithms: true }).status, "good");
});

test("an unknown critical extension of an answer makes it unusable", () => {
  const critical = extension({ oid: "1.2.3.4", critical: true, value: write.nullValue() });
  const single = write.sequence(
    certIdOf(leaf.certificate, ca.certificate).der,
    write.implicit(0, Buffer.alloc(0)),
    write.generalizedTime(NOW),
    write.explicit(1, write.sequence(critical)),
  );
  const tbs = write.sequence(
    write.explicit(1, ca.certificate.subject.der),
    write.generalizedTime(NOW),
    write.sequence(single),
  );
  const basic = write.sequence(tbs, ca.signer.algorithm, write.bitString(ca.signer.sign(tbs)));
  const response = write.sequence(
    write.enumerated(0),
    write.explicit(0, write.sequence(write.oid(Oid.ocspBasic), write.octetString(basic))),
  );
  assert.match(describeOcspProblem(problemOf(response)), /critical extension 1\.2\.3\.4/);
});

test("an error response and octets that are no response are told apart", () => {
  const problem = problemOf(buildOcspError(ResponseStatus.tryLater));
  assert.deepEqual(problem, { reason: "NotSuccessful", status: ResponseStatus.tryLater });
  assert.equal(problemOf(Buffer.from("not DER")).reason, "Malformed");
});

test("a revoked answer never becomes good, whatever octets are changed", () => {
  const revoked = signedBy(delegate, { responses: [about(leaf, { status: { kind: "revoked", at: NOW, reason: 1 } })] });
  fc.assert(
    fc.property(mutated(fc.constant(revoked)), (bytes) => {
      assert.notEqual(check(bytes).status, "good");
    }),
    { numRuns: 500 },
  );
});

test("a delegate's certificate is verified once where a cache is given", () => {
  let verified = 0;
  class Counting extends SignatureCache {
    override remember(...[certificate, issuer, verify]: Parameters<SignatureCache["remember"]>): boolean {
      return super.remember(certificate, issuer, () => {
        verified += 1;
        return verify();
      });
    }
  }
  const signatureCache = new Counting();
  for (let i = 0; i < 3; i++) assert.equal(check(signedBy(delegate), { signatureCache }).status, "good");
  assert.equal(verified, 1);
});
