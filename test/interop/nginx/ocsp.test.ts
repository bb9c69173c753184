/** OCSP through nginx: a proxy that caches in front of our responder, and one in front of responders that misbehave. */
import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { revocationSection } from "../../../src/revocation/config.ts";
import { openStatusService } from "../../../src/revocation/open.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { makePki, serve } from "../../pki/folder.ts";
import { Nginx } from "./nginx.ts";

const DER = "application/ocsp-response";

/** A PKI of one device, and what a check by OCSP at an address of nginx comes to. */
async function world(t: TestContext, locations: (responder: string) => string) {
  const pki = makePki(t);
  const { certificate } = pki.issue({ profile: "henb", dns: ["ap-1.example"] });
  const responder = await serve(t, pki);
  const nginx = await Nginx.start(locations(responder));
  t.after(() => nginx[Symbol.asyncDispose]());
  const check = async (path: string, ocsp: object = {}) => {
    const section = { ocsp, device: { methods: "ocsp", scope: "leaf", operator: { ocsp: [nginx.url(path)] } } };
    await using opened = openStatusService({
      section: revocationSection.parse(section),
      ...{ folder: "/", cas: [], allowWeakAlgorithms: false, ...systemEnvironment },
    });
    const verdict = await opened.service.check(
      [certificate, pki.ca("device-ca"), pki.ca("manufacturer-root")],
      "device",
    );
    if (verdict.accepted) return "good";
    const { refusal } = verdict;
    return "attempts" in refusal ? refusal.attempts.map(({ reason }) => reason).join() : refusal.reason;
  };
  return { pki, certificate, nginx, check };
}

test("nginx passes our responder on by POST and GET, with and without nonce; what it cached is used while it is current", async (t) => {
  const { pki, certificate, check } = await world(
    t,
    (responder) => `
      location /ocsp { proxy_pass ${responder}; }
      location /cached { proxy_pass ${responder}/ocsp; proxy_cache answers; proxy_ignore_headers Vary; }
    `,
  );
  const ways = [
    { nonce: "required" },
    { nonce: "off" },
    { nonce: "off", method: "get" },
    { nonce: "off", method: "get", hash: "sha256" },
  ];
  for (const way of ways) assert.equal(await check("ocsp", way), "good", JSON.stringify(way));
  const byGet = { nonce: "off", method: "get" };
  assert.equal(await check("cached", byGet), "good");
  pki.revoke(certificate.serial, "keyCompromise");
  for (const way of ways) assert.equal(await check("ocsp", way), "CertificateRevoked", JSON.stringify(way));
  // RFC 5019 6: a cache may say good for as long as the answer is current; whoever sends a nonce passes it by.
  assert.equal(await check("cached", byGet), "good");
  assert.equal(await check("cached", { nonce: "required" }), "CertificateRevoked");
});

/** A responder that answers with `head` and then goes on without end. */
async function endless(t: TestContext): Promise<Server & { port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${DER}\r\nTransfer-Encoding: chunked\r\n\r\n`);
      const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
      const more = () => {
        while (socket.writable && socket.write(chunk));
      };
      socket.on("drain", more);
      more();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

test("slow, broken, redirecting, lying and endless responders are each out of reach for their own reason", async (t) => {
  const { port } = await endless(t);
  const { nginx, check } = await world(
    t,
    (responder) => `
      proxy_buffering off; proxy_http_version 1.1;
      location = /slow { limit_rate 1000; default_type ${DER}; error_page 405 =200 $uri; }
      location = /broken { return 503; }
      location = /gone { proxy_pass http://127.0.0.1:1; }
      location = /elsewhere { return 302 ${responder}/ocsp; }
      location = /page { return 200 "<html>please log in</html>"; }
      location = /rubbish { default_type ${DER}; return 200 "rubbish"; }
      location = /endless { proxy_pass http://127.0.0.1:${port}; }
    `,
  );
  nginx.put("slow", Buffer.alloc(60_000));
  const expected = {
    slow: "TimedOut",
    broken: "BadStatus",
    gone: "BadStatus",
    elsewhere: "BadStatus",
    page: "BadContentType",
    rubbish: "Malformed",
    endless: "TooLarge",
  };
  for (const [path, reason] of Object.entries(expected))
    assert.equal(await check(path, path === "slow" ? { timeLimit: "300ms" } : {}), reason, path);
});
