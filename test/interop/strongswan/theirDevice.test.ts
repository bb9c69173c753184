/** strongSwan as the H(e)NB of our SeGW. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MATRIX, SMALL_FRAGMENTS } from "./algorithms.ts";
import { AP_NAME, Attachment } from "./attachment.ts";

for (const algorithms of MATRIX) {
  test(`strongSwan attaches to our SeGW with ${algorithms.keys}, ${algorithms.ike}, ESP ${algorithms.esp}`, {
    timeout: 120_000,
  }, async (t) => {
    await using attachment = await Attachment.create(algorithms);
    const segw = await attachment.ourGateway({ ike: SMALL_FRAGMENTS });
    const henb = await attachment.theirDevice({ charon: { fragment_size: 576 } });

    await t.test("with certificates both ways, an intermediate CA in CERT and a virtual address", async () => {
      await henb.initiate("inner");
      const established = await segw.event("established");
      assert.equal(established.peer, AP_NAME);
      assert.deepEqual(established.addresses, ["10.20.0.1"]);
      assert.deepEqual(established.path, [
        `O=Manufacturer, CN=${AP_NAME}`,
        "O=Manufacturer, CN=H(e)NB CA",
        "O=Manufacturer, CN=Root CA",
      ]);
      const [sa] = await henb.listSas();
      assert.deepEqual(sa?.localVirtualIps, ["10.20.0.1"]);
      assert.deepEqual(sa.children[0]?.localSelectors, ["10.20.0.1/32"]);
      assert.deepEqual(sa.children[0]?.remoteSelectors, ["192.168.77.0/24"]);
    });

    await t.test("in fragments, both of IKE_AUTH", () => {
      assert.ok(segw.fragmented("IKE_AUTH", "received"), "request");
      assert.ok(segw.fragmented("IKE_AUTH", "sent"), "response");
    });

    await t.test("pings through the tunnel", async () => {
      const ping = await attachment.ping();
      assert.ok(ping.ok, ping.output);
    });

    await t.test("rekeys the CHILD SA, begun by strongSwan and by us", async () => {
      const theirs = await segw.after(() => henb.rekey({ child: "inner" }), "childInstalled");
      assert.notEqual(theirs.replaces, undefined);
      const rekeyed = henb.nextEvent("child-rekey");
      const ours = await segw.after(() => segw.process.say("rekeyChildren"), "childInstalled");
      assert.notEqual(ours.replaces, undefined);
      await rekeyed;
      const ping = await attachment.ping();
      assert.ok(ping.ok, ping.output);
    });

    await t.test("rekeys the IKE SA, begun by strongSwan and by us", async () => {
      const theirs = await segw.after(() => henb.rekey({ ike: "segw" }), "ikeRekeyed");
      assert.equal(theirs.byUs, false);
      const rekeyed = henb.nextEvent("ike-rekey");
      const ours = await segw.after(() => segw.process.say("rekeyIke"), "ikeRekeyed");
      assert.equal(ours.byUs, true);
      await rekeyed;
      const ping = await attachment.ping();
      assert.ok(ping.ok, ping.output);
    });

    await t.test("answers and asks whether the other still lives", async () => {
      const isAnswer = ({ exchange, direction, response }: Record<string, unknown>) =>
        exchange === "INFORMATIONAL" && direction === "received" && response === true;
      await segw.after(() => segw.process.say("checkLiveness"), "message", isAnswer);
    });

    await t.test("deletes the CHILD SA and then the IKE SA, begun by us", async () => {
      const childDown = henb.nextEvent("child-updown", (event) => event.up === undefined);
      segw.process.say("deleteChildren");
      await childDown;
      const [sa] = await henb.listSas();
      assert.deepEqual(
        sa?.children.filter(({ state }) => state === "INSTALLED"),
        [],
      );
      const ikeDown = henb.nextEvent("ike-updown", (event) => event.up === undefined);
      segw.process.say("close");
      await ikeDown;
      assert.deepEqual(await henb.listSas(), []);
    });

    await t.test("deletes the CHILD SA and then the IKE SA, begun by strongSwan", async () => {
      await henb.initiate("inner");
      await segw.after(() => henb.terminate({ child: "inner" }), "childRemoved");
      const closed = await segw.after(() => henb.terminate({ ike: "segw" }), "closed");
      assert.equal(closed.cause, "deletedByPeer");
    });
  });
}

test("our SeGW notices that strongSwan is gone", { timeout: 60_000 }, async () => {
  await using attachment = await Attachment.create(MATRIX[3]!);
  const impatient = { dpdInterval: "1s", retransmission: { initial: "200ms", factor: 1.5, tries: 3 } };
  const segw = await attachment.ourGateway({ ike: impatient });
  const henb = await attachment.theirDevice();
  await henb.initiate("inner");
  const closed = await segw.after(() => henb.crash(), "closed");
  assert.equal(closed.cause, "peerUnresponsive");
});

test("strongSwan notices that our SeGW is gone", { timeout: 60_000 }, async () => {
  await using attachment = await Attachment.create(MATRIX[3]!);
  const segw = await attachment.ourGateway();
  const henb = await attachment.theirDevice({
    connection: { dpd_delay: "1s" },
    charon: { retransmit_tries: 2, retransmit_timeout: "0.3", retransmit_base: "1.0" },
  });
  await henb.initiate("inner");
  const down = henb.nextEvent("ike-updown", (event) => event.up === undefined);
  await segw.process.crash();
  await down;
});

test("a device that attaches anew replaces its older IKE SA, which is deleted by INFORMATIONAL (A.1-9)", {
  timeout: 60_000,
}, async () => {
  await using attachment = await Attachment.create(MATRIX[3]!);
  const segw = await attachment.ourGateway();
  const henb = await attachment.theirDevice({ connection: { unique: "never" }, charon: { reuse_ikesa: false } });
  await henb.initiate("inner");
  const down = henb.nextEvent("ike-updown", (event) => event.up === undefined);
  const closed = segw.event("closed");
  await henb.initiate("inner");
  assert.equal((await closed).cause, "replacedByNewerSa");
  await down;
  const ping = await attachment.ping();
  assert.ok(ping.ok, ping.output);
});
