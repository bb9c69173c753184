import assert from "node:assert/strict";
import { test } from "node:test";
import { OcspClient, type OcspQuestion, type OcspSettings } from "../../src/revocation/ocspClient.ts";
import { SignatureCache } from "../../src/trust/signatureCache.ts";
import { extendedKeyUsage, keyUsage } from "../../src/x509/build.ts";
import { buildOcspError, ResponseStatus } from "../../src/x509/ocsp.ts";
import { Oid } from "../../src/x509/oids.ts";
import { DAY, LEAF_EXTENSIONS, type Made, make } from "../x509/made.ts";
import { makeDelegate, SimulatedResponder } from "./responder.ts";
import { VirtualTime } from "./virtualTime.ts";

const HOUR = 3600_000;
const validity = { notBefore: Date.UTC(2025, 0, 1), notAfter: Date.UTC(2030, 0, 1) };
const ca = make({ name: "CA", ...validity });
const leaf = make({ name: "leaf", issuer: ca, extensions: LEAF_EXTENSIONS, ...validity });
const other = make({ name: "other", issuer: ca, extensions: LEAF_EXTENSIONS, ...validity });
const delegate = makeDelegate(ca, validity);
const URL = "http://ocsp.example/";
const SETTINGS: OcspSettings = {
  method: "post",
  nonce: "optional",
  nonceLength: 32,
  hash: "sha1",
  tolerance: 300_000,
  maxAge: DAY,
  reuse: HOUR,
  trustedResponders: [],
  allowWeakAlgorithms: false,
  delegates: "trust",
};

function client(seed: string, over: Partial<OcspSettings> = {}, by: Made = delegate) {
  const time = new VirtualTime(seed);
  const responder = new SimulatedResponder(time, by);
  const { world } = time;
  const settings = { ...SETTINGS, ...over };
  const signatureCache = new SignatureCache();
  const ocsp = new OcspClient({ clock: world, random: world.random, transport: responder, settings, signatureCache });
  const ask = (more: Partial<OcspQuestion> = {}) =>
    time.until(
      ocsp.ask({
        certificate: leaf.certificate,
        issuer: ca.certificate,
        urls: [URL],
        checkDelegate: async () => undefined,
        ...more,
      }),
      60_000,
    );
  return { time, responder, ocsp, ask };
}

test("a good answer carries its evidence and is used again until its time of reuse is over", async () => {
  const { time, responder, ask } = client("good");
  const answer = await ask();
  assert.ok(answer.status === "good" && answer.evidence.kind === "ocsp");
  const { url, responder: by, fresh, obtainedAt, nextUpdate } = answer.evidence;
  assert.deepEqual([url, by, fresh], [URL, "O=Femtogate, CN=OCSP signer", true]);
  assert.equal(obtainedAt, time.world.now());
  assert.ok(Math.abs(nextUpdate - obtainedAt - 12 * HOUR) < 1000);
  await time.run(HOUR - 2000);
  assert.equal(await ask(), answer);
  assert.equal(responder.asked.length, 1);
  await time.run(4000);
  await ask();
  assert.equal(responder.asked.length, 2);
});

test("an answer is not used beyond its nextUpdate, nor one from before the time that is asked for", async () => {
  const { time, responder, ask } = client("expiry");
  responder.lifeMs = 60_000;
  await ask();
  await time.run(62_000);
  await ask();
  assert.equal(responder.asked.length, 2);
  await ask({ notBefore: time.world.now() + 1 });
  assert.equal(responder.asked.length, 3);
});

test("many who ask about one certificate at once make one query, those about others make their own", async () => {
  const { time, responder, ocsp } = client("once");
  const question = { issuer: ca.certificate, urls: [URL], checkDelegate: async () => undefined };
  const all = Promise.all([
    ...Array.from({ length: 40 }, () => ocsp.ask({ ...question, certificate: leaf.certificate })),
    ocsp.ask({ ...question, certificate: other.certificate }),
  ]);
  await time.until(all, 1000);
  assert.deepEqual(responder.asked.map(({ serial }) => serial).sort(), [
    leaf.certificate.serialText,
    other.certificate.serialText,
  ]);
});

test("nonces are of the length that is configured, new each time, and required if so configured", async () => {
  const { responder, ask, time } = client("nonce", { nonceLength: 20, nonce: "required", reuse: 1 });
  await ask();
  await time.run(2000);
  responder.echoNonce = false;
  const refused = await ask();
  assert.ok(refused.status === "unreachable");
  assert.equal(refused.attempts[0]?.reason, "NonceMissing");
  const nonces = responder.asked.map(({ nonce }) => nonce);
  assert.deepEqual(
    nonces.map((nonce) => nonce?.length),
    [20, 20],
  );
  assert.notDeepEqual(nonces[0], nonces[1]);
  const lenient = client("lenient");
  lenient.responder.echoNonce = false;
  const accepted = await lenient.ask();
  assert.ok(accepted.status === "good" && accepted.evidence.kind === "ocsp" && !accepted.evidence.fresh);
  const without = client("without", { nonce: "off", method: "get" });
  await without.ask();
  assert.deepEqual([without.responder.asked[0]?.nonce, without.responder.asked[0]?.method], [undefined, "get"]);
});

test("a request with a nonce never goes by GET, where caches would answer it", async () => {
  const { responder, ask } = client("get", { method: "get" });
  await ask();
  assert.equal(responder.asked[0]?.method, "post");
});

test("a replayed answer with another nonce is refused", async () => {
  const { responder, ask } = client("replay");
  responder.over = { nonce: Buffer.alloc(32, 9) };
  const answer = await ask();
  assert.ok(answer.status === "unreachable");
  assert.equal(answer.attempts[0]?.reason, "NonceMismatch");
});

test("revoked and unknown are told; unknown asks the next responder first", async () => {
  const { responder, ask } = client("revoked");
  responder.statuses.set(leaf.certificate.serialText, { kind: "revoked", at: Date.UTC(2025, 5, 1), reason: 4 });
  const revoked = await ask({ urls: [URL, "http://second/"] });
  assert.ok(revoked.status === "revoked");
  assert.deepEqual([revoked.revokedAt, revoked.reasonCode], [Date.UTC(2025, 5, 1), 4]);
  assert.equal(responder.asked.length, 1);
  const unsure = client("unknown");
  unsure.responder.statuses.set(leaf.certificate.serialText, { kind: "unknown" });
  const unknown = await unsure.ask({ urls: [URL, "http://second/"] });
  assert.ok(unknown.status === "unknown");
  assert.deepEqual(
    unknown.attempts.map(({ url }) => url),
    [URL, "http://second/"],
  );
});

test("with both hashes a certificate is named, and an answer by the other is understood", async () => {
  for (const hash of ["sha1", "sha256"] as const) {
    const { ask } = client(hash, { hash });
    assert.equal((await ask()).status, "good");
  }
});

test("a responder out of reach is left alone for pauses that double, and the next one is asked", async () => {
  const { time, responder, ask } = client("down", { reuse: 1 });
  responder.troubles.set(URL, { ok: false, problem: { reason: "TimedOut", limitMs: 5000 } });
  const urls = [URL, "http://second/"];
  assert.equal((await ask({ urls })).status, "good");
  for (let i = 0; i < 5; i++) {
    await time.run(300);
    assert.equal((await ask({ urls })).status, "good");
  }
  const down = () => responder.asked.filter(({ url }) => url === URL).length;
  assert.equal(down(), 1);
  for (let second = 0; second < 3600; second += 5) {
    await time.run(5000);
    await ask({ urls: [URL] });
  }
  // 3600 s in pauses of 2, 4, 8, ... 60 s.
  assert.ok(down() > 45 && down() < 75, `${down()} queries in an hour`);
});

test("queries that fail together count as one failure of their responder", async () => {
  const { time, responder, ocsp, ask } = client("together", { reuse: 1 });
  responder.troubles.set(URL, { ok: false, problem: { reason: "Unreachable", detail: "refused" } });
  const question = { issuer: ca.certificate, urls: [URL], checkDelegate: async () => undefined };
  await time.until(Promise.all([leaf, other].map(({ certificate }) => ocsp.ask({ ...question, certificate }))), 1000);
  responder.troubles.clear();
  await time.run(2500);
  assert.equal((await ask()).status, "good");
});

test("what is wrong with one answer leaves the responder in use; overload does not", async () => {
  for (const [status, left] of [
    [ResponseStatus.unauthorized, true],
    [ResponseStatus.tryLater, false],
    [ResponseStatus.internalError, false],
  ] as const) {
    const { responder, ask } = client(`status ${status}`);
    responder.troubles.set(URL, { ok: true, der: buildOcspError(status) });
    assert.equal((await ask()).status, "unreachable");
    responder.troubles.clear();
    assert.equal((await ask({ certificate: other.certificate })).status, left ? "good" : "unreachable");
  }
});

test("an outdated answer is stale if it said good, and still revoked if it said that", async () => {
  const at = Date.UTC(2025, 0, 1);
  const { responder, ask } = client("stale");
  responder.single = { thisUpdate: at, nextUpdate: at + DAY };
  responder.over = { producedAt: at };
  const stale = await ask();
  assert.ok(stale.status === "stale");
  assert.deepEqual([stale.evidence.nextUpdate, stale.attempts[0]?.reason], [at + DAY, "Stale"]);
  const gone = client("gone");
  gone.responder.single = { thisUpdate: at, nextUpdate: at + DAY, status: { kind: "revoked", at, reason: 1 } };
  gone.responder.over = { producedAt: at };
  assert.equal((await gone.ask()).status, "revoked");
  const unknown = client("unknown then");
  unknown.responder.single = { thisUpdate: at, nextUpdate: at + DAY, status: { kind: "unknown" } };
  unknown.responder.over = { producedAt: at };
  assert.equal((await unknown.ask()).status, "unreachable");
});

test("an answer without nextUpdate runs out by age", async () => {
  const { responder, ask, time } = client("age", { maxAge: 600_000 });
  responder.lifeMs = undefined;
  const answer = await ask();
  assert.ok(answer.status === "good");
  assert.ok(Math.abs(answer.evidence.nextUpdate - time.world.now() - 600_000) <= 1000);
});

test("a delegate without nocheck is checked where policy says so, and its answer is worth what it is", async () => {
  const extensions = [keyUsage("digitalSignature"), extendedKeyUsage(Oid.ocspSigning)];
  const plain = makeDelegate(ca, { extensions, ...validity });
  const seen: string[] = [];
  const checking = (refused: string | undefined) => async (signer: typeof plain.certificate) => {
    seen.push(signer.fingerprint);
    return refused;
  };
  const strict = client("delegate", { delegates: "check" }, plain);
  assert.equal((await strict.ask({ checkDelegate: checking(undefined) })).status, "good");
  assert.deepEqual(seen, [plain.certificate.fingerprint]);
  const refused = await strict.ask({ certificate: other.certificate, checkDelegate: checking("it is revoked") });
  assert.ok(refused.status === "unreachable");
  assert.deepEqual(refused.attempts, [{ url: URL, reason: "DelegateNotGood", message: "it is revoked" }]);
  const trusting = client("trusting", {}, plain);
  assert.equal((await trusting.ask({ checkDelegate: checking("it is revoked") })).status, "good");
});

test("no more responders in trouble are remembered than the limit, the oldest are forgotten first", async () => {
  const { time, responder, ocsp } = client("bounded");
  responder.delayMs = 0;
  for (let index = 0; index < 300; index++) {
    const url = `http://down/${index}`;
    responder.troubles.set(url, { ok: false, problem: { reason: "BadStatus", status: 500 } });
    const question = { certificate: leaf.certificate, issuer: ca.certificate, urls: [url] };
    await time.until(ocsp.ask({ ...question, checkDelegate: async () => undefined }), 1000);
  }
  responder.troubles.clear();
  const ask = (url: string) =>
    time.until(
      ocsp.ask({
        certificate: other.certificate,
        issuer: ca.certificate,
        urls: [url],
        checkDelegate: async () => undefined,
      }),
      1000,
    );
  // The trouble of the first was forgotten to make room, that of the last was not.
  assert.equal((await ask("http://down/0")).status, "good");
  assert.equal((await ask("http://down/299")).status, "unreachable");
});
