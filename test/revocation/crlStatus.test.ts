import assert from "node:assert/strict";
import { test } from "node:test";
import type { Bytes } from "../../src/bytes/bytes.ts";
import * as write from "../../src/der/writer.ts";
import { askCrls, type CrlSettings } from "../../src/revocation/crlStatus.ts";
import type { Origin, Source, StatusRule } from "../../src/trust/revocationPolicy.ts";
import { SignatureCache } from "../../src/trust/signatureCache.ts";
import { extension, keyUsage } from "../../src/x509/build.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { rule } from "../trust/statusWorld.ts";
import { DAY, LEAF_EXTENSIONS, type Made, make } from "../x509/made.ts";
import { covers, crlAt, deltaIndicator, entryOf, freshestCrl, indirectAt, pointOf, StoreWorld } from "./storeWorld.ts";

const HOUR = 3600_000;
const validity = { notBefore: Date.UTC(2025, 0, 1), notAfter: Date.UTC(2030, 0, 1) };
const root = make({ name: "Root", ...validity });
const ca = make({ name: "CA", issuer: root, ...validity });
const leaf = make({ name: "leaf", issuer: ca, extensions: LEAF_EXTENSIONS, ...validity });
const other = make({ name: "other", issuer: ca, extensions: LEAF_EXTENSIONS, ...validity });
const PATH = [leaf.certificate, ca.certificate, root.certificate];
const URL = "http://crl.example/ca.crl";
const ROOTS = "http://crl.example/root.crl";

interface Asking {
  path?: readonly Certificate[];
  certificate?: number;
  origin?: Origin;
  groups?: Source["groups"];
  namedHosts?: readonly string[];
  settings?: Partial<CrlSettings>;
  ruleFor?: () => StatusRule;
}

/** Asks in the world's present; a second may pass until the network has answered. */
function ask(world: StoreWorld, asking: Asking = {}) {
  const { path = PATH, certificate = 0, origin = "operator", groups = [[URL]], namedHosts, settings } = asking;
  const { ruleFor } = asking;
  const parts = {
    store: world.store,
    clock: world.time.world,
    settings: { tolerance: 0, allowWeakAlgorithms: false, useDeltas: true, crlSigners: [], ...settings },
    signatureCache: new SignatureCache(),
  };
  const question = { path, certificate, source: { origin, groups }, namedHosts };
  return world.time.until(askCrls(parts, ruleFor === undefined ? question : { ...question, ruleFor }), 60_000);
}

function worldWith(seed: string, ...contents: readonly [url: string, crl: (now: number) => Bytes][]): StoreWorld {
  const world = new StoreWorld(seed, { interval: 10 * DAY });
  for (const [url, crl] of contents) world.network.contents.set(url, crl(world.now));
  return world;
}

test("good and revoked come with CRL number, address, times, date and reason", async () => {
  const world = worldWith("plain", [
    URL,
    (now) => crlAt(ca, now, [other.certificate.serial], { number: 300, reason: 4 }),
  ]);
  const began = world.now;
  const good = await ask(world);
  const evidence = {
    kind: "crl",
    url: URL,
    issuer: "O=Femtogate, CN=CA",
    number: "300",
    thisUpdate: began,
    nextUpdate: began + DAY,
    obtainedAt: began + world.network.delayMs,
  };
  assert.deepEqual(good, { status: "good", evidence });
  const revoked = await ask(world, { path: [other.certificate, ca.certificate, root.certificate] });
  assert.deepEqual(revoked, {
    status: "revoked",
    evidence,
    revokedAt: began - HOUR,
    reasonCode: 4,
    invalidityDate: undefined,
  });
});

test("the date since when a key is suspect is told", async () => {
  const since = Date.UTC(2025, 11, 24);
  const entry = (now: number) =>
    write.sequence(
      write.element(0x02, leaf.certificate.serial),
      write.time(now),
      write.sequence(extension({ oid: "2.5.29.24", critical: false, value: write.generalizedTime(since) })),
    );
  const world = worldWith("invalidity", [URL, (now) => crlAt(ca, now, [], { entries: [entry(now)] })]);
  const revoked = await ask(world);
  assert.ok(revoked.status === "revoked");
  assert.deepEqual([revoked.invalidityDate, revoked.reasonCode], [since, undefined]);
});

test("a list that ran out is stale if it said good, and still says revoked", async () => {
  const world = worldWith("stale", [URL, (now) => crlAt(ca, now, [other.certificate.serial])]);
  await ask(world);
  world.network.contents.clear();
  await world.time.run(2 * DAY);
  const stale = await ask(world);
  assert.ok(stale.status === "stale");
  assert.ok(stale.evidence.nextUpdate < world.now);
  assert.deepEqual(
    stale.attempts.map(({ reason }) => reason),
    ["BadStatus", "Stale"],
  );
  const revoked = await ask(world, { path: [other.certificate, ca.certificate, root.certificate] });
  assert.equal(revoked.status, "revoked");
});

test("no list at all is unreachable, with each address and why", async () => {
  const world = worldWith("unreachable");
  const answer = await ask(world, { groups: [[URL, "ldap://dir.example/cn=CA"]] });
  assert.ok(answer.status === "unreachable");
  assert.deepEqual(
    answer.attempts.map(({ url, reason }) => [url, reason]),
    [
      [URL, "BadStatus"],
      ["ldap://dir.example/cn=CA", "BadStatus"],
    ],
  );
});

test("of several ways to one list the first that works is used, and the others are not asked", async () => {
  const crl = (now: number) => crlAt(ca, now, []);
  const world = worldWith("alternatives", ["http://second/", crl], ["http://third/", crl]);
  const answer = await ask(world, { groups: [[URL, "http://second/", "http://third/"]] });
  assert.ok(answer.status === "good");
  assert.equal(answer.evidence.url, "http://second/");
  assert.deepEqual(
    world.network.asked.map(({ url }) => url),
    [URL, "http://second/"],
  );
});

test("a list that does not cover the certificate knows nothing of it; shards together do", async () => {
  const cas = "http://crl.example/cas.crl";
  const world = worldWith(
    "scope",
    [URL, (now) => crlAt(ca, now, [other.certificate.serial], { extensions: [covers(1)] })],
    [cas, (now) => crlAt(ca, now, [], { extensions: [covers(2)] })],
  );
  const unknown = await ask(world, { groups: [[cas]] });
  assert.ok(unknown.status === "unknown");
  assert.equal(unknown.attempts[0]?.reason, "OutOfScope");
  assert.equal((await ask(world, { groups: [[cas], [URL]] })).status, "good");
  const listed = await ask(world, {
    groups: [[cas], [URL]],
    path: [other.certificate, ca.certificate, root.certificate],
  });
  assert.equal(listed.status, "revoked");
});

test("the delta CRL that a list points to is fetched and used, and named in the evidence", async () => {
  const delta = "http://crl.example/delta.crl";
  const base = (now: number) => crlAt(ca, now, [], { number: 5, extensions: [freshestCrl(delta)] });
  const changes = (now: number) =>
    crlAt(ca, now, [other.certificate.serial], { number: 6, extensions: [deltaIndicator(5)] });
  const world = worldWith("delta", [URL, base], [delta, changes]);
  const good = await ask(world);
  assert.ok(good.status === "good" && good.evidence.kind === "crl");
  assert.deepEqual([good.evidence.number, good.evidence.delta], ["5", "6"]);
  const path = [other.certificate, ca.certificate, root.certificate];
  assert.equal((await ask(world, { path })).status, "revoked");
  const asked = world.network.asked.length;
  const off = await ask(world, { path, settings: { useDeltas: false } });
  assert.equal(off.status, "good");
  assert.equal(world.network.asked.length, asked);
});

test("a configured list may point to delta CRLs on its own host only; one named in a certificate where that may", async () => {
  const elsewhere = "http://internal.example/delta.crl";
  const base = (now: number) => crlAt(ca, now, [], { number: 5, extensions: [freshestCrl(elsewhere)] });
  const world = worldWith("hosts", [URL, base]);
  const asked = () => world.network.asked.filter(({ url }) => url === elsewhere).length;
  await ask(world);
  await ask(world, { origin: "certificate", namedHosts: ["crl.example"] });
  assert.equal(asked(), 0);
  await ask(world, { origin: "certificate", namedHosts: ["internal.example"] });
  assert.equal(asked(), 1);
});

test("an indirect list by a CRL issuer with a path of its own covers the certificate that names it", async () => {
  const crlIssuer = make({ name: "CRL issuer", issuer: root, extensions: [keyUsage("cRLSign")], ...validity });
  const named = () =>
    make({ name: "device", issuer: ca, extensions: LEAF_EXTENSIONS, more: [pointOf(URL, crlIssuer)], ...validity });
  const device = named();
  const gone = named();
  const crl = (now: number) =>
    crlAt(crlIssuer, now, [], { extensions: [indirectAt(URL)], entries: [entryOf(gone.certificate, now)] });
  const world = worldWith("indirect", [URL, crl]);
  const pathOf = (of: Made) => ({ path: [of.certificate, ca.certificate, root.certificate] });
  const settings = { crlSigners: [crlIssuer.certificate] };
  assert.equal((await ask(world, { ...pathOf(device), settings })).status, "good");
  assert.equal((await ask(world, { ...pathOf(gone), settings })).status, "revoked");
  const unknown = worldWith("indirect, unknown", [URL, crl]);
  const answer = await ask(unknown, pathOf(device));
  assert.ok(answer.status === "unreachable");
  assert.equal(answer.attempts[0]?.reason, "UnknownSigner");
  // Known, but without a path to the anchor of this one.
  const elsewhere = make({ name: "Elsewhere", ...validity });
  const stranger = make({
    name: "CRL issuer",
    issuer: elsewhere,
    keys: crlIssuer.keys,
    extensions: [keyUsage("cRLSign")],
    ...validity,
  });
  const untrusted = worldWith("indirect, untrusted", [URL, crl]);
  const refused = await ask(untrusted, { ...pathOf(device), settings: { crlSigners: [stranger.certificate] } });
  assert.ok(refused.status === "unreachable");
  assert.equal(refused.attempts[0]?.reason, "IssuerNotTrusted");
});

test("the signature is checked when the list is loaded, and never again", async () => {
  const world = worldWith("signature", [URL, (now) => crlAt(ca, now, [])]);
  const { inHand } = await world.time.until(world.store.obtain(URL, [ca.certificate]), 60_000);
  inHand!.loaded.crl.signature.fill(0);
  assert.equal((await ask(world)).status, "good");
});

test("a CRL issuer that was revoked says nothing any more; one whose status cannot be had does (RFC 5280 6.3.3 f)", async () => {
  const crlIssuer = make({ name: "CRL issuer", issuer: root, extensions: [keyUsage("cRLSign")], ...validity });
  const more = [pointOf(URL, crlIssuer)];
  const device = make({ name: "device", issuer: ca, extensions: LEAF_EXTENSIONS, more, ...validity });
  const path = [device.certificate, ca.certificate, root.certificate];
  const settings = { crlSigners: [crlIssuer.certificate] };
  const indirect = (now: number) => crlAt(crlIssuer, now, [], { extensions: [indirectAt(URL)] });
  const ruleFor = () => rule({ operator: { crl: [[ROOTS]], ocsp: [] } });
  const answers = [];
  for (const revoked of [[], [other.certificate.serial], [crlIssuer.certificate.serial]]) {
    const world = worldWith(`issuer ${revoked}`, [URL, indirect], [ROOTS, (now) => crlAt(root, now, revoked)]);
    answers.push(await ask(world, { path, settings, ruleFor }));
  }
  answers.push(await ask(worldWith("issuer alone", [URL, indirect]), { path, settings, ruleFor }));
  assert.deepEqual(
    answers.map(({ status }) => status),
    ["good", "good", "unreachable", "good"],
  );
  const [attempt] = answers[2]!.status === "unreachable" ? answers[2]!.attempts : [];
  assert.equal(attempt?.reason, "IssuerNotTrusted");
  assert.match(attempt.message, /"O=Femtogate, CN=CRL issuer" was revoked at 20/);
});

test("CRL issuers that vouch for each other are asked about once", async () => {
  const names = ["A", "B"];
  const [a, b] = names.map((name) => make({ name, issuer: root, extensions: [keyUsage("cRLSign")], ...validity })) as [
    Made,
    Made,
  ];
  const device = make({
    ...{ name: "device", issuer: root, extensions: LEAF_EXTENSIONS, ...validity },
    more: [pointOf(URL, a)],
  });
  const lists = [URL, ROOTS];
  const world = worldWith(
    "vouching",
    [URL, (now) => crlAt(a, now, [], { extensions: [indirectAt(URL)], entries: [entryOf(b.certificate, now)] })],
    [ROOTS, (now) => crlAt(b, now, [], { extensions: [indirectAt(ROOTS)], entries: [entryOf(a.certificate, now)] })],
  );
  const answer = await ask(world, {
    path: [device.certificate, root.certificate],
    settings: { crlSigners: [a.certificate, b.certificate] },
    groups: lists.map((url) => [url]),
    ruleFor: () => rule({ operator: { crl: lists.map((url) => [url]), ocsp: [] } }),
  });
  assert.equal(answer.status, "good");
  assert.deepEqual(world.network.asked.map(({ url }) => url).sort(), [...lists].sort());
});

test("a CA certificate is checked by the list of the CA above it", async () => {
  const world = worldWith("path", [URL, (now) => crlAt(root, now, [ca.certificate.serial])]);
  assert.equal((await ask(world, { certificate: 1 })).status, "revoked");
});

test("a CA whose key usage does not allow it to sign lists says nothing by them", async () => {
  const silent = make({ name: "CA", issuer: root, extensions: [keyUsage("keyCertSign")], ...validity });
  const device = make({ name: "device", issuer: silent, extensions: LEAF_EXTENSIONS, ...validity });
  const world = worldWith("usage", [URL, (now) => crlAt(silent, now, [])]);
  const answer = await ask(world, { path: [device.certificate, silent.certificate, root.certificate] });
  assert.ok(answer.status === "unreachable");
  assert.equal(answer.attempts[0]?.reason, "IssuerMayNotSign");
});
