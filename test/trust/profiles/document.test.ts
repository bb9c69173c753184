import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { DOCUMENT, withTable } from "./table.ts";

test("the documented table of profile rules is the one that is enforced", () => {
  const document = readFileSync(DOCUMENT, "utf8");
  assert.equal(document, withTable(document), "run: node test/trust/profiles/table.ts");
});
