import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { Pki } from "../../../src/pki/authority.ts";
import { seededRandom } from "../../../src/sim/random.ts";
import { lint } from "../../../src/trust/profiles/lint.ts";
import type { CertificateProfile, Finding } from "../../../src/trust/profiles/rule.ts";
import type { Certificate } from "../../../src/x509/certificate.ts";
import { parseCrl } from "../../../src/x509/crl.ts";
import { NOW } from "../../x509/made.ts";

for (const [keys, release] of [
  ["p-256", "newest"],
  ["rsa-2048", "newest"],
  ["rsa-2048", "R9"],
] as const) {
  test(`what our PKI issues with ${keys} breaks no rule of ${release}`, () => {
    using made = new Folder();
    const environment = { clock: { now: () => NOW }, random: seededRandom(1) };
    const urls = { ocspUrl: "http://ocsp.example", crlUrl: "http://crl.example" };
    const pki = Pki.create(made.directory, environment, { keys, ...urls });
    const findings: Finding[] = [];
    const judge = (certificate: Certificate, profile: CertificateProfile, issuer: Certificate, identity?: string) => {
      const circumstances = {
        issuer,
        crlServer: true,
        ocspServer: true,
        ...(identity === undefined ? {} : { identity }),
      };
      findings.push(...lint({ certificate, profile, release, circumstances }));
    };
    for (const [root, ca, profile, issues] of [
      ["operator-root", "segw-ca", "segw", "segw"],
      ["operator-root", "hems-ca", "hems", "hems"],
      ["manufacturer-root", "device-ca", "henb-ikev2", "henb"],
      ["manufacturer-root", "device-ca", "henb", "henb-both"],
      ["manufacturer-root", "device-tls-ca", "henb-tls", "henb-tls"],
    ] as const) {
      judge(pki.ca(root), "root-ca", pki.ca(root));
      judge(pki.ca(ca), ca === "hems-ca" || ca === "device-tls-ca" ? "tls-ca" : "ne-ca", pki.ca(root));
      const identity = `${profile}.example`;
      judge(pki.issue({ profile: issues, dns: [identity] }).certificate, profile, pki.ca(ca), identity);
      findings.push(...lint({ crl: parseCrl(pki.crl(ca)), release }));
    }
    // The signer's key is P-256 whatever the CA's; a device of release 9 that knows RSA only asks no OCSP of it.
    if (release !== "R9")
      for (const { certificate, issuer } of pki.ocspSigners()) judge(certificate, "ocsp-signer", issuer);
    pki.close();
    assert.deepEqual(
      findings.filter(({ severity }) => severity !== "notice"),
      [],
    );
  });
}

class Folder implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "femtogate-profiles-"));

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
