import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { DerReader } from "../../src/der/reader.ts";
import type { Pki } from "../../src/pki/authority.ts";
import type { CrlKind, CrlScope } from "../../src/pki/crlArchive.ts";
import { type Crl, parseCrl } from "../../src/x509/crl.ts";
import { Oid } from "../../src/x509/oids.ts";
import { makePki, StandingClock, serve } from "./folder.ts";

const HOUR = 3600_000;
const URLS = { crlUrl: "http://pki.example/crl" };
const SEGW: CrlScope = { ca: "segw-ca", shard: undefined };

test("a delta CRL tells what was revoked and released since its base, under one sequence of numbers", (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, { ...URLS, deltaCrls: true }, clock);
  const [a, b, c] = ["a", "b", "c"].map((name) => pki.issue({ profile: "segw", dns: [`${name}.example`] }).certificate);
  pki.revoke(a!.serial, "certificateHold");
  const first = read(pki, "complete");
  assert.deepEqual(
    [first.number, first.serials, first.freshest],
    [1, [a!.serialText], "http://pki.example/crl/segw-ca.delta.crl"],
  );
  const none = read(pki, "delta");
  assert.deepEqual(
    [none.number, none.base, none.serials],
    [1, 1, []],
    "made with the complete CRL, and so of its number",
  );

  clock.at += 1000;
  pki.revoke(b!.serial, "keyCompromise");
  const changed = read(pki, "delta");
  assert.deepEqual([changed.number, changed.base, changed.serials, changed.reasons], [2, 1, [b!.serialText], [1]]);
  pki.release(a!.serial);
  const released = read(pki, "delta");
  assert.deepEqual([released.number, released.reasons], [3, [1, 8]]);
  assert.deepEqual(released.serials, [b!.serialText, a!.serialText]);
  assert.equal(read(pki, "complete").number, 1, "only its age makes a new complete CRL");

  clock.at += 12 * HOUR;
  pki.revoke(c!.serial);
  const second = read(pki, "complete");
  const after = read(pki, "delta");
  assert.deepEqual([second.number, second.serials], [4, [b!.serialText, c!.serialText]]);
  // Whoever still holds the first complete CRL can use it as well.
  assert.deepEqual([after.number, after.base], [4, 1]);
  assert.deepEqual(after.serials, [b!.serialText, a!.serialText, c!.serialText]);
  clock.at += 12 * HOUR;
  const third = read(pki, "delta");
  assert.deepEqual([third.number, third.base, third.serials], [5, 4, []], "the first one is past its nextUpdate");
  assert.equal(read(pki, "complete").number, 5);
  assert.deepEqual(applied(second, third), second.serials);
});

test("a delta CRL is marked critical, so that nobody takes it for a complete one", (t) => {
  const pki = makePki(t, { ...URLS, deltaCrls: true });
  const critical = (kind: CrlKind) =>
    parseCrl(pki.currentCrl(SEGW, kind).der)
      .extensions.filter((extension) => extension.critical)
      .map(({ oid }) => oid);
  assert.deepEqual([critical("complete"), critical("delta")], [[], [Oid.deltaCrlIndicator]]);
});

test("without delta CRLs there are none, and none are pointed to", (t) => {
  const pki = makePki(t, URLS);
  assert.throws(() => pki.currentCrl(SEGW, "delta"), { name: "PkiError", message: /publishes no delta CRLs/ });
  assert.equal(read(pki, "complete").freshest, undefined);
});

test("each certificate points to the one shard that lists it, and the whole CA's CRL lists all", (t) => {
  const pki = makePki(t, { ...URLS, crlShards: 3, deltaCrls: true });
  const issued = Array.from(
    { length: 30 },
    (_, i) => pki.issue({ profile: "henb", dns: [`ap-${i}.example`] }).certificate,
  );
  const shards = [0, 1, 2].map((shard) => `http://pki.example/crl/device-ca/${shard}.crl`);
  for (const url of shards) assert.ok(issued.some(({ extensions }) => extensions.crlUrls[0] === url));
  for (const { serial } of issued.slice(0, 20)) pki.revoke(serial);
  const listed = new Map<string, string>();
  for (const [shard, url] of shards.entries()) {
    for (const kind of ["complete", "delta"] as const) {
      const crl = parseCrl(pki.currentCrl({ ca: "device-ca", shard }, kind).der);
      const point = crl.extensions.find(({ oid }) => oid === Oid.issuingDistributionPoint)!;
      assert.ok(point.critical && point.value.includes(url), "the name that the certificates have");
    }
    const { serials, freshest } = read(pki, "complete", { ca: "device-ca", shard });
    assert.equal(freshest, `http://pki.example/crl/device-ca/${shard}.delta.crl`);
    for (const serial of serials) listed.set(serial, url);
  }
  for (const [index, { serialText, extensions }] of issued.entries())
    assert.equal(listed.get(serialText), index < 20 ? extensions.crlUrls[0] : undefined);
  const whole = parseCrl(pki.crl("device-ca"));
  assert.equal([...whole.entries()].length, 20);
  assert.ok(!whole.extensions.some(({ oid }) => oid === Oid.issuingDistributionPoint));
  assert.deepEqual(pki.ca("device-ca").extensions.crlUrls, ["http://pki.example/crl/manufacturer-root.crl"]);
  for (const scope of [
    { ca: "device-ca", shard: 3 },
    { ca: "manufacturer-root", shard: 0 },
  ])
    assert.throws(() => pki.currentCrl(scope, "complete"), { name: "PkiError", message: /has no shard/ });
});

test("one shard's revocations make no new CRL of another", (t) => {
  const pki = makePki(t, { ...URLS, crlShards: 2 });
  const numbers = () => [0, 1].map((shard) => read(pki, "complete", { ca: "device-ca", shard }).number);
  assert.deepEqual(numbers(), [1, 1]);
  const { certificate } = pki.issue({ profile: "henb", dns: ["a.example"] });
  pki.revoke(certificate.serial);
  const own = Number(/\/([01])\.crl$/.exec(certificate.extensions.crlUrls[0]!)![1]);
  assert.deepEqual(numbers(), own === 0 ? [2, 1] : [1, 2]);
});

test("an entry leaves the CRL after one CRL that was made after its certificate's end, not before", (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, {}, clock);
  const notAfter = clock.at + 2 * HOUR;
  const issue = () => pki.issue({ profile: "segw", dns: ["a.example"], notAfter }).certificate;
  const [before, late] = [issue(), issue()];
  pki.revoke(before.serial);
  const count = () => read(pki, "complete").serials.length;
  assert.equal(count(), 1);
  clock.at = notAfter + 1000;
  assert.equal(count(), 1, "the first after the end");
  pki.revoke(late.serial);
  clock.at += HOUR;
  assert.deepEqual(read(pki, "complete").serials, [late.serialText], "revoked after its end, it appears once");
  clock.at += HOUR;
  assert.equal(count(), 0);
});

test("only a certificate on hold is released, and one on hold may be revoked for good since it was held", (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, {}, clock);
  const { serial } = pki.issue({ profile: "segw", dns: ["a.example"] }).certificate;
  const refused = (message: RegExp) => assert.throws(() => pki.release(serial), { name: "PkiError", message });
  refused(/not on hold; only certificateHold/);
  pki.revoke(serial, "certificateHold");
  assert.throws(() => pki.revoke(serial, "certificateHold"), /revoked already/);
  pki.release(serial);
  assert.equal(pki.status("segw-ca", serial).kind, "good");
  pki.revoke(serial, "certificateHold");
  const held = clock.at;
  clock.at += HOUR;
  pki.revoke(serial, "keyCompromise");
  assert.deepEqual(pki.status("segw-ca", serial), { kind: "revoked", at: held, reason: 1 });
  refused(/not on hold/);
});

test("a long list is made anew at a pace, since making it takes a while", (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, {}, clock);
  const serials = Array.from(
    { length: 3 },
    () => pki.issue({ profile: "segw", dns: ["a.example"] }).certificate.serial,
  );
  pki.revoke(serials[0]!);
  assert.equal(read(pki, "complete").number, 1);
  addEntries(pki, 35_000);
  pki.revoke(serials[1]!);
  assert.equal(read(pki, "complete").number, 2);
  pki.revoke(serials[2]!);
  clock.at += 2_900;
  assert.equal(read(pki, "complete").number, 2);
  clock.at += 200;
  assert.equal(read(pki, "complete").number, 3);
});

test("CRLs of every kind are served where certificates and CRLs point to", async (t) => {
  const pki = makePki(t, { ...URLS, crlShards: 2, deltaCrls: true });
  const url = await serve(t, pki);
  const { certificate } = pki.issue({ profile: "henb", dns: ["a.example"] });
  pki.revoke(certificate.serial);
  const get = async (of: string) => {
    const response = await fetch(of.replace("http://pki.example", url));
    assert.equal(response.headers.get("content-type"), "application/pkix-crl", of);
    return parseCrl(Buffer.from(await response.arrayBuffer()));
  };
  const complete = await get(certificate.extensions.crlUrls[0]!);
  assert.equal([...complete.entries()].length, 1);
  const delta = await get(freshestOf(complete)!);
  assert.ok(delta.extensions.some(({ oid }) => oid === Oid.deltaCrlIndicator));
  for (const path of [
    "device-ca/2.crl",
    "device-ca/00000.crl",
    "manufacturer-root/0.crl",
    "device-ca.delta.delta.crl",
    "none.delta.crl",
  ])
    assert.equal((await fetch(`${url}/crl/${path}`)).status, 404, path);
});

interface Read {
  number: number;
  base: number | undefined;
  serials: string[];
  reasons: (number | undefined)[];
  freshest: string | undefined;
}

function read(pki: Pki, kind: CrlKind, scope: CrlScope = SEGW): Read {
  const crl = parseCrl(pki.currentCrl(scope, kind).der);
  const entries = [...crl.entries()];
  const base = crl.extensions.find(({ oid }) => oid === Oid.deltaCrlIndicator);
  return {
    number: crl.number!.readUIntBE(0, crl.number!.length),
    base: base && new DerReader(base.value).smallInteger("baseCRLNumber"),
    serials: entries.map(({ serial }) => serial.toString("hex")),
    reasons: entries.map(({ reason }) => reason),
    freshest: freshestOf(crl),
  };
}

/** Revoked certificates straight into the database: issuing that many would take minutes. */
function addEntries(pki: Pki, count: number): void {
  using database = new DatabaseSync(join(pki.directory, "pki.sqlite"));
  database
    .prepare(
      `INSERT INTO certificate (ca, serial, identity, subject, notAfter, issuedAt, der, revokedAt, reason, changed, changedAt)
       WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       SELECT 'segw-ca', printf('%08x', i), '', '', 9e15, 0, x'00', 1, 1, 1, 1 FROM n`,
    )
    .run(count);
}

/** A complete CRL brought up to date by a delta CRL (RFC 5280 5.2.4). */
function applied({ serials }: Read, delta: Read): string[] {
  const taken = new Set(delta.serials.filter((_, index) => delta.reasons[index] === 8));
  return [...new Set([...serials, ...delta.serials])].filter((serial) => !taken.has(serial));
}

function freshestOf({ extensions }: Crl): string | undefined {
  const found = extensions.find(({ oid }) => oid === Oid.freshestCrl);
  return found && /http:[\x21-\x7e]*/.exec(found.value.toString("latin1"))?.[0];
}
