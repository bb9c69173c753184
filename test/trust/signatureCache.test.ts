import assert from "node:assert/strict";
import { test } from "node:test";
import { DerError } from "../../src/der/reader.ts";
import { SignatureCache } from "../../src/trust/signatureCache.ts";
import { type Certificate, parseCertificate } from "../../src/x509/certificate.ts";
import { make } from "../x509/made.ts";

const issuer = make({ name: "Root" }).certificate;
const [a, b, c] = ["A", "B", "C"].map((name) => make({ name }).certificate) as [Certificate, Certificate, Certificate];

function counting(cache: SignatureCache, good: boolean) {
  let verified = 0;
  const ask = (certificate: Certificate, by = issuer) =>
    cache.remember(certificate, by, () => {
      verified += 1;
      return good;
    });
  return { ask, verified: () => verified };
}

test("a good signature is verified once for each pair of certificate and issuer", () => {
  const { ask, verified } = counting(new SignatureCache(), true);
  assert.deepEqual([ask(a), ask(a), ask(b), ask(a, b)], [true, true, true, true]);
  assert.equal(verified(), 3);
});

test("a bad one is verified every time and takes no room", () => {
  const cache = new SignatureCache(1);
  const good = counting(cache, true);
  const bad = counting(cache, false);
  good.ask(a);
  assert.deepEqual([bad.ask(b), bad.ask(b)], [false, false]);
  good.ask(a);
  assert.deepEqual([bad.verified(), good.verified()], [2, 1]);
});

test("beyond the limit the pair that was not used for longest is forgotten", () => {
  const { ask, verified } = counting(new SignatureCache(2), true);
  for (const certificate of [a, b, a, c]) ask(certificate);
  assert.equal(verified(), 3);
  ask(a);
  assert.equal(verified(), 3);
  ask(b);
  assert.equal(verified(), 4);
});

test("a certificate with a good signature is read once, into memory of its own; others are read every time", () => {
  const cache = new SignatureCache();
  const packet = Buffer.concat([Buffer.alloc(9), a.der, Buffer.alloc(9)]);
  const received = parseCertificate(packet.subarray(9, 9 + a.der.length));
  counting(cache, true).ask(received);
  counting(cache, false).ask(b);
  const known = cache.read(Buffer.from(a.der));
  assert.equal(cache.read(a.der), known);
  assert.deepEqual(known.der, a.der);
  assert.notEqual(known.der.buffer, packet.buffer, "the packet is not kept for the sake of one certificate");
  assert.notEqual(cache.read(b.der), cache.read(b.der));
  assert.throws(() => cache.read(Buffer.from("30", "hex")), DerError);
});

test("beyond the limit the certificate that was not met for longest is read anew", () => {
  const cache = new SignatureCache(2);
  const { ask } = counting(cache, true);
  ask(a);
  ask(b);
  const [knownA, knownB] = [a, b].map(({ der }) => cache.read(der));
  ask(a);
  ask(c);
  assert.equal(cache.read(a.der), knownA);
  assert.notEqual(cache.read(b.der), knownB);
});
