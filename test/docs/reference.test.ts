/** docs/reference is made from the code; here is what keeps both together. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { CONFIGURED_ROLES, FOLDER, referenceFiles } from "../../scripts/reference.ts";

const RENEW = "docs/reference is out of date; run: make reference";

test("the reference is what the code says", async () => {
  const files = await referenceFiles();
  assert.deepEqual(readdirSync(FOLDER).sort(), [...files.keys()].sort(), RENEW);
  for (const [name, text] of files) assert.equal(readFileSync(join(FOLDER, name), "utf8"), text, `${name}: ${RENEW}`);
});

test("a comment in the source explains every key of every configuration", () => {
  const unexplained = CONFIGURED_ROLES.flatMap(({ name, keys }) =>
    keys.filter(({ comment }) => comment === "").map(({ path }) => `${name}: ${path}`),
  );
  assert.deepEqual(unexplained, [], "write a /** comment */ above the key where the schema has it");
});
