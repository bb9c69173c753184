/** When a device talks to its H(e)MS. */
import assert from "node:assert/strict";
import test from "node:test";
import { ManagementError } from "../../src/henb/management.ts";
import { ManagementClient } from "../../src/henb/managementClient.ts";
import type { ManagementOutcome } from "../../src/henb/managementSession.ts";
import { seededRandom } from "../../src/sim/random.ts";
import { World } from "../../src/sim/world.ts";

const OUTCOME: ManagementOutcome = {
  address: "192.0.2.5",
  tls: "TLSv1.3",
  names: [],
  ocsp: "in-band good",
  requests: 1,
};
const MINUTE = 60_000;

test("each attachment begins one session, however often it is told of", async () => {
  const { client, runs, settle } = world({ every: 0 });
  for (let i = 0; i < 3; i++) client.attached(inside(["10.64.0.1"]));
  runs[0]!.resolve(OUTCOME);
  await settle(100 * MINUTE);
  assert.deepEqual(
    runs.map(({ addresses }) => addresses),
    [["10.64.0.1"]],
  );
  client.detached();
  client.attached(inside(["10.64.0.2"]));
  assert.deepEqual(
    runs.map(({ addresses }) => addresses),
    [["10.64.0.1"], ["10.64.0.2"]],
  );
});

test("a session is followed by the next after `every`, and a failed one by another try within `retryAfter`", async () => {
  const { client, runs, heard, settle } = world({ every: 60 * MINUTE, retryAfter: 10 * MINUTE });
  client.attached(inside([]));
  runs[0]!.resolve(OUTCOME);
  await settle(60 * MINUTE - 1);
  assert.equal(runs.length, 1);
  await settle(1);
  assert.equal(runs.length, 2);
  runs[1]!.reject(new ManagementError({ reason: "HemsUnreachable", message: "nobody" }));
  await settle(5 * MINUTE - 1);
  assert.equal(runs.length, 2);
  await settle(5 * MINUTE + 1);
  assert.equal(runs.length, 3);
  assert.deepEqual(heard, ["managed", "HemsUnreachable"]);
});

test("the end of the tunnel ends the session under way, which is then told of no more, and those to come", async () => {
  const { client, runs, heard, settle } = world({ every: MINUTE, retryAfter: MINUTE });
  client.attached(inside([]));
  client.detached();
  assert.ok(runs[0]!.signal.aborted);
  runs[0]!.reject(new ManagementError({ reason: "HemsCancelled", message: "cancelled" }));
  await settle(100 * MINUTE);
  client.attached(inside([]));
  runs[1]!.resolve(OUTCOME);
  await settle(0);
  client.detached();
  await settle(100 * MINUTE);
  assert.equal(runs.length, 2);
  assert.deepEqual(heard, ["managed"]);
});

test("what nobody foresaw is told as a fault, and tried again as any failure", async () => {
  const { client, runs, heard, settle } = world({ retryAfter: MINUTE });
  client.attached(inside([]));
  runs[0]!.reject(new TypeError("oops"));
  await settle(MINUTE);
  assert.deepEqual(heard, ["fault oops"]);
  assert.equal(runs.length, 2);
});

interface Run {
  addresses: readonly string[];
  signal: AbortSignal;
  resolve(outcome: ManagementOutcome): void;
  reject(error: Error): void;
}

const inside = (addresses: readonly string[]) => ({ addresses, dns: [], reaches: () => true });

function world(times: { every?: number; retryAfter?: number }) {
  const simulated = new World(1);
  const runs: Run[] = [];
  const heard: string[] = [];
  const client = new ManagementClient({
    run({ addresses }, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<ManagementOutcome>();
      runs.push({ addresses, signal, resolve, reject });
      return promise;
    },
    every: 0,
    retryAfter: 0,
    ...times,
    clock: simulated,
    random: seededRandom(1),
    timers: simulated,
    onManaged: () => heard.push("managed"),
    onFailed: ({ reason }) => heard.push(reason),
    onFault: (error) => heard.push(`fault ${(error as Error).message}`),
  });
  const settle = async (time: number) => {
    // What is settled now sets its timer before the time passes.
    await new Promise((resolve) => setImmediate(resolve));
    simulated.run(time);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { client, runs, heard, settle };
}
