/** Who is let in to an H(e)MS, with OpenSSL's and curl's clients (TS 33.320 8.3.2.1, 8.3.3.1). */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import test from "node:test";
import { promisify } from "node:util";
import { subjectAltName } from "../../src/x509/build.ts";
import { makePki } from "../pki/folder.ts";
import { CA_EXTENSIONS, DAY, LEAF_EXTENSIONS, make } from "../x509/made.ts";
import { HEMS, SClient, ServedHems } from "./served.ts";

const VERSIONS = ["-tls1_2", "-tls1_3"] as const;

for (const version of VERSIONS)
  test(`${version}: a device with a certificate is answered with 204, and is known by its common name (8.3.3.1-2)`, async (t) => {
    const hems = await ServedHems.start(t);
    const device = hems.device("AP-1.henb.example");
    const output = await SClient.post(t, hems.port, device, version, "-CAfile", `${hems.folder}/operator-root.pem`);
    assert.match(output, /HTTP\/1\.1 204 No Content/);
    assert.match(output, /Verify return code: 0 \(ok\)/);
    const ended = await hems.event("sessionEnded");
    const { device: name, cause, requests } = ended;
    assert.deepEqual({ name, cause, requests }, { name: "ap-1.henb.example", cause: "closed", requests: 1 });
    const { tls, resumed, status } = await hems.event("sessionOpened");
    assert.match(String(tls), version === "-tls1_2" ? /^TLSv1\.2 TLS_ECDHE_/ : /^TLSv1\.3 TLS_AES_128_GCM_SHA256$/);
    assert.deepEqual({ resumed, status }, { resumed: false, status: "not checked" });
  });

test("curl is served with a client certificate, and gets no answer without one", async (t) => {
  const hems = await ServedHems.start(t);
  const device = hems.device();
  const url = `https://${HEMS}:${hems.port}/acs`;
  const curl = (...args: string[]) =>
    promisify(execFile)("curl", [
      ...["-sS", "-X", "POST", "--cacert", `${hems.folder}/operator-root.pem`, "-w", "%{http_code}"],
      ...["--resolve", `${HEMS}:${hems.port}:127.0.0.1`, ...args, url],
    ]);
  const { stdout } = await curl("--cert", device.chain, "--key", device.key, "--cert-status");
  assert.equal(stdout, "204");
  await assert.rejects(curl());
  assert.equal((await hems.event("refused")).reason, "NoCertificate");
});

test("one certificate for IKEv2 and TLS serves here as well (8.3.3.1-5)", async (t) => {
  const hems = await ServedHems.start(t, () => ({ profile: { refuse: "errors" } }));
  const both = hems.files(hems.pki.issue({ profile: "henb-both", dns: ["ap-1.henb.example"] }));
  assert.match(await SClient.post(t, hems.port, both), /HTTP\/1\.1 204/);
});

for (const version of VERSIONS)
  test(`${version}: whoever is refused gets no byte of HTTP, and the log says why`, async (t) => {
    const hems = await ServedHems.start(t, (self) => ({ revocation: self.byOcsp, profile: { refuse: "errors" } }));
    const { pki } = hems;
    const other = makePki(t, { keys: "p-256", manufacturer: "Somebody Else" });
    const now = Date.now();
    const revoked = hems.device();
    pki.revoke(revoked.issued.certificate.serial, "keyCompromise");
    const cases = [
      ["NoCertificate", undefined],
      ["NoPathToTrustAnchor", hems.files(other.issue({ profile: "henb-tls", dns: ["ap-1.henb.example"] }))],
      ["Expired", hems.device("ap-2.henb.example", { notBefore: now - 10 * DAY, notAfter: now - DAY })],
      ["NotYetValid", hems.device("ap-2.henb.example", { notBefore: now + DAY, notAfter: now + 2 * DAY })],
      ["PathTooLong", hems.device("ap-3.henb.example", { extraCas: 3 })],
      ["PurposeNotAllowed", hems.files(pki.issue({ profile: "henb", dns: ["ap-4.henb.example"] }))],
      ["CertificateRevoked", revoked],
    ] as const;
    for (const [index, [reason, files]] of cases.entries()) {
      const output = await SClient.post(t, hems.port, files, version);
      assert.doesNotMatch(output, /HTTP\/1\.1/, reason);
      const refused = await hems.event("refused", index + 1);
      assert.equal(refused.reason, reason, refused.text);
      assert.equal(refused.from, "127.0.0.1");
    }
    assert.deepEqual(hems.of("sessionOpened"), []);
    assert.match(await SClient.post(t, hems.port, hems.device("ap-5.henb.example", { extraCas: 2 }), version), / 204 /);
    assert.equal((await hems.event("sessionOpened")).status, "OCSP good");
  });

test("a certificate whose common name is no FQDN is refused, and one against its profile where that is enforced", async (t) => {
  const pki = makePki(t, { keys: "p-256" });
  const validity = { notBefore: Date.now() - DAY, notAfter: Date.now() + DAY };
  const ca = make({ name: "Device CA", extensions: CA_EXTENSIONS, ...validity });
  const san = [subjectAltName({ dns: ["ap-1.henb.example"] })];
  const issue = (name: string) => {
    const made = make({ name, issuer: ca, extensions: LEAF_EXTENSIONS, more: san, ...validity });
    return { certificate: made.certificate, chain: [made.certificate], key: made.keys.privateKey };
  };
  for (const [refuse, name, reason] of [
    ["off", "ap-1", "IdentityNotFqdn"],
    ["off", "192.0.2.7", "IdentityNotFqdn"],
    ["off", "ap-1.henb.example", undefined],
    ["warnings", "ap-1.henb.example", "ProfileViolated"],
  ] as const) {
    const hems = await ServedHems.start(t, () => ({ profile: { refuse }, trust: { roots: ["root.pem"] } }), {
      pki,
      root: ca.certificate,
    });
    const output = await SClient.post(t, hems.port, hems.files(issue(name)));
    assert.equal(/ 204 /.test(output), reason === undefined, `${name}: ${output}`);
    assert.equal(hems.of("refused")[0]?.reason, reason);
  }
});

test("where no answer about devices can be had, they are refused, and no look-up is made for strangers", async (t) => {
  const hems = await ServedHems.start(t, () => ({
    revocation: { device: { methods: "ocsp", operator: { ocsp: ["http://127.0.0.1:1/"] } } },
  }));
  await SClient.post(t, hems.port, undefined);
  await SClient.post(t, hems.port, hems.device());
  assert.deepEqual(
    hems.of("refused").map(({ reason }) => reason),
    ["NoCertificate", "StatusUnreachable"],
  );
});

test("older versions, weak suites, key transport without forward secrecy and renegotiation are not spoken", async (t) => {
  const hems = await ServedHems.start(t);
  const device = hems.device();
  for (const args of [
    ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"],
    ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
    ["-tls1_2", "-groups", "P-521"],
    ["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"],
  ])
    assert.doesNotMatch(await SClient.post(t, hems.port, device, ...args), /HTTP\/1\.1/, args.join(" "));
  assert.deepEqual(hems.of("sessionOpened"), []);
  assert.ok(hems.of("turnedAway").length >= 5);
  const asking = new SClient(t, hems.port, device, "-tls1_2", "-no_ign_eof").post();
  await asking.says(/ 204 /);
  asking.send("R\n");
  await asking.says(/no renegotiation/);
});

test("an H(e)MS does not start with a certificate that devices would refuse, and says so", async (t) => {
  const pki = makePki(t, { keys: "p-256" });
  const start = (dns: string[], extraCas = 0) =>
    ServedHems.start(t, undefined, { pki, own: pki.issue({ profile: "hems", dns, extraCas }) });
  await assert.rejects(start(["other.example"]), /hems\.chain\.pem does not carry "hems\.operator\.example"/);
  // 8.3.3.1-3: the common name is the first.
  await assert.rejects(start(["other.example", HEMS]), /has the common name "other\.example" instead of "hems/);
  await assert.rejects(start([HEMS], 3), /hems\.chain\.pem holds 5 certificates; at most 4 are sent/);
  await start([HEMS], 2);
});
