import assert from "node:assert/strict";
import test from "node:test";
import type { IkeEvent, IkeSaId } from "../../src/ike/sa/effects.ts";
import { RoleObserver } from "../../src/ipsec/roleShell.ts";
import { createLogger, logSection } from "../../src/observe/log.ts";

test("strangers who fail without end get a bounded number of lines; what else happens is told all the same", async () => {
  const lines: { event: string; suppressed?: number }[] = [];
  let now = 0;
  const clock = { now: () => now };
  const log = createLogger(logSection.parse({}), "segw", clock, (line) => lines.push(JSON.parse(line)));
  const observer = await RoleObserver.open(log, clock, "segw", undefined);
  const failed: IkeEvent = {
    kind: "failed",
    sa: 1 as IkeSaId,
    peer: undefined,
    refusal: { reason: "TimedOut", message: "nothing came", by: "us" },
    remote: { address: "198.51.100.1", port: 500 },
  };
  const closed: IkeEvent = { kind: "closed", sa: 1 as IkeSaId, peer: undefined, cause: "deletedByPeer" };
  for (let i = 0; i < 2_000; i++) {
    observer.event(failed);
    observer.event(closed);
  }
  const count = (event: string) => lines.filter((line) => line.event === event).length;
  assert.deepEqual([count("failed"), count("closed")], [500, 2_000]);
  now = 1_000;
  observer.event(failed);
  assert.equal(lines.at(-1)!.suppressed, 1_500);
});
