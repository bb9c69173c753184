/**
 * The H(e)NB asks a responder about its gateway itself (TS 33.320 7.2.2-5, -8): directly before the tunnel, and through it
 * before any user data (7.2.3-5). Without a valid `good` it is not attached (7.2.3-4).
 */
import assert from "node:assert/strict";
import test, { after } from "node:test";
import type { Command } from "../../src/ike/endpoint.ts";
import { buildOcspError, ResponseStatus } from "../../src/x509/ocsp.ts";
import { answersOf, flippedInSignature } from "./answers.ts";
import { Credentials, DAY, RESPONDER, RESPONDER_ADDRESS, START } from "./credentials.ts";
import { Ecosystem, type Responder, type SimulatedDevice, type SimulatedGateway } from "./ecosystem.ts";
import { bound } from "./tre.ts";
import { nothingKept, refusedByDevice } from "./verdicts.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const GATEWAY = credentials.gateway();
const FOLDER = credentials.deviceFolder(credentials.issueDevice("ap-1.example"));
const { answering, goodOf } = answersOf(credentials);
const ONCE = { reconnect: { initial: 0 } };
const QUIET = { dpdInterval: 0, rekeyAfter: 0, natKeepaliveInterval: 0 };
const NO_OWN_STATUS = { ownStatus: { send: "off" }, revocation: {} };
/** Only by asking, at the operator's responder. */
const ASKING = { inBand: "off", responders: [RESPONDER], recheck: 0 };
const DIRECT = { ...ASKING, ask: ["direct"] };
const TUNNEL = { ...ASKING, ask: ["tunnel"] };

interface Scene {
  eco: Ecosystem;
  segw: SimulatedGateway;
  henb: SimulatedDevice;
}

/** A device about to start that checks its gateway in this way. */
function scene(
  ocsp: Record<string, unknown>,
  {
    gateway = NO_OWN_STATUS,
    device = ONCE,
    certified = GATEWAY,
  }: { gateway?: Record<string, unknown>; device?: Record<string, unknown>; certified?: typeof GATEWAY } = {},
): Scene {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ ike: QUIET, ...gateway }, certified);
  const henb = eco.device(FOLDER, { ike: QUIET, ocsp, ...device });
  return { eco, segw, henb };
}

/** Answers that are not good, and what the device says of them. */
const BAD_ANSWERS: [what: string, change: Partial<Responder>, reason: string, message: RegExp][] = [
  ["no answer", { reachable: () => false }, "NoValidOcspResponse", /no complete answer within 5000 ms/],
  ["an answer after the deadline", { delay: 60_000 }, "NoValidOcspResponse", /no valid answer within 10000 ms in all/],
  [
    "an error",
    { alter: () => buildOcspError(ResponseStatus.tryLater) },
    "NoValidOcspResponse",
    /status 3 instead of a response/,
  ],
  ["no OCSP", { alter: () => Buffer.from("<html>") }, "NoValidOcspResponse", /malformed/],
  ["a damaged signature", { alter: flippedInSignature }, "NoValidOcspResponse", /signature does not verify/],
  [
    "an outdated answer",
    { alter: answering({ thisUpdate: START - 3 * DAY, nextUpdate: START - DAY }, "segw-ca") },
    "NoValidOcspResponse",
    /was good until/,
  ],
  ["one by the devices' responder", { alter: answering({}, "device-ca") }, "NoValidOcspResponse", /may not answer/],
  [
    "one about another gateway",
    { alter: () => goodOf(credentials.issueGateway().certificate, "segw-ca") },
    "NoValidOcspResponse",
    /about another certificate/,
  ],
  [
    "that it does not know it",
    { alter: answering({ status: { kind: "unknown" } }, "segw-ca") },
    "CertificateUnknown",
    /OCSP signer of SeGW CA" does not know "O=Operator, CN=segw\.operator\.example"/,
  ],
  [
    "that it is revoked",
    { alter: answering({ status: { kind: "revoked", at: START, reason: 1 } }, "segw-ca") },
    "CertificateRevoked",
    /was revoked at 2026-01-01T00:00:00\.000Z, says "O=Operator, CN=OCSP signer of SeGW CA"$/,
  ],
];

test("directly: the gateway counts as authenticated only once a responder has called it good", async () => {
  const { eco, henb } = scene(DIRECT);
  eco.responder.delay = 3_000;
  await henb.start();
  await eco.pass(2_000);
  assert.deepEqual([henb.of("established").length, henb.children.length], [0, 0]);
  await eco.until("attached", () => henb.isAttached);
  assert.deepEqual(eco.queries, [{ url: RESPONDER, ends: { remote: RESPONDER_ADDRESS } }]);
  assert.equal(henb.of("established")[0]?.evidence.ocsp, "direct good");
  assert.equal(henb.children[0]?.hold, undefined);
});

for (const [what, change, reason, message] of BAD_ANSWERS) {
  test(`directly: a responder that gives ${what} ends IKEv2 before there is a tunnel (7.2.3-4)`, async () => {
    const { eco, segw, henb } = scene(DIRECT);
    Object.assign(eco.responder, change);
    await henb.start();
    await eco.until("refused", () => henb.state === "Stopped" && segw.service.size === 0);
    refusedByDevice(segw, henb, reason);
    assert.match(henb.of("failed")[0]!.refusal.message, message);
    assert.equal(henb.of("childInstalled").length, 0);
  });

  test(`through the tunnel: a responder that gives ${what} has the tunnel torn down, no user data before (7.2.3-5)`, async () => {
    const { eco, segw, henb } = scene(TUNNEL);
    Object.assign(eco.responder, change);
    const flowed = watchingHold(henb);
    await henb.start();
    await eco.until("torn down", () => henb.state === "Stopped" && segw.service.size === 0);
    assert.ok(henb.device.state.kind === "Stopped");
    const { refusal } = henb.device.state;
    assert.deepEqual([refusal?.reason, refusal?.by], [reason, "us"]);
    assert.match(refusal!.message, message);
    assert.deepEqual(
      henb.statusNews.map((news) => news.kind === "notGood" && news.ends && news.refusal.reason),
      [reason],
    );
    const cause = reason === "CertificateRevoked" ? "certificateRevoked" : "statusNotGood";
    assert.equal(henb.of("closed")[0]?.cause, cause);
    assert.equal(segw.of("closed")[0]?.cause, "deletedByPeer");
    assert.equal(flowed(), false);
    nothingKept(segw, henb);
  });
}

test("through the tunnel: nothing but the query passes before the answer, everything after", async () => {
  const { eco, henb } = scene(TUNNEL);
  eco.responder.delay = 3_000;
  await henb.start();
  await eco.until("asked", () => eco.queries.length > 0);
  const [inner] = henb.of("established").flatMap(({ addresses }) => addresses.slice(0, 1));
  const local = inner!.value;
  assert.deepEqual(henb.children[0]?.hold, [
    { localAddress: local, remoteAddress: Buffer.from([10, 40, 0, 80]), remotePort: 80 },
  ]);
  assert.equal(henb.state, "AwaitStatus");
  assert.equal(henb.of("established")[0]?.evidence.ocsp, "to be asked through the tunnel");
  await eco.until("attached", () => henb.isAttached);
  assert.deepEqual(eco.queries, [{ url: RESPONDER, ends: { local: "10.64.0.1", remote: RESPONDER_ADDRESS } }]);
  assert.equal(henb.children[0]?.hold, undefined);
  assert.ok(henb.device.state.kind === "Attached");
  assert.deepEqual([henb.device.state.ocsp, henb.device.state.dns], ["tunnel good", ["10.40.0.53"]]);
});

test("after a tunnel that came to nothing the device waits longer each time, and comes back when the status is good", async () => {
  const { eco, segw, henb } = scene(TUNNEL, { device: { reconnect: { initial: "2s", most: "1h" } } });
  eco.responder.alter = () => buildOcspError(ResponseStatus.tryLater);
  await henb.start();
  const attempts = () =>
    henb.states.filter(({ kind }) => kind === "Waiting").map((state) => "attempt" in state && state.attempt);
  await eco.until("five attempts", () => attempts().length === 5, 3600_000);
  assert.deepEqual(attempts(), [1, 2, 3, 4, 5]);
  eco.responder.alter = (response) => response;
  await eco.until("attached", () => henb.isAttached, 3600_000);
  assert.equal(segw.service.size, 1);
  assert.ok(henb.device.state.kind === "Attached" && henb.device.state.attempt === 0);
});

for (const command of ["rekeyChildren", "rekeyIke"] as const satisfies Command[]) {
  for (const side of ["henb", "segw"] as const) {
    test(`${command} by the ${side} during the check leaves user data held, and asks no second time`, async () => {
      const { eco, segw, henb } = scene(TUNNEL);
      eco.responder.delay = 8_000;
      const flowed = watchingHold(henb);
      await henb.start();
      await eco.until("asked", () => eco.queries.length > 0);
      const party = side === "henb" ? henb : segw;
      party.service.command(party.of("established")[0]!.sa, command);
      await eco.pass(4_000);
      const rekeyed = command === "rekeyIke" ? henb.of("ikeRekeyed").length : henb.of("childInstalled").length - 1;
      assert.equal(rekeyed, 1);
      assert.deepEqual([henb.children.length, henb.state, flowed()], [1, "AwaitStatus", false]);
      await eco.until("attached", () => henb.isAttached);
      assert.equal(henb.children[0]?.hold, undefined);
      assert.equal(eco.queries.length, 1);
    });
  }
}

test("a tunnel that the gateway takes down during the check is no attachment, whatever is answered then", async () => {
  const { eco, segw, henb } = scene({ ...TUNNEL, recheck: "1m" });
  eco.responder.delay = 3_000;
  await henb.start();
  await eco.until("asked", () => eco.queries.length > 0);
  segw.service.command(segw.of("established")[0]!.sa, "close");
  await eco.until("stopped", () => henb.state === "Stopped");
  await eco.pass(600_000);
  assert.deepEqual([henb.state, henb.statusNews, eco.queries.length], ["Stopped", [], 1]);
  nothingKept(segw, henb);
});

test("a good answer to the last attempt's query does not end the hold of the next one", async () => {
  const { eco, segw, henb } = scene(TUNNEL, { device: { reconnect: { initial: "1s" } } });
  // A query that was on its way when its tunnel went is answered all the same.
  henb.carries = () => true;
  eco.responder.delay = 9_000;
  const flowed = watchingHold(henb);
  await henb.start();
  await eco.until("asked", () => eco.queries.length === 1);
  eco.responder.reachable = () => false;
  segw.service.command(segw.of("established")[0]!.sa, "close");
  await eco.until("asked again", () => eco.queries.length === 2);
  await eco.until("torn down", () => henb.statusNews.length > 0);
  assert.deepEqual([henb.statusNews[0]?.kind, flowed()], ["notGood", false]);
});

test("a verdict that comes after its attempt has ended changes nothing about the next one", async () => {
  const eco = new Ecosystem(credentials);
  eco.gateway({ ike: QUIET, ...NO_OWN_STATUS }, GATEWAY);
  let verdicts = 0;
  let late = 0;
  const henb = eco.device(
    FOLDER,
    { ike: QUIET, ocsp: TUNNEL, reconnect: { initial: "1s" } },
    {
      tre: (tre) => ({
        ...bound(tre),
        async verifyPeer(peer) {
          if (++verdicts === 1) await new Promise<void>((resolve) => eco.world.after(50_000, resolve));
          else return tre.verifyPeer(peer);
          late += 1;
          return tre.verifyPeer(peer);
        },
      }),
    },
  );
  await henb.start();
  await eco.until("attached", () => henb.state === "Attached" && henb.isAttached);
  assert.deepEqual([henb.refusals, late], [["TimedOut"], 0]);
  await eco.until("late", () => late === 1);
  henb.service.command(henb.of("established")[0]!.sa, "rekeyChildren");
  await eco.until("rekeyed", () => henb.of("childInstalled").length === 2 && henb.children.length === 1);
  assert.deepEqual([henb.state, henb.children[0]?.hold], ["Attached", undefined]);
});

test("a CHILD SA that is lost during the check and made anew is on hold as well", async () => {
  const { eco, segw, henb } = scene(TUNNEL, { device: { reconnect: { initial: "1s" } } });
  eco.responder.delay = 6_000;
  const flowed = watchingHold(henb);
  await henb.start();
  await eco.until("asked", () => eco.queries.length > 0);
  segw.service.command(segw.of("established")[0]!.sa, "deleteChildren");
  await eco.until("without", () => henb.children.length === 0);
  await eco.until("anew", () => henb.children.length === 1);
  assert.deepEqual([henb.state, flowed()], ["AwaitStatus", false]);
  await eco.until("attached", () => henb.isAttached);
  assert.equal(henb.children[0]?.hold, undefined);
});

test("a device that is stopped during the check leaves nothing behind", async () => {
  const { eco, segw, henb } = scene(TUNNEL);
  eco.responder.delay = 3_000;
  await henb.start();
  await eco.until("asked", () => eco.queries.length > 0);
  await eco.during(henb.device.stop());
  await eco.pass(20_000);
  assert.deepEqual(henb.statusNews, []);
  nothingKept(segw, henb);
});

test("a responder outside what the tunnel reaches is not asked through it, and not beside it", async () => {
  const { eco, segw, henb } = scene({ ...TUNNEL, responders: ["http://198.51.100.7/"] });
  await henb.start();
  await eco.until("torn down", () => henb.state === "Stopped" && segw.service.size === 0);
  assert.deepEqual(eco.queries, []);
  assert.ok(henb.device.state.kind === "Stopped");
  assert.match(henb.device.state.refusal!.message, /198\.51\.100\.7 is not reached through the tunnel/);
});

test("of a responder's addresses those that the way leads to are asked in turn; a name without any is told", async () => {
  const { eco, segw, henb } = scene({ ...TUNNEL, responders: ["http://nowhere.example/", RESPONDER] });
  eco.hosts.set("ocsp.example", ["2001:db8::80", "198.51.100.7", "10.40.0.79", RESPONDER_ADDRESS]);
  let tries = 0;
  eco.responder.reachable = () => ++tries > 1;
  await henb.start();
  await eco.until("attached", () => henb.isAttached);
  assert.deepEqual(
    eco.queries.map(({ ends }) => ends.remote),
    ["10.40.0.79", RESPONDER_ADDRESS],
  );
  assert.equal(segw.service.size, 1);
  const other = scene({ ...DIRECT, responders: ["http://nowhere.example/"] });
  await other.henb.start();
  await other.eco.until("refused", () => other.henb.state === "Stopped");
  assert.match(other.henb.of("failed")[0]!.refusal.message, /nowhere\.example is not resolved: ENOTFOUND/);
});

test("what did not come in-band is asked for, what came is not", async () => {
  for (const [send, asked, ocsp] of [
    ["off", 2, "direct good"],
    ["leaf", 1, "in-band and direct good"],
    ["path", 0, "in-band good"],
  ] as const) {
    const { eco, henb } = scene({ ...DIRECT, inBand: "path" }, { gateway: { ownStatus: { send }, revocation: {} } });
    await henb.start();
    await eco.until("attached", () => henb.isAttached);
    assert.deepEqual([eco.queries.length, henb.of("established")[0]?.evidence.ocsp], [asked, ocsp]);
  }
});

test("bad news in-band is not asked about again", async () => {
  const issued = credentials.issueGateway();
  credentials.pki.revoke(issued.certificate.serial, "superseded");
  const { eco, segw, henb } = scene(
    { ...DIRECT, inBand: "leaf" },
    { gateway: { ownStatus: { send: "leaf" }, revocation: {} }, certified: credentials.gateway(issued) },
  );
  await henb.start();
  await eco.until("refused", () => henb.state === "Stopped" && segw.service.size === 0);
  refusedByDevice(segw, henb, "CertificateRevoked");
  assert.deepEqual(eco.queries, []);
});

test("what could not be asked directly is asked through the tunnel; what is revoked is not", async () => {
  const both = { ...ASKING, ask: ["direct", "tunnel"] };
  const { eco, henb } = scene(both);
  let tries = 0;
  eco.responder.reachable = () => ++tries > 1;
  await henb.start();
  await eco.until("attached", () => henb.isAttached);
  assert.deepEqual(
    eco.queries.map(({ ends }) => ends.local),
    [undefined, "10.64.0.1"],
  );
  const revoked = scene(both);
  revoked.eco.responder.alter = answering({ status: { kind: "revoked", at: START, reason: 1 } }, "segw-ca");
  await revoked.henb.start();
  await revoked.eco.until("refused", () => revoked.henb.state === "Stopped" && revoked.segw.service.size === 0);
  refusedByDevice(revoked.segw, revoked.henb, "CertificateRevoked");
});

test("the whole path is asked about at once where that is the scope, and one revoked CA decides", async () => {
  using compromised = new Credentials(3);
  const folder = compromised.deviceFolder(compromised.issueDevice("ap-1.example"));
  const gateway = compromised.gateway();
  compromised.pki.revoke(compromised.pki.ca("segw-ca").serial, "cACompromise");
  for (const ask of ["direct", "tunnel"]) {
    for (const scope of ["leaf", "path"]) {
      const eco = new Ecosystem(compromised);
      const segw = eco.gateway({ ike: QUIET, ...NO_OWN_STATUS }, gateway);
      const henb = eco.device(folder, { ...ONCE, ike: QUIET, ocsp: { ...ASKING, ask: [ask], scope } });
      await henb.start();
      await eco.until("decided", () => (henb.isAttached && henb.state === "Attached") || henb.state === "Stopped");
      assert.equal(henb.state, scope === "leaf" ? "Attached" : "Stopped");
      if (henb.device.state.kind === "Stopped") assert.equal(henb.device.state.refusal?.reason, "CertificateRevoked");
      assert.equal(eco.queries.length, scope === "leaf" ? 1 : 2);
      await eco.during(henb.device.stop());
      await eco.until("gone", () => segw.service.size === 0);
    }
  }
});

test("responders are the operator's, or those that the certificate names where the operator allows it (7.2.2-8)", async () => {
  const other = "http://other.example/";
  for (const [changes, asked] of [
    [{ responders: [other, RESPONDER] }, [other, RESPONDER]],
    [{ responders: [other], origins: ["operator"] }, [other]],
    [{ responders: [other], origins: ["operator", "certificate"] }, [other, RESPONDER]],
    [{ responders: [], origins: ["certificate"] }, [RESPONDER]],
    [{ responders: [], origins: ["certificate"], namedHosts: ["ocsp.example"] }, [RESPONDER]],
    [{ responders: [], origins: ["certificate"], namedHosts: ["vendor.example"] }, []],
    [{ responders: [RESPONDER, RESPONDER], origins: ["certificate", "operator"] }, [RESPONDER]],
  ] as const) {
    const { eco, henb } = scene({ ...DIRECT, ...changes });
    eco.hosts.set("other.example", ["198.51.100.7"]);
    // Directly a certificate leads to public addresses only.
    eco.hosts.set("ocsp.example", ["198.51.100.80"]);
    eco.responder.reachable = (url) => url === RESPONDER;
    await henb.start();
    await eco.until("decided", () => henb.isAttached || henb.state === "Stopped");
    assert.deepEqual(
      eco.queries.map(({ url }) => url),
      asked,
    );
    assert.equal(henb.isAttached, (asked as readonly string[]).includes(RESPONDER));
  }
});

test("a TrE that fails is a fault, and no reason to rely on the gateway", async () => {
  for (const ask of ["direct", "tunnel"]) {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway({ ike: QUIET, ...NO_OWN_STATUS }, GATEWAY);
    const failing = { ...ASKING, ask: [ask] };
    const henb = eco.device(
      FOLDER,
      { ...ONCE, ike: QUIET, ocsp: failing },
      {
        tre: (tre) => ({ ...bound(tre), judgeStatus: () => Promise.reject(new Error("the chip is gone")) }),
      },
    );
    await henb.start();
    await eco.until("refused", () => henb.state === "Stopped" && segw.service.size === 0);
    assert.match(henb.faults.join(), /the chip is gone/);
    assert.equal(henb.children.length, 0);
  }
});

/** Whether a CHILD SA of the device was ever without a hold. */
function watchingHold(henb: SimulatedDevice): () => boolean {
  let flowed = false;
  const { plane } = henb;
  const note = () => {
    if ([...plane.children.values()].some(({ hold }) => hold === undefined)) flowed = true;
  };
  const install = plane.install.bind(plane);
  const setHold = plane.setHold.bind(plane);
  plane.install = (spec) => {
    install(spec);
    note();
  };
  plane.setHold = (id, hold) => {
    setHold(id, hold);
    note();
  };
  return () => flowed;
}
