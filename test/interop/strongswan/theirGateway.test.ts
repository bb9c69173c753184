/** strongSwan as the SeGW of our H(e)NB. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MATRIX, SMALL_FRAGMENTS } from "./algorithms.ts";
import { AP_NAME, Attachment } from "./attachment.ts";

const ONCE = { reconnect: { initial: 0 } };

for (const algorithms of MATRIX) {
  test(`our H(e)NB attaches to strongSwan with ${algorithms.keys}, ${algorithms.ike}, ESP ${algorithms.esp}`, {
    timeout: 120_000,
  }, async (t) => {
    await using attachment = await Attachment.create(algorithms);
    const segw = await attachment.theirGateway({ charon: { fragment_size: 576 } });
    const henb = attachment.ourDevice({ ike: SMALL_FRAGMENTS });

    await t.test("with certificates both ways, an intermediate CA in CERT and a virtual address", async () => {
      const attached = await henb.event("attached");
      assert.deepEqual(attached.addresses, ["10.20.0.1"]);
      const established = await henb.event("established");
      assert.deepEqual(established.path, [
        "O=Operator, CN=segw.example",
        "O=Operator, CN=SeGW CA",
        "O=Operator, CN=Root CA",
      ]);
      const [sa] = await segw.listSas();
      assert.equal(sa?.remoteId, AP_NAME);
      assert.deepEqual(sa.remoteVirtualIps, ["10.20.0.1"]);
      assert.deepEqual(sa.children[0]?.remoteSelectors, ["10.20.0.1/32"]);
      assert.deepEqual(sa.children[0]?.localSelectors, ["192.168.77.0/24"]);
    });

    await t.test("in fragments, both of IKE_AUTH", () => {
      assert.ok(henb.fragmented("IKE_AUTH", "sent"), "request");
      assert.ok(henb.fragmented("IKE_AUTH", "received"), "response");
    });

    await t.test("pings through the tunnel", async () => {
      const ping = await attachment.ping();
      assert.ok(ping.ok, ping.output);
    });

    await t.test("rekeys the CHILD SA, begun by us and by strongSwan", async () => {
      const rekeyed = segw.nextEvent("child-rekey");
      const ours = await henb.after(() => henb.process.say("rekeyChildren"), "childInstalled");
      assert.notEqual(ours.replaces, undefined);
      await rekeyed;
      const theirs = await henb.after(() => segw.rekey({ child: "inner" }), "childInstalled");
      assert.notEqual(theirs.replaces, undefined);
      const ping = await attachment.ping();
      assert.ok(ping.ok, ping.output);
    });

    await t.test("rekeys the IKE SA, begun by us and by strongSwan", async () => {
      const rekeyed = segw.nextEvent("ike-rekey");
      const ours = await henb.after(() => henb.process.say("rekeyIke"), "ikeRekeyed");
      assert.equal(ours.byUs, true);
      await rekeyed;
      const theirs = await henb.after(() => segw.rekey({ ike: "devices" }), "ikeRekeyed");
      assert.equal(theirs.byUs, false);
      const ping = await attachment.ping();
      assert.ok(ping.ok, ping.output);
    });

    await t.test("asks whether the gateway still lives", async () => {
      const isAnswer = ({ exchange, direction, response }: Record<string, unknown>) =>
        exchange === "INFORMATIONAL" && direction === "received" && response === true;
      await henb.after(() => henb.process.say("checkLiveness"), "message", isAnswer);
    });

    await t.test("makes a new CHILD SA when strongSwan deletes the one there was, and passes pings again", async () => {
      await henb.after(() => segw.terminate({ child: "inner" }), "childInstalled");
      const ping = await attachment.ping();
      assert.ok(ping.ok, ping.output);
    });

    await t.test("attaches anew when strongSwan deletes the IKE SA", async () => {
      const attached = await henb.after(() => segw.terminate({ ike: "devices" }), "attached");
      assert.deepEqual(attached.addresses, ["10.20.0.1"]);
    });

    await t.test("deletes the CHILD SA and then the IKE SA", async () => {
      const childDown = segw.nextEvent("child-updown", (event) => event.up === undefined);
      henb.process.say("deleteChildren");
      await childDown;
      const ikeDown = segw.nextEvent("ike-updown", (event) => event.up === undefined);
      henb.process.say("stop");
      await ikeDown;
      assert.deepEqual(await segw.listSas(), []);
      assert.equal(await henb.process.ended, 0);
    });
  });
}

test("our H(e)NB notices that strongSwan is gone, and keeps trying", { timeout: 60_000 }, async () => {
  await using attachment = await Attachment.create(MATRIX[3]!);
  const segw = await attachment.theirGateway();
  const henb = attachment.ourDevice({
    ike: { dpdInterval: "1s", retransmission: { initial: "200ms", factor: 1.5, tries: 3 } },
  });
  await henb.event("attached");
  const closed = await henb.after(() => segw.crash(), "closed");
  assert.equal(closed.cause, "peerUnresponsive");
  await henb.event("waiting");
});

test("strongSwan notices that our H(e)NB is gone", { timeout: 60_000 }, async () => {
  await using attachment = await Attachment.create(MATRIX[3]!);
  const segw = await attachment.theirGateway({
    connection: { dpd_delay: "1s" },
    charon: { retransmit_tries: 2, retransmit_timeout: "0.3", retransmit_base: "1.0" },
  });
  const henb = attachment.ourDevice();
  await henb.event("attached");
  const down = segw.nextEvent("ike-updown", (event) => event.up === undefined);
  await henb.process.crash();
  await down;
});

test("our H(e)NB refuses strongSwan, which has no in-band OCSP, where that is required (7.2.3-4)", {
  timeout: 60_000,
}, async () => {
  await using attachment = await Attachment.create(MATRIX[3]!);
  const segw = await attachment.theirGateway();
  const henb = attachment.ourDevice({ ...ONCE, ocsp: { inBand: "leaf" } });
  const failed = await henb.event("failed");
  assert.equal(failed.reason, "NoValidOcspResponse");
  assert.equal(failed.by, "us");
  // strongSwan had its side established already; it hears AUTHENTICATION_FAILED and lets go (RFC 7296 2.21.2).
  await segw.waitForLog(/received AUTHENTICATION_FAILED|AUTH_FAILED/);
  assert.deepEqual(await segw.listSas(), []);
});

test("our H(e)NB refuses a gateway of another name (7.2.2-4)", { timeout: 60_000 }, async () => {
  await using attachment = await Attachment.create(MATRIX[3]!);
  await attachment.theirGateway();
  const henb = attachment.ourDevice({ ...ONCE, gateway: { name: "other.example", addresses: ["10.9.0.1"] } });
  const failed = await henb.event("failed");
  assert.equal(failed.reason, "NameMismatch");
});

test("strongSwan refuses our H(e)NB whose certificate has expired", { timeout: 60_000 }, async () => {
  await using attachment = await Attachment.create(MATRIX[3]!);
  await attachment.theirGateway();
  const henb = attachment.ourDevice(ONCE, {
    notBefore: Date.now() - 2 * 86_400_000,
    notAfter: Date.now() - 86_400_000,
  });
  const failed = await henb.event("failed");
  assert.equal(failed.reason, "PeerRefused");
  assert.equal(failed.notify, 24);
});
