/** How a refusal looks on both sides: who knows why, who hears what, and that nothing is kept. */
import assert from "node:assert/strict";
import type { SimulatedDevice, SimulatedGateway } from "./ecosystem.ts";

/** The gateway knows why; the device hears AUTHENTICATION_FAILED and nothing else; neither keeps anything. */
export function refusedByGateway(segw: SimulatedGateway, henb: SimulatedDevice, reason: string): void {
  assert.deepEqual(segw.refusals, [reason]);
  const { refusal, remote } = segw.of("failed")[0]!;
  assert.equal(refusal.by, "us");
  assert.equal(refusal.notify, AUTHENTICATION_FAILED);
  assert.equal(remote.address, henb.address);
  assert.deepEqual(henb.heard, ["N(AUTHENTICATION_FAILED)"]);
  assert.deepEqual(henb.refusals, ["PeerRefused"]);
  assert.equal(henb.of("failed")[0]?.refusal.notify, AUTHENTICATION_FAILED);
  nothingKept(segw, henb);
}

/** The device knows why; the gateway hears AUTHENTICATION_FAILED in a request of its own, and takes everything back. */
export function refusedByDevice(segw: SimulatedGateway, henb: SimulatedDevice, reason: string): void {
  assert.deepEqual(henb.refusals, [reason]);
  assert.equal(henb.of("failed")[0]?.refusal.by, "us");
  assert.equal(henb.of("established").length, 0);
  assert.deepEqual(segw.heard, ["N(AUTHENTICATION_FAILED)"]);
  assert.equal(segw.messages("received").at(-1)?.header.exchangeType, INFORMATIONAL);
  assert.deepEqual(
    segw.of("closed").map(({ cause }) => cause),
    ["authenticationFailed"],
  );
  nothingKept(segw, henb);
}

export function nothingKept(segw: SimulatedGateway, henb: SimulatedDevice): void {
  for (const party of [segw, henb]) {
    assert.equal(party.service.size, 0, "IKE SAs");
    assert.equal(party.children.length, 0, "CHILD SAs");
    // A gateway without a status of its own to send says so; that is no fault of the exchange.
    const faults = party.faults.filter((fault) => !fault.startsWith("no OCSP response for our own certificate"));
    assert.deepEqual(faults, []);
  }
  assert.equal(segw.service.halfOpen, 0);
  assert.equal(segw.gateway.pool.size, 0, "addresses in use");
}

const AUTHENTICATION_FAILED = 24;
const INFORMATIONAL = 37;
