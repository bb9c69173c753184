import assert from "node:assert/strict";
import { constants, createHash, type KeyObject, sign, X509Certificate } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { DerError } from "../../src/der/reader.ts";
import * as write from "../../src/der/writer.ts";
import {
  authorityInfoAccess,
  basicConstraints,
  crlDistributionPoint,
  extendedKeyUsage,
  keyUsage,
  type NewExtension,
  ocspNoCheck,
  signed,
  subjectAltName,
} from "../../src/x509/build.ts";
import { type Certificate, parseCertificate } from "../../src/x509/certificate.ts";
import { namesOf } from "../../src/x509/extensions.ts";
import { Oid } from "../../src/x509/oids.ts";
import { type Signer, verifySignature } from "../../src/x509/signature.ts";
import { mutated } from "../ike/codec/arbitrary.ts";
import { DAY, KEY_MAKERS, make, NOW } from "./made.ts";

const root = make({ name: "Root" });
const verifies = (certificate: Certificate, key: KeyObject) =>
  verifySignature(certificate.signatureAlgorithm, key, certificate.tbs, certificate.signature);

test("every field that is built reads back", () => {
  const { certificate, keys } = make({
    name: "ap-0001.example",
    issuer: root,
    serial: Buffer.from("00f1e2d3", "hex"),
    notBefore: NOW,
    notAfter: NOW + DAY,
    extensions: [
      basicConstraints(true, 3),
      keyUsage("digitalSignature", "nonRepudiation", "keyEncipherment", "keyCertSign", "cRLSign"),
      extendedKeyUsage(Oid.ipsecIke, Oid.serverAuth),
      subjectAltName({
        dns: ["ap-0001.example", "b.example"],
        ip: [Buffer.from([192, 0, 2, 1])],
        email: ["x@example"],
      }),
      crlDistributionPoint("http://crl.example/ca.crl"),
      authorityInfoAccess({ ocsp: "http://ocsp.example/", caIssuers: "http://ca.example/ca.cer" }),
      ocspNoCheck(),
    ],
  });
  assert.equal(certificate.serialText, "00f1e2d3");
  assert.equal(certificate.subject.toString(), "O=Femtogate, CN=ap-0001.example");
  assert.equal(certificate.subject.commonName, "ap-0001.example");
  assert.ok(certificate.issuer.equals(root.certificate.subject));
  assert.equal(certificate.isSelfIssued, false);
  assert.deepEqual([certificate.notBefore, certificate.notAfter], [NOW, NOW + DAY]);
  const { extensions } = certificate;
  assert.deepEqual(extensions.basicConstraints, { ca: true, pathLength: 3 });
  assert.deepEqual(extensions.keyUsage, {
    digitalSignature: true,
    nonRepudiation: true,
    keyEncipherment: true,
    keyCertSign: true,
    cRLSign: true,
  });
  assert.deepEqual(extensions.extendedKeyUsage, [Oid.ipsecIke, Oid.serverAuth]);
  assert.deepEqual(namesOf(extensions.subjectAltName), ["ap-0001.example", "b.example", "192.0.2.1", "x@example"]);
  assert.deepEqual(extensions.crlUrls, ["http://crl.example/ca.crl"]);
  assert.deepEqual(extensions.ocspUrls, ["http://ocsp.example/"]);
  assert.deepEqual(extensions.caIssuerUrls, ["http://ca.example/ca.cer"]);
  assert.equal(extensions.ocspNoCheck, true);
  assert.deepEqual(extensions.unknownCritical, []);
  assert.deepEqual(extensions.authorityKeyId, root.certificate.extensions.subjectKeyId);
  assert.ok(certificate.publicKey?.equals(keys.publicKey));
  assert.equal(certificate.fingerprint, createHash("sha256").update(certificate.der).digest("hex"));
  assert.deepEqual(certificate.keyHash, createHash("sha1").update(certificate.spki).digest());
});

for (const [kind, makeKeys] of Object.entries(KEY_MAKERS)) {
  test(`a certificate signed with ${kind} verifies under its issuer's key, says its key's size, and is good to OpenSSL`, () => {
    const issuer = make({ name: `${kind} CA`, keys: makeKeys() });
    const { certificate } = make({ name: "leaf", issuer });
    assert.ok(verifies(certificate, issuer.keys.publicKey));
    assert.ok(!verifies(certificate, root.keys.publicKey));
    const reference = new X509Certificate(certificate.der);
    assert.ok(reference.verify(issuer.keys.publicKey));
    assert.ok(reference.checkIssued(new X509Certificate(issuer.certificate.der)));
    const curve = { "P-256": Oid.p256, "P-384": Oid.p384, "P-521": Oid.p521 }[kind];
    assert.deepEqual(
      issuer.certificate.keyDescription,
      curve === undefined ? { kind: "rsa", bits: Number(kind.slice(4)) } : { kind: "ec", curve },
    );
  });
}

test("RSASSA-PSS with SHA-256, SHA-384 and SHA-512 verifies, and not with other parameters than it says", () => {
  const keys = KEY_MAKERS["RSA-2048"]();
  const hashes = { sha256: Oid.sha256, sha384: Oid.sha384, sha512: Oid.sha512 };
  for (const [hash, id] of Object.entries(hashes)) {
    const pss = (saidSalt: number): Signer => ({
      algorithm: write.sequence(
        write.oid(Oid.rsassaPss),
        write.sequence(
          write.explicit(0, write.sequence(write.oid(id))),
          write.explicit(1, write.sequence(write.oid("1.2.840.113549.1.1.8"), write.sequence(write.oid(id)))),
          write.explicit(2, write.integer(saidSalt)),
        ),
      ),
      sign: (data) =>
        sign(hash, data, { key: keys.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
    });
    const { certificate } = make({ keys, signer: pss(32) });
    assert.deepEqual(certificate.signatureAlgorithm.known, { digest: hash, kind: "rsa-pss", saltLength: 32 });
    assert.ok(verifies(certificate, keys.publicKey));
    assert.ok(!verifies(make({ keys, signer: pss(20) }).certificate, keys.publicKey));
    assert.ok(!verifies(certificate, root.keys.publicKey));
  }
});

test("a SHA-1 signature is verified, for policy to refuse", () => {
  const keys = KEY_MAKERS["RSA-2048"]();
  const signer = {
    algorithm: write.sequence(write.oid(Oid.sha1WithRsa), write.nullValue()),
    sign: (data: Bytes) => sign("sha1", data, keys.privateKey),
  };
  const { certificate } = make({ keys, signer });
  assert.equal(certificate.signatureAlgorithm.known?.digest, "sha1");
  assert.ok(verifies(certificate, keys.publicKey));
});

test("an unknown signature algorithm reads, and verifies under no key", () => {
  const signer = { algorithm: write.sequence(write.oid("1.2.3.4")), sign: () => Buffer.alloc(64) };
  const { certificate } = make({ signer });
  assert.equal(certificate.signatureAlgorithm.known, undefined);
  assert.ok(!verifies(certificate, root.keys.publicKey));
});

test("an unknown critical extension is listed, an unknown uncritical one is not", () => {
  const unknown = (critical: boolean, oid: string): NewExtension => ({ oid, critical, value: write.nullValue() });
  const { certificate } = make({ more: [unknown(true, "1.2.3.4"), unknown(false, "1.2.3.5")] });
  assert.deepEqual(certificate.extensions.unknownCritical, ["1.2.3.4"]);
});

test("malformed extensions are refused with the name of what is wrong", () => {
  const refused = (extension: NewExtension, why: RegExp) => {
    const remade = () => make({ extensions: [extension] });
    assert.throws(remade, (error) => error instanceof DerError && why.test(error.message), String(why));
  };
  const dns = (text: string) => subjectAltName({ dns: [text] });
  refused(dns("a\0.example"), /dNSName.*printable/);
  refused(dns("a\u001b[2J.example"), /dNSName.*printable/);
  refused(dns("ä.example"), /dNSName.*printable/);
  refused(subjectAltName({ ip: [Buffer.alloc(5)] }), /iPAddress of 5 octets/);
  refused(subjectAltName({ dns: Array.from({ length: 257 }, () => "a") }), /more than 256/);
  refused({ ...basicConstraints(true), value: write.sequence(write.boolean(true), write.nullValue()) }, /too many/);
  refused({ ...basicConstraints(true), value: Buffer.concat([write.sequence(), write.nullValue()]) }, /too many/);
  refused({ ...keyUsage(), value: Buffer.from("03020886", "hex") }, /unused bits/);
  refused({ ...keyUsage(), value: write.nullValue() }, /keyUsage/);
});

test("an extension twice, and more extensions than the limit, are refused", () => {
  assert.throws(() => make({ more: [basicConstraints(true)] }), /twice/);
  const many = Array.from({ length: 65 }, (_, i) => ({ oid: `1.2.3.${i}`, critical: false, value: write.nullValue() }));
  assert.throws(() => make({ more: many }), /more than 64 extensions/);
});

test("octets after the certificate, a longer one than the limit, and differing algorithms are refused", () => {
  const { der } = root.certificate;
  assert.throws(() => parseCertificate(Buffer.concat([der, Buffer.alloc(1)])), /too many/);
  assert.throws(() => parseCertificate(Buffer.alloc(65_537)), /at most 65536/);
  const changed = Buffer.from(der);
  const algorithm = write.oid(Oid.ecdsaWithSha256);
  changed[changed.lastIndexOf(algorithm) + algorithm.length - 1] = 3;
  assert.throws(() => parseCertificate(changed), /signature.*differs from signatureAlgorithm/);
});

test("a signature of one kind that claims to be of another verifies under no key", () => {
  const keys = KEY_MAKERS["RSA-2048"]();
  const claims = (id: string): Signer => ({
    algorithm: write.sequence(write.oid(id)),
    sign: (data) => sign("sha256", data, keys.privateKey),
  });
  assert.ok(verifies(make({ keys, signer: claims(Oid.sha256WithRsa) }).certificate, keys.publicKey));
  assert.ok(!verifies(make({ keys, signer: claims(Oid.ecdsaWithSha256) }).certificate, keys.publicKey));
});

test("a version 1 certificate reads, but not with extensions; octets after the key are refused", () => {
  const { issuer, subject, spki, signatureAlgorithm, tbs } = root.certificate;
  const made = (key: Bytes, ...rest: readonly Bytes[]) => {
    const validity = write.sequence(write.time(NOW), write.time(NOW + DAY));
    const body = [write.integer(1), signatureAlgorithm.der, issuer.der, validity, subject.der, key, ...rest];
    return parseCertificate(signed(write.sequence(...body), root.signer));
  };
  assert.ok(verifies(made(spki), root.keys.publicKey));
  const extensions = tbs.subarray(tbs.indexOf(spki) + spki.length);
  assert.equal(extensions[0], 0xa3);
  assert.throws(() => made(spki, extensions), /extensions.*need version 3/);
  const [algorithm, bits] = [spki.subarray(2, 2 + 21), spki.subarray(2 + 21)];
  assert.ok(made(write.sequence(algorithm, bits)));
  assert.throws(() => made(write.sequence(algorithm, bits, write.nullValue())), /subjectPublicKeyInfo.*too many/);
});

test("a certificate with any octets changed, cut or lengthened reads or is a DerError, and lazy parts never throw", () => {
  const rich = make({
    issuer: root,
    more: [
      subjectAltName({ dns: ["a.example"], ip: [Buffer.alloc(16, 1)] }),
      extendedKeyUsage(Oid.ipsecIke),
      crlDistributionPoint("http://crl.example/"),
      authorityInfoAccess({ ocsp: "http://ocsp.example/" }),
    ],
  }).certificate;
  let read = 0;
  fc.assert(
    fc.property(mutated(fc.constant(rich.der)), (bytes) => {
      let certificate: Certificate;
      try {
        certificate = parseCertificate(bytes);
      } catch (error) {
        assert.ok(error instanceof DerError, String(error));
        return;
      }
      read += 1;
      assert.equal(typeof certificate.subject.toString(), "string");
      assert.ok(certificate.publicKey === undefined || certificate.publicKey.type === "public");
      assert.equal(typeof verifies(certificate, root.keys.publicKey), "boolean");
    }),
    { numRuns: 1500 },
  );
  assert.ok(read > 0, "some changes hit only values");
});

test("no single octet of a certificate can be changed without its signature failing", () => {
  const { der } = make({ issuer: root }).certificate;
  for (let at = 0; at < der.length; at++) {
    const changed = Buffer.from(der);
    changed[at]! ^= 0x01;
    try {
      assert.ok(!verifies(parseCertificate(changed), root.keys.publicKey), `octet ${at}`);
    } catch (error) {
      assert.ok(error instanceof DerError, String(error));
    }
  }
});
