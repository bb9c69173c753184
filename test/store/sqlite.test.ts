import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { StoreError } from "../../src/store/sql.ts";
import { SqliteDatabase } from "../../src/store/sqlite.ts";
import { databaseBehaviour } from "./behaviour.ts";

databaseBehaviour("SQLite", async () => {
  const folder = mkdtempSync(join(tmpdir(), "femtogate-store-"));
  return {
    open: async () => new SqliteDatabase(join(folder, "test.sqlite")),
    remove: async () => rmSync(folder, { recursive: true }),
  };
});

test("a file that is no database is refused with its name", () => {
  assert.throws(
    () => new SqliteDatabase(import.meta.filename),
    (error: unknown) => error instanceof StoreError && error.message.includes("sqlite.test.ts"),
  );
});
