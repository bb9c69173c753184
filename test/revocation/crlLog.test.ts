/** What operators read of CRLs. */
import assert from "node:assert/strict";
import test from "node:test";
import { createLogger } from "../../src/observe/log.ts";
import { logCrls } from "../../src/revocation/crlLog.ts";
import { make } from "../x509/made.ts";
import { crlAt, StoreWorld } from "./storeWorld.ts";

const URL = "http://crl.example/ca.crl";
const ca = make({ name: "CA", notBefore: Date.UTC(2025, 0, 1), notAfter: Date.UTC(2030, 0, 1) });

test("a list in use, one that cannot be had, and a disk that is full are told; the same failure again is not", async () => {
  const world = new StoreWorld("log");
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({ level: "info", format: "json", messages: false }, "segw", world.time.world, (line) =>
    lines.push(JSON.parse(line)),
  );
  const stop = logCrls(log, world.store);
  const obtain = () => world.time.until(world.store.obtain(URL, [ca.certificate]), 1000);
  await obtain();
  await world.time.run(2 * world.schedule.firstRetry);
  await obtain();
  world.network.contents.set(URL, crlAt(ca, world.now, [Buffer.from([1])], { number: 7 }));
  world.disk.full = true;
  await world.time.run(4 * world.schedule.firstRetry);
  await obtain();
  await world.time.run(1000);
  const told = lines.map(({ event, level, url, reason, number, entries }) => ({
    ...{ event, level, url },
    ...(reason === undefined ? {} : { reason }),
    ...(number === undefined ? {} : { number, entries }),
  }));
  assert.deepEqual(told, [
    { event: "crlFailed", level: "warn", url: URL, reason: "BadStatus" },
    { event: "crlAdopted", level: "info", url: URL, number: "7", entries: 1 },
    { event: "crlNotKept", level: "warn", url: URL },
  ]);
  assert.match(String(lines[1]?.text), /^CRL 7 of 1 entries from http:\/\/crl\.example\/ca\.crl is in use$/);
  stop();
  await world.restart();
  assert.equal(lines.length, 3);
});
