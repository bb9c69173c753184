import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import test from "node:test";
import type { UdpAddress } from "../../src/esp/dataPlane.ts";
import { PortUnavailable, UdpPorts, type UdpPortsOptions } from "../../src/ipsec/udpPorts.ts";

const LOOPBACK = "127.0.0.1";
const ANY_PORTS = { ike: 0, natT: 0 };

test("on the IKE port a datagram is an IKE message as it is", async () => {
  await using end = await ends();
  end.peer.send("an IKE message", end.ike.port, LOOPBACK);
  assert.deepEqual(await end.next(), {
    kind: "ike",
    packet: "an IKE message",
    from: end.peerAddress,
    to: end.ike,
    natT: false,
  });
  end.peer.send(Buffer.alloc(0), end.ike.port, LOOPBACK);
  assert.equal((await end.next()).packet, "", "what is too short is for the codec to say");
});

test("on the NAT traversal port a marker of zeros tells IKE from ESP, and keep-alives reach nobody (RFC 3948 2)", async () => {
  await using end = await ends();
  const datagrams = ["\xff", "\0\0\0", "\0\0\0\0", "\0\0\0\0IKE", "\0\0\0\x01ESP", "\xff\xff\xff\xff+"];
  for (const datagram of datagrams) end.peer.send(Buffer.from(datagram, "latin1"), end.natT.port, LOOPBACK);
  const heard = [await end.next(), await end.next(), await end.next()];
  assert.deepEqual(heard, [
    { kind: "ike", packet: "IKE", from: end.peerAddress, to: end.natT, natT: true },
    { kind: "esp", packet: "\0\0\0\x01ESP", from: end.peerAddress, to: end.natT },
    { kind: "esp", packet: "\xff\xff\xff\xff+", from: end.peerAddress, to: end.natT },
  ]);
});

test("what is sent leaves from the port it is to leave from, with the marker on IKE where that is due", async () => {
  await using end = await ends();
  const { ports, ike, natT, peerAddress } = end;
  ports.sendIke(Buffer.from("IKE"), ike, peerAddress, false);
  assert.deepEqual(await end.atPeer(), ["IKE", ike.port]);
  ports.sendIke(Buffer.from("IKE"), natT, peerAddress, true);
  assert.deepEqual(await end.atPeer(), ["\0\0\0\0IKE", natT.port]);
  ports.sendEsp(Buffer.from("\0\0\x01\0ESP", "latin1"), natT, peerAddress);
  assert.deepEqual(await end.atPeer(), ["\0\0\x01\0ESP", natT.port]);
  ports.sendKeepalive(natT, peerAddress);
  assert.deepEqual(await end.atPeer(), ["\xff", natT.port]);
});

test("a tap sees every datagram as it is on the wire, marker and keep-alives included", async () => {
  const seen: string[] = [];
  await using end = await ends({
    tap: (datagram, from, to) => seen.push(`${from.port}>${to.port} ${datagram.toString("latin1")}`),
  });
  const {
    ports,
    natT,
    peerAddress: { port },
  } = end;
  ports.sendIke(Buffer.from("out"), natT, end.peerAddress, true);
  await end.atPeer();
  for (const datagram of ["\xff", "\0\0\0\0in"]) end.peer.send(Buffer.from(datagram, "latin1"), natT.port, LOOPBACK);
  await end.next();
  assert.deepEqual(seen, [
    `${natT.port}>${port} \0\0\0\0out`,
    `${port}>${natT.port} \xff`,
    `${port}>${natT.port} \0\0\0\0in`,
  ]);
});

test("each address has ports of its own, IPv6 as well", async () => {
  await using end = await ends({ addresses: [LOOPBACK, "127.0.0.2", "::1"] });
  const { bound } = end.ports;
  assert.deepEqual(
    bound.map(({ ike }) => ike.address),
    [LOOPBACK, "127.0.0.2", "::1"],
  );
  assert.equal(
    new Set(bound.flatMap(({ ike, natT }) => [`${ike.address} ${ike.port}`, `${natT.address} ${natT.port}`])).size,
    6,
  );
  end.peer.send("x", bound[1]!.ike.port, "127.0.0.2");
  assert.equal((await end.next()).to.address, "127.0.0.2");
  const six = createSocket("udp6");
  six.send("\0\0\0\0six", bound[2]!.natT.port, "::1");
  const { packet, from, to } = await end.next();
  six.close();
  assert.deepEqual([packet, from.address, to.address], ["six", "::1", "::1"]);
});

test("a port that another holds, or an address that is not there, is told with what to do, and nothing stays bound", async () => {
  await using end = await ends();
  const options = { handler: end.handler, onSendError: () => undefined };
  await assert.rejects(
    UdpPorts.open({ ...options, addresses: [LOOPBACK], ports: { ike: 0, natT: end.ike.port } }),
    (error) => {
      assert.ok(error instanceof PortUnavailable);
      assert.equal(
        error.message,
        `UDP port ${end.ike.port} of 127.0.0.1 cannot be had (EADDRINUSE): another program holds it, perhaps another IKE daemon`,
      );
      return true;
    },
  );
  const free = await freePort();
  await assert.rejects(
    UdpPorts.open({ ...options, addresses: ["127.0.0.3", "192.0.2.77"], ports: { ike: free, natT: 0 } }),
    {
      name: "PortUnavailable",
      message: `UDP port ${free} of 192.0.2.77 cannot be had (EADDRNOTAVAIL): no interface of this machine has that address`,
    },
  );
  // The first address's port was let go.
  const again = await UdpPorts.open({ ...options, addresses: ["127.0.0.3"], ports: { ike: free, natT: 0 } });
  assert.equal(again.bound[0]?.ike.port, free);
  await again.close();
});

test("a datagram that cannot be sent is told, and the port goes on", async () => {
  const failed = Promise.withResolvers<{ code: string | undefined; to: UdpAddress }>();
  await using end = await ends({
    onSendError: (error: NodeJS.ErrnoException, to) => failed.resolve({ code: error.code, to }),
  });
  end.ports.sendIke(Buffer.alloc(70_000), end.ike, end.peerAddress, false);
  assert.deepEqual(await failed.promise, { code: "EMSGSIZE", to: end.peerAddress });
  end.ports.sendIke(Buffer.from("next"), end.ike, end.peerAddress, false);
  assert.deepEqual(await end.atPeer(), ["next", end.ike.port]);
});

test("from a port that is not there, or no longer, nothing is sent", async () => {
  await using end = await ends();
  end.ports.sendIke(Buffer.from("lost"), { address: LOOPBACK, port: 1 }, end.peerAddress, false);
  end.ports.sendIke(Buffer.from("there"), end.ike, end.peerAddress, false);
  assert.equal((await end.atPeer())[0], "there");
  await end.ports.close();
  end.ports.sendIke(Buffer.from("lost"), end.ike, end.peerAddress, false);
  await end.ports.close();
});

type Heard = { kind: "ike" | "esp"; packet: string; from: UdpAddress; to: UdpAddress; natT?: boolean };

/** Ports under test, and a peer on loopback with a plain socket. */
async function ends(changes: Partial<UdpPortsOptions> = {}) {
  const heard = new Arrivals<Heard>();
  const handler = {
    onIke: (packet: Buffer, from: UdpAddress, to: UdpAddress, natT: boolean) =>
      heard.add({ kind: "ike", packet: packet.toString("latin1"), from, to, natT }),
    onEsp: (packet: Buffer, from: UdpAddress, to: UdpAddress) =>
      heard.add({ kind: "esp", packet: packet.toString("latin1"), from, to }),
  };
  const ports = await UdpPorts.open({
    addresses: [LOOPBACK],
    ports: ANY_PORTS,
    handler,
    onSendError: (error) => assert.fail(error),
    ...changes,
  });
  const peer = createSocket("udp4");
  const atPeer = new Arrivals<[packet: string, port: number]>();
  peer.on("message", (packet, { port }) => atPeer.add([packet.toString("latin1"), port]));
  const port = await bind(peer);
  const [{ ike, natT }] = ports.bound as [{ ike: UdpAddress; natT: UdpAddress }];
  return {
    ports,
    handler,
    ike,
    natT,
    peer,
    peerAddress: { address: LOOPBACK, port },
    next: () => heard.next(),
    atPeer: () => atPeer.next(),
    async [Symbol.asyncDispose]() {
      await ports.close();
      peer.close();
    },
  };
}

/** What has come, taken out one by one, waiting where there is none. */
class Arrivals<T> {
  readonly #come: T[] = [];
  #wake: (() => void) | undefined;

  add(one: T): void {
    this.#come.push(one);
    this.#wake?.();
  }

  async next(): Promise<T> {
    while (this.#come.length === 0)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.#come.shift()!;
  }
}

async function bind(socket: Socket): Promise<number> {
  socket.bind(0, LOOPBACK);
  await once(socket, "listening");
  return socket.address().port;
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  const port = await bind(socket);
  socket.close();
  return port;
}
