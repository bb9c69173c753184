import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY, make } from "../x509/made.ts";
import { crlAt, StoreWorld } from "./storeWorld.ts";

const HOUR = 3600_000;
const URL = "http://crl.example/ca.crl";
const validity = { notBefore: Date.UTC(2025, 0, 1), notAfter: Date.UTC(2030, 0, 1) };
const ca = make({ name: "CA", ...validity });
const signers = [ca.certificate];
const [one, two] = [Buffer.from([1]), Buffer.from([2])];

test("however many want a CRL at once, it is fetched once, and afterwards not at all", async () => {
  const world = new StoreWorld("once");
  world.network.contents.set(URL, crlAt(ca, world.now, [one]));
  const all = Promise.all(Array.from({ length: 50 }, () => world.store.obtain(URL, signers)));
  for (const { inHand, problem } of await world.time.until(all, 1000)) {
    assert.equal(problem, undefined);
    assert.equal(inHand?.loaded.index.lookUp(one)?.reason, 1);
    assert.equal(inHand?.loaded.index.lookUp(two), undefined);
  }
  assert.ok((await world.store.obtain(URL, signers)).inHand !== undefined);
  assert.equal(world.network.asked.length, 1);
});

test("while a newer list is on its way, look-ups go on against the one in hand", async () => {
  const world = new StoreWorld("refresh");
  world.network.contents.set(URL, crlAt(ca, world.now, []));
  await world.time.until(world.store.obtain(URL, signers), 1000);
  world.network.contents.set(URL, crlAt(ca, world.now, [one], { number: 2 }));
  world.network.delayMs = 10 * 60_000;
  while (world.network.atOnce === 0) await world.time.run(1000);
  const during = await world.store.obtain(URL, signers);
  assert.equal(during.inHand?.loaded.index.lookUp(one), undefined);
  await world.time.run(11 * 60_000);
  const after = await world.store.obtain(URL, signers);
  assert.equal(after.inHand?.loaded.index.lookUp(one)?.reason, 1);
  assert.equal(world.network.mostAtOnce, 1);
  assert.deepEqual(
    world.events.map(({ kind }) => kind),
    ["adopted", "adopted"],
  );
});

test("an address in trouble answers at once with what is wrong, and is left alone until its pause is over", async () => {
  const world = new StoreWorld("trouble");
  const first = await world.time.until(world.store.obtain(URL, signers), 1000);
  assert.deepEqual(first, { inHand: undefined, problem: { reason: "BadStatus", status: 404 } });
  for (let i = 0; i < 20; i++) assert.deepEqual(await world.store.obtain(URL, signers), first);
  assert.equal(world.network.asked.length, 1);
  world.network.contents.set(URL, crlAt(ca, world.now, [one]));
  await world.time.run(world.schedule.firstRetry + 1000);
  assert.ok((await world.store.obtain(URL, signers)).inHand !== undefined);
  assert.equal(world.network.asked.length, 2);
});

test("after a restart the list on disk refuses a revoked device before anything is fetched", async () => {
  const world = new StoreWorld("restart");
  world.network.contents.set(URL, crlAt(ca, world.now, [one]));
  await world.time.until(world.store.obtain(URL, signers), 1000);
  await world.time.run(1000);
  await world.restart();
  world.network.contents.clear();
  const asked = world.network.asked.length;
  const restored = await world.time.until(world.store.obtain(URL, signers), 1000);
  assert.equal(restored.inHand?.loaded.index.lookUp(one)?.reason, 1);
  assert.equal(world.network.asked.length, asked);
});

test("a list on disk that is damaged, or that ran out, is fetched anew", async () => {
  const world = new StoreWorld("damage");
  world.network.contents.set(URL, crlAt(ca, world.now, [one]));
  await world.time.until(world.store.obtain(URL, signers), 1000);
  await world.time.run(1000);
  const stored = world.disk.files.get(URL)!;
  stored.der[stored.der.length - 40]! ^= 1;
  stored.validators = { etag: '"damaged"' };
  await world.restart();
  assert.ok((await world.time.until(world.store.obtain(URL, signers), 1000)).inHand !== undefined);
  // Without validators: what is damaged must not be called unchanged.
  assert.deepEqual(world.network.asked.at(-1)?.validators, {});
  await world.time.run(1000);
  await world.restart();
  await world.time.run(2 * DAY);
  world.network.contents.set(URL, crlAt(ca, world.now, [two], { number: 2 }));
  const fresh = await world.time.until(world.store.obtain(URL, signers), 1000);
  assert.equal(fresh.inHand?.loaded.index.lookUp(two)?.reason, 1);
});

test("a forged list, somebody else's and an older one leave the one in hand in use, each with its reason", async () => {
  const world = new StoreWorld("forged", { interval: HOUR });
  const began = world.now;
  world.network.contents.set(URL, crlAt(ca, began, [one], { number: 7 }));
  await world.time.until(world.store.obtain(URL, signers), 1000);
  const forger = make({ name: "CA", ...validity });
  const stranger = make({ name: "Stranger", ...validity });
  for (const [content, reason] of [
    [crlAt(forger, began, [], { number: 8 }), "BadSignature"],
    [crlAt(stranger, began, [], { number: 8 }), "UnknownSigner"],
    [crlAt(ca, began, [], { number: 6 }), "OlderThanHeld"],
    [Buffer.from("<html>Please log in</html>"), "Malformed"],
    [{ kind: "failed", problem: { reason: "TimedOut", limitMs: 5000 } } as const, "TimedOut"],
  ] as const) {
    world.network.contents.set(URL, content);
    await world.time.run(2 * HOUR);
    const { inHand, problem } = await world.store.obtain(URL, signers);
    assert.equal(problem?.reason, reason);
    assert.equal(inHand?.loaded.index.lookUp(one)?.reason, 1);
  }
});

test("a list whose signer becomes known later is fetched again without waiting for the pause", async () => {
  const world = new StoreWorld("signer");
  const successor = make({ name: "CA", ...validity });
  world.network.contents.set(URL, crlAt(successor, world.now, [one]));
  const before = await world.time.until(world.store.obtain(URL, signers), 1000);
  assert.equal(before.problem?.reason, "BadSignature");
  const after = await world.time.until(world.store.obtain(URL, [successor.certificate]), 1000);
  assert.equal(after.inHand?.loaded.index.lookUp(one)?.reason, 1);
  assert.deepEqual(after.inHand?.loaded.spki, successor.certificate.spki);
});

test("an address that nobody asks for any more is left alone after a day; one that is to be kept is not", async () => {
  const world = new StoreWorld("idle", { interval: HOUR });
  const kept = "http://crl.example/kept.crl";
  for (const url of [URL, kept])
    world.network.contents.set(url, crlAt(ca, world.now, [], { nextUpdate: world.now + 90 * DAY }));
  world.store.keep(kept, signers);
  await world.time.until(world.store.obtain(URL, signers), 1000);
  await world.time.run(3 * DAY);
  const asked = (url: string) => world.network.asked.filter((one) => one.url === url).length;
  assert.ok(asked(URL) >= 20 && asked(URL) <= 35, `${asked(URL)} fetches`);
  assert.ok(asked(kept) >= 60, `${asked(kept)} fetches`);
});

test("no more addresses are kept than the limit, those used least recently go first", async () => {
  const world = new StoreWorld("many");
  world.network.delayMs = 1;
  const urls = Array.from({ length: 300 }, (_, index) => `http://crl.example/${index}.crl`);
  for (const url of urls) {
    world.network.contents.set(url, crlAt(ca, world.now, []));
    await world.time.until(world.store.obtain(url, signers), 1000);
  }
  const asked = world.network.asked.length;
  world.disk.files.clear();
  await world.time.until(world.store.obtain(urls.at(-1)!, signers), 1000);
  assert.equal(world.network.asked.length, asked);
  await world.time.until(world.store.obtain(urls[0]!, signers), 1000);
  assert.equal(world.network.asked.length, asked + 1);
});

test("a full disk is told and harms nothing", async () => {
  const world = new StoreWorld("full");
  world.disk.full = true;
  world.network.contents.set(URL, crlAt(ca, world.now, [one]));
  assert.ok((await world.time.until(world.store.obtain(URL, signers), 1000)).inHand !== undefined);
  await world.time.run(10);
  assert.deepEqual(world.events.map(({ kind }) => kind).sort(), ["adopted", "diskFailed"]);
});

test("a store that is closed lets go of whoever waits, and starts nothing more", async () => {
  const world = new StoreWorld("close");
  world.network.contents.set(URL, crlAt(ca, world.now, []));
  const waiting = world.store.obtain(URL, signers);
  await world.store[Symbol.asyncDispose]();
  assert.deepEqual(await waiting, { inHand: undefined, problem: undefined });
  await world.time.run(DAY);
  assert.ok(world.network.asked.length <= 1);
});

test("a loader that dies is a failure like another: told, and tried again after a pause", async () => {
  const world = new StoreWorld("loader");
  world.network.contents.set(URL, crlAt(ca, world.now, [one]));
  world.loader.broken = true;
  const failed = await world.time.until(world.store.obtain(URL, signers), 1000);
  assert.deepEqual(failed.problem, { reason: "LoaderFailed", detail: "the CRL thread died" });
  world.loader.broken = false;
  await world.time.run(world.schedule.firstRetry + 1000);
  assert.ok((await world.store.obtain(URL, signers)).inHand !== undefined);
});
