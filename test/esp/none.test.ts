import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChildSaId, PlaneEvent } from "../../src/esp/dataPlane.ts";
import { NonePlane } from "../../src/esp/planes/none.ts";
import { RIGHT_OUTER, specPair } from "./specs.ts";

const packetFor = (spi: number, length = 60) => {
  const packet = Buffer.alloc(length);
  packet.writeUInt32BE(spi, 0);
  return packet;
};

test("counts what comes for an SPI as it came, and says what comes for none", () => {
  const { plane, events } = counting();
  const { left } = specPair();
  plane.install(left);
  plane.receive(packetFor(left.inbound.spi, 60), RIGHT_OUTER);
  plane.receive(packetFor(left.inbound.spi, 40), RIGHT_OUTER);
  assert.deepEqual(plane.usage(left.id), {
    inboundBytes: 100,
    inboundPackets: 2,
    outboundBytes: 0,
    outboundPackets: 0,
    replayed: 0,
    integrityFailures: 0,
    held: 0,
  });
  assert.deepEqual(events, []);
  plane.receive(packetFor(99, 4), RIGHT_OUTER);
  assert.deepEqual(events, [{ kind: "unknownSpi", spi: 99, from: RIGHT_OUTER }]);
});

test("passes over what is too short for an SPI", () => {
  const { plane, events } = counting();
  for (let length = 0; length < 4; length++) plane.receive(Buffer.alloc(length), RIGHT_OUTER);
  assert.deepEqual(events, []);
});

test("announces limits", () => {
  const { plane, events } = counting();
  const { left } = specPair({ limits: { softPackets: 1 } });
  plane.install(left);
  plane.receive(packetFor(left.inbound.spi), RIGHT_OUTER);
  assert.deepEqual(events, [{ kind: "limit", id: left.id, level: "soft" }]);
});

test("refuses an id or an SPI that is taken, and keeps the SA that has it", () => {
  const { plane } = counting();
  const { left } = specPair({ id: 1 });
  plane.install(left);
  assert.throws(() => plane.install(left), /CHILD SA 1 is installed already/);
  const other = { ...left, id: 2 as ChildSaId };
  assert.throws(() => plane.install(other), new RegExp(`inbound SPI ${left.inbound.spi} is in use`));
  plane.receive(packetFor(left.inbound.spi), RIGHT_OUTER);
  assert.equal(plane.usage(left.id)?.inboundPackets, 1);
  assert.equal(plane.usage(other.id), undefined);
});

test("forgets a removed SA and its SPI, which may then be used again; unknown ids are no error", async () => {
  const { plane, events } = counting();
  const { left } = specPair();
  plane.install(left);
  plane.remove(left.id);
  plane.remove(left.id);
  assert.equal(plane.usage(left.id), undefined);
  plane.receive(packetFor(left.inbound.spi), RIGHT_OUTER);
  assert.equal(events.length, 1);
  plane.install(left);
  await plane.close();
  assert.equal(plane.usage(left.id), undefined);
  plane.receive(packetFor(left.inbound.spi), RIGHT_OUTER);
  assert.equal(events.length, 2);
});

test("counts what comes on hold apart from what is delivered (TS 33.320 7.2.3-5)", () => {
  const { plane } = counting();
  const { left } = specPair({ hold: [] });
  plane.install(left);
  plane.receive(packetFor(left.inbound.spi), RIGHT_OUTER);
  plane.setHold(left.id, undefined);
  plane.receive(packetFor(left.inbound.spi), RIGHT_OUTER);
  plane.receive(packetFor(left.inbound.spi), RIGHT_OUTER);
  // It cannot look into packets, so that an exception means nothing to it.
  plane.setHold(left.id, [{ localAddress: LOCAL, remoteAddress: LOCAL, remotePort: 80 }]);
  plane.receive(packetFor(left.inbound.spi), RIGHT_OUTER);
  const { held, inboundPackets } = plane.usage(left.id)!;
  assert.deepEqual({ held, inboundPackets }, { held: 2, inboundPackets: 2 });
  plane.setHold(99 as ChildSaId, []);
});

test("cannot carry bare ESP, and takes moves without doing anything", () => {
  const { plane, events } = counting();
  assert.deepEqual([plane.name, plane.needsUdpEncapsulation], ["none", true]);
  plane.move();
  assert.deepEqual(events, []);
});

const LOCAL = Buffer.from([10, 1, 0, 5]);

function counting() {
  const events: PlaneEvent[] = [];
  return { plane: new NonePlane((event) => events.push(event)), events };
}
