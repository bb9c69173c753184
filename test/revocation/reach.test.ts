/** Where addresses that certificates name may lead (TS 33.320 7.2.2-8): real connections, real redirections. */
import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import { FetcherByScheme, FileCrlFetcher, HttpCrlFetcher } from "../../src/revocation/crlFetchers.ts";
import type { Fetched } from "../../src/revocation/fetching.ts";
import { HttpExchanger } from "../../src/revocation/httpExchange.ts";
import { LdapCrlFetcher } from "../../src/revocation/ldapFetcher.ts";
import { isWithin, lookupWithin } from "../../src/revocation/reach.ts";

const ANYWHERE = { hosts: undefined };

/** All ways to fetch, and a server on loopback that counts who comes. */
async function world(t: TestContext, answer: (response: ServerResponse, path: string) => void) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url!);
    answer(response, request.url!);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const exchanger = new HttpExchanger();
  t.after(() => {
    exchanger[Symbol.dispose]();
    server.closeAllConnections();
    server.close();
  });
  const limits = { timeMs: 10_000, maxBytes: 10_000, maxRedirects: 3 };
  const http = new HttpCrlFetcher(exchanger, limits);
  const ldap = new LdapCrlFetcher(limits);
  const { port } = server.address() as AddressInfo;
  const fetcher = new FetcherByScheme({ "http:": http, "ldap:": ldap, "file:": new FileCrlFetcher(10_000) });
  return { asked, port, url: `http://127.0.0.1:${port}`, fetcher };
}

function outcome(fetched: Fetched): string {
  return fetched.kind === "failed" ? fetched.problem.reason : fetched.kind;
}

test("private and local addresses are out of reach for certificates, until the policy lists them", () => {
  const local = ["127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255", "::1", "::"];
  const embedded = ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1", "ff02::1"];
  const inside = [
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "fd00::1",
    "::ffff:10.0.0.1",
  ];
  const tunnels = ["64:ff9b::a00:1", "2002:a00:1::1"];
  for (const address of [...local, ...embedded]) {
    assert.equal(isWithin(address, ANYWHERE), false, address);
    assert.equal(isWithin(address, { hosts: ["vendor.example"] }), false, address);
    assert.equal(isWithin(address, { hosts: ["vendor.example", address] }), true, address);
  }
  for (const address of [...inside, ...tunnels]) {
    assert.equal(isWithin(address, ANYWHERE), false, address);
    assert.equal(isWithin(address, { hosts: ["vendor.example"] }), true, address);
  }
  for (const address of ["192.0.2.1", "172.32.0.1", "2001:db8::1", "8.8.8.8", "64:ff9b::808:808"])
    assert.equal(isWithin(address, ANYWHERE), true, address);
  assert.equal(isWithin("no address", ANYWHERE), false);
});

test("a configured address leads anywhere, the same one in a certificate not to this machine", async (t) => {
  const { asked, port, url, fetcher } = await world(t, (response) => response.end("crl"));
  assert.equal(outcome(await fetcher.fetch(`${url}/a`, {})), "content");
  for (const named of [
    `${url}/b`,
    `http://localhost:${port}/c`,
    `http://[::ffff:127.0.0.1]:${port}/d`,
    `http://0x7f.1:${port}/e`,
  ]) {
    assert.equal(outcome(await fetcher.fetch(named, {}, ANYWHERE)), "AddressRefused", named);
    assert.equal(outcome(await fetcher.fetch(named, {}, { hosts: ["localhost"] })), "AddressRefused", named);
  }
  // Not even over the connection that the first left open.
  assert.deepEqual(asked, ["/a"]);
  assert.equal(outcome(await fetcher.fetch(`${url}/f`, {}, { hosts: ["127.0.0.1"] })), "content");
  assert.equal(outcome(await fetcher.fetch(`http://localhost:${port}/g`, {}, { hosts: ["127.0.0.1"] })), "content");
});

test("a redirection obeys namedHosts where a certificate named the address, and is free where it is configured", async (t) => {
  const paths: Record<string, string> = {};
  const { asked, port, url, fetcher } = await world(t, (response, path) => {
    if (paths[path] === undefined) response.end("crl");
    else response.writeHead(302, { location: paths[path] }).end();
  });
  paths["/other"] = `http://localhost:${port}/there`;
  paths["/same"] = "/there";
  assert.equal(outcome(await fetcher.fetch(`${url}/other`, {})), "content");
  asked.length = 0;
  const named = { hosts: ["127.0.0.1"] };
  assert.equal(outcome(await fetcher.fetch(`${url}/other`, {}, named)), "RedirectRefused");
  assert.deepEqual(asked, ["/other"]);
  assert.equal(outcome(await fetcher.fetch(`${url}/same`, {}, named)), "content");
  assert.equal(outcome(await fetcher.fetch(`${url}/other`, {}, { hosts: ["127.0.0.1", "localhost"] })), "content");
});

test("no redirection leads to a file or a directory", async (t) => {
  const { url, fetcher } = await world(t, (response, path) =>
    response.writeHead(302, { location: path === "/file" ? "file:///etc/hostname" : "ldap://127.0.0.1/cn=x" }).end(),
  );
  for (const reach of [undefined, { hosts: ["127.0.0.1", ""] }])
    for (const path of ["file", "ldap"])
      assert.equal(outcome(await fetcher.fetch(`${url}/${path}`, {}, reach)), "RedirectRefused", path);
});

test("a directory that a certificate names is reached by the same rules", async (t) => {
  let came = 0;
  const server = createTcpServer((socket) => {
    came += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { fetcher } = await world(t, (response) => response.end());
  for (const host of ["127.0.0.1", "localhost"])
    assert.equal(outcome(await fetcher.fetch(`ldap://${host}:${port}/cn=x`, {}, ANYWHERE)), "AddressRefused", host);
  assert.equal(came, 0);
  await fetcher.fetch(`ldap://localhost:${port}/cn=x`, {}, { hosts: ["127.0.0.1"] });
  assert.equal(came, 1);
});

test("a name is judged by each of its addresses, in both forms in which resolvers are asked", async () => {
  const ask = (all: boolean, reach: { hosts: readonly string[] | undefined }) =>
    new Promise<string>((resolve) =>
      lookupWithin(reach)("localhost", { all, family: 4 }, (error, found) =>
        resolve(error === null ? JSON.stringify(found) : error.name),
      ),
    );
  assert.equal(await ask(true, ANYWHERE), "AddressRefused");
  assert.equal(await ask(false, ANYWHERE), "AddressRefused");
  assert.equal(await ask(false, { hosts: ["127.0.0.1"] }), '"127.0.0.1"');
  assert.equal(await ask(true, { hosts: ["127.0.0.1"] }), '[{"address":"127.0.0.1","family":4}]');
});
