import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DerError } from "../../src/der/reader.ts";
import * as write from "../../src/der/writer.ts";
import {
  buildOcspError,
  buildOcspRequest,
  buildOcspResponse,
  type CertStatus,
  certIdOf,
  parseOcspRequest,
  parseOcspResponse,
  ResponseStatus,
  sameCertId,
} from "../../src/x509/ocsp.ts";
import { verifySignature } from "../../src/x509/signature.ts";
import { mutated } from "../ike/codec/arbitrary.ts";
import { DAY, make, NOW } from "./made.ts";

const ca = make({ name: "CA" });
const leaf = make({ name: "leaf", issuer: ca, extensions: [] });
const other = make({ name: "other", issuer: ca, extensions: [], serial: Buffer.from("00ff01", "hex") });
const NONCE = Buffer.alloc(32, 0x5a);
const ids = (["sha1", "sha256"] as const).flatMap((hash) =>
  [leaf, other].map(({ certificate }) => certIdOf(certificate, ca.certificate, hash)),
);
const fullResponse = (statuses: readonly CertStatus[] = [{ kind: "good" }]) =>
  buildOcspResponse({
    responderId: { byName: ca.certificate.subject },
    producedAt: NOW,
    responses: statuses.map((status, i) => ({ id: ids[i]!, status, thisUpdate: NOW, nextUpdate: NOW + DAY })),
    nonce: NONCE,
    certificates: [leaf.certificate.der],
    signer: ca.signer,
  });

test("a request reads back: several certificates, either hash, with and without a nonce", () => {
  for (const nonce of [undefined, NONCE, Buffer.from([1]), Buffer.alloc(128, 1)]) {
    const request = parseOcspRequest(buildOcspRequest(ids, nonce));
    assert.deepEqual(request.ids, ids);
    assert.deepEqual(request.nonce, nonce);
  }
});

test("a certificate's identifier keeps the sign octet of its serial, and differs by hash, certificate and issuer", () => {
  assert.deepEqual(ids[1]?.serial, Buffer.from("00ff01", "hex"));
  for (const [i, a] of ids.entries()) for (const [j, b] of ids.entries()) assert.equal(sameCertId(a, b), i === j);
  for (const sibling of [make({ name: "CA" }), make({ name: "Renamed CA", keys: ca.keys })])
    assert.ok(!sameCertId(ids[0]!, certIdOf(leaf.certificate, sibling.certificate, "sha1")));
});

test("a response reads back: every status, times, nonce, certificates, both forms of responder, and verifies", () => {
  const statuses: CertStatus[] = [
    { kind: "good" },
    { kind: "revoked", at: NOW - DAY, reason: 4 },
    { kind: "revoked", at: NOW - DAY, reason: undefined },
    { kind: "unknown" },
  ];
  const { status, basic } = parseOcspResponse(fullResponse(statuses));
  assert.equal(status, ResponseStatus.successful);
  assert.ok(basic !== undefined);
  assert.deepEqual(
    basic.responses.map((one) => one.status),
    statuses,
  );
  for (const [i, one] of basic.responses.entries()) {
    assert.ok(sameCertId(one.id, ids[i]!));
    assert.deepEqual([one.thisUpdate, one.nextUpdate, one.unknownCritical], [NOW, NOW + DAY, []]);
  }
  assert.deepEqual([basic.producedAt, basic.nonce], [NOW, NONCE]);
  assert.deepEqual(
    basic.certificates.map(({ der }) => der),
    [leaf.certificate.der],
  );
  assert.ok("byName" in basic.responderId && basic.responderId.byName.equals(ca.certificate.subject));
  assert.ok(verifySignature(basic.signatureAlgorithm, ca.keys.publicKey, basic.tbs, basic.signature));

  const byKey = buildOcspResponse({
    responderId: { byKey: ca.certificate.extensions.subjectKeyId! },
    producedAt: NOW,
    responses: [{ id: ids[0]!, status: { kind: "good" }, thisUpdate: NOW, nextUpdate: undefined }],
    nonce: undefined,
    certificates: [],
    signer: ca.signer,
  });
  const bare = parseOcspResponse(byKey).basic;
  assert.deepEqual(bare?.responderId, { byKey: ca.certificate.extensions.subjectKeyId });
  assert.deepEqual([bare?.nonce, bare?.certificates, bare?.responses[0]?.nextUpdate], [undefined, [], undefined]);
});

test("an error response reads back as its status alone", () => {
  for (const status of Object.values(ResponseStatus).filter((value) => value !== ResponseStatus.successful))
    assert.deepEqual(parseOcspResponse(buildOcspError(status)), { status, basic: undefined });
  assert.throws(() => parseOcspResponse(buildOcspError(ResponseStatus.successful)), /missing from a successful/);
});

test("too many certificates, a nonce out of bounds, a foreign response type and an odd status are refused", () => {
  const many = Array.from({ length: 33 }, () => ids[0]!);
  assert.throws(() => parseOcspRequest(buildOcspRequest(many, undefined)), /more than 32/);
  for (const length of [0, 129])
    assert.throws(() => parseOcspRequest(buildOcspRequest(ids, Buffer.alloc(length))), /nonce.*1 to 128/);
  const foreign = write.sequence(
    write.enumerated(0),
    write.explicit(0, write.sequence(write.oid("1.2.3"), write.octetString(Buffer.alloc(0)))),
  );
  assert.throws(() => parseOcspResponse(foreign), /1\.2\.3 is not id-pkix-ocsp-basic/);
  const wide = write.sequence(write.element(0x0a, Buffer.from([0, 0])));
  assert.throws(() => parseOcspResponse(wide), /responseStatus.*ENUMERATED/);
});

test("requests and responses with any octets changed, cut or lengthened read or are a DerError", () => {
  const damaged = (original: Buffer, parse: (der: Buffer) => unknown) =>
    fc.assert(
      fc.property(mutated(fc.constant(original)), (bytes) => {
        try {
          parse(bytes);
        } catch (error) {
          assert.ok(error instanceof DerError, String(error));
        }
      }),
      { numRuns: 1000 },
    );
  damaged(buildOcspRequest(ids, NONCE), parseOcspRequest);
  damaged(fullResponse([{ kind: "good" }, { kind: "revoked", at: NOW, reason: 1 }]), parseOcspResponse);
});
