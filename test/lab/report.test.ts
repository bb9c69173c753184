import assert from "node:assert/strict";
import test from "node:test";
import { type FlowResult, summarize } from "../../src/lab/flow.ts";
import { jsonReport, textReport } from "../../src/lab/report.ts";
import type { LadderEntry } from "../../src/observe/ladder.ts";

const GOOD: FlowResult = {
  flow: "A.1",
  device: "ap-1.example",
  expected: "established",
  result: "established",
  reason: "",
  ocsp: "in-band good",
  address: "10.64.0.1",
  ping: { target: "10.40.0.2", sent: 3, received: 3 },
};

test("all is well only if there was a flow, each ended as expected, and each ping came back", () => {
  const { ping: _, ...unpinged } = GOOD;
  const refused: FlowResult = { ...unpinged, expected: "refused", result: "refused", reason: "Expired" };
  for (const [flows, ok] of [
    [[], false],
    [[GOOD], true],
    [[unpinged], true],
    [[GOOD, refused], true],
    [[GOOD, { ...refused, result: "established" }], false],
    [[{ ...GOOD, result: "refused" }], false],
    [[{ ...refused, result: "failed" }], false],
    [[{ ...refused, expectedReason: "Expired" }], true],
    [[{ ...refused, expectedReason: "CertificateRevoked" }], false],
    [[{ ...GOOD, ping: { target: "10.40.0.2", sent: 3, received: 2 } }], false],
  ] as [FlowResult[], boolean][])
    assert.equal(summarize(flows, []).ok, ok, JSON.stringify(flows));
});

test("for programs each thing is one line of JSON, and the ladder is left to the records", () => {
  const lines: string[] = [];
  const report = jsonReport((text) => lines.push(text));
  report.notice("two\nlines");
  report.record({ event: "x", at: 1 });
  report.ladder(note(1, "not shown"));
  report.summary(summarize([GOOD], ["the tunnel's data"]));
  report.flush();
  assert.ok(lines.every((line) => line.indexOf("\n") === line.length - 1));
  const records = lines.map((line) => JSON.parse(line));
  assert.deepEqual(
    records.map(({ event }) => event),
    ["notice", "x", "summary"],
  );
  assert.deepEqual(records[2].leftOut, ["the tunnel's data"]);
});

test("for people what several processes tell comes out in the order of its time, before a notice and the summary", () => {
  const { text, report } = people();
  for (const [at, what] of [
    [1_030, "third"],
    [1_010, "first"],
    [1_020, "second"],
  ] as const)
    report.ladder(note(at, what));
  assert.equal(text(), "", "held for those that may still come");
  report.notice("a notice");
  assert.deepEqual(text().match(/first|second|third|a notice/g), ["first", "second", "third", "a notice"]);
  report.ladder(note(1_040, "fourth"));
  report.summary(summarize([GOOD], []));
  assert.match(text(), /fourth\n\nflow/);
});

test("the table says which flow did not end as expected and why, what was left out, and the verdict", () => {
  const { text, report } = people();
  const { ping: _, ...unpinged } = GOOD;
  report.summary(
    summarize(
      [GOOD, { ...unpinged, device: "ap-2.example", result: "failed", reason: "NoOutcome", address: "", ocsp: "" }],
      ["data"],
    ),
  );
  assert.match(
    text(),
    /\nA\.1 {3}ap-1\.example {2}established {2}established +in-band good +10\.64\.0\.1 +3\/3 from 10\.40\.0\.2\n/,
  );
  assert.match(text(), /\nA\.1 {3}ap-2\.example {2}established {2}failed \(NoOutcome\) {2}<-- not as expected +- +-\n/);
  assert.match(text(), /\n\nLeft out: data\nNot every flow ended as expected\.\n$/);
});

function people() {
  let written = "";
  const style = { width: 80, unicode: true, colour: false, start: 1_000, inwards: [] };
  const report = textReport((text) => {
    written += text;
  }, style);
  return { text: () => written, report };
}

function note(at: number, text: string): LadderEntry {
  return { kind: "note", at, who: "segw", verdict: "neutral", text, details: [] };
}
