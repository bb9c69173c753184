/** What is known of certificates outlives the process, and counts no more than its signatures do. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { revocationSection } from "../../src/revocation/config.ts";
import { DurableLastGood, LastGoodMemory } from "../../src/revocation/lastGood.ts";
import { type LastGoodDisk, type LastGoodEntries, LastGoodFile } from "../../src/revocation/lastGoodFile.ts";
import { FolderOcspDisk, type OcspDisk, type StoredResponse } from "../../src/revocation/ocspDisk.ts";
import { assembleStatusService } from "../../src/revocation/open.ts";
import { temporaryFolder } from "../pki/folder.ts";
import { LEAF_EXTENSIONS, type Made, make } from "../x509/made.ts";
import { makeDelegate, SimulatedResponder } from "./responder.ts";
import { StoreWorld } from "./storeWorld.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.UTC(2026, 5, 1);
const OCSP = "http://ocsp.example/";
const validity = { notBefore: Date.UTC(2025, 0, 1), notAfter: Date.UTC(2030, 0, 1) };
const root = make({ name: "Root", ...validity });
const ca = make({ name: "CA", issuer: root, ...validity });
const device = (name: string) => make({ name, issuer: ca, extensions: LEAF_EXTENSIONS, ...validity });

/** As folders keep things, without their own time. */
class Disks implements OcspDisk, LastGoodDisk {
  readonly responses = new Map<string, StoredResponse>();
  entries: LastGoodEntries = [];
  /** What reading the times takes. */
  readonly #delay: () => Promise<void>;

  constructor(delay: () => Promise<void>) {
    this.#delay = delay;
  }

  write(entries: LastGoodEntries): Promise<void>;
  write(key: string, stored: StoredResponse): void;
  write(what: string | LastGoodEntries, stored?: StoredResponse): Promise<void> | undefined {
    if (typeof what === "string") this.responses.set(what, stored!);
    else this.entries = what;
    return Promise.resolve();
  }

  read(): Promise<LastGoodEntries>;
  read(key: string): Promise<StoredResponse | undefined>;
  async read(key?: string): Promise<LastGoodEntries | StoredResponse | undefined> {
    if (key !== undefined) return this.responses.get(key);
    await this.#delay();
    return this.entries;
  }
}

/** A status service by OCSP that can be started anew; its responder lives on. */
class World {
  readonly base: StoreWorld;
  readonly responder: SimulatedResponder;
  readonly disks: Disks;
  readonly #rule: object;
  readonly #ocsp: object;
  #running: ReturnType<typeof assembleStatusService>;

  constructor(seed: string, rule: object = {}, ocsp: object = {}) {
    this.base = new StoreWorld(seed);
    this.disks = new Disks(() => this.base.time.delay(500));
    this.responder = new SimulatedResponder(this.base.time, makeDelegate(ca, validity));
    this.#rule = rule;
    this.#ocsp = ocsp;
    this.#running = this.#start();
  }

  check(of: Made) {
    const path = [of.certificate, ca.certificate, root.certificate];
    return this.base.time.until(this.#running.service.check(path, "device"), MINUTE);
  }

  /** "good", "tolerated", or the reason of the refusal. */
  async verdict(of: Made): Promise<string> {
    const verdict = await this.check(of);
    return verdict.accepted ? verdict.certificates[0]!.decision.kind : verdict.refusal.reason;
  }

  async restart(): Promise<void> {
    this.#running.service[Symbol.dispose]();
    await this.base.time.until(this.#running.lastGood![Symbol.asyncDispose](), MINUTE);
    this.#running = this.#start();
  }

  down(): void {
    this.responder.troubles.set(OCSP, { ok: false, problem: { reason: "BadStatus", status: 500 } });
  }

  #start() {
    const { time, network, disk, loader } = this.base;
    const rule = { methods: "ocsp", scope: "leaf", operator: { ocsp: [OCSP] }, ...this.#rule };
    const section = revocationSection.parse({ device: rule, ocsp: this.#ocsp });
    return assembleStatusService(
      { section, folder: "/", cas: [], allowWeakAlgorithms: false },
      {
        ...{ clock: time.world, random: time.world.random, timers: time.timers },
        ...{
          fetcher: network,
          disk,
          loader,
          transport: this.responder,
          ocspDisk: this.disks,
          lastGoodDisk: this.disks,
        },
      },
    );
  }
}

test("an answer is used again after a restart for as long as it would have been without", async () => {
  const world = new World("reuse");
  const [one] = [device("ap-1")];
  assert.equal(await world.verdict(one!), "good");
  await world.restart();
  await world.base.time.run(30 * MINUTE);
  assert.equal(await world.verdict(one!), "good");
  assert.equal(world.responder.asked.length, 1);
  await world.base.time.run(31 * MINUTE);
  await world.restart();
  assert.equal(await world.verdict(one!), "good");
  assert.equal(world.responder.asked.length, 2);
});

test("grace goes on over a restart while nobody answers, and ends when it would have", async () => {
  const world = new World("grace", { unreachable: "2h", stale: "2h" });
  const [known, stranger] = [device("ap-1"), device("ap-2")];
  assert.equal(await world.verdict(known), "good");
  world.down();
  await world.base.time.run(13 * HOUR);
  await world.restart();
  // Whoever comes before the times are read waits for them.
  assert.equal(await world.verdict(known), "tolerated");
  assert.equal(await world.verdict(stranger), "StatusUnreachable");
  await world.base.time.run(2 * HOUR);
  await world.restart();
  assert.equal(await world.verdict(known), "StatusUnreachable");
});

test("who was revoked stays so over a restart while nobody answers, whatever else is tolerated", async () => {
  const world = new World("revoked", { unreachable: "accept" });
  const gone = device("ap-1");
  const serial = gone.certificate.serial.toString("hex");
  world.responder.statuses.set(serial, { kind: "revoked", at: world.base.now, reason: 6 });
  assert.equal(await world.verdict(gone), "CertificateRevoked");
  world.down();
  await world.restart();
  await world.base.time.run(48 * HOUR);
  assert.equal(await world.verdict(gone), "CertificateRevoked");
  // The responder is back, and the certificate off hold.
  world.responder.troubles.clear();
  world.responder.statuses.clear();
  await world.base.time.run(2 * HOUR);
  assert.equal(await world.verdict(gone), "good");
});

test("what lies on disk counts by its signature only: swapped, altered or of a stranger's it says nothing", async () => {
  const [one, other] = [device("ap-1"), device("ap-2")];
  const spoil: Record<string, (world: World, keys: string[]) => void> = {
    swapped: ({ disks }, [a, b]) => disks.responses.set(b!, disks.responses.get(a!)!),
    altered: ({ disks }, [, b]) => {
      const { der, url } = disks.responses.get(b!)!;
      const altered = Buffer.from(der);
      altered[altered.indexOf(other.certificate.serial) + other.certificate.serial.length] = 0x82;
      disks.responses.set(b!, { url, der: altered });
    },
    garbage: ({ disks }, [, b]) => disks.responses.set(b!, { url: OCSP, der: Buffer.from("garbage") }),
  };
  for (const [how, work] of Object.entries(spoil)) {
    const world = new World(how);
    await world.check(one);
    await world.check(other);
    work(world, [...world.disks.responses.keys()]);
    await world.restart();
    world.down();
    assert.equal(await world.verdict(one), "good", how);
    assert.equal(await world.verdict(other), "StatusUnreachable", how);
  }
});

test("who requires a nonce does not take an answer to an earlier request from disk", async () => {
  const world = new World("nonce", {}, { nonce: "required" });
  const one = device("ap-1");
  assert.equal(await world.verdict(one), "good");
  await world.restart();
  assert.equal(await world.verdict(one), "good");
  assert.equal(world.responder.asked.length, 2);
});

test("times come back as they were written; a file that is cut, altered or too long says nothing", async (t) => {
  const folder = temporaryFolder(t);
  const file = new LastGoodFile(folder, { now: () => NOW }, 5000);
  assert.deepEqual(await file.read(), []);
  const print = (index: number) => index.toString(16).padStart(64, "0");
  const entries = Array.from(
    { length: 5000 },
    (_, index) => [print(index), { crl: NOW + index, ocsp: NOW - 1 }] as const,
  );
  await file.write(entries);
  assert.deepEqual(await file.read(), entries);
  assert.deepEqual(readdirSync(folder), ["last-good"]);
  const path = join(folder, "last-good");
  const whole = readFileSync(path);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  for (const length of [0, 10, 22, 54, 70, whole.length - 48, whole.length - 1]) {
    writeFileSync(path, whole);
    truncateSync(path, length);
    assert.deepEqual(await file.read(), [], `${length} octets`);
  }
  for (const at of [0, 30, 200_000, whole.length - 1]) {
    const altered = Buffer.from(whole);
    altered[at]! ^= 1;
    writeFileSync(path, altered);
    assert.deepEqual(await file.read(), [], `octet ${at}`);
  }
  writeFileSync(path, whole);
  assert.deepEqual(await new LastGoodFile(folder, { now: () => NOW }, 4999).read(), []);
  // What cannot be true gives no grace.
  await file.write([
    [print(1), { crl: Number.POSITIVE_INFINITY, ocsp: NOW }],
    [print(2), { crl: Number.NaN }],
    [print(3), { ocsp: NOW + 11 * 365 * 24 * HOUR }],
  ]);
  assert.deepEqual(await file.read(), [[print(1), { ocsp: NOW }]]);
});

test("a memory takes in what an earlier process knew behind what it learnt itself", () => {
  const memory = new LastGoodMemory();
  const [one, other] = [device("ap-1").certificate, device("ap-2").certificate];
  memory.restore([[one.fingerprint, { crl: 1 }]]);
  memory.restore([
    [one.fingerprint, { crl: 0.5 }],
    [other.fingerprint, { ocsp: 2 }],
  ]);
  assert.deepEqual([memory.of(one), memory.of(other)], [{ crl: 1 }, { ocsp: 2 }]);
});

test("news are written together, and a disk that fails is tried again with the next", async () => {
  const { time } = new StoreWorld("news");
  let writes = 0;
  const disk: LastGoodDisk = {
    read: async () => [],
    write: async () => {
      writes += 1;
      if (writes === 1) throw new Error("no space left on device");
    },
  };
  const durable = new DurableLastGood(disk, time.timers);
  for (let i = 0; i < 10; i++) durable.changed();
  await time.run(2 * MINUTE);
  assert.equal(writes, 1);
  durable.changed();
  await durable[Symbol.asyncDispose]();
  assert.equal(writes, 2);
});

test("responses in a folder: written whole, read back, the oldest making room for new ones", async (t) => {
  const folder = join(temporaryFolder(t), "ocsp");
  const disk = new FolderOcspDisk(folder, 20);
  assert.equal(await disk.read("a"), undefined);
  const stored = (text: string) => ({ url: OCSP, der: Buffer.from(text) });
  disk.write("a", stored("first\n\n"));
  disk.write("a", stored("second\n\n"));
  await disk[Symbol.asyncDispose]();
  assert.deepEqual(await disk.read("a"), stored("second\n\n"));
  for (const name of readdirSync(folder)) utimesSync(join(folder, name), 1, 1);
  // Left by a process that was killed.
  writeFileSync(join(folder, "x.new"), "");
  utimesSync(join(folder, "x.new"), 0, 0);
  for (let index = 0; index < 20; index++) disk.write(`b${index}`, stored("later"));
  await disk[Symbol.asyncDispose]();
  assert.ok(readdirSync(folder).length <= 20);
  assert.ok(!readdirSync(folder).includes("x.new"));
  assert.equal(await disk.read("a"), undefined);
  assert.deepEqual(await disk.read("b19"), stored("later"));
  const [file] = readdirSync(folder);
  writeFileSync(join(folder, file!), "no header");
  rmSync(folder, { recursive: true });
  writeFileSync(folder, "in the way");
  disk.write("c", stored("nowhere"));
  await disk[Symbol.asyncDispose]();
  assert.equal(await disk.read("c"), undefined);
});
