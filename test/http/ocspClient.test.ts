import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { fetchOcsp, OcspFetchError } from "../../src/http/ocspClient.ts";

const LIMITS = { timeout: 10_000, maxBytes: 1000 };
const TYPE = { "content-type": "application/ocsp-response" };

test("a request is posted with the types of RFC 6960, and the answer comes back as it was sent", async (t) => {
  const request = Buffer.from("request");
  const url = await serve(t, async (incoming, response) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part);
    const { method, headers } = incoming;
    const seen = [method, incoming.url, headers["content-type"], headers.accept, Buffer.concat(parts).toString()];
    response.writeHead(200, { "content-type": "Application/OCSP-Response; x=y" }).end(seen.join(" "));
  });
  assert.equal(
    (await fetchOcsp(`${url}/a/b?c`, request, LIMITS)).toString(),
    "POST /a/b?c application/ocsp-request application/ocsp-response request",
  );
});

test("GET carries a short request in the path; a long one, or one to a URL with a query, is posted all the same", async (t) => {
  const url = await serve(t, (incoming, response) => {
    incoming.resume();
    response.writeHead(200, TYPE).end(`${incoming.method} ${incoming.url}`);
  });
  const get = async (to: string, request: Buffer) => (await fetchOcsp(to, request, LIMITS, "GET")).toString();
  const slashes = Buffer.from("ffffff", "hex");
  assert.equal(await get(url, slashes), "GET /%2F%2F%2F%2F");
  assert.equal(await get(`${url}/`, slashes), "GET /%2F%2F%2F%2F");
  assert.equal(await get(`${url}/ocsp/`, slashes), "GET /ocsp/%2F%2F%2F%2F");
  assert.equal(await get(`${url}/?a`, slashes), "POST /?a");
  assert.equal(await get(url, Buffer.alloc(189)), `GET /${"A".repeat(252)}`);
  assert.equal(await get(url, Buffer.alloc(192)), "POST /");
});

test("what answers no OCSP is refused for the right reason", async (t) => {
  const answers: Record<string, RequestListener> = {
    "/503": (_, response) => response.writeHead(503, TYPE).end("x"),
    "/redirect": (_, response) => response.writeHead(302, { location: "/fine" }).end(),
    "/html": (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>"),
    "/typeless": (_, response) => response.writeHead(200).end("x"),
    "/long": (_, response) => response.writeHead(200, TYPE).end(Buffer.alloc(1001)),
    "/cut": (_, response) => {
      response.writeHead(200, { ...TYPE, "content-length": "100" }).write("x");
      response.socket!.end();
    },
    "/hangs-up": (incoming) => incoming.socket.destroy(),
    "/fine": (_, response) => response.writeHead(200, TYPE).end("fine"),
  };
  const url = await serve(t, (incoming, response) => answers[incoming.url!]!(incoming, response));
  const refused = async (path: string, message: RegExp) =>
    assert.rejects(fetchOcsp(`${url}${path}`, Buffer.from("x"), LIMITS), (error) => {
      assert.ok(error instanceof OcspFetchError && message.test(error.message), String(error));
      return error.message.startsWith(`OCSP responder ${url}${path}: `);
    });
  await refused("/503", /HTTP status 503$/);
  await refused("/redirect", /HTTP status 302$/);
  await refused("/html", /answers text\/html instead of application\/ocsp-response$/);
  await refused("/typeless", /answers without a content type/);
  await refused("/long", /more than 1000 octets$/);
  await refused("/cut", /aborted/);
  await refused("/hangs-up", /socket hang up/);
  assert.equal((await fetchOcsp(`${url}/fine`, Buffer.from("x"), LIMITS)).toString(), "fine");
});

test("a responder that never ends, or never begins, costs the time limit and no more", async (t) => {
  const url = await serve(t, (incoming, response) => {
    if (incoming.url === "/silent") return;
    response.writeHead(incoming.url === "/error" ? 500 : 200, TYPE);
    const more = () => response.write("x") && setTimeout(more, 5);
    more();
  });
  const slow = { timeout: 200, maxBytes: 1_000_000 };
  for (const path of ["/silent", "/drips"])
    await assert.rejects(fetchOcsp(`${url}${path}`, Buffer.from("x"), slow), /no answer within 200 ms$/);
  await assert.rejects(fetchOcsp(`${url}/error`, Buffer.from("x"), slow), /HTTP status 500$/);
});

test("URLs that are none, and schemes other than http, are refused without a connection", async () => {
  await assert.rejects(fetchOcsp("responder", Buffer.alloc(1)), /responder: not a URL$/);
  await assert.rejects(fetchOcsp("ldap://x.example/", Buffer.alloc(1)), /only http: is asked$/);
  await assert.rejects(fetchOcsp("http://127.0.0.1:1/", Buffer.alloc(1)), OcspFetchError);
});

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
