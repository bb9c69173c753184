import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import type { TlsCredentials } from "../../../src/http/mutualTls.ts";
import { Code } from "../../../src/radius/codec/numbers.ts";
import { attribute, attributeOf } from "../../../src/radius/codec/packet.ts";
import type { ClientSettings, RadiusDropReason } from "../../../src/radius/core/server.ts";
import { RadiusListener, type RadiusListenerOptions } from "../../../src/radius/transport/listener.ts";
import { reportPackets } from "../../../src/radius/transport/messageRecord.ts";
import {
  RadiusRequester,
  type RadiusServerTarget,
  RadiusUnansweredError,
} from "../../../src/radius/transport/requester.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { TlsAuthority } from "../../net/tlsCredentials.ts";

const WORLD = { clock: systemEnvironment.clock, random: systemEnvironment.random };
const SECRET = Buffer.from("a secret that both know");
const CLIENTS: ClientSettings[] = [
  { name: "loopback", by: { kind: "address", block: "127.0.0.0/8", secret: SECRET } },
  { name: "segw", by: { kind: "certificate", fqdn: "segw.example" } },
];

const echo: RadiusListenerOptions["onRequest"] = ({ packet, client }, answer) =>
  answer({
    code: Code.AccessAccept,
    attributes: [attribute("Reply-Message", `${client} ${attributeOf(packet, "User-Name")}`)],
    msk: Buffer.alloc(64, 7),
  });

async function listen(ends: AsyncDisposableStack, more: Partial<RadiusListenerOptions>): Promise<RadiusListener> {
  const listener = await RadiusListener.start({
    ...WORLD,
    clients: CLIENTS,
    udp: [],
    radsec: [],
    onRequest: echo,
    onDrop: () => {},
    ...more,
  });
  ends.defer(() => listener.close());
  return listener;
}

function requester(
  ends: AsyncDisposableStack,
  servers: readonly RadiusServerTarget[],
  tls?: TlsCredentials,
  timers = {},
): RadiusRequester {
  const client = new RadiusRequester({ ...WORLD, servers, tls, timers, onEvent: () => {} });
  ends.defer(async () => client.close());
  return client;
}

const udp = (port: number) => ({ name: "aaa", transport: "udp", address: "127.0.0.1", port, secret: SECRET }) as const;
const radsec = (port: number, name = "aaa.example") =>
  ({ name, transport: "radsec", address: "127.0.0.1", port }) as const;

test("requests are answered over UDP, many at once on several sockets", async () => {
  await using ends = new AsyncDisposableStack();
  const listener = await listen(ends, { udp: [{ address: "127.0.0.1", port: 0, purpose: "authentication" }] });
  const client = requester(ends, [udp(listener.ports().udp[0]!)]);
  const replies = await Promise.all(
    Array.from({ length: 600 }, (_, index) =>
      client.request(Code.AccessRequest, [attribute("User-Name", `ap-${index}`)]),
    ),
  );
  for (const [index, { packet, msk }] of replies.entries()) {
    assert.equal(attributeOf(packet, "Reply-Message"), `loopback ap-${index}`);
    assert.ok(msk?.equals(Buffer.alloc(64, 7)));
  }
});

test("both ends can be heard, over UDP and RadSec", async () => {
  await using ends = new AsyncDisposableStack();
  const authority = new TlsAuthority();
  const heard: string[] = [];
  const hear = (at: string) => reportPackets(({ record }) => heard.push(`${at} ${record.direction} ${record.code}`));
  const listener = await listen(ends, {
    udp: [{ address: "127.0.0.1", port: 0, purpose: "authentication" }],
    radsec: [{ address: "127.0.0.1", port: 0 }],
    tls: authority.issue("aaa.example"),
    trace: hear("server"),
  });
  const { udp: ports, radsec: tlsPorts } = listener.ports();
  for (const target of [udp(ports[0]!), radsec(tlsPorts[0]!)]) {
    const tls = authority.issue("segw.example");
    const client = new RadiusRequester({ ...WORLD, servers: [target], tls, onEvent: () => {}, trace: hear("client") });
    ends.defer(async () => client.close());
    await client.request(Code.AccessRequest, [attribute("User-Name", "ap-1")]);
    assert.deepEqual(heard.splice(0), [
      "client sent Access-Request",
      "server received Access-Request",
      "server sent Access-Accept",
      "client received Access-Accept",
    ]);
  }
});

test("a server that is gone is passed over for the next, over UDP", async () => {
  await using ends = new AsyncDisposableStack();
  const gone = await listen(new AsyncDisposableStack(), {
    udp: [{ address: "127.0.0.1", port: 0, purpose: "authentication" }],
  });
  const [deadPort] = gone.ports().udp;
  await gone.close();
  const listener = await listen(ends, { udp: [{ address: "127.0.0.1", port: 0, purpose: "authentication" }] });
  // The first need not be waited for long: nothing gets lost on loopback.
  const target = [udp(deadPort!), udp(listener.ports().udp[0]!)];
  const client = requester(ends, target, undefined, { first: 50, attempts: 6 });
  const { server } = await client.request(Code.AccessRequest, [attribute("User-Name", "ap-1")]);
  assert.equal(server, 1);
});

test("requests are answered over RadSec, by the name in the client's certificate", async () => {
  await using ends = new AsyncDisposableStack();
  const authority = new TlsAuthority();
  const listener = await listen(ends, {
    radsec: [{ address: "127.0.0.1", port: 0 }],
    tls: authority.issue("aaa.example"),
  });
  const [port] = listener.ports().radsec;
  const client = requester(ends, [radsec(port!)], authority.issue("segw.example"));
  const replies = await Promise.all(
    ["a", "b"].map((name) => client.request(Code.AccessRequest, [attribute("User-Name", name)])),
  );
  assert.deepEqual(
    replies.map(({ packet }) => attributeOf(packet, "Reply-Message")),
    ["segw a", "segw b"],
  );
});

test("over RadSec nothing passes with a foreign certificate, another's name, or a server under another name", async () => {
  await using ends = new AsyncDisposableStack();
  const authority = new TlsAuthority();
  const drops: RadiusDropReason[] = [];
  let reached = 0;
  const listener = await listen(ends, {
    radsec: [{ address: "127.0.0.1", port: 0 }],
    tls: authority.issue("aaa.example"),
    onDrop: (reason) => drops.push(reason),
    onRequest: () => {
      reached += 1;
    },
  });
  const [port] = listener.ports().radsec;
  const foreign = new TlsAuthority("foreign").issue("segw.example");
  const attempts: [RadiusServerTarget, TlsCredentials][] = [
    [radsec(port!), authority.issue("mallory.example")],
    [radsec(port!), { ...foreign, authorities: authority.certificate }],
    [radsec(port!, "other.example"), authority.issue("segw.example")],
    [radsec(port!), { ...authority.issue("segw.example"), authorities: foreign.authorities }],
  ];
  for (const [target, tls] of attempts) {
    const client = requester(ends, [target], tls);
    await assert.rejects(client.request(Code.AccessRequest, []), RadiusUnansweredError);
  }
  assert.equal(reached, 0);
  assert.deepEqual(drops, ["UnknownClient"], "only the first got as far as a RADIUS packet");
  const socket = connect(port!, "127.0.0.1");
  socket.on("error", () => {});
  socket.write("no TLS at all, and more than a record header of it");
  await once(socket, "close");
});

test("a client that is closed gives its open requests a reason", async () => {
  await using ends = new AsyncDisposableStack();
  const listener = await listen(ends, {
    udp: [{ address: "127.0.0.1", port: 0, purpose: "authentication" }],
    onRequest: () => {},
  });
  const client = requester(ends, [udp(listener.ports().udp[0]!)]);
  const request = client.request(Code.AccessRequest, []);
  client.close();
  await assert.rejects(
    request,
    (error: unknown) => error instanceof RadiusUnansweredError && error.reason === "Closed",
  );
});
