import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp } from "../../src/bytes/ip.ts";
import { OPAQUE_PORT } from "../../src/esp/ipPacket.ts";
import { selectorsMatch, type TrafficSelector } from "../../src/esp/selector.ts";
import { selector } from "./specs.ts";

const UDP = 17;
const TCP = 6;

test("addresses match from the first to the last of the range, and in their own family only", () => {
  const range = { ...selector("10.0.0.0/8"), startAddress: parseIp("10.1.2.3")!, endAddress: parseIp("10.3.2.1")! };
  const expected: Record<string, boolean> = {
    "10.1.2.2": false,
    "10.1.2.3": true,
    "10.1.255.255": true,
    "10.2.0.0": true,
    "10.3.2.1": true,
    "10.3.2.2": false,
    "::a01:203": false,
  };
  for (const [address, matches] of Object.entries(expected))
    assert.equal(match([range], { address }), matches, address);
  const six = selector("2001:db8::/64");
  assert.equal(match([six], { address: "2001:db8::ffff:ffff:ffff:ffff" }), true);
  assert.equal(match([six], { address: "2001:db8:0:1::" }), false);
  assert.equal(match([{ ...six, startAddress: parseIp("::")! }], { address: "10.1.2.3" }), false);
});

test("protocol zero means any, another means itself", () => {
  assert.equal(match([selector("10.0.0.0/8")], { protocol: TCP }), true);
  assert.equal(match([selector("10.0.0.0/8", { protocol: UDP })], { protocol: UDP }), true);
  assert.equal(match([selector("10.0.0.0/8", { protocol: UDP })], { protocol: TCP }), false);
});

test("ports match from the first to the last of the range", () => {
  const some = selector("10.0.0.0/8", { protocol: UDP, startPort: 1000, endPort: 2000 });
  for (const [port, matches] of [
    [999, false],
    [1000, true],
    [2000, true],
    [2001, false],
  ] as const)
    assert.equal(match([some], { port }), matches, String(port));
  // Port zero is a port: ICMP's echo reply has type and code zero.
  const zero = selector("10.0.0.0/8", { protocol: 1, startPort: 0, endPort: 0 });
  assert.equal(match([zero], { protocol: 1, port: 0 }), true);
  assert.equal(match([zero], { protocol: 1, port: OPAQUE_PORT }), false);
  const last = selector("10.0.0.0/8", { startPort: 0xffff, endPort: 0xffff });
  assert.equal(match([last], { port: 0xffff }), true);
  assert.equal(match([last], { port: OPAQUE_PORT }), false);
  assert.equal(match([some], { port: 0 }), false);
});

test("a packet that shows no port is covered by any port or by OPAQUE, not by a range (RFC 4301 4.4.1.1, 7)", () => {
  const any = selector("10.0.0.0/8", { protocol: UDP });
  const some = { ...any, startPort: 1, endPort: 0xffff };
  const low = { ...any, startPort: 0, endPort: 0xfffe };
  const opaque = { ...any, startPort: 0xffff, endPort: 0 };
  const port = OPAQUE_PORT;
  assert.equal(match([any], { port }), true);
  assert.equal(match([some], { port }), false);
  assert.equal(match([low], { port }), false);
  assert.equal(match([opaque], { port }), true);
  assert.equal(match([opaque], { port: 0 }), false);
  assert.equal(match([opaque], { port: 0xffff }), false);
});

test("one of several selectors is enough, and of none there is no match", () => {
  const both = [selector("192.0.2.0/24"), selector("10.0.0.0/8", { protocol: TCP }), selector("10.0.0.0/24")];
  assert.equal(match(both, { address: "10.0.0.9", protocol: UDP }), true);
  assert.equal(match(both, { address: "10.0.1.9", protocol: UDP }), false);
  assert.equal(match([], {}), false);
});

function match(
  selectors: readonly TrafficSelector[],
  { address = "10.0.0.1", protocol = UDP, port = 1500 }: { address?: string; protocol?: number; port?: number },
): boolean {
  return selectorsMatch(selectors, protocol, parseIp(address)!, port);
}
