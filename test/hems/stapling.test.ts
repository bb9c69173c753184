/** The H(e)MS's own status, stapled (TS 33.320 8.3.2.1-3, RFC 6066 8), as OpenSSL sees it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { connect } from "node:tls";
import { OcspResponder } from "../../src/pki/ocspResponder.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { buildOcspRequest, certIdOf } from "../../src/x509/ocsp.ts";
import { OpenSsl } from "../interop/openssl/openssl.ts";
import { ServedHems, ShiftedClock } from "./served.ts";

for (const version of ["TLSv1.2", "TLSv1.3"] as const)
  test(`${version}: who asks gets a response that OpenSSL finds good and rightly signed; who does not gets none`, async (t) => {
    const hems = await ServedHems.start(t);
    using openssl = new OpenSsl();
    const staple = await stapled(hems, true, version);
    openssl.write("staple.der", staple!);
    const { pki } = hems;
    openssl.writeCertificates("root.pem", pki.ca("operator-root"));
    openssl.writeCertificates("issuer.pem", pki.ca("hems-ca"));
    openssl.writeCertificates("hems.pem", hems.own.issued.certificate);
    const said = openssl.run(
      ...["ocsp", "-respin", "staple.der", "-CAfile", "root.pem", "-verify_other", "issuer.pem", "-no_nonce"],
      ...["-issuer", "issuer.pem", "-cert", "hems.pem"],
    );
    assert.match(said, /Response verify OK/);
    assert.match(said, /hems\.pem: good/);
    assert.equal(await stapled(hems, false, version), undefined);
  });

test("a response that is kept is stapled again, and fetched anew past refreshAfter", async (t) => {
  const clock = new ShiftedClock();
  const hems = await ServedHems.start(t, (self) => ({ ownStatus: { url: self.ocspUrl, refreshAfter: "10m" } }), {
    environment: { clock },
  });
  const first = await stapled(hems);
  assert.deepEqual(await stapled(hems), first);
  hems.pki.revoke(hems.own.issued.certificate.serial, "superseded");
  assert.deepEqual(await stapled(hems), first);
  clock.shift = 11 * 60_000;
  // This one has the new response fetched, behind it.
  await stapled(hems);
  const told = await hems.event("fault");
  assert.match(told.text, /says that our certificate "O=Operator, CN=hems\.operator\.example" is revoked/);
  assert.notDeepEqual(await stapled(hems), first);
});

test("a response can lie in a file that somebody else renews", async (t) => {
  const responseFor = (hems: ServedHems) => {
    const { certificate } = hems.own.issued;
    const request = buildOcspRequest([certIdOf(certificate, hems.pki.ca("hems-ca"))], undefined);
    return new OcspResponder(hems.pki, systemEnvironment.clock).answer(request).der;
  };
  const hems = await ServedHems.start(t, (self) => {
    writeFileSync(join(self.folder, "status.der"), responseFor(self));
    return { ownStatus: { file: "status.der" } };
  });
  assert.ok((await stapled(hems)) !== undefined);
  assert.deepEqual(hems.of("fault"), []);
});

test("without a response the handshake goes on, and strangers' handshakes ask the responder once in a while only", async (t) => {
  const hems = await ServedHems.start(t, () => ({ ownStatus: { url: "http://127.0.0.1:1/" } }));
  for (let i = 0; i < 5; i++) assert.equal(await stapled(hems), undefined);
  assert.equal(hems.of("fault").length, 1);
  const off = await ServedHems.start(t, () => ({ ownStatus: { staple: false } }));
  assert.equal(await stapled(off), undefined);
});

/** The response that comes with a handshake of our own client. */
async function stapled(hems: ServedHems, requestOCSP = true, maxVersion: "TLSv1.2" | "TLSv1.3" = "TLSv1.3") {
  const { chain, key } = hems.device();
  const socket = connect({
    host: "127.0.0.1",
    port: hems.port,
    cert: readFileSync(chain),
    key: readFileSync(key),
    rejectUnauthorized: false,
    requestOCSP,
    maxVersion,
  });
  let response: Buffer | undefined;
  socket.on("OCSPResponse", (der: Buffer | null) => {
    response = der ?? undefined;
  });
  await once(socket, "secureConnect");
  socket.on("error", () => {});
  socket.destroy();
  return response === undefined || response.length === 0 ? undefined : response;
}
