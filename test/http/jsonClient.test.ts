/** JSON posted to a server that need not be a good one. */
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import test from "node:test";
import { JsonPostError, postJson } from "../../src/http/jsonClient.ts";

async function withServer<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function refusedWith(listener: RequestListener, message: RegExp): Promise<void> {
  await withServer(listener, (url) =>
    assert.rejects(postJson(url, {}), (error) => error instanceof JsonPostError && message.test(error.message)),
  );
}

test("the object arrives as JSON, and the answer comes back as an object", async () => {
  let got: { type: string | undefined; body: string } | undefined;
  const answer = await withServer(
    async (request, response) => {
      let body = "";
      for await (const part of request) body += part;
      got = { type: request.headers["content-type"], body };
      response.end('{"trustworthy": true}');
    },
    (url) => postJson(url, { device: "ap-1.example" }),
  );
  assert.deepEqual(got, { type: "application/json", body: '{"device":"ap-1.example"}' });
  assert.deepEqual(answer, { trustworthy: true });
});

test("an empty answer is none", async () => {
  assert.equal(
    await withServer(
      (_request, response) => response.end(),
      (url) => postJson(url, {}),
    ),
    undefined,
  );
});

test("what is no JSON, no success, elsewhere or too long is refused by its reason", async () => {
  await refusedWith((_request, response) => response.end("<html>"), /JSON/);
  await refusedWith((_request, response) => response.writeHead(503).end(), /HTTP status 503/);
  await refusedWith((_request, response) => response.writeHead(302, { location: "/x" }).end(), /redirect|fetch failed/);
  await refusedWith((_request, response) => response.end(`"${"a".repeat(70_000)}"`), /more than 65536 octets/);
  await refusedWith((request) => request.socket.destroy(), /fetch failed/);
  await assert.rejects(postJson("http://127.0.0.1:1/", {}), JsonPostError);
});
