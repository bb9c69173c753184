import assert from "node:assert/strict";
import { test } from "node:test";
import { OcspClient, type OcspSettings } from "../../src/revocation/ocspClient.ts";
import type { Reach } from "../../src/revocation/reach.ts";
import { type Lost, StatusService, type StatusSettings } from "../../src/revocation/statusService.ts";
import type { PeerClass, StatusRule } from "../../src/trust/revocationPolicy.ts";
import { SignatureCache } from "../../src/trust/signatureCache.ts";
import { authorityInfoAccess, crlDistributionPoint, extendedKeyUsage, keyUsage } from "../../src/x509/build.ts";
import { parseCertificate } from "../../src/x509/certificate.ts";
import { Oid } from "../../src/x509/oids.ts";
import { policyOf, tolerances } from "../trust/statusWorld.ts";
import { DAY, KEY_MAKERS, LEAF_EXTENSIONS, type Made, make } from "../x509/made.ts";
import { makeDelegate, SimulatedResponder } from "./responder.ts";
import { crlAt, deltaIndicator, freshestCrl, StoreWorld } from "./storeWorld.ts";

const HOUR = 3600_000;
const MINUTE = 60_000;
const CRL = "http://crl.example/ca.crl";
const OCSP = "http://ocsp.example/";
const validity = { notBefore: Date.UTC(2025, 0, 1), notAfter: Date.UTC(2030, 0, 1) };
const root = make({ name: "Root", ...validity });
const ca = make({ name: "CA", issuer: root, ...validity });
const keys = KEY_MAKERS["P-256"]();
const device = (name = "ap-1") => make({ name, issuer: ca, keys, extensions: LEAF_EXTENSIONS, ...validity });
const pathOf = (of: Made) => [of.certificate, ca.certificate, root.certificate];
const operator = { crl: [[CRL]], ocsp: [OCSP] };

interface Making {
  rule?: Partial<StatusRule>;
  settings?: Partial<StatusSettings>;
  ocsp?: Partial<OcspSettings>;
  delegate?: Made;
}

class ServiceWorld {
  readonly base: StoreWorld;
  readonly responder: SimulatedResponder;
  readonly service: StatusService;
  readonly lost: { at: number; subject: string; reason: string }[] = [];
  readonly events: Lost[] = [];

  constructor(seed: number | string, { rule = {}, settings, ocsp, delegate }: Making = {}) {
    this.base = new StoreWorld(seed, { interval: 30 * MINUTE });
    const { time, store } = this.base;
    this.responder = new SimulatedResponder(time, delegate ?? makeDelegate(ca, validity));
    const signatureCache = new SignatureCache();
    const parts = { clock: time.world, random: time.world.random, timers: time.timers, signatureCache };
    this.service = new StatusService({
      ...parts,
      policy: policyOf({ operator, ...rule }),
      settings: { deadline: 10_000, recheck: HOUR, disconnectOn: "revoked", ...settings },
      crls: store,
      crlSettings: { tolerance: 0, allowWeakAlgorithms: false, useDeltas: true, crlSigners: [] },
      ocsp: new OcspClient({
        ...parts,
        transport: this.responder,
        settings: {
          method: "post",
          nonce: "optional",
          nonceLength: 16,
          hash: "sha1",
          tolerance: 0,
          maxAge: DAY,
          reuse: HOUR,
          trustedResponders: [],
          allowWeakAlgorithms: false,
          delegates: "trust",
          ...ocsp,
        },
      }),
    });
    this.service.onRevoked((lost) => {
      this.events.push(lost);
      const subject = lost.watch.path[0]!.subject.commonName!;
      this.lost.push({ at: this.now, subject, reason: lost.refusal.reason });
    });
    this.publish([]);
  }

  get now(): number {
    return this.base.now;
  }

  get names(): string[] {
    return this.lost.map(({ subject }) => subject).sort();
  }

  #number = 0;

  publish(revoked: readonly Made[], url = CRL, over: Parameters<typeof crlAt>[3] = {}): void {
    const serials = revoked.map(({ certificate }) => certificate.serial);
    this.base.network.contents.set(url, crlAt(ca, this.now, serials, { number: ++this.#number, ...over }));
  }

  check(of: Made, peerClass: PeerClass = "device") {
    return this.base.time.until(this.service.check(pathOf(of), peerClass), MINUTE);
  }

  run(duration: number): Promise<void> {
    return this.base.time.run(duration);
  }
}

test("a check says good and revoked by CRL, and falls back on OCSP where policy says so", async () => {
  const world = new ServiceWorld("check", { rule: { methods: "crlFirst" } });
  const [good, gone] = [device(), device("ap-2")];
  world.publish([gone]);
  assert.ok((await world.check(good)).accepted);
  const refused = await world.check(gone);
  assert.ok(!refused.accepted && refused.refusal.reason === "CertificateRevoked");
  assert.equal(refused.refusal.evidence.kind, "crl");
  assert.equal(world.responder.asked.length, 0);
  const alone = new ServiceWorld("fallback", { rule: { methods: "crlFirst" } });
  alone.base.network.contents.clear();
  const byOcsp = await alone.check(good);
  assert.ok(byOcsp.accepted);
  assert.deepEqual(
    byOcsp.certificates[0]?.findings.map(({ method, answer }) => [method, answer.status]),
    [
      ["crl", "unreachable"],
      ["ocsp", "good"],
    ],
  );
});

test("what a certificate names is asked within namedHosts, what is configured wherever it leads, each by itself", async () => {
  const more = [crlDistributionPoint(CRL), authorityInfoAccess({ ocsp: OCSP })];
  const named = make({ name: "ap-1", issuer: ca, keys, extensions: LEAF_EXTENSIONS, more, ...validity });
  const world = new ServiceWorld("reach", {
    rule: { methods: "both", scope: "leaf", origins: ["operator", "certificate"], namedHosts: ["example"] },
  });
  world.base.network.contents.clear();
  world.responder.troubles.set(OCSP, { ok: false, problem: { reason: "BadStatus", status: 500 } });
  assert.ok(!(await world.check(named)).accepted);
  const reaches = (asked: readonly { url: string; reach?: Reach }[]) => asked.map(({ url, reach }) => [url, reach]);
  assert.deepEqual(reaches(world.base.network.asked), [
    [CRL, undefined],
    [CRL, { hosts: ["example"] }],
  ]);
  assert.deepEqual(reaches(world.responder.asked), [
    [OCSP, undefined],
    [OCSP, { hosts: ["example"] }],
  ]);
});

test("configured lists are fetched before anybody asks for them", async () => {
  const world = new ServiceWorld("start", { rule: { methods: "crl" } });
  world.service.start([root.certificate, ca.certificate]);
  await world.run(MINUTE);
  world.base.network.delayMs = HOUR;
  assert.ok((await world.check(device())).accepted);
  const none = new ServiceWorld("none", { rule: { methods: "ocsp" } });
  none.service.start([ca.certificate]);
  await none.run(MINUTE);
  assert.equal(none.base.network.asked.length, 0);
});

test("at the deadline a check ends by the policy's tolerance, whatever a responder does later", async () => {
  for (const kind of ["refuse", "accept"] as const) {
    const rule = { methods: "ocsp", tolerances: tolerances({ unreachable: { kind } }) } as const;
    const world = new ServiceWorld(`deadline ${kind}`, { rule });
    world.responder.delayMs = HOUR;
    const began = world.now;
    const verdict = await world.check(device());
    assert.equal(verdict.accepted, kind === "accept");
    assert.ok(world.now - began <= 10_001);
    await world.run(2 * HOUR);
  }
});

test("a device that a newer CRL lists is lost as soon as that is in hand, and the others are not", async () => {
  const world = new ServiceWorld("update");
  const [one, two] = [device("ap-1"), device("ap-2")];
  for (const each of [one, two]) {
    assert.ok((await world.check(each)).accepted);
    world.service.watch(pathOf(each), "device");
  }
  await world.run(10 * MINUTE);
  world.publish([two]);
  await world.run(31 * MINUTE);
  assert.deepEqual(world.names, ["ap-2"]);
  const [lost] = world.events;
  assert.ok(lost?.refusal.reason === "CertificateRevoked" && lost.refusal.evidence.kind === "crl");
  assert.equal(lost.refusal.evidence.number, "2");
  assert.equal(world.service.watching, 1);
  await world.run(5 * HOUR);
  assert.equal(world.lost.length, 1);
});

test("a certificate revoked between its check and the beginning of its watch is lost at once", async () => {
  const world = new ServiceWorld("race");
  const one = device();
  assert.ok((await world.check(one)).accepted);
  world.publish([one]);
  await world.run(31 * MINUTE);
  world.service.watch(pathOf(one), "device");
  await world.run(1000);
  assert.deepEqual(world.names, ["ap-1"]);
});

test("a device whose OCSP status turns is lost within the time of re-checking", async () => {
  const world = new ServiceWorld("ocsp", { rule: { methods: "ocsp" } });
  const one = device();
  assert.ok((await world.check(one)).accepted);
  world.service.watch(pathOf(one), "device");
  await world.run(MINUTE);
  world.responder.statuses.set(one.certificate.serialText, { kind: "revoked", at: world.now, reason: 1 });
  const revokedAt = world.now;
  await world.run(3 * HOUR);
  assert.deepEqual(world.names, ["ap-1"]);
  assert.ok(world.lost[0]!.at - revokedAt <= HOUR + MINUTE);
});

test("a responder that fails keeps no device out that is connected, unless policy wants it so", async () => {
  for (const disconnectOn of ["revoked", "refused"] as const) {
    const world = new ServiceWorld(`outage ${disconnectOn}`, { rule: { methods: "ocsp" }, settings: { disconnectOn } });
    const one = device();
    await world.check(one);
    world.service.watch(pathOf(one), "device");
    await world.run(MINUTE);
    world.responder.troubles.set(OCSP, { ok: false, problem: { reason: "BadStatus", status: 503 } });
    await world.run(5 * HOUR);
    const expected = disconnectOn === "refused" ? ["StatusUnreachable"] : [];
    assert.deepEqual(
      world.lost.map(({ reason }) => reason),
      expected,
    );
    world.responder.troubles.clear();
    world.responder.statuses.set(one.certificate.serialText, { kind: "revoked", at: world.now, reason: 1 });
    await world.run(2 * HOUR);
    assert.equal(world.lost.length, 1);
  }
});

test("grace bridges an outage for those who were good before it, and for nobody else", async () => {
  const grace = { kind: "grace", lasts: 6 * HOUR } as const;
  const rule = { methods: "crl", tolerances: tolerances({ stale: grace, unreachable: grace }) } as const;
  const world = new ServiceWorld("grace", { rule });
  const [one, gone] = [device("ap-1"), device("ap-2")];
  world.publish([gone]);
  assert.ok((await world.check(one)).accepted);
  world.base.network.contents.clear();
  await world.run(DAY + 5 * HOUR);
  const bridged = await world.check(one);
  assert.ok(bridged.accepted);
  assert.equal(bridged.certificates[0]?.decision.kind, "tolerated");
  assert.ok(!(await world.check(gone)).accepted);
  await world.run(2 * HOUR);
  const over = await world.check(one);
  assert.ok(!over.accepted && over.refusal.reason === "StatusStale");
});

test("there is no grace for a device that was revoked since it was good last", async () => {
  const grace = { kind: "grace", lasts: 6 * HOUR } as const;
  const rule = { methods: "ocsp", tolerances: tolerances({ unreachable: grace }) } as const;
  const world = new ServiceWorld("no grace", { rule });
  const one = device();
  assert.ok((await world.check(one)).accepted);
  await world.run(2 * HOUR);
  world.responder.statuses.set(one.certificate.serialText, { kind: "revoked", at: world.now, reason: 1 });
  assert.ok(!(await world.check(one)).accepted);
  world.responder.troubles.set(OCSP, { ok: false, problem: { reason: "BadStatus", status: 503 } });
  await world.run(2 * HOUR);
  assert.ok(!(await world.check(one)).accepted);
});

test("a watch that is closed is neither checked nor reported any more", async () => {
  const world = new ServiceWorld("closed", { rule: { methods: "ocsp" } });
  const one = device();
  const watch = world.service.watch(pathOf(one), "device");
  await world.run(MINUTE);
  watch.close();
  const asked = world.responder.asked.length;
  world.responder.statuses.set(one.certificate.serialText, { kind: "revoked", at: world.now, reason: 1 });
  await world.run(DAY);
  assert.deepEqual([world.lost.length, world.responder.asked.length, world.service.watching], [0, asked, 0]);
});

test("a delta CRL, whose address no watch knows, reaches the devices it lists", async () => {
  const world = new ServiceWorld("delta", { rule: { methods: "crl" } });
  const delta = "http://crl.example/delta.crl";
  const one = device();
  world.publish([], CRL, { number: 5, extensions: [freshestCrl(delta)], nextUpdate: world.now + 90 * DAY });
  world.publish([], delta, { number: 6, extensions: [deltaIndicator(5)], nextUpdate: world.now + 90 * DAY });
  assert.ok((await world.check(one)).accepted);
  world.service.watch(pathOf(one), "device");
  await world.run(5 * MINUTE);
  world.base.network.contents.set(CRL, { kind: "unchanged" });
  world.publish([one], delta, { number: 7, extensions: [deltaIndicator(5)], nextUpdate: world.now + 90 * DAY });
  await world.run(31 * MINUTE);
  assert.deepEqual(world.names, ["ap-1"]);
});

test("a responder whose delegate is revoked is not believed, where delegates are checked (RFC 6960 4.2.2.2.1)", async () => {
  const extensions = [keyUsage("digitalSignature"), extendedKeyUsage(Oid.ocspSigning)];
  const delegate = makeDelegate(ca, { extensions, ...validity });
  const making: Making = { rule: { methods: "ocsp" }, ocsp: { delegates: "check" }, delegate };
  const world = new ServiceWorld("delegate", making);
  assert.ok((await world.check(device())).accepted);
  const bad = new ServiceWorld("bad delegate", making);
  bad.publish([delegate]);
  const refused = await bad.check(device());
  assert.ok(!refused.accepted && refused.refusal.reason === "StatusUnreachable");
  assert.deepEqual(
    refused.refusal.attempts.map(({ reason }) => reason),
    ["DelegateNotGood"],
  );
  const unsure = new ServiceWorld("unsure delegate", making);
  unsure.base.network.contents.clear();
  const unknown = await unsure.check(device());
  assert.ok(!unknown.accepted && unknown.refusal.reason === "StatusUnreachable");
  assert.match(
    unknown.refusal.attempts[0]!.message,
    /status of the responder .* is not known: answers with status 404/,
  );
});

test("thousands of connected devices are re-checked in handfuls, and all that are listed are found", async () => {
  const world = new ServiceWorld("thousands");
  const template = device("ap-1");
  const at = template.certificate.der.indexOf(Buffer.concat([Buffer.from([2, 2]), template.certificate.serial]));
  const fleet = Array.from({ length: 3000 }, (_, index) => {
    // Another serial number in the same certificate: its signature is the path's business.
    const der = Buffer.from(template.certificate.der);
    der.writeUInt16BE(0x2000 + index, at + 2);
    return parseCertificate(der);
  });
  for (const certificate of fleet) world.service.watch([certificate, ca.certificate, root.certificate], "device");
  await world.run(MINUTE);
  const before = world.base.time.turns;
  const revoked = fleet.filter((_, index) => index % 3 === 0);
  world.publish(revoked.map((certificate) => ({ ...template, certificate })));
  await world.run(31 * MINUTE);
  assert.equal(world.lost.length, 1000);
  assert.ok(world.base.time.turns - before > 50, `${world.base.time.turns - before} turns of the loop`);
});

test("through outages at random every revoked device is lost in time, and no other ever", async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = new ServiceWorld(seed, { rule: { methods: seed % 2 === 0 ? "both" : "crlFirst" } });
    const { random } = world.base.time.world;
    const fleet = Array.from({ length: 20 }, (_, index) => device(`ap-${index}`));
    const watched = new Map(
      fleet.map((one) => [one.certificate.subject.commonName!, world.service.watch(pathOf(one), "device")]),
    );
    const revoked: Made[] = [];
    for (let step = 0; step < 40; step++) {
      if (random.chance(0.3)) {
        const next = fleet[random.below(fleet.length)]!;
        if (!revoked.includes(next)) revoked.push(next);
        world.responder.statuses.set(next.certificate.serialText, { kind: "revoked", at: world.now, reason: 1 });
      }
      if (random.chance(0.3)) world.base.network.contents.clear();
      else world.publish(revoked);
      if (random.chance(0.3)) world.responder.troubles.set(OCSP, { ok: false, problem: { reason: "BadUrl" } });
      else world.responder.troubles.clear();
      await world.run(random.below(HOUR));
    }
    world.publish(revoked);
    world.responder.troubles.clear();
    // The longest pause after failures, a refresh, and a round of re-checks.
    await world.run(3 * HOUR);
    const expected = revoked.map(({ certificate }) => certificate.subject.commonName!).sort();
    assert.deepEqual(world.names, expected, `seed ${seed}`);
    assert.equal(world.service.watching, watched.size - expected.length);
  }
});

test("a service that is closed checks nothing more", async () => {
  const world = new ServiceWorld("dispose", { rule: { methods: "ocsp" } });
  world.service.watch(pathOf(device()), "device");
  await world.run(MINUTE);
  const asked = world.responder.asked.length;
  world.service[Symbol.dispose]();
  world.publish([]);
  await world.run(DAY);
  assert.equal(world.responder.asked.length, asked);
});
