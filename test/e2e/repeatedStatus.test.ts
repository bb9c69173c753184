/** The gateway's status while the device is attached: looked at again, and acted upon (TS 33.320 7.2.2-5, 7.2.3-4). */
import assert from "node:assert/strict";
import test, { after } from "node:test";
import { buildOcspError, ResponseStatus } from "../../src/x509/ocsp.ts";
import { answersOf } from "./answers.ts";
import { Credentials, RESPONDER, RESPONDER_ADDRESS, START } from "./credentials.ts";
import { Ecosystem } from "./ecosystem.ts";
import { nothingKept } from "./verdicts.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const GATEWAY = credentials.gateway();
const FOLDER = credentials.deviceFolder(credentials.issueDevice("ap-1.example"));
const { answering } = answersOf(credentials);
const QUIET = { dpdInterval: 0, rekeyAfter: 0, natKeepaliveInterval: 0 };
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const ASKING = { inBand: "off", ask: ["tunnel"], responders: [RESPONDER], recheck: "1h" };

async function attached(
  ocsp: Record<string, unknown>,
  gateway: Record<string, unknown> = { ownStatus: { send: "off" } },
) {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ ike: QUIET, esp: { rekeyAfter: 0 }, revocation: {}, ...gateway }, GATEWAY);
  const henb = eco.device(FOLDER, {
    ike: QUIET,
    esp: { rekeyAfter: 0 },
    reconnect: { initial: 0 },
    ocsp: { ...ASKING, ...ocsp },
  });
  await henb.start();
  await eco.until("attached", () => henb.state === "Attached" && henb.isAttached);
  return { eco, segw, henb };
}

const revoked = answering({ status: { kind: "revoked", at: START, reason: 1 } }, "segw-ca");

for (const ask of ["direct", "tunnel"]) {
  test(`${ask}: the status is asked for again at least as often as configured`, async () => {
    const { eco, henb } = await attached({ ask: [ask] });
    await eco.pass(10 * HOUR);
    const asked = eco.queries.length;
    assert.ok(asked >= 11 && asked <= 1 + Math.ceil(10 / 0.75), `asked ${asked} times`);
    assert.ok(henb.isAttached);
    // Where a tunnel leads to the responder, later queries of either way go through it.
    assert.ok(eco.queries.slice(1).every(({ ends }) => ends.local === "10.64.0.1"));
  });

  test(`${ask}: a gateway that is revoked meanwhile loses the device, whose user data stops at once`, async () => {
    const { eco, segw, henb } = await attached({ ask: [ask] });
    eco.responder.alter = revoked;
    // The gateway does not hear the Delete: until it has, the tunnel stands.
    eco.world.tap = (packet) => (henb.statusNews.at(-1)?.kind === "notGood" ? "drop" : packet);
    await eco.until("known", () => henb.statusNews.at(-1)?.kind === "notGood", 2 * HOUR);
    assert.deepEqual(
      henb.children.map(({ hold }) => hold),
      [[]],
    );
    eco.world.tap = undefined;
    await eco.until("ended", () => henb.state === "Stopped" && segw.service.size === 0);
    assert.ok(henb.device.state.kind === "Stopped");
    assert.equal(henb.device.state.refusal?.reason, "CertificateRevoked");
    assert.equal(henb.of("closed")[0]?.cause, "certificateRevoked");
    nothingKept(segw, henb);
  });
}

test("an answer is replaced before it runs out, if that is sooner", async () => {
  const { eco } = await attached({ recheck: "30d" });
  eco.responder.alter = (response) => response;
  // The responder's answers are good for twelve hours.
  await eco.pass(5 * 12 * HOUR);
  const asked = eco.queries.length;
  assert.ok(asked >= 6 && asked <= 8, `asked ${asked} times`);
});

test("an in-band answer is followed up before it runs out", async () => {
  const { eco, henb } = await attached({ inBand: "leaf", recheck: "30d" }, { ownStatus: { send: "leaf" } });
  assert.equal(henb.of("established")[0]?.evidence.ocsp, "in-band good");
  assert.equal(eco.queries.length, 0);
  await eco.until("asked", () => eco.queries.length > 0, 12 * HOUR);
  assert.equal(eco.queries[0]?.ends.remote, RESPONDER_ADDRESS);
});

test("nothing is asked again where that is off, or where there is no way to ask", async () => {
  const off = await attached({ recheck: 0 });
  const inBand = await attached({ inBand: "leaf", ask: [] }, { ownStatus: { send: "leaf" } });
  const before = off.eco.queries.length;
  for (const { eco } of [off, inBand]) await eco.pass(40 * HOUR);
  assert.deepEqual([off.eco.queries.length, inBand.eco.queries.length], [before, 0]);
});

test("without a valid answer the device stays, tells, and asks again every minute", async () => {
  const { eco, henb } = await attached({});
  eco.responder.alter = () => buildOcspError(ResponseStatus.tryLater);
  await eco.until("told", () => henb.statusNews.at(-1)?.kind === "notGood", 2 * HOUR);
  const before = eco.queries.length;
  await eco.pass(30 * HOUR);
  const more = eco.queries.length - before;
  assert.ok(more > 1700 && more <= 1800, `asked ${more} times`);
  assert.ok(henb.isAttached && henb.children[0]?.hold === undefined);
  eco.responder.alter = (response) => response;
  await eco.until("good again", () => henb.statusNews.at(-1)?.kind === "good", 2 * MINUTE);
});

test("where any refusal ends a stay, the device leaves once the last good answer has run out, and not before", async () => {
  const { eco, segw, henb } = await attached({ disconnectOn: "refused" });
  eco.responder.reachable = () => false;
  await eco.pass(11 * HOUR);
  assert.ok(henb.isAttached);
  await eco.until("left", () => henb.state === "Stopped" && segw.service.size === 0, 2 * HOUR);
  assert.ok(henb.device.state.kind === "Stopped");
  assert.equal(henb.device.state.refusal?.reason, "NoValidOcspResponse");
  assert.equal(henb.of("closed")[0]?.cause, "statusNotGood");
});

test("a device that has left asks no more", async () => {
  const { eco, henb } = await attached({});
  await eco.during(henb.device.stop());
  const before = eco.queries.length;
  await eco.pass(10 * HOUR);
  assert.equal(eco.queries.length, before);
});
