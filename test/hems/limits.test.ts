/** What clients of an H(e)MS may cost, before and after they have proved who they are; and the seam for what is done with them. */
import assert from "node:assert/strict";
import test from "node:test";
import type { ManagementHandler, ManagementRequest } from "../../src/hems/handler.ts";
import { TcpClient } from "../http/tcp.ts";
import { HEMS, SClient, ServedHems } from "./served.ts";

test("clients that begin no handshake, or never end it, are let go", async (t) => {
  const hems = await ServedHems.start(t, () => ({ limits: { handshake: "200ms" } }));
  using silent = new TcpClient(hems.port);
  // A record of 256 octets, and no more than its beginning.
  using halting = new TcpClient(hems.port).send("\x16\x03\x01\x01\x00\x01");
  await Promise.all([silent.untilClosed(), halting.untilClosed()]);
  assert.equal(hems.of("turnedAway").length, 2);
});

test("devices that fall silent, or never come to the end of a request, are let go", async (t) => {
  const hems = await ServedHems.start(t, () => ({ limits: { headers: "300ms", request: "500ms", idle: "600ms" } }));
  const device = hems.device();
  const clients = [
    new SClient(t, hems.port, device),
    new SClient(t, hems.port, device).send("POST / HTTP/1.1\r\nhost: x\r\nx-slow: "),
    new SClient(t, hems.port, device).send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhal"),
    new SClient(t, hems.port, device).post(),
  ];
  const outputs = await Promise.all(clients.map((client) => client.ended));
  assert.match(outputs[3]!, / 204 /, "the last one had its answer before it fell silent");
  await hems.event("sessionEnded", 4);
  assert.equal(hems.running.server.sessions, 0);
});

test("one address has no more connections than its share, and gets new ones when old ones end", async (t) => {
  const hems = await ServedHems.start(t, () => ({ limits: { connectionsPerAddress: 2 } }));
  const device = hems.device();
  const clients = [new SClient(t, hems.port, device).post(), new SClient(t, hems.port, device).post()];
  await Promise.all(clients.map((client) => client.says(/ 204 /)));
  assert.doesNotMatch(await SClient.post(t, hems.port, device), /HTTP\/1\.1/);
  assert.match((await hems.event("turnedAway")).text, /127\.0\.0\.1: 2 connections from there already/);
  clients[0]!.send("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  await clients[0]!.ended;
  await hems.event("sessionEnded");
  assert.match(await SClient.post(t, hems.port, device), / 204 /);
});

test("a crowd of strangers keeps no device out, and pushes none out that is in", async (t) => {
  const hems = await ServedHems.start(t, () => ({ limits: { connections: 5 } }));
  const device = hems.device();
  const staying = new SClient(t, hems.port, device).post();
  await staying.says(/ 204 /);
  const crowd = Array.from({ length: 20 }, () => new TcpClient(hems.port));
  t.after(() => {
    for (const client of crowd) client[Symbol.dispose]();
  });
  await Promise.all(crowd.map((client) => client.connected));
  await Promise.all(crowd.slice(0, 16).map((client) => client.untilClosed()));
  assert.match(await SClient.post(t, hems.port, device), / 204 /);
  staying.post();
  await staying.says(/ 204 [\s\S]* 204 /);
});

test("where devices fill all connections, the one idle for longest makes room", async (t) => {
  const hems = await ServedHems.start(t, () => ({ limits: { connections: 2 } }));
  const device = hems.device();
  const first = new SClient(t, hems.port, device).post();
  await first.says(/ 204 /);
  const second = new SClient(t, hems.port, device).post();
  await second.says(/ 204 /);
  first.post();
  await first.says(/ 204 [\s\S]* 204 /);
  assert.match(await SClient.post(t, hems.port, device), / 204 /);
  await second.ended;
  first.post();
  await first.says(/ 204 [\s\S]* 204 [\s\S]* 204 /);
});

test("a body that is too long is refused with 413, and requests sent before the answer end the session", async (t) => {
  const hems = await ServedHems.start(t, () => ({ limits: { bodyBytes: 100 } }));
  const device = hems.device();
  const post = (length: number) =>
    new SClient(t, hems.port, device).send(
      `POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${length}\r\n\r\n${"x".repeat(length)}`,
    ).ended;
  assert.match(await post(100), / 204 /);
  assert.match(await post(101), / 413 /);
  const request = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx";
  await new SClient(t, hems.port, device).send(request.repeat(3)).ended;
  assert.equal((await hems.event("sessionEnded", 3)).cause, "pipelined");
});

test("a handler of one's own gets device and request, and its answer goes out; one that fails costs the answer only", async (t) => {
  const seen: { device: string; request: ManagementRequest }[] = [];
  const ended = Promise.withResolvers<string>();
  const handler: ManagementHandler = {
    async handle({ device }, request) {
      seen.push({ device, request });
      if (request.url === "/fail") throw new Error("on purpose");
      return { status: 200, headers: { "content-type": "text/xml" }, body: Buffer.from("<hello/>") };
    },
    ended: ({ device }) => ended.resolve(device),
  };
  const hems = await ServedHems.start(t, undefined, { handler });
  const client = new SClient(t, hems.port, hems.device());
  client.send(`POST /acs?x=1 HTTP/1.1\r\nhost: ${HEMS}\r\nsoapaction: ""\r\ncontent-length: 2\r\n\r\nhi`);
  await client.says(/ 200 OK[\s\S]*content-type: text\/xml[\s\S]*content-length: 8[\s\S]*<hello\/>/);
  client.send("POST /fail HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
  await client.says(/ 500 /);
  await client.ended;
  assert.equal(await ended.promise, "ap-1.henb.example");
  const [{ device, request }] = seen as [(typeof seen)[number]];
  const { method, url, headers, body } = request;
  assert.deepEqual(
    { device, method, url, action: headers.soapaction, body: body.toString() },
    { device: "ap-1.henb.example", method: "POST", url: "/acs?x=1", action: '""', body: "hi" },
  );
  assert.match((await hems.event("fault")).text, /on purpose/);
});

test("without a handler anything but POST is refused with 405", async (t) => {
  const hems = await ServedHems.start(t);
  const client = new SClient(t, hems.port, hems.device());
  client.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  assert.match(await client.ended, / 405 /);
});

test("stopping ends every session, and says so", async (t) => {
  const hems = await ServedHems.start(t);
  const client = new SClient(t, hems.port, hems.device()).post();
  await client.says(/ 204 /);
  using stranger = new TcpClient(hems.port);
  await stranger.connected;
  await hems.running.stop();
  await Promise.all([client.ended, stranger.untilClosed()]);
  assert.equal((await hems.event("sessionEnded")).cause, "stopped");
});
