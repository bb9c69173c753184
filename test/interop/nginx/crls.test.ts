import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Server } from "node:net";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { HttpCrlFetcher } from "../../../src/revocation/crlFetchers.ts";
import { ThreadedCrlLoader } from "../../../src/revocation/crlLoader.ts";
import type { Fetched } from "../../../src/revocation/fetching.ts";
import { HttpExchanger, type HttpLimits } from "../../../src/revocation/httpExchange.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { largeCrl, largeSerial } from "../../revocation/largeCrl.ts";
import { crlAt } from "../../revocation/storeWorld.ts";
import { make } from "../../x509/made.ts";
import { Nginx } from "./nginx.ts";

const LIMITS: HttpLimits = { timeMs: 20_000, maxBytes: 64 * 1024 * 1024, maxRedirects: 3 };
const ca = make({ name: "CA" });

function fetcher(over: Partial<HttpLimits> = {}) {
  const exchanger = new HttpExchanger();
  const http = new HttpCrlFetcher(exchanger, { ...LIMITS, ...over });
  return {
    fetch: (url: string, validators = {}) => http.fetch(url, validators),
    [Symbol.dispose]: () => exchanger[Symbol.dispose](),
  };
}

function problemOf(fetched: Fetched) {
  assert.ok(fetched.kind === "failed", fetched.kind);
  return fetched.problem;
}

test("nginx gives a CRL with validators, says when it is unchanged, and gives the next one", async () => {
  await using nginx = await Nginx.start();
  using http = fetcher();
  const first = crlAt(ca, Date.now(), []);
  const url = nginx.put("ca.crl", first);
  const fetched = await http.fetch(url);
  assert.ok(fetched.kind === "content");
  assert.deepEqual(Buffer.concat(fetched.segments), first);
  const { etag, lastModified } = fetched.validators;
  assert.match(etag!, /^"[0-9a-f-]+"$/);
  assert.equal((await http.fetch(url, { etag })).kind, "unchanged");
  assert.equal((await http.fetch(url, { lastModified })).kind, "unchanged");
  nginx.put("ca.crl", crlAt(ca, Date.now(), [Buffer.from([1])]));
  assert.equal((await http.fetch(url, { etag, lastModified })).kind, "content");
});

test("what is not there and what fails are told by status", async () => {
  await using nginx = await Nginx.start("location /broken { return 503; } location /moved { return 302; }");
  using http = fetcher();
  assert.deepEqual(problemOf(await http.fetch(nginx.url("none.crl"))), { reason: "BadStatus", status: 404 });
  assert.deepEqual(problemOf(await http.fetch(nginx.url("broken"))), { reason: "BadStatus", status: 503 });
});

test("redirections are followed to the limit, in any form, and never to another kind of address", async () => {
  await using nginx = await Nginx.start(`
    location = /one { return 301 /two; }
    location = /two { return 302 three; }
    location = /three { return 307 /ca.crl; }
    location = /four { return 308 /one; }
    location = /round { return 302 /round; }
    location = /file { return 302 file:///etc/passwd; }
    location = /ldap { return 302 ldap://127.0.0.1/cn=x; }
    location = /nowhere { return 302 "http://["; }
  `);
  using http = fetcher();
  nginx.put("ca.crl", crlAt(ca, Date.now(), []));
  assert.equal((await http.fetch(nginx.url("one"))).kind, "content");
  for (const path of ["four", "round"])
    assert.deepEqual(problemOf(await http.fetch(nginx.url(path))), { reason: "TooManyRedirects", limit: 3 });
  for (const path of ["file", "ldap", "nowhere"])
    assert.equal(problemOf(await http.fetch(nginx.url(path))).reason, "RedirectRefused", path);
});

test("a throttled answer is given up when the time is over", async () => {
  await using nginx = await Nginx.start("location /slow.crl { limit_rate 1000; }");
  using http = fetcher({ timeMs: 300 });
  const url = nginx.put("slow.crl", Buffer.alloc(1_000_000));
  assert.deepEqual(problemOf(await http.fetch(url)), { reason: "TimedOut", limitMs: 300 });
});

test("an answer in an encoding that was not asked for is refused, and nginx compresses none for us", async () => {
  await using nginx = await Nginx.start(`
    gzip on; gzip_types application/pkix-crl; gzip_min_length 1;
    location = /odd.crl { add_header Content-Encoding br; }
  `);
  using http = fetcher();
  const crl = crlAt(ca, Date.now(), []);
  const plain = await http.fetch(nginx.put("ca.crl", crl));
  assert.ok(plain.kind === "content");
  assert.deepEqual(Buffer.concat(plain.segments), crl);
  const url = nginx.put("odd.crl", crl);
  assert.deepEqual(problemOf(await http.fetch(url)), { reason: "EncodedContent", encoding: "br" });
});

/** A backend that answers each connection with `answer`, and closes it after that unless told to go on. */
async function backend(answer: string, goOn = false): Promise<Server & { port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      if (!goOn) return socket.end(answer);
      socket.write(answer);
      const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
      const more = () => {
        while (socket.writable && socket.write(chunk));
      };
      socket.on("drain", more);
      more();
      return undefined;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

test("through nginx, an answer without end is cut off at the limit, one that is too long is not begun", async () => {
  const endless = await backend("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true);
  const short = await backend("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this");
  try {
    await using nginx = await Nginx.start(`
      proxy_buffering off; proxy_http_version 1.1;
      location = /endless { proxy_pass http://127.0.0.1:${endless.port}; }
      location = /short { proxy_pass http://127.0.0.1:${short.port}; }
    `);
    using http = fetcher({ maxBytes: 1_000_000 });
    const tooLarge = { reason: "TooLarge", limit: 1_000_000 };
    assert.deepEqual(problemOf(await http.fetch(nginx.url("endless"))), tooLarge);
    assert.deepEqual(problemOf(await http.fetch(nginx.put("long.crl", Buffer.alloc(1_000_001)))), tooLarge);
    assert.equal((await http.fetch(nginx.put("fits.crl", Buffer.alloc(1_000_000)))).kind, "content");
    const truncated = problemOf(await http.fetch(nginx.url("short")));
    assert.deepEqual(truncated, { reason: "Truncated", expected: 1000, received: 9 });
  } finally {
    endless.close();
    short.close();
  }
});

test("a server that is not there is told, and an address that is none", async () => {
  using http = fetcher();
  const unreachable = problemOf(await http.fetch("http://127.0.0.1:1/ca.crl"));
  assert.ok(unreachable.reason === "Unreachable" && /ECONNREFUSED/.test(unreachable.detail));
  for (const url of ["ftp://127.0.0.1/", "not an address"])
    assert.deepEqual(problemOf(await http.fetch(url)), { reason: "BadUrl" });
});

test("a list of two hundred thousand entries comes through nginx and is loaded while the event loop goes on", async () => {
  await using nginx = await Nginx.start();
  using http = fetcher();
  await using loader = new ThreadedCrlLoader(systemEnvironment.random);
  const url = nginx.put("large.crl", largeCrl(ca, 200_000));
  const fetched = await http.fetch(url);
  assert.ok(fetched.kind === "content");
  const { subject, spki } = ca.certificate;
  let turns = 0;
  let loading = true;
  const loaded = loader.load(fetched.segments, [{ name: subject.der, spki }]).finally(() => {
    loading = false;
  });
  while (loading) {
    await setImmediate();
    turns += 1;
  }
  const load = await loaded;
  assert.ok(load.ok);
  assert.ok(turns > 1000, `the loop turned ${turns} times`);
  assert.equal(load.loaded.index.size, 200_000);
  assert.ok(load.loaded.index.lookUp(largeSerial(199_999)) !== undefined);
  assert.equal(load.loaded.index.lookUp(largeSerial(200_000)), undefined);
});
