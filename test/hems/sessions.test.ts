/** Sessions of an H(e)MS: resumed ones are judged as new ones are, and those under way end when a certificate turns bad. */
import assert from "node:assert/strict";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type Files, SClient, ServedHems, ShiftedClock } from "./served.ts";

const VERSIONS = ["-tls1_2", "-tls1_3"] as const;
const HOUR = 3600_000;

for (const version of VERSIONS) {
  test(`${version}: a session is resumed and judged, also by the CAs that only the first handshake brought`, async (t) => {
    const hems = await ServedHems.start(t, (self) => ({ revocation: self.byOcsp, profile: { refuse: "errors" } }));
    const device = hems.device("ap-1.henb.example", { extraCas: 2 });
    const session = await begin(t, hems, device, version);
    assert.match(await session.resume(), /Reused, [\s\S]* 204 /);
    const { resumed, status, path, device: name } = await hems.event("sessionOpened", 2);
    assert.deepEqual({ resumed, status, name }, { resumed: true, status: "OCSP good", name: "ap-1.henb.example" });
    assert.equal((path as string[]).length, 5);
  });

  test(`${version}: a session is refused once its certificate is revoked, and so is a new one`, async (t) => {
    const hems = await ServedHems.start(t, (self) => ({ revocation: self.byOcsp }));
    const device = hems.device();
    const session = await begin(t, hems, device, version);
    hems.pki.revoke(device.issued.certificate.serial, "keyCompromise");
    const output = await session.resume();
    assert.match(output, /Reused, /);
    assert.doesNotMatch(output, /HTTP\/1\.1/);
    const { reason, resumed } = await hems.event("refused");
    assert.deepEqual({ reason, resumed }, { reason: "CertificateRevoked", resumed: true });
    assert.doesNotMatch(await SClient.post(t, hems.port, device, version), /HTTP\/1\.1/);
  });

  test(`${version}: a session is refused once its certificate or a CA of its path has expired`, async (t) => {
    for (const [changes, later] of [
      [{ notAfter: Date.now() + HOUR }, 2 * HOUR],
      [{}, 40 * 365 * 24 * HOUR],
    ] as const) {
      const clock = new ShiftedClock();
      const hems = await ServedHems.start(t, undefined, { environment: { clock } });
      const session = await begin(t, hems, hems.device("ap-1.henb.example", changes), version);
      clock.shift = later;
      assert.doesNotMatch(await session.resume(), /HTTP\/1\.1/);
      const { reason, resumed } = await hems.event("refused");
      assert.deepEqual({ reason, resumed }, { reason: "Expired", resumed: true });
    }
  });

  test(`${version}: where resumption is off, and once the key of tickets has changed, sessions begin anew`, async (t) => {
    const off = await ServedHems.start(t, () => ({ tls: { resumption: 0 } }));
    const without = await begin(t, off, off.device(), version);
    assert.match(await without.resume(), /New, [\s\S]* 204 /);
    const waiting: { delay: number; run: () => void }[] = [];
    const timers = {
      after(delay: number, run: () => void) {
        waiting.push({ delay, run });
        return () => {};
      },
    };
    const hems = await ServedHems.start(t, () => ({ tls: { resumption: "10m" } }), { environment: { timers } });
    const session = await begin(t, hems, hems.device(), version);
    assert.match(await session.resume(), /Reused, [\s\S]* 204 /);
    waiting.find(({ delay }) => delay === 600_000)!.run();
    assert.match(await session.resume(), /New, [\s\S]* 204 /);
    assert.equal(hems.of("refused").length, 0);
  });
}

test("a resumed session whose CAs are not known here is refused, and a new one is not", async (t) => {
  const hems = await ServedHems.start(t, () => ({ trust: { roots: ["manufacturer-root.pem"] } }));
  const device = hems.device();
  // A client that sends no intermediate CA: its path cannot be found, and yet it gets a ticket.
  const alone = { ...device, chain: device.certificate };
  const file = join(hems.folder, "session.pem");
  await SClient.post(t, hems.port, alone, "-tls1_2", "-sess_out", file);
  assert.doesNotMatch(await SClient.post(t, hems.port, alone, "-tls1_2", "-sess_in", file), /HTTP\/1\.1/);
  assert.deepEqual(
    hems.of("refused").map(({ reason, resumed }) => ({ reason, resumed })),
    [
      { reason: "NoPathToTrustAnchor", resumed: false },
      { reason: "NoPathToTrustAnchor", resumed: true },
    ],
  );
  assert.match(await SClient.post(t, hems.port, device), / 204 /);
});

test("the session of a device whose certificate is revoked ends with the next CRL, and others stay", async (t) => {
  const hems = await ServedHems.start(t, (self) => ({
    revocation: {
      crl: { refresh: "200ms" },
      device: { methods: "crl", scope: "leaf", operator: { crl: [`${self.crlUrl}/device-tls-ca.crl`] } },
    },
  }));
  const device = hems.device("ap-1.henb.example");
  const bad = new SClient(t, hems.port, device, "-tls1_3").post();
  const good = new SClient(t, hems.port, hems.device("ap-2.henb.example"), "-tls1_2").post();
  await Promise.all([bad.says(/ 204 /), good.says(/ 204 /)]);
  assert.equal((await hems.event("sessionOpened")).status, "CRL good");
  hems.pki.revoke(device.issued.certificate.serial, "keyCompromise");
  await bad.ended;
  const lost = await hems.event("deviceLost");
  assert.deepEqual(
    { device: lost.device, reason: lost.reason },
    { device: "ap-1.henb.example", reason: "CertificateRevoked" },
  );
  const ended = await hems.event("sessionEnded");
  assert.deepEqual(
    { device: ended.device, cause: ended.cause },
    { device: "ap-1.henb.example", cause: "certificateRevoked" },
  );
  assert.equal(hems.running.server.sessions, 1);
  good.post();
  await good.says(/ 204 [\s\S]* 204 /);
});

test("a session ends when a certificate of its path expires, or when it is too old", async (t) => {
  for (const [notAfter, connectionAge, cause] of [
    [Date.now() + 2_000, "1h", "certificateExpired"],
    [Date.now() + HOUR, "300ms", "tooOld"],
  ] as const) {
    const hems = await ServedHems.start(t, () => ({ limits: { connectionAge } }));
    const client = new SClient(t, hems.port, hems.device("ap-1.henb.example", { notAfter })).post();
    await client.ended;
    assert.equal((await hems.event("sessionEnded")).cause, cause);
  }
});

/** A session that `openssl s_client` keeps, from a first handshake that was all right. */
async function begin(t: TestContext, hems: ServedHems, device: Files, version: string) {
  const file = join(hems.folder, "session.pem");
  assert.match(await SClient.post(t, hems.port, device, version, "-sess_out", file), /New, [\s\S]* 204 /);
  return { resume: () => SClient.post(t, hems.port, device, version, "-sess_in", file) };
}
