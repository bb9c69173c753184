import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Bytes } from "../../src/bytes/bytes.ts";
import type { Pki } from "../../src/pki/authority.ts";
import { readKeyHolder } from "../../src/pki/caFolder.ts";
import { type ForeignCrlEvent, type ForeignCrlSource, ForeignCrls, importCrl } from "../../src/pki/foreignCrls.ts";
import { OcspResponder } from "../../src/pki/ocspResponder.ts";
import { servePki } from "../../src/pki/server.ts";
import type { LoadedCrl } from "../../src/revocation/crlLoader.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { checkOcspResponse, type OcspVerdict } from "../../src/trust/ocsp.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { buildOcspError, buildOcspRequest, certIdOf, parseOcspResponse, ResponseStatus } from "../../src/x509/ocsp.ts";
import { toPem } from "../../src/x509/pem.ts";
import { makePki, StandingClock, serve } from "./folder.ts";

const HOUR = 3600_000;

test("a manufacturer's CRL becomes OCSP: revoked as it says, good otherwise, for as long as it is good", (t) => {
  const { clock, maker, bring, ask, answer, devices } = started(t);
  const [a, b] = devices;
  maker.revoke(b!.serial, "keyCompromise");
  const revokedAt = clock.at;
  bring();
  clock.at += HOUR;
  const good = ask(a!);
  assert.ok(good.status === "good");
  assert.deepEqual([good.evidence.thisUpdate, good.evidence.nextUpdate], [clock.at - HOUR, clock.at + 12 * HOUR]);
  assert.equal(good.evidence.responder, "O=Operator, CN=OCSP signer of maker");
  const revoked = ask(b!);
  assert.ok(revoked.status === "revoked" && revoked.reasonCode === 1 && revoked.at === revokedAt);
  clock.at += 21 * HOUR;
  const late = ask(a!);
  assert.ok(late.status === "good" && late.evidence.nextUpdate === revokedAt + 24 * HOUR, "not longer than the CRL");
  clock.at = revokedAt + 24 * HOUR;
  assert.deepEqual(answer(a!), TRY_LATER, "the CRL is out of date");
});

test("before there is a CRL nothing is said, and a new one shows in the next answer", (t) => {
  const { clock, maker, front, source, bring, ask, answer, devices } = started(t);
  const responder = new OcspResponder(front, clock, undefined, source);
  const request = buildOcspRequest([certIdOf(devices[0]!, maker.ca("device-ca"))], undefined);
  const status = () => parseOcspResponse(responder.answer(request).der).basic?.responses[0]?.status.kind;
  assert.equal(status(), undefined);
  assert.deepEqual(answer(devices[0]!), TRY_LATER);
  bring();
  assert.equal(status(), "good");
  assert.equal(ask(devices[0]!).status, "good");
  maker.revoke(devices[0]!.serial);
  bring();
  assert.equal(status(), "revoked");
});

test("a signer that the manufacturer's CA delegated to needs no trust of its own", (t) => {
  const { ask, bring, devices } = started(t, { delegated: true });
  bring();
  const verdict = ask(devices[0]!, []);
  assert.ok(verdict.status === "good");
  assert.equal(verdict.evidence.responder, "O=Manufacturer, CN=OCSP signer of H(e)NB CA");
});

test("a CRL that is brought is kept only if it is this CA's, whole, current and no older than the last", (t) => {
  const { clock, maker, front, environment } = started(
    t,
    {},
    { crlShards: 2, deltaCrls: true, crlUrl: "http://x.example" },
  );
  const bring = (file: Bytes) => importCrl(front, front.foreign("maker"), file, environment);
  const refused = (file: Bytes, message: RegExp) =>
    assert.throws(() => bring(file), { name: "PkiError", message }, String(message));
  const old = maker.crl("device-ca");
  refused(maker.crl("segw-ca"), /from "O=Operator, CN=SeGW CA", not from "O=Manufacturer, CN=H\(e\)NB CA"/);
  const damaged = Buffer.from(old);
  damaged[damaged.length - 1]! ^= 1;
  refused(damaged, /signature does not verify/);
  refused(Buffer.from("hello"), /this is no CRL: /);
  refused(
    maker.currentCrl({ ca: "device-ca", shard: undefined }, "delta").der,
    /delta CRL; the complete one is needed/,
  );
  refused(maker.currentCrl({ ca: "device-ca", shard: 1 }, "complete").der, /only what its issuing distribution point/);
  clock.at += 13 * HOUR;
  const next = maker.crl("device-ca");
  assert.equal(bring(Buffer.from(toPem("X509 CRL", next))).index.size, 0);
  refused(old, /this CRL is of 2026-11-24T00:00:00.000Z; one of 2026-11-24T13:00:00.000Z is here/);
  bring(next);
  clock.at += 25 * HOUR;
  refused(next, /was good until .*; get the next one/);
  assert.throws(() => front.foreign("segw-ca"), { name: "PkiError", message: /makes its own CRLs/ });
});

test("a CA is imported once, under a name of its own, and issues nothing here", (t) => {
  const { maker, front } = started(t);
  const refused = (name: string, certificate: Certificate, message: RegExp) =>
    assert.throws(() => front.importCa(name, certificate, undefined, undefined), { name: "PkiError", message });
  refused("segw-ca", maker.ca("segw-ca"), /there is a CA "segw-ca" already/);
  refused("other", maker.ca("device-ca"), /is here already, as "maker"/);
  refused("Other CA", maker.ca("segw-ca"), /is no name for a CA/);
  refused("../x", maker.ca("segw-ca"), /is no name for a CA/);
  refused("maker-2-ocsp", maker.ca("segw-ca"), /is no name for a CA/);
  refused("other", maker.issue({ profile: "segw", dns: ["a.example"] }).certificate, /is no CA/);
  assert.throws(() => front.crl("maker"), { name: "PkiError", message: /issues no certificates and CRLs here/ });
});

test("the combined answer is good only if not revoked and authorized, else revoked, for own and foreign CAs", (t) => {
  const { clock, maker, front, bring, source, devices } = started(t);
  const own = ["a", "b"].map((name) => front.issue({ profile: "henb", dns: [`${name}.example`] }).certificate);
  const never = maker.issue({ profile: "segw", dns: ["x.example"] }).certificate;
  for (const [ca, issuer, [a, b]] of [
    ["device-ca", front.ca("device-ca"), own],
    ["maker", maker.ca("device-ca"), devices],
  ] as const) {
    bring();
    const responder = new OcspResponder(front, clock, undefined, source);
    const say = (certificate: Certificate) => {
      const request = buildOcspRequest([certIdOf(certificate, issuer)], undefined);
      const { basic } = parseOcspResponse(responder.answer(request).der);
      const { status } = basic!.responses[0]!;
      const extended = basic!.extensions.some(({ oid }) => oid === "1.3.6.1.5.5.7.48.1.9");
      return { ...status, extended };
    };
    const unauthorized = { kind: "revoked", at: 0, reason: 6, extended: true };
    assert.deepEqual(say(a!), { kind: "good", extended: false });
    front.allowList.combine(ca, true);
    assert.deepEqual([say(a!), say(b!)], [unauthorized, unauthorized]);
    front.allowList.allow(ca, [
      { serial: a!.serial },
      ca === "maker" ? { serial: b!.serial } : { identity: "B.example" },
    ]);
    assert.deepEqual([say(a!), say(b!)], Array(2).fill({ kind: "good", extended: true }));
    assert.deepEqual(say(never), unauthorized, "a serial that nobody issued");
    // Revoked and still allowed.
    (ca === "maker" ? maker : front).revoke(a!.serial, "keyCompromise");
    bring();
    const revoked = { kind: "revoked", at: clock.at, reason: 1, extended: true };
    assert.deepEqual(say(a!), revoked);
    front.allowList.disallow(ca, [{ serial: a!.serial }]);
    assert.deepEqual(say(a!), revoked, "for the reason that it was revoked for");
    front.allowList.disallow(ca, [{ serial: b!.serial }, { identity: "b.example" }]);
    assert.deepEqual(say(b!), unauthorized);
    front.allowList.combine(ca, false);
    assert.deepEqual(say(b!), { kind: "good", extended: false });
  }
});

test("a renewed certificate of an allowed device is allowed, since its identity is", (t) => {
  const { front } = started(t);
  front.allowList.combine("device-ca", true);
  front.allowList.allow("device-ca", [{ identity: "ap-1.example" }]);
  for (let i = 0; i < 2; i++) {
    const { serial } = front.issue({ profile: "henb", dns: ["AP-1.example"] }).certificate;
    assert.ok(front.allowList.isAllowed("device-ca", serial));
    assert.ok(!front.allowList.isAllowed("maker", serial));
  }
});

test("CRLs are fetched from the manufacturer's server or taken from where they were brought, and served on", async (t) => {
  const maker = makePki(t, { operator: "M1", manufacturer: "M2" });
  const other = makePki(t, { operator: "N1", manufacturer: "N2" });
  const front = makePki(t);
  const makerUrl = await serve(t, maker);
  const { certificate } = maker.issue({ profile: "henb", dns: ["ap.example"] });
  maker.revoke(certificate.serial);
  front.importCa("fetched", maker.ca("device-ca"), `${makerUrl}/crl/device-ca.crl`, undefined);
  front.importCa("brought", other.ca("device-ca"), undefined, undefined);
  importCrl(front, front.foreign("brought"), other.crl("device-ca"), systemEnvironment);
  front.importCa("gone", maker.ca("segw-ca"), `${makerUrl}/crl/none.crl`, undefined);
  front.importCa("partial", maker.ca("hems-ca"), `${makerUrl}/crl/hems-ca.crl`, undefined);
  const { foreign, events } = follow(t, front);
  const heard = await events(4);
  const summary = heard.map((event) => {
    const detail =
      event.event === "crl"
        ? `${event.number} ${event.entries}`
        : event.event === "crlFailed"
          ? event.problem.reason
          : event.problem;
    return `${event.event} ${event.ca} ${detail}`;
  });
  assert.deepEqual(summary.toSorted(), [
    "crl brought 1 0",
    "crl fetched 1 1",
    "crl partial 1 0",
    "crlFailed gone BadStatus",
  ]);
  const server = await servePki(front, { address: "127.0.0.1", port: 0 }, systemEnvironment.clock, { foreign });
  t.after(() => server.close());
  const get = (ca: string) => fetch(`http://127.0.0.1:${server.port}/crl/${ca}.crl`);
  const served = await get("fetched");
  assert.ok(Buffer.from(await served.arrayBuffer()).equals(maker.crl("device-ca")));
  assert.equal((await get("gone")).status, 404);
  const request = buildOcspRequest([certIdOf(certificate, maker.ca("device-ca"))], undefined);
  const response = await fetch(`http://127.0.0.1:${server.port}/`, { method: "POST", body: request });
  assert.equal(
    parseOcspResponse(Buffer.from(await response.arrayBuffer())).basic?.responses[0]?.status.kind,
    "revoked",
  );
});

test("a CRL that was fetched is there after a restart, though its server is gone", async (t) => {
  const maker = makePki(t, { operator: "M1", manufacturer: "M2" });
  const front = makePki(t);
  const server = await servePki(maker, { address: "127.0.0.1", port: 0 }, systemEnvironment.clock);
  const url = `http://127.0.0.1:${server.port}/crl/device-ca.crl`;
  front.importCa("maker", maker.ca("device-ca"), url, undefined);
  const first = follow(t, front);
  await first.events(1);
  await first.foreign[Symbol.asyncDispose]();
  await server.close();
  const again = follow(t, front);
  await again.events(1);
  assert.ok(again.foreign.crlOf(front.foreign("maker"))?.crl.der.equals(maker.crl("device-ca")));
});

test("a CA imported while the server runs is taken up", async (t) => {
  const maker = makePki(t, { operator: "M1", manufacturer: "M2" });
  const front = makePki(t);
  const { foreign, events } = follow(t, front);
  front.importCa("maker", maker.ca("device-ca"), undefined, undefined);
  importCrl(front, front.foreign("maker"), maker.crl("device-ca"), systemEnvironment);
  foreign.follow();
  const [event] = await events(1);
  assert.equal(event?.event === "crl" && event.ca, "maker");
});

interface World {
  clock: StandingClock;
  environment: { clock: StandingClock; random: typeof systemEnvironment.random };
  /** The manufacturer, and two of its devices. */
  maker: Pki;
  devices: Certificate[];
  /** The operator's, which took in the manufacturer's device CA as "maker". */
  front: Pki;
  source: ForeignCrlSource;
  /** Takes over the manufacturer's CRL as it is now. */
  bring(): void;
  /** What the operator's responder answers. */
  answer(certificate: Certificate): Bytes;
  /** Its verdict; by default its signer is trusted. */
  ask(certificate: Certificate, trustedResponders?: readonly Certificate[]): OcspVerdict;
}

function started(t: TestContext, { delegated = false } = {}, options: Parameters<typeof makePki>[1] = {}): World {
  const clock = new StandingClock();
  const environment = { ...systemEnvironment, clock };
  const maker = makePki(t, options, clock);
  const front = makePki(t, { manufacturer: "Own devices" }, clock);
  const devices = ["a", "b"].map((name) => maker.issue({ profile: "henb", dns: [`${name}.example`] }).certificate);
  const file = (kind: string) => join(maker.directory, "ca", `device-ca-ocsp.${kind}.pem`);
  const signer = delegated ? readKeyHolder(file("crt"), file("key")) : undefined;
  front.importCa("maker", maker.ca("device-ca"), undefined, signer);
  let loaded: LoadedCrl | undefined;
  let generation = 0;
  const source: ForeignCrlSource = {
    get generation() {
      return generation;
    },
    crlOf: () => loaded,
  };
  const bring = () => {
    loaded = importCrl(front, front.foreign("maker"), maker.crl("device-ca"), environment);
    assert.ok(readFileSync(join(front.directory, "foreign", "maker.crl")).equals(loaded.crl.der));
    generation++;
  };
  const issuer = maker.ca("device-ca");
  const answer = (certificate: Certificate) => {
    const request = buildOcspRequest([certIdOf(certificate, issuer)], undefined);
    return new OcspResponder(front, clock, undefined, source).answer(request).der;
  };
  const ask: World["ask"] = (certificate, trusted = front.ocspSigners().map((one) => one.certificate)) =>
    checkOcspResponse({
      response: answer(certificate),
      certificate,
      issuer,
      time: clock.at,
      tolerance: 0,
      maxAge: 0,
      trustedResponders: trusted,
      allowWeakAlgorithms: false,
    });
  return { clock, environment, maker, devices, front, source, bring, answer, ask };
}

const TRY_LATER = buildOcspError(ResponseStatus.tryLater);

/** CRLs as `serve` follows them; `events` waits for that many. */
function follow(t: TestContext, pki: Pki): { foreign: ForeignCrls; events(count: number): Promise<ForeignCrlEvent[]> } {
  const heard: ForeignCrlEvent[] = [];
  let arrived = () => {};
  const foreign = new ForeignCrls(pki, systemEnvironment, (event) => {
    heard.push(event);
    arrived();
  });
  t.after(() => foreign[Symbol.asyncDispose]());
  const events = async (count: number) => {
    while (heard.length < count)
      await new Promise<void>((resolve) => {
        arrived = resolve;
      });
    return heard;
  };
  return { foreign, events };
}
