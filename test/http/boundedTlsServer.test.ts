/** An HTTPS server that lets clients in one by one; test/hems has its limits. */
import assert from "node:assert/strict";
import { once } from "node:events";
import test, { type TestContext } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { clientAddress, listenBoundedTls, type TlsServerParts } from "../../src/http/boundedTlsServer.ts";
import { TlsAuthority } from "../net/tlsCredentials.ts";

const LIMITS = {
  connections: 10,
  connectionsPerAddress: 10,
  handshake: 5_000,
  headers: 5_000,
  request: 5_000,
  idle: 5_000,
};
const REQUEST = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

test("a client that is not let in reaches no handler, whatever it has sent already", async (t) => {
  let handled = 0;
  const client = await start(t, { admit: async () => false, handle: () => void handled++ });
  assert.equal(await untilClosed(client.end(REQUEST)), "");
  assert.equal(handled, 0);
});

test("while the verdict is pending nothing is read as HTTP; what was sent meanwhile is answered after it", async (t) => {
  const verdict = Promise.withResolvers<boolean>();
  const asked = Promise.withResolvers<void>();
  let handled = 0;
  const client = await start(t, {
    admit() {
      asked.resolve();
      return verdict.promise;
    },
    handle(_request, response) {
      handled++;
      response.end("hello");
    },
  });
  const sent = new Promise<void>((resolve) => client.write(REQUEST, () => resolve()));
  await Promise.all([asked.promise, sent]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(handled, 0);
  verdict.resolve(true);
  assert.match(await untilClosed(client), /200 OK[\s\S]*hello/);
});

test("a verdict or a status that cannot be had costs its own client the connection or the staple, and is told", async (t) => {
  const failures: string[] = [];
  const client = await start(t, {
    admit: () => Promise.reject(new Error("no verdict")),
    staple: () => Promise.reject(new Error("no status")),
    onFailure: (error) => void failures.push((error as Error).message),
  });
  assert.equal(await untilClosed(client), "");
  assert.deepEqual(failures, ["no status", "no verdict"]);
});

test("an IPv4 client is known by its IPv4 address on a socket for both families", () => {
  const at = (remoteAddress: string | undefined) => clientAddress({ remoteAddress } as TLSSocket);
  assert.deepEqual(["::ffff:192.0.2.7", "192.0.2.7", "2001:db8::7", "::ffff:1", undefined].map(at), [
    "192.0.2.7",
    "192.0.2.7",
    "2001:db8::7",
    "::ffff:1",
    "?",
  ]);
});

/** A server with these parts, and a client whose handshake is over. */
async function start(t: TestContext, parts: Partial<TlsServerParts>): Promise<TLSSocket> {
  const { certificates, key } = new TlsAuthority().issue("x.example");
  const server = await listenBoundedTls(
    { address: "127.0.0.1", port: 0 },
    { cert: certificates, key },
    {
      admit: async () => true,
      handle: (_request, response) => void response.end(),
      onFailure: (error) => assert.fail(String(error)),
      onTurnedAway: () => {},
      staple: undefined,
      ...parts,
    },
    LIMITS,
  );
  t.after(() => server.close());
  const client = connect({ host: "127.0.0.1", port: server.port, rejectUnauthorized: false, requestOCSP: true });
  client.on("error", () => {});
  await once(client, "secureConnect");
  return client;
}

async function untilClosed(client: TLSSocket): Promise<string> {
  let received = "";
  client.on("data", (part) => {
    received += part.toString("latin1");
  });
  await once(client, "close");
  return received;
}
