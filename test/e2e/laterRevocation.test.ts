/** A device whose certificate turns bad while it is attached (TS 33.320 7.2.4-4). */
import assert from "node:assert/strict";
import test, { after } from "node:test";
import { Credentials } from "./credentials.ts";
import { BY_OCSP, Ecosystem } from "./ecosystem.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const GATEWAY = credentials.gateway();
const QUIET = { dpdInterval: "0", rekeyAfter: "0" };

async function attached(revocation: Record<string, unknown>) {
  const issued = credentials.issueDevice("ap-1.example");
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway(
    { revocation: { device: BY_OCSP, recheck: "10m", ocsp: { reuse: "1m" }, ...revocation }, ike: QUIET },
    GATEWAY,
  );
  const henb = eco.device(credentials.deviceFolder(issued), { reconnect: { initial: 0 }, ike: QUIET });
  await henb.start();
  await eco.until("attached", () => henb.isAttached);
  return { eco, segw, henb, issued };
}

test("a revoked device is sent away within the recheck interval, and cannot come back", async () => {
  const { eco, segw, henb, issued } = await attached({});
  credentials.pki.revoke(issued.certificate.serial, "keyCompromise");
  await eco.until("sent away", () => segw.service.size === 0, 11 * 60_000);
  assert.deepEqual(segw.lost, ["CertificateRevoked"]);
  assert.equal(segw.of("closed")[0]?.cause, "certificateRevoked");
  assert.equal(henb.of("closed")[0]?.cause, "deletedByPeer");
  assert.equal(segw.gateway.pool.size, 0);
});

test("a good device stays through many rechecks, also while the responder is out of reach", async () => {
  const { eco, segw, henb } = await attached({});
  await eco.pass(30 * 60_000);
  const asked = eco.responder.asked.length;
  assert.ok(asked > 2, `asked ${asked} times`);
  eco.responder.reachable = () => false;
  await eco.pass(30 * 60_000);
  assert.ok(henb.isAttached);
  assert.deepEqual(segw.lost, []);
});

test("where any refusal ends a stay, one without an answer does", async () => {
  const { eco, segw } = await attached({ disconnectOn: "refused" });
  eco.responder.reachable = () => false;
  // The last good answer holds until its nextUpdate, 12 hours after it was given.
  await eco.until("sent away", () => segw.service.size === 0, 13 * 3600_000);
  assert.equal(segw.lost.length, 1);
  assert.notEqual(segw.lost[0], "CertificateRevoked");
});

test("a device that has left is watched no longer", async () => {
  const { eco, segw, henb, issued } = await attached({});
  await eco.during(henb.device.stop());
  credentials.pki.revoke(issued.certificate.serial, "keyCompromise");
  const asked = eco.responder.asked.length;
  await eco.pass(30 * 60_000);
  assert.equal(eco.responder.asked.length, asked);
  assert.deepEqual(segw.lost, []);
});
