import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type BoundedServer, listenBounded, readBody, type ServerLimits } from "../../src/http/boundedServer.ts";
import { TcpClient } from "./tcp.ts";

const ANYWHERE = { address: "127.0.0.1", port: 0 };
const LIMITS: ServerLimits = { headers: 200, request: 400, idle: 300, connections: 20 };

test("clients that say nothing, or never come to the end of a request or an answer, are let go", async (t) => {
  const { port } = await serve(t);
  const clients = [
    new TcpClient(port),
    new TcpClient(port).send("GET / HTTP/1.1\r\nhost: x\r\nx-slow: "),
    new TcpClient(port).send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhal"),
    new TcpClient(port).send("GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
  ];
  const ends = await Promise.all(clients.map((client) => client.untilClosed()));
  assert.match(ends[3]!, /^HTTP\/1\.1 200 OK/, "the last one had its answer before it fell silent");
});

test("a client that says a little again and again, and never all, is let go", async (t) => {
  const { port } = await serve(t);
  const client = new TcpClient(port).send("GET / HTTP/1.1\r\nhost: x\r\nx-slow: ");
  const dripping = setInterval(() => client.send("x"), 20);
  t.after(() => clearInterval(dripping));
  await client.untilClosed();
});

test("a client that takes nothing of a long answer is let go", async (t) => {
  let letGo: ((whole: boolean) => void) | undefined;
  const server = await listenBounded(
    ANYWHERE,
    (_, response) => {
      response.once("close", () => letGo?.(response.writableFinished));
      response.end(Buffer.alloc(64 * 1024 * 1024));
    },
    LIMITS,
  );
  t.after(() => server.close());
  const client = new TcpClient(server.port).send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  t.after(() => client[Symbol.dispose]());
  client.stopReading();
  const whole = await new Promise<boolean>((resolve) => {
    letGo = resolve;
  });
  assert.equal(whole, false);
});

test("a crowd of silent clients keeps nobody out: those idle for longest make room", async (t) => {
  const { port, url } = await serve(t, { ...LIMITS, headers: 60_000, request: 60_000, idle: 60_000 });
  const crowd = Array.from({ length: 50 }, () => new TcpClient(port));
  t.after(() => {
    for (const client of crowd) client[Symbol.dispose]();
  });
  await Promise.all(crowd.map((client) => client.connected));
  for (let i = 0; i < 5; i++)
    assert.equal(await (await fetch(url, { headers: { connection: "close" } })).text(), "short");
  const ended = await Promise.all(crowd.slice(0, 30).map((client) => client.untilClosed()));
  assert.equal(ended.length, 30);
});

test("a handler that fails costs its own client the answer, nobody else anything, and is heard of", async (t) => {
  const failures: unknown[] = [];
  const server = await listenBounded(
    ANYWHERE,
    (request, response) => {
      if (request.url === "/throw") throw new Error("thrown");
      if (request.url === "/reject") return Promise.reject(new Error("rejected"));
      if (request.url === "/late") response.writeHead(200, { "content-length": 10 }).write("half");
      if (request.url === "/late") throw new Error("late");
      if (request.method === "POST") return readBody(request, 100).then((body) => void response.end(body));
      response.end("short");
    },
    LIMITS,
    (error) => failures.push((error as Error).message),
  );
  t.after(() => server.close());
  const url = `http://127.0.0.1:${server.port}`;
  assert.equal((await fetch(`${url}/throw`)).status, 500);
  assert.equal((await fetch(`${url}/reject`)).status, 500);
  await assert.rejects(fetch(`${url}/late`).then((response) => response.text()));
  assert.equal(await (await fetch(url)).text(), "short");
  assert.deepEqual(failures, ["thrown", "rejected", "late"]);
  // A client that goes away in the middle of its request is no failure.
  const leaving = new TcpClient(server.port).send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf");
  await leaving.written;
  leaving[Symbol.dispose]();
  assert.equal(await (await fetch(url)).text(), "short");
  assert.equal(failures.length, 3);
});

test("a body is read up to its limit, whole or in chunks", async (t) => {
  const { url } = await serve(t);
  const post = async (body: string | ReadableStream) =>
    (await fetch(url, { method: "POST", body, duplex: "half" } as RequestInit)).text();
  assert.equal(await post(""), "0");
  assert.equal(await post("x".repeat(1000)), "1000");
  assert.equal(await post("x".repeat(1001)), "too long");
  const chunks = (count: number) =>
    new ReadableStream({
      start(controller) {
        for (let i = 0; i < count; i++) controller.enqueue(Buffer.alloc(100));
        controller.close();
      },
    });
  assert.equal(await post(chunks(10)), "1000");
  assert.equal(await post(chunks(11)), "too long");
});

test("closing ends open connections", async () => {
  const server = await start();
  const idle = new TcpClient(server.port);
  await idle.connected;
  await server.close();
  await idle.untilClosed();
});

function start(limits: ServerLimits = LIMITS): Promise<BoundedServer> {
  return listenBounded(
    ANYWHERE,
    (request, response) => {
      if (request.method !== "POST") return void response.end("short");
      return readBody(request, 1000).then((body) => {
        response.end(body === undefined ? "too long" : String(body.length));
      });
    },
    limits,
  );
}

async function serve(t: TestContext, limits?: ServerLimits): Promise<{ port: number; url: string }> {
  const server = await start(limits);
  t.after(() => server.close());
  return { port: server.port, url: `http://127.0.0.1:${server.port}` };
}
