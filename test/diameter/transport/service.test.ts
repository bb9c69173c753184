import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { AA, makeAnswer, makeRequest, readAnswer } from "../../../src/diameter/codec/commands.ts";
import type { DiameterMessage } from "../../../src/diameter/codec/message.ts";
import { Application, ResultCode } from "../../../src/diameter/codec/numbers.ts";
import type { NodeEvent } from "../../../src/diameter/node/effects.ts";
import {
  DiameterService,
  type DiameterServiceOptions,
  type Endpoint,
  UnansweredError,
} from "../../../src/diameter/transport/service.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { type Credentials, TlsAuthority } from "../../net/tlsCredentials.ts";
import { SWM } from "../node/network.ts";

const TO_AAA = { application: Application.SWm, realm: "example" };

/** Emits the node's events so that a test can wait for one. */
class Watched {
  readonly seen: NodeEvent[] = [];
  #wake: (() => void)[] = [];

  readonly onEvent = (event: NodeEvent) => {
    this.seen.push(event);
    for (const wake of this.#wake.splice(0)) wake();
  };

  async until(kind: NodeEvent["kind"]): Promise<NodeEvent> {
    for (;;) {
      const found = this.seen.find((event) => event.kind === kind);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
}

function options(host: string, events: Watched, more: Partial<DiameterServiceOptions>): DiameterServiceOptions {
  return {
    clock: systemEnvironment.clock,
    random: systemEnvironment.random,
    identity: {
      host,
      realm: "example",
      addresses: ["127.0.0.1"],
      product: "Femtogate",
      vendor: 0,
      originStateId: 1,
    },
    spoken: [SWM],
    peers: [],
    listen: [],
    endpoints: new Map(),
    onRequest: () => {},
    onEvent: events.onEvent,
    ...more,
  };
}

const peer = (host: string, connects: boolean) => ({ host, realm: "example", connect: connects, priority: 0 });

function aar(service: DiameterService): DiameterMessage {
  return makeRequest(AA, Application.SWm, service.node.newEndToEnd(), {
    "Session-Id": "segw.example;1;1",
    "Auth-Application-Id": Application.SWm,
    "Origin-Host": "segw.example",
    "Origin-Realm": "example",
    "Destination-Realm": "example",
    "Auth-Request-Type": 2,
  });
}

const authorize: DiameterServiceOptions["onRequest"] = (message, _peer, answer) =>
  answer(
    makeAnswer(AA, message, {
      "Session-Id": "segw.example;1;1",
      "Auth-Application-Id": Application.SWm,
      "Auth-Request-Type": 2,
      "Origin-Host": "aaa.example",
      "Origin-Realm": "example",
      "Result-Code": ResultCode.SUCCESS,
    }),
  );

async function server(events: Watched, tls?: Credentials): Promise<DiameterService> {
  return DiameterService.start(
    options("aaa.example", events, {
      peers: [peer("segw.example", false)],
      listen: [{ address: "127.0.0.1", port: 0, tls: tls !== undefined }],
      tls,
      onRequest: authorize,
    }),
  );
}

async function client(events: Watched, where: Endpoint, tls?: Credentials): Promise<DiameterService> {
  return DiameterService.start(
    options("segw.example", events, {
      peers: [peer("aaa.example", true)],
      endpoints: new Map([["aaa.example", { ...where, tls: tls !== undefined }]]),
      tls,
    }),
  );
}

for (const secure of [false, true]) {
  test(`a request is answered over ${secure ? "TLS with certificates on both sides" : "TCP"}`, async () => {
    const authority = new TlsAuthority();
    const serverEvents = new Watched();
    const clientEvents = new Watched();
    await using ends = new AsyncDisposableStack();
    const aaa = await server(serverEvents, secure ? authority.issue("aaa.example") : undefined);
    ends.defer(() => aaa.close());
    const own = secure ? authority.issue("segw.example") : undefined;
    const segw = await client(clientEvents, aaa.addresses()[0]!, own);
    ends.defer(() => segw.close());
    await clientEvents.until("peerUp");
    const { message, peer: from } = await segw.request(aar(segw), TO_AAA);
    assert.equal(from, "aaa.example");
    assert.equal(readAnswer(AA, message).outcome.code, ResultCode.SUCCESS);
    await aaa.close();
    const down = await clientEvents.until("peerDown");
    assert.ok(down.kind === "peerDown" && down.cause === "closed", "the server said goodbye");
    await assert.rejects(segw.request(aar(segw), TO_AAA), (error: unknown) => {
      return error instanceof UnansweredError && error.reason === "NoPeer";
    });
  });
}

test("over TLS, a certificate of a foreign authority, none at all and one for another name are of no use", async () => {
  const authority = new TlsAuthority();
  const serverEvents = new Watched();
  await using ends = new AsyncDisposableStack();
  const aaa = await server(serverEvents, authority.issue("aaa.example"));
  ends.defer(() => aaa.close());
  const where = aaa.addresses()[0]!;
  // Another name: TLS succeeds, and the CER is refused.
  const named = new Watched();
  const misnamed = await client(named, where, authority.issue("mallory.example"));
  ends.defer(() => misnamed.close());
  await named.until("connectionRefused");
  assert.ok(serverEvents.seen.some((event) => event.kind === "connectionRefused"));
  // A foreign authority that the client trusts the server by: the handshake fails on the server's side.
  const foreign = new TlsAuthority("foreign").issue("segw.example");
  const socket = connect(where.port, where.address);
  await once(socket, "connect");
  socket.destroy();
  const stranger = new Watched();
  const untrusted = await client(stranger, where, { ...foreign, authorities: authority.certificate });
  ends.defer(() => untrusted.close());
  // And a server whose certificate the client does not trust is not talked to.
  const wary = new Watched();
  const cautious = await client(wary, where, { ...authority.issue("segw.example"), authorities: foreign.authorities });
  ends.defer(() => cautious.close());
  // A good client still gets in after all of them.
  const good = new Watched();
  const segw = await client(good, where, authority.issue("segw.example"));
  ends.defer(() => segw.close());
  await good.until("peerUp");
  for (const { seen } of [named, stranger, wary]) assert.ok(!seen.some((event) => event.kind === "peerUp"));
  const ups = serverEvents.seen.filter((event) => event.kind === "peerUp");
  assert.equal(ups.length, 1);
});

test("a connection that carries no Diameter is closed, and the service lives on", async () => {
  const events = new Watched();
  await using ends = new AsyncDisposableStack();
  const aaa = await server(events);
  ends.defer(() => aaa.close());
  const { address, port } = aaa.addresses()[0]!;
  const socket = connect(port, address);
  socket.write("GET / HTTP/1.1\r\n\r\n");
  await once(socket, "close");
  const dropped = await events.until("dropped");
  assert.ok(dropped.kind === "dropped" && dropped.reason === "malformed");
  const segw = await client(new Watched(), aaa.addresses()[0]!);
  ends.defer(() => segw.close());
  await events.until("peerUp");
});

test("a peer that takes requests and dies leaves its requests a reason", async () => {
  const sockets: Socket[] = [];
  const events = new Watched();
  await using ends = new AsyncDisposableStack();
  const aaa = await DiameterService.start(
    options("aaa.example", events, {
      peers: [peer("segw.example", false)],
      listen: [{ address: "127.0.0.1", port: 0, tls: false }],
    }),
  );
  ends.defer(() => aaa.close());
  // A wire that can be cut stands between them.
  const target = aaa.addresses()[0]!;
  const wire = createServer((near) => {
    const far = connect(target.port, target.address);
    near.pipe(far).pipe(near);
    near.on("error", () => {});
    far.on("error", () => {});
    sockets.push(near, far);
  });
  wire.listen(0, "127.0.0.1");
  await once(wire, "listening");
  ends.defer(async () => void wire.close());
  const clientEvents = new Watched();
  const { port } = wire.address() as { port: number };
  const segw = await client(clientEvents, { address: "127.0.0.1", port });
  ends.defer(() => segw.close());
  await clientEvents.until("peerUp");
  const request = segw.request(aar(segw), TO_AAA);
  for (const socket of sockets) socket.destroy();
  await assert.rejects(request, (error: unknown) => error instanceof UnansweredError && error.reason === "NoPeer");
});
