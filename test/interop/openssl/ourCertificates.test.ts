import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp } from "../../../src/bytes/ip.ts";
import {
  authorityInfoAccess,
  buildCrl,
  crlDistributionPoint,
  extendedKeyUsage,
  keyUsage,
  ocspNoCheck,
  subjectAltName,
} from "../../../src/x509/build.ts";
import {
  buildOcspRequest,
  buildOcspResponse,
  type CertStatus,
  certIdOf,
  type SingleResponse,
} from "../../../src/x509/ocsp.ts";
import { Oid } from "../../../src/x509/oids.ts";
import { toPem } from "../../../src/x509/pem.ts";
import { DAY, KEY_MAKERS, LEAF_EXTENSIONS, make } from "../../x509/made.ts";
import { OpenSsl } from "./openssl.ts";

const now = Math.floor(Date.now() / 1000) * 1000;
const valid = { notBefore: now - DAY, notAfter: now + DAY };

for (const [kind, makeKeys] of Object.entries(KEY_MAKERS)) {
  const root = make({ name: `${kind} root`, keys: makeKeys(), ...valid });
  const ca = make({ name: `${kind} CA`, issuer: root, keys: makeKeys(), ...valid });
  const more = [
    extendedKeyUsage(Oid.ipsecIke),
    subjectAltName({ dns: ["segw.example"], ip: [parseIp("192.0.2.1")!, parseIp("2001:db8::1")!] }),
    crlDistributionPoint("http://crl.example/ca.crl"),
    authorityInfoAccess({ ocsp: "http://ocsp.example/", caIssuers: "http://ca.example/ca.cer" }),
  ];
  const leaf = make({
    name: "segw.example",
    issuer: ca,
    keys: makeKeys(),
    extensions: LEAF_EXTENSIONS,
    more,
    ...valid,
  });
  const other = make({ name: "other", issuer: ca, extensions: LEAF_EXTENSIONS, ...valid });
  const signerExtensions = [keyUsage("digitalSignature"), extendedKeyUsage(Oid.ocspSigning), ocspNoCheck()];
  const delegate = make({ name: "OCSP signer", issuer: ca, keys: makeKeys(), extensions: signerExtensions, ...valid });
  const files = (openssl: OpenSsl) => {
    openssl.writeCertificates("root.pem", root.certificate);
    openssl.writeCertificates("ca.pem", ca.certificate);
    openssl.writeCertificates("both.pem", root.certificate, ca.certificate);
    openssl.writeCertificates("leaf.pem", leaf.certificate);
    openssl.writeCertificates("other.pem", other.certificate);
  };

  test(`openssl verify accepts a strict ${kind} path that we built, and shows what we put into it`, () => {
    using openssl = new OpenSsl();
    files(openssl);
    const strict = ["verify", "-x509_strict", "-check_ss_sig", "-CAfile", "root.pem", "-untrusted", "ca.pem"];
    assert.match(openssl.run(...strict, "-verify_hostname", "segw.example", "leaf.pem"), /leaf\.pem: OK/);
    assert.match(openssl.run(...strict, "-verify_ip", "2001:db8::1", "leaf.pem"), /OK/);
    const text = openssl.run("x509", "-in", "leaf.pem", "-noout", "-text");
    for (const part of [
      /Version: 3/,
      /Subject: O = Femtogate, CN = segw\.example/,
      /DNS:segw\.example, IP Address:192\.0\.2\.1, IP Address:2001:DB8:0:0:0:0:0:1/,
      /ipsec Internet Key Exchange/,
      /URI:http:\/\/crl\.example\/ca\.crl/,
      /OCSP - URI:http:\/\/ocsp\.example\//,
      /CA Issuers - URI:http:\/\/ca\.example\/ca\.cer/,
      /Key Usage: critical\s+Digital Signature/,
      /CA:FALSE/,
    ])
      assert.match(text, part);
  });

  test(`openssl takes a ${kind} CRL that we built, and refuses the certificate it lists`, () => {
    using openssl = new OpenSsl();
    files(openssl);
    const crl = (by: typeof ca, entries: Parameters<typeof buildCrl>[0]["entries"]) =>
      toPem(
        "X509 CRL",
        buildCrl({
          issuer: by.certificate.subject,
          thisUpdate: now - 1000,
          nextUpdate: now + DAY,
          number: 5,
          entries,
          authorityKeyId: by.certificate.extensions.subjectKeyId!,
          signer: by.signer,
        }),
      );
    openssl.write("ca.crl", crl(ca, [{ serial: other.certificate.serial, revokedAt: now - 60_000, reason: 1 }]));
    openssl.write("root.crl", crl(root, []));
    assert.match(openssl.run("crl", "-in", "ca.crl", "-noout", "-CAfile", "both.pem"), /verify OK/);
    const text = openssl.run("crl", "-in", "ca.crl", "-noout", "-text");
    assert.match(text, /Version 2[\s\S]*X509v3 CRL Number:\s+5[\s\S]*Key Compromise/);
    const check = ["verify", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "ca.pem"];
    const lists = ["-CRLfile", "ca.crl", "-CRLfile", "root.crl"];
    assert.match(openssl.run(...check, ...lists, "leaf.pem"), /leaf\.pem: OK/);
    const refused = openssl.try(...check, ...lists, "other.pem");
    assert.deepEqual([refused.ok, /certificate revoked/.test(refused.output)], [false, true]);
  });

  test(`openssl ocsp accepts ${kind} responses that we built: by the CA and a delegate, by name and key, every status`, () => {
    using openssl = new OpenSsl();
    files(openssl);
    const nonce = Buffer.alloc(32, 7);
    const statuses: [CertStatus, RegExp][] = [
      [{ kind: "good" }, /leaf\.pem: good/],
      [{ kind: "revoked", at: now - 60_000, reason: 1 }, /leaf\.pem: revoked[\s\S]*keyCompromise/],
      [{ kind: "unknown" }, /leaf\.pem: unknown/],
    ];
    for (const by of [ca, delegate]) {
      for (const [status, expected] of statuses) {
        for (const form of ["name", "key"] as const) {
          const single = (certificate: typeof leaf, its: CertStatus): SingleResponse => ({
            id: certIdOf(certificate.certificate, ca.certificate),
            status: its,
            thisUpdate: now - 1000,
            nextUpdate: now + DAY,
          });
          const response = buildOcspResponse({
            responderId:
              form === "name" ? { byName: by.certificate.subject } : { byKey: by.certificate.extensions.subjectKeyId! },
            producedAt: now,
            responses: [single(other, { kind: "good" }), single(leaf, status)],
            nonce,
            certificates: by === ca ? [] : [by.certificate.der],
            signer: by.signer,
          });
          openssl.write("response.der", response);
          openssl.write(
            "request.der",
            buildOcspRequest(
              [certIdOf(leaf.certificate, ca.certificate), certIdOf(other.certificate, ca.certificate)],
              nonce,
            ),
          );
          const asked = ["ocsp", "-respin", "response.der", "-reqin", "request.der", "-CAfile", "both.pem"];
          const output = openssl.run(...asked, "-issuer", "ca.pem", "-cert", "leaf.pem", "-no_nonce");
          assert.match(output, /Response verify OK/);
          assert.match(output, expected);
        }
      }
    }
  });
}
