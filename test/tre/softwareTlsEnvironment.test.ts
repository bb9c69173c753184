/** A device's TrE towards its H(e)MS: whom its folder makes it believe (TS 33.320 8.3.2.1-2). */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SoftwareTlsEnvironment } from "../../src/tre/softwareTlsEnvironment.ts";
import { extendedKeyUsage, keyUsage, subjectAltName } from "../../src/x509/build.ts";
import { Oid } from "../../src/x509/oids.ts";
import { toPem } from "../../src/x509/pem.ts";
import { CA_EXTENSIONS, DAY, type Made, make, NOW } from "../x509/made.ts";
import { ocsp } from "./peers.ts";

const root = make({ name: "Root", extensions: CA_EXTENSIONS });
const hems = make({
  name: "hems.example",
  issuer: root,
  extensions: [
    keyUsage("digitalSignature"),
    extendedKeyUsage(Oid.serverAuth),
    subjectAltName({ dns: ["hems.example"] }),
  ],
});
const trusted = make({ name: "trusted responder" });
const delegated = make({
  name: "delegated responder",
  issuer: root,
  extensions: [keyUsage("digitalSignature"), extendedKeyUsage(Oid.ocspSigning)],
});
const own = make({ name: "ap-1.example", issuer: root });

async function judged(
  t: TestContext,
  by: Made,
  responders: readonly Made[],
  ocspDelegates: "trust" | "refuse" = "trust",
) {
  const folder = mkdtempSync(join(tmpdir(), "femtogate-tls-tre-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const put = (file: string, made: Made) =>
    writeFileSync(join(folder, file), toPem("CERTIFICATE", made.certificate.der));
  put("tls.chain.pem", own);
  writeFileSync(join(folder, "tls.key.pem"), own.keys.privateKey.export({ type: "pkcs8", format: "pem" }));
  mkdirSync(join(folder, "tls-roots"));
  put("tls-roots/root.pem", root);
  if (responders.length > 0) mkdirSync(join(folder, "responders"));
  for (const [index, responder] of responders.entries()) put(`responders/${index}.pem`, responder);
  const tre = new SoftwareTlsEnvironment(folder, {
    clock: { now: () => NOW },
    allowWeakAlgorithms: false,
    minVersion: "TLSv1.2",
    profile: undefined,
    ocspTolerance: 0,
    ocspMaxAge: DAY,
    ocspDelegates,
  });
  const verdict = await tre.verifyServer({
    certificates: [hems.certificate.der],
    stapled: ocsp(hems, root, { by }),
    stapling: "required",
    connectedTo: { fqdn: "hems.example" },
  });
  return verdict.valid ? verdict.evidence.ocsp : verdict.refusal.reason;
}

test("a stapled response by a responder of the folder is believed, by a stranger it is not", async (t) => {
  assert.equal(await judged(t, trusted, [trusted]), "in-band good");
  assert.equal(await judged(t, trusted, []), "NoValidOcspResponse");
});

test("one by a delegated signer without id-pkix-ocsp-nocheck counts as the policy says (RFC 6960 4.2.2.2.1)", async (t) => {
  assert.equal(await judged(t, delegated, []), "in-band good");
  assert.equal(await judged(t, delegated, [], "refuse"), "NoValidOcspResponse");
  assert.equal(await judged(t, delegated, [delegated], "refuse"), "in-band good");
});
