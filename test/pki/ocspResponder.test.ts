import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import type { Pki } from "../../src/pki/authority.ts";
import { OcspResponder } from "../../src/pki/ocspResponder.ts";
import { preSignOnce } from "../../src/pki/preSigner.ts";
import { checkOcspResponse, type OcspVerdict } from "../../src/trust/ocsp.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import {
  buildOcspError,
  buildOcspRequest,
  type CertId,
  certIdOf,
  parseOcspResponse,
  ResponseStatus,
} from "../../src/x509/ocsp.ts";
import { make } from "../x509/made.ts";
import { makePki, StandingClock } from "./folder.ts";

const HOUR = 3600_000;

test("good, revoked and never issued are told apart, for CertIDs by SHA-1 and SHA-256", (t) => {
  const { pki, clock, responder, segw, device } = made(t);
  pki.revoke(segw.serial, "keyCompromise");
  const stranger = certIdOf(make({ serial: Buffer.from([9]) }).certificate, pki.ca("segw-ca"));
  for (const hash of ["sha1", "sha256"] as const) {
    assert.deepEqual(ask(responder, device, pki.ca("device-ca"), clock, hash).status, "good");
    const revoked = ask(responder, segw, pki.ca("segw-ca"), clock, hash);
    assert.ok(revoked.status === "revoked" && revoked.at === clock.at && revoked.reasonCode === 1);
  }
  assert.deepEqual(statusesOf(responder.answer(buildOcspRequest([stranger], undefined)).der), ["unknown"]);
});

test("each CA's answers are signed by the signer it delegated to, roots included", (t) => {
  const { pki, clock, responder, segw } = made(t);
  const asked: [Certificate, string][] = [
    [segw, "segw-ca"],
    [pki.ca("segw-ca"), "operator-root"],
    [pki.ca("device-ca"), "manufacturer-root"],
  ];
  for (const [certificate, ca] of asked) {
    const verdict = ask(responder, certificate, pki.ca(ca), clock);
    assert.equal(verdict.status, "good", ca);
    const signer = pki.ocspSigners().find((one) => one.ca === ca)!;
    assert.equal("evidence" in verdict && verdict.evidence.responder, signer.certificate.subject.toString());
  }
});

test("a nonce comes back in an answer made for it; without one the answer is kept, octet for octet", (t) => {
  const { pki, clock, responder, device } = made(t);
  const id = certIdOf(device, pki.ca("device-ca"));
  const nonce = Buffer.alloc(32, 5);
  const live = responder.answer(buildOcspRequest([id], nonce));
  assert.equal(live.kind, "live");
  assert.deepEqual(parseOcspResponse(live.der).basic?.nonce, nonce);
  assert.equal(judge(live.der, device, pki.ca("device-ca"), clock.at, nonce).status, "good");
  const first = responder.answer(buildOcspRequest([id], undefined));
  clock.at += HOUR;
  const second = responder.answer(buildOcspRequest([id], undefined));
  assert.ok(first.kind === "preProduced" && second.kind === "preProduced");
  assert.ok(first.der.equals(second.der));
  assert.deepEqual([first.producedAt, first.nextUpdate], [clock.at - HOUR, clock.at + 11 * HOUR]);
  const single = parseOcspResponse(first.der).basic!.responses[0]!;
  assert.deepEqual([single.thisUpdate, single.nextUpdate], [first.producedAt, first.nextUpdate]);
});

test("a kept answer is made anew after half its life, or when the clock was put back before it", (t) => {
  const { pki, clock, responder, device } = made(t);
  const request = buildOcspRequest([certIdOf(device, pki.ca("device-ca"))], undefined);
  const producedAt = () => {
    const answer = responder.answer(request);
    return answer.kind === "preProduced" ? answer.producedAt - start : assert.fail(answer.kind);
  };
  const start = clock.at;
  assert.equal(producedAt(), 0);
  clock.at = start + 6 * HOUR - 1;
  assert.equal(producedAt(), 0);
  clock.at = start + 6 * HOUR;
  assert.equal(producedAt(), 6 * HOUR);
  clock.at = start + HOUR;
  assert.equal(producedAt(), HOUR);
});

test("a revocation shows in the very next answer, and leaves other kept answers as they are", (t) => {
  const { pki, responder, segw, device } = made(t);
  const [ofSegw, ofDevice] = [
    buildOcspRequest([certIdOf(segw, pki.ca("segw-ca"))], undefined),
    buildOcspRequest([certIdOf(device, pki.ca("device-ca"))], undefined),
  ];
  const before = responder.answer(ofDevice).der;
  assert.deepEqual(statusesOf(responder.answer(ofSegw).der), ["good"]);
  pki.revoke(segw.serial);
  assert.deepEqual(statusesOf(responder.answer(ofSegw).der), ["revoked"]);
  assert.equal(responder.answer(ofDevice).der, before);
});

test("a serial that was unknown is good as soon as it is issued", (t) => {
  const { pki, responder } = made(t);
  const issuer = pki.ca("segw-ca");
  const next = make({ serial: Buffer.from([0x41, 1]) }).certificate;
  const request = buildOcspRequest([certIdOf(next, issuer)], undefined);
  assert.deepEqual(statusesOf(responder.answer(request).der), ["unknown"]);
  const issued = pki.issue({ profile: "segw", dns: ["b.example"] }).certificate;
  assert.deepEqual(statusesOf(responder.answer(buildOcspRequest([certIdOf(issued, issuer)], undefined)).der), ["good"]);
});

test("that a certificate is unknown is told for five minutes, since it may be issued in the next", (t) => {
  const { pki, clock, responder, device } = made(t);
  const stranger = certIdOf({ serial: Buffer.from([9]) }, pki.ca("device-ca"));
  const life = (id: CertId) => {
    const answer = responder.answer(buildOcspRequest([id], undefined));
    const inside = parseOcspResponse(answer.der).basic!.responses[0]!.nextUpdate! - clock.at;
    assert.equal(answer.kind === "preProduced" && answer.nextUpdate - clock.at, inside);
    return inside / HOUR;
  };
  const known = certIdOf(device, pki.ca("device-ca"));
  assert.deepEqual([life(stranger), life(known)], [1 / 12, 12]);
  clock.at += 1000;
  assert.deepEqual([life(stranger), life(known)], [1 / 12, 12 - 1 / 3600], "nor is it kept");
  const both = parseOcspResponse(responder.answer(buildOcspRequest([known, stranger], undefined)).der).basic!;
  assert.deepEqual(
    both.responses.map(({ nextUpdate }) => nextUpdate! - clock.at),
    [HOUR / 12, HOUR / 12],
  );
  pki.allowList.combine("device-ca", true);
  assert.deepEqual([life(stranger), life(known)], [1 / 12, 1 / 12], "nor is the device allowed yet");
  pki.allowList.allow("device-ca", [{ identity: "ap-1.example" }]);
  assert.deepEqual(life(known), 12);
});

test("a CA that was made while the responder runs is answered for", (t) => {
  const { pki, clock, responder } = made(t);
  ask(responder, pki.ca("device-ca"), pki.ca("manufacturer-root"), clock);
  const { chain } = pki.issue({ profile: "henb", dns: ["b.example"], extraCas: 2 });
  assert.equal(ask(responder, chain[0]!, chain[1]!, clock).status, "good");
});

test("one request about two CAs is answered by the first one's signer, who knows nothing of the other's", (t) => {
  const { pki, responder, segw, device } = made(t);
  const ids = [certIdOf(segw, pki.ca("segw-ca")), certIdOf(device, pki.ca("device-ca"))];
  assert.deepEqual(statusesOf(responder.answer(buildOcspRequest(ids, undefined)).der), ["good", "unknown"]);
});

test("a foreign CA is refused as unauthorized, and what is no request as malformed; neither is signed", (t) => {
  const { pki, responder, segw } = made(t);
  const foreign = make({ name: "foreign CA" });
  const request = buildOcspRequest([certIdOf(segw, foreign.certificate)], undefined);
  assert.deepEqual(responder.answer(request), { kind: "refusal", der: buildOcspError(ResponseStatus.unauthorized) });
  const malformed = { kind: "refusal", der: buildOcspError(ResponseStatus.malformedRequest) };
  assert.deepEqual(responder.answer(Buffer.alloc(0)), malformed);
  assert.deepEqual(responder.answer(buildOcspRequest([], undefined)), malformed);
  assert.deepEqual(responder.answer(pki.ca("segw-ca").der), malformed);
  const half: CertId = { ...certIdOf(segw, pki.ca("segw-ca")) };
  assert.deepEqual(responder.answer(buildOcspRequest(Array(33).fill(half), undefined)), malformed);
});

test("answers are signed before anybody asks, for all certificates that have not ended, and again when they grow old", async (t) => {
  const { pki, clock, responder, segw, device } = made(t);
  pki.issue({ profile: "segw", dns: ["old.example"], notBefore: clock.at - 2 * HOUR, notAfter: clock.at - HOUR });
  const more = Array.from(
    { length: 60 },
    (_, i) => pki.issue({ profile: "henb", dns: [`ap-${i}.example`] }).certificate,
  );
  assert.equal(await preSignOnce(pki, responder), 4 + 2 + 60);
  const start = clock.at;
  const producedAt = (certificate: Certificate, ca: string) => {
    const answer = responder.answer(buildOcspRequest([certIdOf(certificate, pki.ca(ca))], undefined));
    return answer.kind === "preProduced" ? answer.producedAt - start : answer.kind;
  };
  const all = (): [Certificate, string][] => [
    [segw, "segw-ca"],
    [device, "device-ca"],
    [pki.ca("segw-ca"), "operator-root"],
    ...more.map((certificate): [Certificate, string] => [certificate, "device-ca"]),
  ];
  clock.at += HOUR;
  for (const [certificate, ca] of all()) assert.equal(producedAt(certificate, ca), 0);
  clock.at = start + 7 * HOUR;
  await preSignOnce(pki, responder);
  clock.at += HOUR;
  for (const [certificate, ca] of all()) assert.equal(producedAt(certificate, ca), 7 * HOUR);
});

test("an RSA signer signs on another thread, and others are answered meanwhile", async (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, { ocspKeys: "rsa-2048" }, clock);
  const responder = new OcspResponder(pki, clock);
  const { certificate } = pki.issue({ profile: "henb", dns: ["a.example"] });
  const issuer = pki.ca("device-ca");
  const request = buildOcspRequest([certIdOf(certificate, issuer)], undefined);
  const answers = [responder.answerSoon(request), responder.answerSoon(request)];
  assert.ok(answers.every((answer) => answer instanceof Promise));
  for (const { der } of await Promise.all(answers))
    assert.equal(judge(der, certificate, issuer, clock.at).status, "good");
  assert.ok(!(responder.answerSoon(request) instanceof Promise), "kept from then on");
});

test("requests of one moment are signed together, each its own answer, however many", async (t) => {
  const { pki, clock, responder, device } = made(t);
  const issuer = pki.ca("device-ca");
  const nonces = Array.from({ length: 150 }, (_, i) => Buffer.alloc(16, i));
  const asked = nonces.map((nonce) => responder.answerSoon(buildOcspRequest([certIdOf(device, issuer)], nonce)));
  for (const [index, answer] of (await Promise.all(asked)).entries()) {
    const { der } = answer;
    assert.deepEqual(parseOcspResponse(der).basic?.nonce, nonces[index]);
    assert.equal(judge(der, device, issuer, clock.at, nonces[index]).status, "good");
  }
});

test("what is revoked while another thread signs that it is good is revoked in the next answer", async (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, { ocspKeys: "rsa-2048" }, clock);
  const responder = new OcspResponder(pki, clock);
  const { certificate } = pki.issue({ profile: "henb", dns: ["a.example"] });
  const request = buildOcspRequest([certIdOf(certificate, pki.ca("device-ca"))], undefined);
  const signing = responder.answerSoon(request);
  pki.revoke(certificate.serial);
  await signing;
  assert.deepEqual(statusesOf((await responder.answerSoon(request)).der), ["revoked"]);
});

test("whatever octets come, an answer goes out, and it is good only for who asked right", (t) => {
  const { pki, responder, segw } = made(t);
  const right = buildOcspRequest([certIdOf(segw, pki.ca("segw-ca"))], Buffer.alloc(16, 1));
  const damaged = fc
    .array(fc.tuple(fc.nat(right.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 })
    .map((changes) => {
      const copy = Buffer.from(right);
      for (const [at, by] of changes) copy[at]! ^= by;
      return copy;
    });
  const input = fc.oneof(
    damaged,
    fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets)),
  );
  fc.assert(
    fc.property(input, (request) => {
      const { kind, der } = responder.answer(request);
      const { status, basic } = parseOcspResponse(der);
      assert.equal(kind === "refusal", status !== 0);
      for (const { id, status: of } of basic?.responses ?? [])
        if (of.kind === "good") assert.ok(id.serial.equals(segw.serial));
    }),
    { numRuns: 500 },
  );
});

function made(t: Parameters<typeof makePki>[0]): {
  pki: Pki;
  clock: StandingClock;
  responder: OcspResponder;
  segw: Certificate;
  device: Certificate;
} {
  const clock = new StandingClock();
  const pki = makePki(t, {}, clock);
  const responder = new OcspResponder(pki, clock);
  const segw = pki.issue({ profile: "segw", dns: ["segw.example"] }).certificate;
  const device = pki.issue({ profile: "henb", dns: ["ap-1.example"] }).certificate;
  return { pki, clock, responder, segw, device };
}

function ask(
  responder: OcspResponder,
  certificate: Certificate,
  issuer: Certificate,
  clock: StandingClock,
  hash: CertId["hash"] = "sha1",
): OcspVerdict {
  const request = buildOcspRequest([certIdOf(certificate, issuer, hash)], undefined);
  return judge(responder.answer(request).der, certificate, issuer, clock.at);
}

function judge(
  response: Bytes,
  certificate: Certificate,
  issuer: Certificate,
  time: number,
  nonce?: Bytes,
): OcspVerdict {
  return checkOcspResponse({
    response,
    certificate,
    issuer,
    time,
    tolerance: 0,
    maxAge: 0,
    ...(nonce === undefined ? {} : { nonce }),
    trustedResponders: [],
    allowWeakAlgorithms: false,
  });
}

function statusesOf(response: Bytes): string[] {
  return parseOcspResponse(response).basic?.responses.map(({ status }) => status.kind) ?? [];
}
