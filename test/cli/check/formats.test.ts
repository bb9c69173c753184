import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../../src/bytes/reader.ts";
import { UnreadableInput } from "../../../src/cli/check/material.ts";
import { readPkcs7 } from "../../../src/cli/check/pkcs7.ts";
import { readPkcs12 } from "../../../src/cli/check/pkcs12.ts";
import { readMaterial } from "../../../src/cli/check/readFile.ts";
import { OpenSsl } from "../../interop/openssl/openssl.ts";
import { make } from "../../x509/made.ts";
import { CheckFolder } from "./run.ts";

const root = make({ name: "Root" });
const leaf = make({ name: "Leaf", issuer: root });
const chain = [leaf.certificate, root.certificate];
const fingerprints = chain.map(({ fingerprint }) => fingerprint).sort();

test("PEM with text around it, DER, and PKCS#7 in both of what openssl writes give the same certificates", () => {
  using openssl = new OpenSsl();
  const pem = openssl.writeCertificates("chain.pem", ...chain);
  openssl.write("leaf.der", leaf.certificate.der);
  openssl.run("crl2pkcs7", "-nocrl", "-certfile", pem, "-outform", "DER", "-out", "chain.p7b");
  openssl.run("crl2pkcs7", "-nocrl", "-certfile", pem, "-out", "chain.p7.pem");
  openssl.write("text.pem", `Certificate:\n  Data: (as openssl x509 -text)\n${openssl.read(pem)}`);
  for (const file of ["chain.pem", "text.pem", "chain.p7b", "chain.p7.pem"])
    assert.deepEqual(found(openssl.path(file)), fingerprints, file);
  assert.deepEqual(found(openssl.path("leaf.der")), [leaf.certificate.fingerprint]);
});

test("PKCS#12 is opened with what openssl encrypts with now and encrypted with before, and passwords of any letters", () => {
  using openssl = new OpenSsl();
  const pem = openssl.writeCertificates("chain.pem", ...chain);
  openssl.write("key.pem", leaf.keys.privateKey.export({ format: "pem", type: "pkcs8" }));
  const cases: [password: string, options: string[]][] = [
    ["geheim", []],
    ["ümläut €", []],
    ["", []],
    ["geheim", ["-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"]],
    ["geheim", ["-certpbe", "PBE-SHA1-2DES", "-macalg", "sha512"]],
    ["geheim", ["-certpbe", "AES-128-CBC", "-macalg", "sha384"]],
    ["geheim", ["-certpbe", "DES-EDE3-CBC", "-iter", "1"]],
    ["geheim", ["-certpbe", "NONE"]],
    ["geheim", ["-nomac"]],
  ];
  for (const [password, options] of cases) {
    const args = ["-in", pem, "-inkey", "key.pem", "-passout", `pass:${password}`, ...options, "-out", "made.p12"];
    openssl.run("pkcs12", "-export", ...args);
    const material = readMaterial(openssl.path("made.p12"), { password });
    assert.deepEqual(material.certificates.map(({ item }) => item.fingerprint).sort(), fingerprints, options.join(" "));
  }
});

test("a wrong or missing password, and encryption not known here, are told as that", () => {
  using openssl = new OpenSsl();
  const pem = openssl.writeCertificates("chain.pem", ...chain);
  openssl.run("pkcs12", "-export", "-nokeys", "-in", pem, "-passout", "pass:geheim", "-out", "made.p12");
  const file = openssl.path("made.p12");
  assert.throws(() => readMaterial(file, { password: "falsch" }), /the password is not that of this PKCS#12 file/);
  assert.throws(() => readMaterial(file, { password: undefined }), /needs a password/);
  openssl.run("pkcs12", "-export", "-legacy", "-nokeys", "-in", pem, "-passout", "pass:a", "-out", "old.p12");
  assert.throws(() => readMaterial(openssl.path("old.p12"), { password: "a" }), /40-bit RC2.*openssl pkcs12 -nokeys/);
});

test("one block that cannot be read is told, and the others are read", () => {
  using folder = new CheckFolder();
  const pem = readFileSync(folder.writeCertificates("a.pem", leaf.certificate), "utf8");
  const material = readMaterial(
    folder.write("b.pem", `-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n${pem}`),
    { password: undefined },
  );
  assert.equal(material.certificates[0]?.origin, "b.pem #2");
  assert.match(material.problems[0]!, /^b\.pem #1 \(CERTIFICATE\): /);
});

test("damaged containers never throw anything but what says so", () => {
  using openssl = new OpenSsl();
  const pem = openssl.writeCertificates("chain.pem", ...chain);
  openssl.run("crl2pkcs7", "-nocrl", "-certfile", pem, "-outform", "DER", "-out", "chain.p7b");
  openssl.run(
    "pkcs12",
    "-export",
    "-nokeys",
    "-iter",
    "1",
    "-in",
    pem,
    "-passout",
    "pass:a",
    "-nomac",
    "-out",
    "a.p12",
  );
  const read = { p7b: readPkcs7, p12: (der: Buffer) => readPkcs12(der, "a") };
  const files = { p7b: openssl.read("chain.p7b"), p12: openssl.read("a.p12") };
  fc.assert(
    fc.property(
      fc.constantFrom("p7b", "p12"),
      fc.array(fc.tuple(fc.nat(5000), fc.nat(255)), { maxLength: 4 }),
      (kind, changes) => {
        const der = Buffer.from(files[kind]);
        for (const [at, value] of changes) der[at % der.length] = value;
        try {
          const bag = read[kind](der);
          assert.ok(bag.certificates.length <= der.length);
        } catch (error) {
          assert.ok(error instanceof DecodeError || error instanceof UnreadableInput, String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
});

function found(file: string): string[] {
  return readMaterial(file, { password: undefined })
    .certificates.map(({ item }) => item.fingerprint)
    .sort();
}
