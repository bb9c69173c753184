import assert from "node:assert/strict";
import { test } from "node:test";
import { copyOf } from "../../src/bytes/bytes.ts";
import { ThreadedCrlLoader } from "../../src/revocation/crlLoader.ts";
import type { CrlSigner } from "../../src/revocation/crlLoading.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { verifiesCrl } from "../../src/trust/crlSignature.ts";
import { toPem } from "../../src/x509/pem.ts";
import { make } from "../x509/made.ts";
import { largeCrl, largeSerial } from "./largeCrl.ts";

const ca = make({ name: "CA" });
const renewed = make({ name: "CA" });
const stranger = make({ name: "Stranger" });
const signerOf = ({ certificate }: typeof ca): CrlSigner => ({ name: certificate.subject.der, spki: certificate.spki });
/** Loaded on the spot, and on the thread. */
const SIZES = [10, 5000];

for (const size of SIZES) {
  const crl = largeCrl(ca, size);
  test(`a CRL of ${size} entries is loaded under the key that signed it, of several of one name`, async () => {
    await using loader = new ThreadedCrlLoader(systemEnvironment.random);
    const load = await loader.load([copyOf(crl)], [renewed, ca].map(signerOf));
    assert.ok(load.ok);
    const { loaded } = load;
    assert.deepEqual(loaded.spki, ca.certificate.spki);
    assert.equal(loaded.index.size, size);
    assert.equal(loaded.index.lookUp(largeSerial(0))?.reason, 1);
    assert.equal(loaded.index.lookUp(largeSerial(size)), undefined);
    assert.deepEqual(loaded.crl.der, crl);
    // Known to be verified: a spoilt signature would not be noticed any more.
    loaded.crl.signature.fill(0);
    assert.ok(verifiesCrl(loaded.index, { certificate: ca.certificate, parameters: undefined }));
    assert.ok(!verifiesCrl(loaded.index, { certificate: renewed.certificate, parameters: undefined }));
  });

  test(`a CRL of ${size} entries comes in segments, in PEM as well`, async () => {
    await using loader = new ThreadedCrlLoader(systemEnvironment.random);
    const pem = Buffer.from(toPem("X509 CRL", crl));
    for (const whole of [crl, pem]) {
      const segments = [whole.subarray(0, 100), whole.subarray(100, 101), whole.subarray(101)];
      const load = await loader.load(segments, [signerOf(ca)]);
      assert.ok(load.ok);
      assert.equal(load.loaded.index.size, size);
    }
  });

  test(`a CRL of ${size} entries that is forged, of somebody else or damaged is refused by its reason`, async () => {
    await using loader = new ThreadedCrlLoader(systemEnvironment.random);
    const reasonOf = async (bytes: Buffer, signers: readonly CrlSigner[]) => {
      const load = await loader.load([copyOf(bytes)], signers);
      return load.ok ? "ok" : load.problem.reason;
    };
    const spoilt = copyOf(crl);
    spoilt[200]! ^= 1;
    assert.equal(await reasonOf(spoilt, [signerOf(ca)]), "BadSignature");
    assert.equal(await reasonOf(crl, [signerOf(renewed)]), "BadSignature");
    assert.equal(await reasonOf(crl, [signerOf(stranger)]), "UnknownSigner");
    assert.equal(await reasonOf(crl, []), "UnknownSigner");
    assert.equal(await reasonOf(crl.subarray(0, -1), [signerOf(ca)]), "Malformed");
    assert.equal(await reasonOf(Buffer.alloc(crl.length, "<html>"), [signerOf(ca)]), "Malformed");
    assert.equal(await reasonOf(Buffer.from("-----BEGIN X509 CRL-----\nAA\n"), [signerOf(ca)]), "Malformed");
    const unreadable = { ...signerOf(ca), spki: Buffer.from("3000", "hex") };
    assert.equal(await reasonOf(crl, [unreadable]), "BadSignature");
    // The thread is none the worse for it.
    assert.equal(await reasonOf(crl, [signerOf(ca)]), "ok");
  });
}

test("several large CRLs at once are loaded one after the other, each for who asked for it", async () => {
  await using loader = new ThreadedCrlLoader(systemEnvironment.random);
  const sizes = [3000, 4000, 5000];
  const loads = await Promise.all(sizes.map((size) => loader.load([largeCrl(ca, size)], [signerOf(ca)])));
  assert.deepEqual(
    loads.map((load) => load.ok && load.loaded.index.size),
    sizes,
  );
});

test("a thread that ends for want of work is started again when there is some", async () => {
  await using loader = new ThreadedCrlLoader(systemEnvironment.random, 0);
  for (let round = 0; round < 3; round++) assert.ok((await loader.load([largeCrl(ca, 5000)], [signerOf(ca)])).ok);
});

test("whoever waits when the loader is closed is told", async () => {
  const loader = new ThreadedCrlLoader(systemEnvironment.random);
  const load = loader.load([largeCrl(ca, 5000)], [signerOf(ca)]);
  const told = assert.rejects(load, /the CRL thread ended/);
  await loader[Symbol.asyncDispose]();
  await told;
});
