import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { DerError } from "../../src/der/reader.ts";
import * as write from "../../src/der/writer.ts";
import { buildCrl, extension, signed } from "../../src/x509/build.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import type { RevokedEntry } from "../../src/x509/crlEntries.ts";
import { Oid } from "../../src/x509/oids.ts";
import { verifySignature } from "../../src/x509/signature.ts";
import { mutated } from "../ike/codec/arbitrary.ts";
import { DAY, make, NOW } from "./made.ts";

const ca = make({ name: "CA" });
const crlOf = (entries: readonly RevokedEntry[], number = 7): Bytes =>
  buildCrl({
    issuer: ca.certificate.subject,
    thisUpdate: NOW,
    nextUpdate: NOW + DAY,
    number,
    entries,
    authorityKeyId: ca.certificate.extensions.subjectKeyId!,
    signer: ca.signer,
  });

test("a CRL reads back: issuer, times, number, key identifier, every entry; and its signature verifies", () => {
  const serial = fc
    .uint8Array({ minLength: 1, maxLength: 20 })
    .map((array) => Buffer.concat([Buffer.from([1 + (array[0]! & 0x3f)]), Buffer.from(array)]));
  const entry = fc.record(
    { serial, revokedAt: fc.nat(10_000).map((n) => NOW - n * 1000), reason: fc.constantFrom(undefined, 1, 4, 9) },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 20 }), (entries) => {
      const crl = parseCrl(crlOf(entries, 300));
      assert.ok(crl.issuer.equals(ca.certificate.subject));
      assert.deepEqual([crl.thisUpdate, crl.nextUpdate, crl.number], [NOW, NOW + DAY, Buffer.from([1, 44])]);
      assert.deepEqual(crl.authorityKeyId, ca.certificate.extensions.subjectKeyId);
      assert.deepEqual(crl.unknownCritical, []);
      assert.deepEqual(
        [...crl.entries()],
        entries.map((one) => ({ ...one, certificateIssuer: undefined, unknownCritical: [] })),
      );
      assert.ok(verifySignature(crl.signatureAlgorithm, ca.keys.publicKey, crl.tbs, crl.signature));
    }),
    { numRuns: 50 },
  );
});

test("entries are read as they are asked for: a malformed one is met only when its turn comes", () => {
  const good = write.sequence(write.integer(1), write.time(NOW));
  const bad = write.sequence(write.integer(2));
  const crl = parseCrl(bareCrl(write.sequence(good, bad)));
  const entries = crl.entries()[Symbol.iterator]();
  assert.deepEqual(entries.next().value?.serial, Buffer.from([1]));
  assert.throws(() => entries.next(), DerError);
  assert.deepEqual([...parseCrl(bareCrl(write.sequence(good))).entries()].length, 1);
});

test("critical extensions of the list and of an entry are told, unless they are processed", () => {
  const critical = (oid: string, value: Bytes) => extension({ oid, critical: true, value });
  const scope = critical(Oid.issuingDistributionPoint, write.sequence());
  const withList = parseCrl(bareCrl(write.explicit(0, write.sequence(scope, critical("1.2.3", write.sequence())))));
  assert.deepEqual(withList.unknownCritical, ["1.2.3"]);
  const issuer = critical(Oid.certificateIssuer, write.sequence(write.explicit(4, ca.certificate.subject.der)));
  const entry = write.sequence(
    write.integer(1),
    write.time(NOW),
    write.sequence(issuer, critical("1.2.4", write.sequence())),
  );
  const [read] = parseCrl(bareCrl(write.sequence(entry))).entries();
  assert.deepEqual(read?.unknownCritical, ["1.2.4"]);
  assert.ok(read?.certificateIssuer?.equals(ca.certificate.subject));
});

test("a CRL that names one algorithm inside and another outside is refused", () => {
  const changed = Buffer.from(crlOf([]));
  const algorithm = write.oid(Oid.ecdsaWithSha256);
  changed[changed.lastIndexOf(algorithm) + algorithm.length - 1] = 3;
  assert.throws(() => parseCrl(changed), /signature.*differs from signatureAlgorithm/);
});

test("a CRL with any octets changed, cut or lengthened reads or is a DerError", () => {
  const entries = Array.from({ length: 10 }, (_, i) => ({ serial: Buffer.from([i + 1]), revokedAt: NOW, reason: 1 }));
  fc.assert(
    fc.property(mutated(fc.constant(crlOf(entries))), (bytes) => {
      try {
        for (const entry of parseCrl(bytes).entries()) assert.ok(entry.serial.length > 0);
      } catch (error) {
        assert.ok(error instanceof DerError, String(error));
      }
    }),
    { numRuns: 1500 },
  );
});

/** A version 2 CRL whose part after thisUpdate is free. */
function bareCrl(...rest: readonly Bytes[]): Bytes {
  const { subject } = ca.certificate;
  return signed(
    write.sequence(write.integer(1), ca.signer.algorithm, subject.der, write.time(NOW), ...rest),
    ca.signer,
  );
}
