import assert from "node:assert/strict";
import test from "node:test";
import { cidrRange, parseCidr, parseIp } from "../../src/bytes/ip.ts";
import type { TrafficSelector } from "../../src/esp/selector.ts";
import { InnerNetwork, type TunnelInterface } from "../../src/henb/innerNetwork.ts";

const GATEWAY = "192.0.2.1";

test("the address comes first, then the way to the gateway, then the routes; taken back in the opposite order", async () => {
  const tunnel = new Tunnel();
  const network = new InnerNetwork(tunnel);
  await network.use(["10.64.0.1"], [selector("192.0.2.0/24"), selector("10.40.0.0/24")], GATEWAY);
  assert.deepEqual(tunnel.take(), [
    "address 10.64.0.1/32",
    "pin 192.0.2.1",
    "route 192.0.2.0/24",
    "route 10.40.0.0/24",
  ]);
  await network.clear();
  assert.deepEqual(tunnel.take(), [
    "no route 192.0.2.0/24",
    "no route 10.40.0.0/24",
    "no address 10.64.0.1/32",
    "unpin 192.0.2.1",
  ]);
  await network.clear();
  assert.deepEqual(tunnel.take(), [], "once");
});

test("everything is two halves, so that the system's own default route stays, and the gateway stays outside", async () => {
  const tunnel = new Tunnel();
  await new InnerNetwork(tunnel).use(
    ["10.64.0.1", "2001:db8::5"],
    [selector("0.0.0.0/0"), selector("::/0")],
    "2001:db8:f::1",
  );
  assert.deepEqual(tunnel.take(), [
    "address 10.64.0.1/32",
    "address 2001:db8::5/128",
    "pin 2001:db8:f::1",
    "route 0.0.0.0/1",
    "route 128.0.0.0/1",
    "route ::/1",
    "route 8000::/1",
  ]);
});

test("others that are to be reached past the tunnel are pinned as the gateway is, once, and let go in the end", async () => {
  const tunnel = new Tunnel();
  const network = new InnerNetwork(tunnel);
  const others = ["198.51.100.9", "2001:db8::9"];
  for (let i = 0; i < 2; i++) await network.use(["10.64.0.1"], [selector("0.0.0.0/0")], GATEWAY, others);
  assert.deepEqual(tunnel.take(), [
    "address 10.64.0.1/32",
    `pin ${GATEWAY}`,
    "pin 198.51.100.9",
    "route 0.0.0.0/1",
    "route 128.0.0.0/1",
  ]);
  await network.clear();
  assert.deepEqual(
    tunnel.take().filter((step) => step.startsWith("unpin")),
    [`unpin ${GATEWAY}`, "unpin 198.51.100.9"],
  );
});

test("others to which there is no way outside do not keep the tunnel from being used", async () => {
  const tunnel = new Tunnel();
  tunnel.refuse = "pin 192.0.2.9";
  await new InnerNetwork(tunnel).use(["10.64.0.1"], [selector("192.0.2.0/24")], GATEWAY, ["192.0.2.9"]);
  assert.deepEqual(tunnel.take(), ["address 10.64.0.1/32", `pin ${GATEWAY}`, "route 192.0.2.0/24"]);
});

test("a gateway that no route covers needs no pin, whichever family it is of", async () => {
  for (const gateway of [GATEWAY, "2001:db8::1", "10.39.255.255", "10.41.0.0"]) {
    const tunnel = new Tunnel();
    await new InnerNetwork(tunnel).use(["10.64.0.1"], [selector("10.40.0.0/16")], gateway);
    assert.deepEqual(tunnel.take(), ["address 10.64.0.1/32", "route 10.40.0.0/16"], gateway);
  }
  for (const gateway of ["10.40.0.0", "10.40.255.255"]) {
    const tunnel = new Tunnel();
    await new InnerNetwork(tunnel).use(["10.64.0.1"], [selector("10.40.0.0/16")], gateway);
    assert.ok(tunnel.take().includes(`pin ${gateway}`), gateway);
  }
});

test("a range that is no block becomes the blocks it is made of; one address becomes a route of its own", async () => {
  const tunnel = new Tunnel();
  const range = { ...selector("10.0.0.0/8"), startAddress: parseIp("10.0.0.1")!, endAddress: parseIp("10.0.0.6")! };
  await new InnerNetwork(tunnel).use(["10.64.0.1"], [range, selector("10.7.7.7/32")], GATEWAY);
  assert.deepEqual(tunnel.take().slice(1), [
    "route 10.0.0.1/32",
    "route 10.0.0.2/31",
    "route 10.0.0.4/31",
    "route 10.0.0.6/32",
    "route 10.7.7.7/32",
  ]);
});

test("selectors of a family without an inner address are passed over", async () => {
  const tunnel = new Tunnel();
  await new InnerNetwork(tunnel).use(["10.64.0.1"], [selector("2001:db8::/32"), selector("10.40.0.0/24")], GATEWAY);
  assert.deepEqual(tunnel.take(), ["address 10.64.0.1/32", "route 10.40.0.0/24"]);
});

test("using the same again changes nothing, as after rekeying", async () => {
  const tunnel = new Tunnel();
  const network = new InnerNetwork(tunnel);
  for (let time = 1; time <= 3; time++) {
    await network.use(["10.64.0.1"], [selector("0.0.0.0/0")], GATEWAY);
    assert.equal(tunnel.take().length, time === 1 ? 4 : 0);
  }
});

test("another address and other routes come before the old ones go, so that none is missing in between", async () => {
  const tunnel = new Tunnel();
  const network = new InnerNetwork(tunnel);
  await network.use(["10.64.0.1"], [selector("10.40.0.0/24"), selector("10.41.0.0/24")], GATEWAY);
  tunnel.take();
  await network.use(["10.64.0.2"], [selector("10.41.0.0/24"), selector("10.42.0.0/24")], GATEWAY);
  assert.deepEqual(tunnel.take(), [
    "address 10.64.0.2/32",
    "no address 10.64.0.1/32",
    "route 10.42.0.0/24",
    "no route 10.40.0.0/24",
  ]);
  await network.clear();
  assert.deepEqual(tunnel.take(), ["no route 10.41.0.0/24", "no route 10.42.0.0/24", "no address 10.64.0.2/32"]);
});

test("changes asked for while one is under way wait for it, in their order", async () => {
  const tunnel = new Tunnel();
  const network = new InnerNetwork(tunnel);
  await Promise.all([
    network.use(["10.64.0.1"], [selector("10.40.0.0/24")], GATEWAY),
    network.clear(),
    network.use(["10.64.0.2"], [selector("10.41.0.0/24")], GATEWAY),
  ]);
  assert.deepEqual(tunnel.take(), [
    "address 10.64.0.1/32",
    "route 10.40.0.0/24",
    "no route 10.40.0.0/24",
    "no address 10.64.0.1/32",
    "address 10.64.0.2/32",
    "route 10.41.0.0/24",
  ]);
});

test("a change that fails is told to who asked for it, and the next one is made", async () => {
  const tunnel = new Tunnel();
  const network = new InnerNetwork(tunnel);
  tunnel.refuse = "route 10.40.0.0/24";
  const first = network.use(["10.64.0.1"], [selector("10.40.0.0/24")], GATEWAY);
  const second = network.use(["10.64.0.1"], [selector("10.41.0.0/24")], GATEWAY);
  await assert.rejects(first, /refused route 10\.40\.0\.0\/24/);
  await second;
  assert.ok(tunnel.take().includes("route 10.41.0.0/24"));
});

test("what was begun before a failure is taken back all the same", async () => {
  const tunnel = new Tunnel();
  const network = new InnerNetwork(tunnel);
  tunnel.refuse = "route 10.41.0.0/24";
  await assert.rejects(network.use(["10.64.0.1"], [selector("192.0.0.0/8"), selector("10.41.0.0/24")], GATEWAY));
  tunnel.take();
  await network.clear();
  assert.deepEqual(tunnel.take().sort(), ["no address 10.64.0.1/32", "no route 192.0.0.0/8", "unpin 192.0.2.1"]);
});

test("what cannot be taken back does not keep the rest in place, and is told", async () => {
  const tunnel = new Tunnel();
  const network = new InnerNetwork(tunnel);
  await network.use(["10.64.0.1"], [selector("192.0.0.0/8"), selector("10.41.0.0/24")], GATEWAY);
  tunnel.take();
  tunnel.refuse = "no route 192.0.0.0/8";
  await assert.rejects(network.clear(), /refused no route 192\.0\.0\.0\/8/);
  assert.deepEqual(tunnel.take(), ["no route 10.41.0.0/24", "no address 10.64.0.1/32", "unpin 192.0.2.1"]);
  await network.clear();
  assert.deepEqual(tunnel.take(), []);
});

/** A tunnel interface that notes what it is asked for; each change takes a turn of the event loop. */
class Tunnel implements TunnelInterface {
  refuse: string | undefined;
  #done: string[] = [];

  take(): string[] {
    return this.#done.splice(0);
  }

  addAddress = (address: string) => this.#change(`address ${address}`);
  removeAddress = (address: string) => this.#change(`no address ${address}`);
  addRoute = (block: string) => this.#change(`route ${block}`);
  removeRoute = (block: string) => this.#change(`no route ${block}`);

  async pinRoute(address: string): Promise<() => Promise<void>> {
    await this.#change(`pin ${address}`);
    return () => this.#change(`unpin ${address}`);
  }

  async #change(what: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (what === this.refuse) throw new Error(`refused ${what}`);
    this.#done.push(what);
  }
}

function selector(block: string): TrafficSelector {
  const { start, end } = cidrRange(parseCidr(block)!);
  const ports = { protocol: 0, startPort: 0, endPort: 0xffff };
  return { type: start.length === 4 ? 7 : 8, ...ports, startAddress: start, endAddress: end };
}
