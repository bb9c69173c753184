import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pki } from "../../src/pki/authority.ts";
import { checkOcspResponse } from "../../src/trust/ocsp.ts";
import { type Certificate, parseCertificate } from "../../src/x509/certificate.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { buildOcspError, buildOcspRequest, certIdOf, parseOcspResponse, ResponseStatus } from "../../src/x509/ocsp.ts";
import { askOcsp } from "../net/askOcsp.ts";
import { makePki, StandingClock, serve } from "./folder.ts";

const HOUR = 3600_000;
const NONCE = Buffer.alloc(32, 3);

test("OCSP is answered by POST and by GET, below any path, escaped or not", async (t) => {
  const { url, clock, certificate, issuer } = await started(t);
  const request = buildOcspRequest([certIdOf(certificate, issuer)], undefined);
  const base64 = request.toString("base64");
  for (const answer of [
    askOcsp(url, request),
    askOcsp(`${url}/ocsp`, request),
    askOcsp(`${url}/ocsp/`, request, "get"),
    askOcsp(`${url}/some/Path`, request, "get"),
    body(`${url}/${base64}`),
    body(`${url}/${encodeURIComponent(base64)}`),
    body(`${url}//${base64.replace(/=+$/, "")}`),
    body(`${url}/${base64}?x=1`),
  ]) {
    const verdict = checkOcspResponse({
      response: await answer,
      certificate,
      issuer,
      time: clock.at,
      tolerance: 0,
      maxAge: 0,
      trustedResponders: [],
      allowWeakAlgorithms: false,
    });
    assert.equal(verdict.status, "good");
  }
});

test("a kept answer says how long caches may keep it, as RFC 5019 6.2 has it; one to a nonce and a refusal do not", async (t) => {
  const { url, clock, certificate, issuer } = await started(t);
  const request = buildOcspRequest([certIdOf(certificate, issuer)], undefined);
  await askOcsp(url, request);
  clock.at += HOUR;
  const kept = await fetch(getUrl(url, request));
  assert.equal(kept.headers.get("content-type"), "application/ocsp-response");
  assert.equal(kept.headers.get("cache-control"), "max-age=39600, public, no-transform, must-revalidate");
  assert.equal(kept.headers.get("last-modified"), new Date(clock.at - HOUR).toUTCString());
  assert.equal(kept.headers.get("expires"), new Date(clock.at + 11 * HOUR).toUTCString());
  const etag = kept.headers.get("etag")!;
  assert.match(etag, /^"[0-9a-f]{40}"$/);
  const live = await fetch(getUrl(url, buildOcspRequest([certIdOf(certificate, issuer)], NONCE)));
  assert.equal(live.headers.get("cache-control"), "max-age=0, must-revalidate");
  assert.equal(live.headers.get("etag"), null);
  assert.deepEqual(parseOcspResponse(Buffer.from(await live.arrayBuffer())).basic?.nonce, NONCE);
  const refused = await fetch(url, { method: "POST", body: "hello" });
  assert.equal(refused.headers.get("cache-control"), "no-store");
  assert.deepEqual(await bodyOf(refused), buildOcspError(ResponseStatus.malformedRequest));
});

test("who has the current CRL or answer gets 304, by ETag before date; a change gives it whole again", async (t) => {
  const { url, pki, clock, certificate, issuer } = await started(t);
  // Dates in headers have no fractions of a second.
  clock.at += 500;
  const crlUrl = `${url}/crl/segw-ca.crl`;
  for (const target of [
    crlUrl,
    `${url}/ca/segw-ca.crt`,
    getUrl(url, buildOcspRequest([certIdOf(certificate, issuer)], undefined)),
  ]) {
    const first = await fetch(target);
    const etag = first.headers.get("etag")!;
    const modified = first.headers.get("last-modified")!;
    const stale = new Date(Date.parse(modified) - 1000).toUTCString();
    const statuses: [headers: Record<string, string>, status: number][] = [
      [{ "if-none-match": etag }, 304],
      [{ "if-none-match": `"x", W/${etag}` }, 304],
      [{ "if-none-match": "*" }, 304],
      [{ "if-none-match": '"x"' }, 200],
      [{ "if-modified-since": modified }, 304],
      [{ "if-modified-since": stale }, 200],
      [{ "if-modified-since": "yesterday" }, 200],
      [{ "if-none-match": '"x"', "if-modified-since": modified }, 200],
      [{ "if-none-match": etag, "if-modified-since": stale }, 304],
    ];
    for (const [headers, status] of statuses) {
      const response = await fetch(target, { headers });
      assert.equal(response.status, status, `${target} ${JSON.stringify(headers)}`);
      assert.equal(response.headers.get("etag"), etag);
      assert.equal((await bodyOf(response)).length > 0, status === 200);
    }
  }
  const etag = (await fetch(crlUrl)).headers.get("etag")!;
  pki.revoke(certificate.serial);
  clock.at += 1000;
  assert.equal((await fetch(crlUrl, { headers: { "if-none-match": etag } })).status, 200);
});

test("CRLs and CA certificates are served by name, and HEAD gives their headers alone", async (t) => {
  const { url, pki, clock, certificate } = await started(t);
  pki.revoke(certificate.serial);
  const response = await fetch(`${url}/crl/segw-ca.crl`);
  assert.equal(response.headers.get("content-type"), "application/pkix-crl");
  assert.equal(response.headers.get("cache-control"), "max-age=3600, public, no-transform, must-revalidate");
  const crl = parseCrl(await bodyOf(response));
  assert.deepEqual(
    [...crl.entries()].map(({ serial }) => serial),
    [certificate.serial],
  );
  assert.equal(crl.thisUpdate, clock.at);
  const issuer = await fetch(`${url}/ca/segw-ca.crt`);
  assert.equal(issuer.headers.get("content-type"), "application/pkix-cert");
  assert.ok(parseCertificate(await bodyOf(issuer)).der.equals(pki.ca("segw-ca").der));
  const head = await fetch(`${url}/crl/segw-ca.crl`, { method: "HEAD" });
  assert.equal(head.headers.get("content-length"), String(crl.der.length));
  assert.equal(head.headers.get("etag"), response.headers.get("etag"));
  assert.equal((await bodyOf(head)).length, 0);
});

test("what is not here is 404, other methods 405, long requests 413, and all leave the server as it was", async (t) => {
  const { url, certificate, issuer } = await started(t);
  for (const path of [
    "/",
    "/crl/none.crl",
    "/crl/../segw-ca.crl",
    "/ca/segw-ca.crl/",
    "/%",
    "/crl/__proto__.crl",
    "/MM",
    `/${"M".repeat(17_000)}`,
  ])
    assert.equal((await fetch(`${url}${path}`)).status, path.length > 15_000 ? 431 : 404, path.slice(0, 40));
  for (const method of ["PUT", "DELETE", "OPTIONS"]) {
    const response = await fetch(url, { method });
    assert.deepEqual([response.status, response.headers.get("allow")], [405, "GET, HEAD, POST"]);
  }
  const long = await fetch(url, { method: "POST", body: Buffer.alloc(8193) });
  assert.deepEqual([long.status, await long.text()], [413, "an OCSP request has at most 8192 octets here\n"]);
  assert.equal((await fetch(url, { method: "POST", body: Buffer.alloc(500_000) })).status, 413);
  await assert.rejects(fetch(url, { method: "POST", body: Buffer.alloc(4_000_000) }), "not read to its end");
  assert.equal((await fetch(url, { method: "POST", body: Buffer.alloc(8192) })).status, 200);
  const request = buildOcspRequest([certIdOf(certificate, issuer)], undefined);
  assert.equal(parseOcspResponse(await askOcsp(url, request)).status, 0);
});

async function started(t: Parameters<typeof makePki>[0]): Promise<{
  url: string;
  pki: Pki;
  clock: StandingClock;
  certificate: Certificate;
  issuer: Certificate;
}> {
  const clock = new StandingClock();
  const pki = makePki(t, {}, clock);
  const { certificate } = pki.issue({ profile: "segw", dns: ["segw.example"] });
  return { url: await serve(t, pki, clock), pki, clock, certificate, issuer: pki.ca("segw-ca") };
}

function getUrl(url: string, request: Buffer): string {
  return `${url}/${encodeURIComponent(request.toString("base64"))}`;
}

async function bodyOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

async function body(url: string): Promise<Buffer> {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  return bodyOf(response);
}
