import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import test from "node:test";
import { NoPathError, OuterPaths } from "../../src/henb/outerPaths.ts";
import { UdpPorts } from "../../src/ipsec/udpPorts.ts";

type Config = ConstructorParameters<typeof OuterPaths>[0];

const PORTS = { ike: 500, natT: 4500 };
const HIGH = { ike: 0, natT: 0 };

test("addresses of the gateway take turns from attempt to attempt, each with the configured ports", async () => {
  await using paths = new Tried({ name: "segw.example", addresses: ["127.0.0.1", "127.0.0.9"], ports: PORTS });
  const remotes = [];
  for (let attempt = 1; attempt <= 5; attempt++) {
    const path = await paths.next(attempt);
    remotes.push(path.remote);
    assert.equal(path.natT, false);
    assert.equal(path.natPorts.remote, 4500);
  }
  assert.deepEqual(
    remotes,
    [".1", ".9", ".1", ".9", ".1"].map((end) => ({ address: `127.0.0${end}`, port: 500 })),
  );
});

test("our own end is the address that the system uses towards the gateway, bound once for all attempts", async () => {
  await using paths = new Tried({ name: "127.0.0.1", addresses: [], ports: PORTS });
  const [first, second] = [await paths.next(1), await paths.next(2)];
  assert.deepEqual(paths.bound, ["127.0.0.1"]);
  assert.deepEqual(first.local, second.local);
  assert.notEqual(first.local.port, first.natPorts.local);
  assert.notEqual(first.local.port, 0);
});

test("our own end is the configured address where there is one", async () => {
  await using paths = new Tried({ name: "127.0.0.1", addresses: [], ports: PORTS }, "127.0.0.7");
  assert.equal((await paths.next(1)).local.address, "127.0.0.7");
});

test("a name is resolved by the system, and anew each time", async () => {
  await using paths = new Tried({ name: "localhost", addresses: [], ports: PORTS });
  const { remote } = await paths.next(1);
  assert.match(remote.address, /^127\.0\.0\.1$|^::1$/);
});

test("without a name that resolves it is told what is missing, and nothing is bound", async () => {
  await using nameless = new Tried({ name: "no..such..name", addresses: [], ports: PORTS });
  await assert.rejects(nameless.next(1), (error) => {
    assert.ok(error instanceof NoPathError);
    assert.match(
      error.message,
      /^no\.\.such\.\.name is not resolved by DNS \(E\w+\); gateway\.addresses can name its addresses$/,
    );
    return true;
  });
  assert.deepEqual(nameless.bound, []);
});

test("without a way there it is told so, and nothing is bound", async () => {
  // Without its interface a link-local address leads nowhere.
  await using lost = new Tried({ name: "fe80::1", addresses: [], ports: PORTS });
  await assert.rejects(lost.next(1), { name: "NoPathError", message: /^no way to fe80::1 \(E\w+\)$/ });
  assert.deepEqual(lost.bound, []);
});

test("nothing is looked up or bound before the first attempt", async () => {
  await using paths = new Tried({ name: "no..such..name", addresses: [], ports: PORTS });
  assert.deepEqual(paths.bound, []);
});

test("datagrams leave by the ports of the address they are from; from another address none does", async () => {
  const peer = createSocket("udp4").bind(0, "127.0.0.1");
  await once(peer, "listening");
  const to = { address: "127.0.0.1", port: peer.address().port };
  await using paths = new Tried({ name: "127.0.0.1", addresses: [], ports: PORTS });
  const { local, natPorts } = await paths.next(1);
  const natT = { ...local, port: natPorts.local };
  const elsewhere = { address: "127.0.0.8", port: local.port };
  const heard: string[] = [];
  peer.on("message", (packet, { port }) => heard.push(`${port} ${packet.toString("latin1")}`));
  const arrival = () => once(peer, "message");
  paths.outer.sendIke(Buffer.from("lost"), elsewhere, to, false);
  paths.outer.sendEsp(Buffer.from("lost"), elsewhere, to);
  paths.outer.sendKeepalive(elsewhere, to);
  for (const send of [
    () => paths.outer.sendIke(Buffer.from("IKE"), local, to, false),
    () => paths.outer.sendEsp(Buffer.from("ESP"), natT, to),
    () => paths.outer.sendKeepalive(natT, to),
  ]) {
    const arrived = arrival();
    send();
    await arrived;
  }
  assert.deepEqual(heard, [`${local.port} IKE`, `${natT.port} ESP`, `${natT.port} \xff`]);
  peer.close();
});

/** Paths whose ports are real ones of loopback. */
class Tried implements AsyncDisposable {
  readonly outer: OuterPaths;
  readonly bound: string[] = [];

  constructor(gateway: Config["gateway"], address?: string) {
    this.outer = new OuterPaths({ gateway, local: { address, ports: HIGH } }, (local) => {
      this.bound.push(local);
      const handler = { onIke: () => undefined, onEsp: () => undefined };
      return UdpPorts.open({ addresses: [local], ports: HIGH, handler, onSendError: () => undefined });
    });
  }

  next(attempt: number) {
    return this.outer.next(attempt);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.outer.close();
  }
}
