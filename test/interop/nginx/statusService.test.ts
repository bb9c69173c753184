import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { revocationSection } from "../../../src/revocation/config.ts";
import { openStatusService } from "../../../src/revocation/open.ts";
import type { Lost } from "../../../src/revocation/statusService.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { describeStatusRefusal } from "../../../src/trust/statusAnswer.ts";
import { toPem } from "../../../src/x509/pem.ts";
import { makePki } from "../../pki/folder.ts";
import { crlAt } from "../../revocation/storeWorld.ts";
import { LEAF_EXTENSIONS, type Made, make } from "../../x509/made.ts";
import { OpenSsl } from "../openssl/openssl.ts";
import { Nginx } from "./nginx.ts";

const validity = { notBefore: Date.UTC(2025, 0, 1), notAfter: Date.UTC(2035, 0, 1) };
const root = make({ name: "Root", ...validity });
const ca = make({ name: "Device CA", issuer: root, ...validity });
const [one, two] = ["ap-1", "ap-2"].map((name) => make({ name, issuer: ca, extensions: LEAF_EXTENSIONS, ...validity }));
const pathOf = (of: Made | undefined) => [of!.certificate, ca.certificate, root.certificate];

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "femtogate-status-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function open(folder: string, section: object) {
  return openStatusService({
    section: revocationSection.parse({ cache: "crls", ...section }),
    folder,
    cas: [root.certificate, ca.certificate],
    allowWeakAlgorithms: false,
    ...systemEnvironment,
  });
}

test("a CRL update on nginx throws out the device it lists, and a restart without nginx still refuses it", async (t) => {
  const folder = folderFor(t);
  const nginx = await Nginx.start();
  t.after(() => nginx[Symbol.asyncDispose]());
  const url = nginx.put("devices.crl", crlAt(ca, Date.now() - 1000, [], { number: 41 }));
  const section = { crl: { refresh: "200ms" }, device: { methods: "crl", scope: "leaf", operator: { crl: [url] } } };
  {
    await using opened = open(folder, section);
    const { service, crls } = opened;
    for (const each of [one, two]) {
      assert.ok((await service.check(pathOf(each), "device")).accepted);
      service.watch(pathOf(each), "device");
    }
    const lost = new Promise<Lost>((resolve) => service.onRevoked(resolve));
    const kept = new Promise<void>((resolve) => {
      crls.subscribe((event) => event.kind === "adopted" && event.facts.number === 42n && resolve());
    });
    nginx.put("devices.crl", crlAt(ca, Date.now() - 1000, [two!.certificate.serial], { number: 42 }));
    const { watch, refusal } = await lost;
    await kept;
    assert.equal(watch.path[0], two!.certificate);
    assert.match(
      describeStatusRefusal(refusal),
      /CN=ap-2" \(serial [0-9a-f]+\) was revoked at .* for key compromise, says CRL 42 of "O=Femtogate, CN=Device CA"/,
    );
    assert.equal(service.watching, 1);
  }
  await nginx[Symbol.asyncDispose]();
  await using reopened = open(folder, section);
  const refused = await reopened.service.check(pathOf(two), "device");
  assert.ok(!refused.accepted && refused.refusal.reason === "CertificateRevoked");
  const still = await reopened.service.check(pathOf(one), "device");
  assert.ok(still.accepted, JSON.stringify(still));
});

test("openssl ocsp answers the service, with and without nonce, and what it says of revocation is taken", async (t) => {
  const openssl = new OpenSsl();
  t.after(() => openssl[Symbol.dispose]());
  const pki = makePki(t);
  const issue = (name: string) => pki.issue({ profile: "henb", dns: [`${name}.example`] });
  const [good, revoked, missing] = [issue("good"), issue("revoked"), issue("missing")];
  const line = (flag: string, at: string, { certificate }: typeof good) =>
    `${flag}\t361231235959Z\t${at}\t${certificate.serialText.toUpperCase()}\tunknown\t/CN=x\n`;
  openssl.write("index.txt", line("V", "", good) + line("R", "260102030405Z,superseded", revoked));
  const file = (name: string) => join(pki.directory, "ca", name);
  const url = await openssl.serveOcsp(
    ...["-index", "index.txt", "-nmin", "10", "-CA", file("device-ca.crt.pem")],
    ...["-rsigner", file("device-ca-ocsp.crt.pem"), "-rkey", file("device-ca-ocsp.key.pem")],
  );
  const rule = { methods: "ocsp", scope: "leaf", operator: { ocsp: [url] } };
  for (const ocsp of [{ nonce: "required" }, { nonce: "off", method: "get", hash: "sha256" }]) {
    await using opened = open(folderFor(t), { ocsp, device: { ...rule, unknown: "accept" }, gateway: rule });
    const ask = (of: typeof good, peerClass: "device" | "gateway" = "device") =>
      opened.service.check([of.certificate, pki.ca("device-ca"), root.certificate], peerClass);
    assert.ok((await ask(good)).accepted);
    const refused = await ask(revoked);
    assert.ok(!refused.accepted && refused.refusal.reason === "CertificateRevoked");
    assert.deepEqual([refused.refusal.revokedAt, refused.refusal.reasonCode], [Date.UTC(2026, 0, 2, 3, 4, 5), 4]);
    // The same answer under two rules: one accepts what is unknown, the other does not.
    assert.ok((await ask(missing)).accepted);
    const unknown = await ask(missing, "gateway");
    assert.ok(!unknown.accepted && unknown.refusal.reason === "StatusUnknown");
  }
});

test("files that the configuration names are read relative to its folder, and missing ones are told at once", async (t) => {
  const folder = folderFor(t);
  writeFileSync(join(folder, "signer.pem"), toPem("CERTIFICATE", ca.certificate.der));
  writeFileSync(join(folder, "devices.crl"), crlAt(ca, Date.now() - 1000, [one!.certificate.serial]));
  const device = { methods: "crl", scope: "leaf", operator: { crl: [`file://${folder}/devices.crl`] } };
  await using opened = open(folder, { crl: { signers: ["signer.pem"] }, device });
  const refused = await opened.service.check(pathOf(one), "device");
  assert.ok(!refused.accepted && refused.refusal.reason === "CertificateRevoked");
  assert.throws(() => open(folder, { ocsp: { trustedResponders: ["none.pem"] } }), /ENOENT.*none\.pem/);
});
