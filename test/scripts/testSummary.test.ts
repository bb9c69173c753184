import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const folder = mkdtempSync(join(tmpdir(), "test-summary-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const ROOT = join(import.meta.dirname, "../..");

/** What the reporter prints about a file of tests with this text. */
function summaryOf(text: string): string {
  const path = join(folder, "made.test.ts");
  writeFileSync(path, `import { before, describe, test } from "node:test";\n${text}`);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = ["--test", "--test-reporter=./scripts/testSummary.ts", path];
  return spawnSync(process.execPath, args, { cwd: ROOT, env, encoding: "utf8" }).stdout.replaceAll(
    path,
    "made.test.ts",
  );
}

test("a clean run is one line of counts", () => {
  assert.match(
    summaryOf(`test("a", () => {});\ntest("b", () => {});`),
    /^tests 2, pass 2, fail 0, skipped 0, in \d+ s\n$/,
  );
});

test("what was skipped comes with its reason, and what failed with its place", () => {
  const lines = summaryOf(`
test("left out", { skip: "needs root" }, () => {});
describe("a group", () => {
  test("breaks", () => { throw new Error("x"); });
});
describe("a group that cannot start", () => {
  before(() => { throw new Error("y"); });
  test("never runs", () => {});
});
`).split("\n");
  assert.deepEqual(lines.slice(0, -2), [
    "skipped: left out (needs root)",
    "failed: breaks (made.test.ts:5)",
    "failed: never runs (made.test.ts:9)",
    "failed: a group that cannot start (made.test.ts:7)",
  ]);
  assert.match(lines.at(-2)!, /^tests 3, pass 0, fail 2, skipped 1, in/);
});
