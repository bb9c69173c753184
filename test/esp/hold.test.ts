/** A CHILD SA on hold until the gateway's status is known (TS 33.320 7.2.3-5), at the device's end, here the left one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Bytes } from "../../src/bytes/bytes.ts";
import type { Hold } from "../../src/esp/hold.ts";
import { EspProcessor } from "../../src/esp/processor.ts";
import { seededRandom } from "../../src/sim/random.ts";
import { ipv4Packet, ipv6Packet, LEFT_OUTER, RIGHT_OUTER, specPair } from "./specs.ts";

const DEVICE = Buffer.from([10, 1, 0, 5]);
const NEIGHBOUR = Buffer.from([10, 1, 0, 6]);
const RESPONDER = Buffer.from([10, 2, 0, 7]);
const OTHER = Buffer.from([10, 2, 0, 8]);
const TCP = 6;
const UDP = 17;
const QUERIES: Hold = [{ localAddress: DEVICE, remoteAddress: RESPONDER, remotePort: 80 }];

interface Packet {
  from?: Bytes;
  to?: Bytes;
  protocol?: number;
  ports?: [source: number, destination: number];
}

const out = ({ from = DEVICE, to = RESPONDER, protocol = TCP, ports = [50_000, 80] }: Packet = {}) =>
  ipv4Packet({ source: from, destination: to, protocol, upper: upper(ports) });
const back = ({ from = RESPONDER, to = DEVICE, protocol = TCP, ports = [80, 50_000] }: Packet = {}) =>
  ipv4Packet({ source: from, destination: to, protocol, upper: upper(ports) });

test("while everything is on hold nothing leaves, nothing is delivered, and both are counted", () => {
  const { sends, delivers, held, drops } = tunnel([]);
  assert.equal(sends(out()), false);
  assert.equal(sends(ipv6Packet()), false);
  assert.equal(delivers(back()), false);
  assert.equal(held(), 3);
  assert.equal(drops(), 3);
});

test("queries from the device's inner address to the responder's port pass, and their answers", () => {
  const { sends, delivers, held } = tunnel(QUERIES);
  assert.ok(sends(out()));
  assert.ok(delivers(back()));
  assert.equal(held(), 0);
});

for (const [what, change] of [
  ["to another host", { to: OTHER }],
  ["to another port", { ports: [80, 443] }],
  ["by another protocol", { protocol: UDP }],
  ["from another address than the device's", { from: NEIGHBOUR }],
] as const satisfies readonly [string, Packet][]) {
  test(`a packet ${what} is held back`, () => {
    const { sends, held } = tunnel(QUERIES);
    assert.equal(sends(out(change)), false);
    assert.equal(held(), 1);
  });
}

for (const [what, change] of [
  ["from another host", { from: OTHER }],
  ["from another port", { ports: [443, 80] }],
  ["by another protocol", { protocol: UDP }],
  ["to another address than the device's", { to: NEIGHBOUR }],
] as const satisfies readonly [string, Packet][]) {
  test(`a packet ${what} is not delivered`, () => {
    const { delivers, held } = tunnel(QUERIES);
    assert.equal(delivers(back(change)), false);
    assert.equal(held(), 1);
  });
}

test("a later fragment, which shows no port, is held back", () => {
  const { sends } = tunnel(QUERIES);
  const fragment = out();
  fragment.writeUInt16BE(100, 6);
  assert.equal(sends(fragment), false);
});

test("a packet that was held back does not come through by being repeated after the hold", () => {
  const { sealedBack, setHold, receives } = tunnel([]);
  const packet = sealedBack(back());
  assert.equal(receives(Buffer.from(packet)), false);
  setHold(undefined);
  assert.equal(receives(packet), false);
  assert.ok(receives(sealedBack(back())));
});

test("everything flows once the hold has ended, and stops again when it is put on anew", () => {
  const { sends, delivers, setHold } = tunnel([]);
  setHold(undefined);
  assert.ok(sends(out({ to: OTHER })));
  assert.ok(delivers(back({ from: OTHER })));
  setHold([]);
  assert.equal(sends(out()), false);
});

test("a held packet does not leave by an older SA that is not on hold", () => {
  const { processor, sends } = tunnel(undefined);
  processor.install(specPair({ id: 2, hold: [] }).left);
  assert.equal(sends(out()), false);
});

/** The left end, and the right one as its peer. */
function tunnel(hold: Hold | undefined) {
  const { left, right } = specPair(hold === undefined ? {} : { hold });
  const [processor, peer] = ["left", "right"].map((side) => new EspProcessor(seededRandom(side), () => undefined));
  processor!.install(left);
  const { hold: _, ...free } = right;
  peer!.install(free);
  const sealedBack = (inner: Bytes) => peer!.outbound(inner)!.packet;
  const receives = (packet: Bytes) => processor!.inbound(packet, RIGHT_OUTER) !== undefined;
  return {
    processor: processor!,
    /** True if it leaves, and arrives as it is. */
    sends(inner: Bytes): boolean {
      const sealed = processor!.outbound(inner);
      return sealed !== undefined && peer!.inbound(sealed.packet, LEFT_OUTER)!.equals(inner);
    },
    delivers: (inner: Bytes) => receives(sealedBack(inner)),
    sealedBack,
    receives,
    setHold: (changed: Hold | undefined) => processor!.setHold(left.id, changed),
    held: () => processor!.usage(left.id)!.held,
    drops: () => processor!.drops.get("Held"),
  };
}

/** Ports, and room for the rest of a header. */
function upper([source, destination]: readonly [number, number]): Bytes {
  const octets = Buffer.alloc(20);
  octets.writeUInt16BE(source, 0);
  octets.writeUInt16BE(destination, 2);
  return octets;
}
