/**
 * Certificates that are revoked, or of which nobody says that they are not: the gateway's status in-band (RFC 4806,
 * TS 33.320 7.2.2-5, -6, 7.2.3-4) and the devices' by OCSP (7.2.2-7, -8, 7.2.4-4).
 */
import assert from "node:assert/strict";
import test, { after } from "node:test";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { buildOcspError, ResponseStatus } from "../../src/x509/ocsp.ts";
import { answersOf, flippedInSignature } from "./answers.ts";
import { Credentials, DAY, RESPONDER, START } from "./credentials.ts";
import { BY_OCSP, Ecosystem, type Responder } from "./ecosystem.ts";
import { refusedByDevice, refusedByGateway } from "./verdicts.ts";
import { altering, misspeak } from "./wire.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const AP = "ap-1.example";
const GATEWAY = credentials.gateway();
const FOLDER = credentials.deviceFolder(credentials.issueDevice(AP));
const ONCE = { reconnect: { initial: 0 } };
const OTHER = "http://other.example/";
const { answering, goodOf } = answersOf(credentials);

test("a gateway refuses a device whose certificate is revoked, by OCSP, and says when and by whom", async () => {
  const issued = credentials.issueDevice(AP);
  credentials.pki.revoke(issued.certificate.serial, "keyCompromise");
  for (const unreachable of ["refuse", "accept"]) {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway({ revocation: { device: { ...BY_OCSP, unreachable } } }, GATEWAY);
    const henb = eco.device(credentials.deviceFolder(issued), ONCE);
    await henb.start();
    await eco.until("refused", () => henb.state === "Stopped");
    refusedByGateway(segw, henb, "CertificateRevoked");
    const { refusal, peer } = segw.of("failed")[0]!;
    assert.equal(peer?.text, AP);
    assert.equal(refusal.evidence?.revokedAt, START);
    assert.equal(refusal.evidence?.reasonCode, 1);
    assert.equal(evidenceOf(refusal).url, RESPONDER);
    assert.match(
      refusal.message,
      /"O=Manufacturer, CN=ap-1\.example" \(serial [0-9a-f]+\) was revoked at 2026-01-01T00:00:00\.000Z for key compromise, says/,
    );
  }
});

/** Answers that are no answer, and what the gateway says of them. */
const BAD_ANSWERS: [what: string, change: Partial<Responder>, problem: RegExp][] = [
  ["no answer", { reachable: () => false }, /no complete answer within 5000 ms/],
  ["an error", { alter: () => buildOcspError(ResponseStatus.tryLater) }, /status 3 instead of a response/],
  ["no OCSP", { alter: () => Buffer.from("<html>") }, /malformed/],
  ["a damaged signature", { alter: (response) => flippedInSignature(response) }, /signature does not verify/],
  ["an outdated answer", { alter: answering({ thisUpdate: START - 3 * DAY, nextUpdate: START - DAY }) }, /good until/],
  [
    "one from the future",
    { alter: answering({ thisUpdate: START + DAY, nextUpdate: START + 2 * DAY }) },
    /check the clock/,
  ],
  ["one signed for another CA", { alter: answering({}, "segw-ca") }, /may not answer for this CA/],
  [
    "one about another device",
    { alter: () => goodOf(credentials.issueDevice("ap-9.example").certificate, "device-ca") },
    /about another certificate/,
  ],
];

for (const [what, change, problem] of BAD_ANSWERS) {
  test(`where the responder gives ${what}, a device is refused or accepted as the operator wants (7.2.4-4)`, async () => {
    const reason = what === "an outdated answer" ? "StatusStale" : "StatusUnreachable";
    for (const trouble of ["refuse", "accept"]) {
      const eco = new Ecosystem(credentials);
      const revocation = { device: { ...BY_OCSP, unreachable: trouble, stale: trouble } };
      const segw = eco.gateway({ revocation, ownStatus: { send: "off" } }, GATEWAY);
      const henb = eco.device(FOLDER, { ...ONCE, ocsp: { inBand: "off" } });
      Object.assign(eco.responder, change);
      await henb.start();
      await eco.until("decided", () => henb.isAttached || henb.state === "Stopped");
      if (trouble === "refuse") {
        refusedByGateway(segw, henb, reason);
        assert.match(segw.of("failed")[0]!.refusal.message, problem);
      } else {
        assert.ok(henb.isAttached);
        assert.match(segw.of("established")[0]!.evidence.ocsp, /^OCSP (unreachable|stale), tolerated$/);
      }
    }
  });
}

test("a gateway refuses a device that no responder knows", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ ownStatus: { send: "off" } }, GATEWAY);
  const henb = eco.device(FOLDER, { ...ONCE, ocsp: { inBand: "off" } });
  eco.responder.alter = answering({ status: { kind: "unknown" } });
  await henb.start();
  await eco.until("refused", () => henb.state === "Stopped");
  refusedByGateway(segw, henb, "StatusUnknown");
});

test("responders are asked in turn, the certificate's own last and only where the operator allows it (7.2.2-8)", async () => {
  for (const [device, asked, status] of [
    [operators([OTHER, RESPONDER]), [OTHER, RESPONDER], "OCSP good"],
    [operators([OTHER], "certificate"), [OTHER, RESPONDER], "OCSP good"],
    [operators([RESPONDER], "certificate"), [RESPONDER], "OCSP good"],
    [operators([OTHER]), [OTHER], "StatusUnreachable"],
    [operators([]), [], "NoStatusSource"],
    // The pointer in the certificate forces nothing.
    [{ methods: "none" }, [], "not checked"],
  ] as const) {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway({ revocation: { device }, ownStatus: { send: "off" } }, GATEWAY);
    const henb = eco.device(FOLDER, { ...ONCE, ocsp: { inBand: "off" } });
    eco.responder.reachable = (url) => url === RESPONDER;
    await henb.start();
    await eco.until("decided", () => henb.isAttached || henb.state === "Stopped");
    assert.deepEqual(eco.responder.asked, asked);
    if (henb.isAttached) assert.equal(segw.of("established")[0]?.evidence.ocsp, status);
    else refusedByGateway(segw, henb, status);
  }
});

test("a gateway that wants devices' own status in-band refuses one that sends none", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ ocsp: { inBand: "leaf" } }, GATEWAY);
  const henb = eco.device(FOLDER, ONCE);
  await henb.start();
  await eco.until("refused", () => henb.state === "Stopped");
  refusedByGateway(segw, henb, "NoValidOcspResponse");
  assert.ok(henb.messages("received")[0]?.payloads.includes("CERTREQ(OCSP)"), "it was asked for (RFC 4806 4.1)");
});

test("a device refuses a gateway whose certificate is revoked, says the gateway's own in-band response", async () => {
  const issued = credentials.issueGateway();
  credentials.pki.revoke(issued.certificate.serial, "superseded");
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({}, credentials.gateway(issued));
  const henb = eco.device(FOLDER, ONCE);
  await henb.start();
  await eco.until("refused", () => henb.state === "Stopped" && segw.service.size === 0);
  refusedByDevice(segw, henb, "CertificateRevoked");
  assert.match(henb.of("failed")[0]!.refusal.message, /says "O=Operator, CN=OCSP signer of SeGW CA" in-band/);
  assert.match(segw.faults.join(), /says that our certificate "O=Operator, CN=segw\.operator\.example" is revoked/);
});

test("a revoked CA of the gateway is noticed where the whole path is to be checked, and not where the leaf is", async () => {
  using compromised = new Credentials(3);
  const gateway = compromised.gateway();
  const folder = compromised.deviceFolder(compromised.issueDevice(AP));
  compromised.pki.revoke(compromised.pki.ca("segw-ca").serial, "cACompromise");
  for (const inBand of ["path", "leaf"]) {
    const eco = new Ecosystem(compromised);
    const segw = eco.gateway({}, gateway);
    const henb = eco.device(folder, { ...ONCE, ocsp: { inBand } });
    await henb.start();
    await eco.until("decided", () => henb.isAttached || (henb.state === "Stopped" && segw.service.size === 0));
    if (inBand === "path") refusedByDevice(segw, henb, "CertificateRevoked");
    else assert.ok(henb.isAttached);
  }
});

/** Ways for a gateway to have no good answer, all of which end the attempt (TS 33.320 7.2.3-4). */
const NO_ANSWERS: [what: string, changes: Record<string, unknown>, change: Partial<Responder>, about: RegExp][] = [
  ["sends none", { ownStatus: { send: "off" } }, {}, /no OCSP response for "O=Operator, CN=segw\.operator\.example"/],
  ["cannot reach its responder", {}, { reachable: () => false }, /CN=segw\.operator\.example" came in-band/],
  [
    "is given an outdated one",
    {},
    { alter: answering({ thisUpdate: START - 3 * DAY, nextUpdate: START - DAY }) },
    /came/,
  ],
  ["sends its own but not its CA's", { ownStatus: { send: "leaf" } }, {}, /CN=SeGW CA/],
];

for (const [what, changes, change, about] of NO_ANSWERS) {
  test(`a device that wants the status of the path in-band refuses a gateway that ${what} (7.2.3-4)`, async () => {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway({ revocation: {}, ...changes }, GATEWAY);
    const henb = eco.device(FOLDER, ONCE);
    Object.assign(eco.responder, change);
    await henb.start();
    await eco.until("refused", () => henb.state === "Stopped" && segw.service.size === 0);
    refusedByDevice(segw, henb, "NoValidOcspResponse");
    assert.match(henb.of("failed")[0]!.refusal.message, about);
  });
}

/** What a gateway that is not honest might send in the place of its response. */
const FALSE_ANSWERS: [what: string, replace: (response: Bytes) => Bytes, problem: RegExp][] = [
  ["a damaged response", flippedInSignature, /signature does not verify/],
  ["what is no response", () => Buffer.from("good"), /malformed/],
  ["an error of the responder's", () => buildOcspError(ResponseStatus.internalError), /status 2/],
  [
    "a good response about another gateway",
    () => goodOf(credentials.issueGateway().certificate, "segw-ca"),
    /another certificate/,
  ],
  [
    "one that the responder of the devices' CA signed",
    () => goodOf(GATEWAY.chain[0]!, "segw-ca", "device-ca"),
    /may not answer/,
  ],
];

for (const [what, replace, problem] of FALSE_ANSWERS) {
  test(`a device refuses a gateway that sends ${what} in-band (7.2.3-4)`, async () => {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway({ ike: { fragmentSize: 0 } }, GATEWAY);
    const henb = eco.device(FOLDER, { ...ONCE, ocsp: { inBand: "leaf" }, ike: { fragmentSize: 0 } });
    const encodings = altering("CERT", (cert) =>
      cert.encoding === OCSP_CONTENT ? { ...cert, data: replace(cert.data) } : cert,
    );
    misspeak(eco.world, segw, "IKE_AUTH", encodings);
    await henb.start();
    await eco.until("refused", () => henb.state === "Stopped" && segw.service.size === 0);
    refusedByDevice(segw, henb, "NoValidOcspResponse");
    assert.match(henb.of("failed")[0]!.refusal.message, problem);
  });
}

test("a gateway sends its status to a device that asks, and to others only when it is set to (7.2.2-6)", async () => {
  for (const [unasked, inBand, sent, known] of [
    [false, "leaf", 2, "in-band good"],
    [false, "off", 0, "not checked"],
    [true, "off", 2, "not checked"],
  ] as const) {
    const eco = new Ecosystem(credentials);
    eco.gateway({ ownStatus: { send: "path", unasked } }, GATEWAY);
    const henb = eco.device(FOLDER, { ...ONCE, ocsp: { inBand } });
    await henb.start();
    await eco.until("attached", () => henb.isAttached);
    assert.equal(henb.heard.filter((payload) => payload.startsWith("CERT(OCSP response")).length, sent);
    assert.equal(henb.of("established")[0]?.evidence.ocsp, known);
  }
});

test("a gateway fetches its status once for many devices, and anew before it is outdated", async () => {
  const eco = new Ecosystem(credentials);
  const quiet = { dpdInterval: 0, natKeepaliveInterval: 0 };
  eco.gateway({ revocation: {}, ownStatus: { send: "path", refreshAfter: "1h" }, ike: quiet }, GATEWAY);
  const henbs = [1, 2, 3].map((index) =>
    eco.device(
      credentials.deviceFolder(credentials.issueDevice(`ap-${index}.example`)),
      { ...ONCE, ike: quiet },
      { index },
    ),
  );
  await Promise.all(henbs.map((henb) => henb.start()));
  await eco.until("attached", () => henbs.every(({ isAttached }) => isAttached));
  assert.equal(eco.responder.asked.length, 2, "one for each certificate of the path");
  await eco.pass(2 * 3600_000);
  const later = eco.device(FOLDER, ONCE, { index: 9 });
  await later.start();
  await eco.until("attached", () => later.isAttached);
  await eco.pass(1_000);
  assert.equal(eco.responder.asked.length, 4);
});

test("a revocation of the gateway shows in-band once its kept response has been fetched anew", async () => {
  const issued = credentials.issueGateway();
  const eco = new Ecosystem(credentials);
  eco.gateway({ ownStatus: { send: "leaf", refreshAfter: "10m" } }, credentials.gateway(issued));
  const attempt = async (index: number) => {
    const henb = eco.device(FOLDER, { ...ONCE, ocsp: { inBand: "leaf" } }, { index });
    await henb.start();
    await eco.until("decided", () => henb.isAttached || henb.state === "Stopped");
    await eco.pass(11 * 60_000);
    return henb.refusals;
  };
  assert.deepEqual(await attempt(1), []);
  credentials.pki.revoke(issued.certificate.serial, "keyCompromise");
  // The first after ten minutes has the new one fetched, the next one gets it.
  await attempt(2);
  assert.deepEqual(await attempt(3), ["CertificateRevoked"]);
});

/** CERT's encoding of an OCSP response (RFC 4806 3.2). */
const OCSP_CONTENT = 14;

/** OCSP at the operator's responders, and then at those of the `further` origin. */
function operators(ocsp: readonly string[], ...further: string[]) {
  return { methods: "ocsp", scope: "leaf", origins: ["operator", ...further], operator: { ocsp } };
}

function evidenceOf(refusal: { evidence?: Record<string, unknown> }): Record<string, unknown> {
  const { evidence } = refusal.evidence ?? {};
  assert.ok(typeof evidence === "object" && evidence !== null);
  return { ...evidence };
}
