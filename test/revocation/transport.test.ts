import assert from "node:assert/strict";
import { mkdtemp, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { FetcherByScheme, FileCrlFetcher } from "../../src/revocation/crlFetchers.ts";
import { describeFetchProblem, type FetchProblem } from "../../src/revocation/fetching.ts";
import { HttpExchanger } from "../../src/revocation/httpExchange.ts";
import { HttpOcspTransport } from "../../src/revocation/ocspTransport.ts";
import { attemptAt, describeRefreshProblem } from "../../src/revocation/refreshProblem.ts";
import { buildOcspError, buildOcspRequest, certIdOf } from "../../src/x509/ocsp.ts";
import { LEAF_EXTENSIONS, make } from "../x509/made.ts";

const LIMITS = { timeMs: 10_000, maxBytes: 10_000, maxRedirects: 0 };
const ca = make({ name: "CA" });
const leaf = make({ name: "leaf", issuer: ca, extensions: LEAF_EXTENSIONS });
const request = buildOcspRequest([certIdOf(leaf.certificate, ca.certificate)], undefined);

interface Asked {
  method: string;
  url: string;
  type: string | undefined;
  body: Buffer;
  port: number | undefined;
}

/** A server that notes what it is asked and answers as told. */
async function serve(t: TestContext, answer: (response: ServerResponse, request: IncomingMessage) => void) {
  const asked: Asked[] = [];
  const server = createServer(async (incoming, response) => {
    const parts: Buffer[] = [];
    for await (const part of incoming as AsyncIterable<Buffer>) parts.push(part);
    const { method = "", url = "", headers, socket } = incoming;
    asked.push({ method, url, type: headers["content-type"], body: Buffer.concat(parts), port: socket.remotePort });
    answer(response, incoming);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const exchanger = new HttpExchanger();
  t.after(() => {
    exchanger[Symbol.dispose]();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    asked,
    server,
    exchanger,
    url: `http://127.0.0.1:${port}/ocsp`,
    transport: new HttpOcspTransport(exchanger, LIMITS),
  };
}

const ocsp = (response: ServerResponse, type = "application/ocsp-response") =>
  response.writeHead(200, { "content-type": type }).end(buildOcspError(6));

test("a request goes by POST as it is, and by GET in the address (RFC 6960 A.1), connections being kept", async (t) => {
  const { asked, url, transport } = await serve(t, (response) => ocsp(response));
  for (const method of ["post", "get"] as const)
    assert.deepEqual(await transport.ask(url, request, method), { ok: true, der: buildOcspError(6) });
  const [post, get] = asked;
  assert.deepEqual([post!.method, post!.url, post!.type], ["POST", "/ocsp", "application/ocsp-request"]);
  assert.deepEqual(post!.body, request);
  assert.equal(get!.method, "GET");
  const inPath = decodeURIComponent(get!.url.replace("/ocsp/", ""));
  assert.deepEqual(Buffer.from(inPath, "base64"), request);
  assert.equal(post!.port, get!.port);
});

test("a request too long for an address, or to one with a query, goes by POST in any case (RFC 5019 5)", async (t) => {
  const { asked, url, transport } = await serve(t, (response) => ocsp(response));
  const ids = [leaf, ca].map(({ certificate }) => certIdOf(certificate, ca.certificate, "sha256"));
  await transport.ask(url, buildOcspRequest(ids, undefined), "get");
  // One segment more would stand behind the query.
  await transport.ask(`${url}?ca=1`, request, "get");
  assert.deepEqual(
    asked.map(({ method, url: path }) => `${method} ${path}`),
    ["POST /ocsp", "POST /ocsp?ca=1"],
  );
});

test("what is no OCSP response is refused by its type, a redirection and an error by their status", async (t) => {
  const page = await serve(t, (response) => ocsp(response, "text/html; charset=utf-8"));
  assert.deepEqual(await page.transport.ask(page.url, request, "post"), {
    ok: false,
    problem: { reason: "BadContentType", type: "text/html" },
  });
  const charset = await serve(t, (response) => ocsp(response, "Application/OCSP-Response; x=y"));
  assert.ok((await charset.transport.ask(charset.url, request, "post")).ok);
  for (const status of [302, 304, 500]) {
    const { url, transport } = await serve(t, (response) => response.writeHead(status, { location: "/" }).end());
    assert.deepEqual(await transport.ask(url, request, "post"), {
      ok: false,
      problem: { reason: "BadStatus", status },
    });
  }
});

test("an answer beyond the limit is refused, whether its length is told or not", async (t) => {
  for (const headers of [{ "content-length": "20000" }, {}]) {
    const { url, transport } = await serve(t, (response) =>
      response.writeHead(200, { "content-type": "application/ocsp-response", ...headers }).end(Buffer.alloc(20_000)),
    );
    assert.deepEqual(await transport.ask(url, request, "post"), {
      ok: false,
      problem: { reason: "TooLarge", limit: 10_000 },
    });
  }
});

test("a responder that never ends, or never begins, costs the time limit and no more", async (t) => {
  for (const begins of [true, false]) {
    const { url, exchanger } = await serve(t, (response) => {
      if (!begins) return;
      response.writeHead(200, { "content-type": "application/ocsp-response" });
      const more = () => response.write("x") && setTimeout(more, 5);
      more();
    });
    const transport = new HttpOcspTransport(exchanger, { ...LIMITS, timeMs: 200, maxBytes: 1_000_000 });
    assert.deepEqual(await transport.ask(url, request, "post"), {
      ok: false,
      problem: { reason: "TimedOut", limitMs: 200 },
    });
  }
});

test("a server that hangs up, and one that is not there, are out of reach", async (t) => {
  const { url, transport } = await serve(t, (_response, incoming) => incoming.socket.destroy());
  for (const to of [url, "http://127.0.0.1:1/"]) {
    const fetched = await transport.ask(to, request, "post");
    assert.ok(!fetched.ok && fetched.problem.reason === "Unreachable");
  }
});

test("between the addresses that are given no name is resolved, and the local one is ours", async (t) => {
  const locals: (string | undefined)[] = [];
  const { url, transport } = await serve(t, (response, incoming) => {
    locals.push(incoming.socket.remoteAddress, incoming.headers.host);
    ocsp(response);
  });
  const { port } = new URL(url);
  const ends = { local: "127.0.0.9", remote: "127.0.0.1" };
  const fetched = await transport.ask(`http://nowhere.invalid:${port}/`, request, "post", { ends });
  assert.ok(fetched.ok);
  assert.deepEqual(locals, ["127.0.0.9", `nowhere.invalid:${port}`]);
});

test("an exchanger that is to keep no connections opens one for each exchange", async (t) => {
  const { asked, url } = await serve(t, (response) => ocsp(response));
  using exchanger = new HttpExchanger({ keepAlive: false });
  const transport = new HttpOcspTransport(exchanger, LIMITS);
  for (let i = 0; i < 2; i++) assert.ok((await transport.ask(url, request, "post")).ok);
  assert.notEqual(asked[0]!.port, asked[1]!.port);
});

test("a length beyond all bounds is no reason to try", async (t) => {
  const { url, transport } = await serve(t, (response) => {
    response.writeHead(200, { "content-type": "application/ocsp-response", "content-length": "999999999999999" });
    response.flushHeaders();
  });
  const expected = { ok: false, problem: { reason: "TooLarge", limit: 10_000 } };
  assert.deepEqual(await transport.ask(url, request, "post"), expected);
});

test("a kept connection that the server closes as we use it is no failure", async (t) => {
  let answers = 0;
  const { url, transport, asked } = await serve(t, (response, incoming) => {
    answers += 1;
    if (answers === 2) incoming.socket.resetAndDestroy();
    else ocsp(response);
  });
  assert.ok((await transport.ask(url, request, "post")).ok);
  assert.ok((await transport.ask(url, request, "post")).ok);
  assert.equal(asked.length, 3);
});

test("a file is read once, again when it changed, and told when it is too large or not there", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "femtogate-file-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "ca.crl");
  const url = pathToFileURL(path).href;
  const files = new FetcherByScheme({ "file:": new FileCrlFetcher(100) });
  const absent = await files.fetch(url, {});
  assert.ok(
    absent.kind === "failed" && absent.problem.reason === "Unreachable" && /ENOENT/.test(absent.problem.detail),
  );
  await writeFile(path, "first");
  const first = await files.fetch(url, {});
  assert.ok(first.kind === "content");
  assert.equal(Buffer.concat(first.segments).toString(), "first");
  assert.equal((await files.fetch(url, first.validators)).kind, "unchanged");
  await writeFile(path, "other");
  await utimes(path, 1, 1);
  const second = await files.fetch(url, first.validators);
  assert.ok(second.kind === "content");
  assert.equal(Buffer.concat(second.segments).toString(), "other");
  await truncate(path, 101);
  assert.deepEqual(await files.fetch(url, {}), { kind: "failed", problem: { reason: "TooLarge", limit: 100 } });
  for (const address of ["gopher://a/", "nothing"])
    assert.deepEqual(await files.fetch(address, {}), { kind: "failed", problem: { reason: "BadUrl" } });
});

test("every problem has a sentence of its own", () => {
  const fetching: FetchProblem[] = [
    { reason: "BadUrl" },
    { reason: "Unreachable", detail: "connection refused" },
    { reason: "TimedOut", limitMs: 1 },
    { reason: "TooLarge", limit: 1 },
    { reason: "BadStatus", status: 500 },
    { reason: "BadContentType", type: "" },
    { reason: "EncodedContent", encoding: "gzip" },
    { reason: "Truncated", expected: 2, received: 1 },
    { reason: "TooManyRedirects", limit: 1 },
    { reason: "RedirectRefused", to: "file:///" },
    { reason: "AddressRefused", address: "127.0.0.1" },
    { reason: "NoSuchEntry", detail: "no such object" },
  ];
  const sentences = [
    ...fetching.map(describeFetchProblem),
    ...(
      [
        { reason: "Malformed", detail: "x" },
        { reason: "UnknownSigner", issuer: "CN=x" },
        { reason: "BadSignature", issuer: "CN=x" },
        { reason: "LoaderFailed", detail: "x" },
        { reason: "OlderThanHeld", thisUpdate: 0, held: 1 },
        { reason: "FromTheFuture", thisUpdate: 1, time: 0 },
        { reason: "Outdated", nextUpdate: 0, time: 1 },
      ] as const
    ).map(describeRefreshProblem),
  ];
  assert.equal(new Set(sentences).size, 19);
  assert.deepEqual(attemptAt("http://a/", { reason: "BadStatus", status: 404 }), {
    url: "http://a/",
    reason: "BadStatus",
    message: "answers with status 404",
  });
});
