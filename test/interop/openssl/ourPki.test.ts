import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Pki } from "../../../src/pki/authority.ts";
import { KEY_KINDS, type KeyKind } from "../../../src/pki/certify.ts";
import type { CrlKind } from "../../../src/pki/crlArchive.ts";
import type { PkiOptions } from "../../../src/pki/options.ts";
import { CA_NAMES, PROFILES } from "../../../src/pki/profiles.ts";
import { toPem } from "../../../src/x509/pem.ts";
import { makePki, serve } from "../../pki/folder.ts";
import { OpenSsl } from "./openssl.ts";

const PURPOSES = { segw: "any", henb: "any", "henb-tls": "sslclient", "henb-both": "sslclient", hems: "sslserver" };

for (const keys of KEY_KINDS) {
  test(`openssl verify takes every ${keys} certificate that the PKI issues, with CRLs of the whole path, strictly`, (t) => {
    const { pki, openssl } = started(t, keys);
    for (const profile of PROFILES) {
      for (const extraCas of [0, 2]) {
        const issued = pki.issue({ profile, dns: ["a.example"], ip: ["2001:db8::1"], extraCas });
        const files = pki.writeFiles(issued, join(openssl.directory, "leaf"));
        openssl.writeCertificates("above.pem", ...issued.chain.slice(1));
        const root = profile === "segw" || profile === "hems" ? "operator-root" : "manufacturer-root";
        const check = ["verify", "-x509_strict", "-check_ss_sig", "-purpose", PURPOSES[profile], "-crl_check_all"];
        const crls = writeCrls(openssl, pki);
        const trust = ["-CAfile", pki.caFile(root), "-untrusted", "above.pem", ...crls];
        const names = ["-verify_hostname", "a.example", "-verify_ip", "2001:db8::1"];
        assert.match(openssl.run(...check, ...trust, ...names, "leaf.crt.pem"), /leaf\.crt\.pem: OK/);
        // The key belongs to the certificate, and chain.pem is what a server sends.
        openssl.run("x509", "-in", files.certificate, "-noout", "-pubkey", "-out", "leaf.pub");
        openssl.run("pkey", "-in", files.key, "-pubout", "-out", "key.pub");
        assert.ok(openssl.read("leaf.pub").equals(openssl.read("key.pub")));
        assert.match(openssl.run("verify", "-CAfile", pki.caFile(root), "-untrusted", files.chain, files.chain), /OK/);
      }
    }
  });

  test(`openssl refuses the ${keys} certificate that the PKI's CRL lists, and shows number and reason`, (t) => {
    const { pki, openssl } = started(t, keys);
    const issued = pki.issue({ profile: "henb", dns: ["a.example"] });
    pki.writeFiles(issued, join(openssl.directory, "leaf"));
    openssl.writeCertificates("both.pem", pki.ca("manufacturer-root"), pki.ca("device-ca"));
    const check = ["verify", "-crl_check", "-CAfile", "both.pem"];
    assert.match(openssl.run(...check, ...writeCrls(openssl, pki), "leaf.crt.pem"), /OK/);
    pki.revoke(issued.certificate.serial, "cessationOfOperation");
    const refused = openssl.try(...check, ...writeCrls(openssl, pki), "leaf.crt.pem");
    assert.ok(!refused.ok && /certificate revoked/.test(refused.output));
    const text = openssl.run("crl", "-in", "device-ca.crl", "-noout", "-text", "-CAfile", "both.pem");
    assert.match(text, /verify OK/);
    assert.match(text, /CRL Number:\s+2\s[\s\S]*Serial Number: \w+[\s\S]*Cessation Of Operation/);
  });

  test(`openssl ocsp as client of our responder: ${keys} CAs and signers; good, revoked, unknown; with and without nonce`, async (t) => {
    const { pki, openssl } = started(t, keys, keys);
    const url = await serve(t, pki);
    const [good, revoked] = ["good.example", "revoked.example"].map((name) => {
      const issued = pki.issue({ profile: "henb", dns: [name] });
      pki.writeFiles(issued, join(openssl.directory, name));
      return issued.certificate;
    });
    pki.revoke(revoked!.serial, "keyCompromise");
    openssl.writeCertificates("both.pem", pki.ca("manufacturer-root"), pki.ca("device-ca"));
    const asked = ["ocsp", "-url", url, "-CAfile", "both.pem", "-issuer", pki.caFile("device-ca")];
    for (const nonce of ["-nonce", "-no_nonce"]) {
      for (const hash of ["-sha1", "-sha256"]) {
        const ask = async (...of: string[]) => {
          const { ok, output } = await openssl.ask(...asked, nonce, hash, ...of);
          assert.ok(ok, output);
          assert.match(output, /Response verify OK/);
          assert.doesNotMatch(output, /WARNING/, "a nonce that was sent comes back");
          return output;
        };
        assert.match(await ask("-cert", "good.example.crt.pem"), /good\.example\.crt\.pem: good\n\tThis Update: /);
        assert.match(await ask("-cert", "revoked.example.crt.pem"), /: revoked[\s\S]*Reason: keyCompromise/);
        assert.match(await ask("-serial", "0x4201"), /0x4201: unknown/);
        const both = await ask("-cert", "good.example.crt.pem", "-cert", "revoked.example.crt.pem");
        assert.match(both, /good\.example\.crt\.pem: good[\s\S]*revoked\.example\.crt\.pem: revoked/);
      }
    }
    const foreign = await openssl.ask(...asked.slice(0, -1), pki.caFile("segw-ca"), "-serial", `0x${good!.serialText}`);
    assert.match(foreign.output, /: unknown/, "its serial under another CA of ours");
    openssl.run(
      ..."req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=x -keyout x -out x.pem".split(" "),
    );
    const stranger = await openssl.ask(...asked.slice(0, -1), "x.pem", "-serial", "0x42");
    assert.match(stranger.output, /Responder Error: unauthorized/);
  });
}

test("openssl verify follows delta CRLs and the shard that a certificate points to, and no other", (t) => {
  const { pki, openssl } = started(t, "p-256", "p-256", { crlShards: 2, deltaCrls: true });
  const issued = pki.issue({ profile: "henb", dns: ["a.example"] });
  pki.writeFiles(issued, join(openssl.directory, "leaf"));
  openssl.writeCertificates("both.pem", pki.ca("manufacturer-root"), pki.ca("device-ca"));
  const own = Number(/\/(\d)\.crl$/.exec(issued.certificate.extensions.crlUrls[0]!)![1]);
  const file = (shard: number, kind: CrlKind) =>
    openssl.write(`${shard}.${kind}.crl`, toPem("X509 CRL", pki.currentCrl({ ca: "device-ca", shard }, kind).der));
  const verify = (...crls: string[]) => {
    const check = ["verify", "-crl_check", "-extended_crl", "-use_deltas", "-CAfile", "both.pem"];
    const { output } = openssl.try(...check, ...crls.flatMap((crl) => ["-CRLfile", crl]), "leaf.crt.pem");
    return /: OK/.test(output) ? "good" : (/lookup: (.*)/.exec(output)?.[1] ?? output);
  };
  const complete = file(own, "complete");
  assert.equal(verify(complete, file(own, "delta")), "good");
  assert.equal(verify(file(1 - own, "complete"), file(1 - own, "delta")), "different CRL scope");
  pki.revoke(issued.certificate.serial, "certificateHold");
  assert.equal(file(own, "complete"), complete);
  assert.equal(verify(complete), "good", "the complete CRL is from before");
  assert.equal(verify(complete, file(own, "delta")), "certificate revoked");
  pki.release(issued.certificate.serial);
  assert.equal(verify(complete, file(own, "delta")), "good", "removeFromCRL");
  const text = openssl.run("crl", "-in", file(own, "delta"), "-noout", "-text", "-CAfile", "both.pem");
  assert.match(text, /verify OK/);
  assert.match(text, /Delta CRL Indicator: critical\s+1[\s\S]*Remove From CRL/);
  assert.match(text, new RegExp(`Issuing Distribution Point: critical\\s+Full Name:\\s+URI:.*/device-ca/${own}.crl`));
});

function started(
  t: TestContext,
  keys: KeyKind,
  ocspKeys: KeyKind = "p-256",
  more: PkiOptions = {},
): { pki: Pki; openssl: OpenSsl } {
  const pointers = { ocspUrl: "http://pki.example/ocsp", crlUrl: "http://pki.example/crl" };
  const pki = makePki(t, { keys, ocspKeys, ...pointers, ...more });
  const openssl = new OpenSsl();
  t.after(() => openssl[Symbol.dispose]());
  return { pki, openssl };
}

/** Files with all CAs' CRLs, as options of `openssl verify`. */
function writeCrls(openssl: OpenSsl, pki: Pki): string[] {
  assert.ok(CA_NAMES.every((name) => pki.caNames().includes(name)));
  return pki.caNames().flatMap((name) => ["-CRLfile", openssl.write(`${name}.crl`, toPem("X509 CRL", pki.crl(name)))]);
}
