import assert from "node:assert/strict";
import test from "node:test";
import { logEvent } from "../../src/hems/eventLog.ts";
import { createLogger, logSection } from "../../src/observe/log.ts";
import { StrangerLog } from "../../src/observe/strangerLog.ts";

test("clients that are refused without end get a bounded number of lines", () => {
  const lines: { event: string; suppressed?: number }[] = [];
  let now = 0;
  const clock = { now: () => now };
  const log = createLogger(logSection.parse({}), "hems", clock, (line) => lines.push(JSON.parse(line)));
  const strangers = new StrangerLog(clock);
  const refusal = { reason: "NoCertificate", message: "the peer sent no X.509 certificate", evidence: {} };
  const refused = () => logEvent(log, strangers, { kind: "refused", from: "198.51.100.1", resumed: false, refusal });
  for (let i = 0; i < 600; i++) refused();
  now = 1_000;
  refused();
  assert.equal(lines.length, 501);
  assert.deepEqual([lines.at(-1)!.event, lines.at(-1)!.suppressed], ["refused", 100]);
});
