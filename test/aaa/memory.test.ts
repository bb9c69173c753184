import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { authenticate, HostingParty, operator, RecordingGateway } from "./made.ts";

const SESSIONS = 2_000;
/** Octets of heap that one session may take. */
const LIMIT = 4096;

test("a session with device and hosting party takes at most 4 kB", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const limits = { sessions: SESSIONS + 100, conversations: 100 };
  const { aaa, world, events } = await operator({}, { limits, oneSessionPerDevice: true });
  const gateway = new RecordingGateway("segw.example");
  // Each message brings strings of its own, as it does on the wire.
  const attach = async (index: number) => {
    const session = `segw.example;1795567560;${index}`;
    const device = `ap-${index}.factory.example`;
    await aaa.authorizeDevice({ session, gateway, device, from: "192.0.2.1", accountingId: undefined });
    const party = new HostingParty(world);
    // A card that was never used before, so that contexts and pseudonyms pile up as they do.
    party.card.array = party.card.array.map(() => 0);
    assert.equal((await authenticate(aaa, party, { session, gateway, device })).kind, "accept");
  };
  for (let index = 0; index < 100; index++) await attach(index);
  events.length = 0;
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let index = 100; index < SESSIONS + 100; index++) {
    await attach(index);
    events.length = 0;
  }
  collect();
  const each = (process.memoryUsage().heapUsed - before) / SESSIONS;
  assert.equal(aaa.sessions.size, SESSIONS + 100);
  assert.ok(each <= LIMIT, `${Math.round(each)} octets a session`);
});
