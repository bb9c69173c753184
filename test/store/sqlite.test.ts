import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { StoreError, sql } from "../../src/store/sql.ts";
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

test("what holds subscribers' keys is its owner's alone, with the journals beside it", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "femtogate-store-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const umask = process.umask(0);
  t.after(() => process.umask(umask));
  const database = new SqliteDatabase(join(folder, "aaa.sqlite"));
  await database.change(sql`CREATE TABLE key (k TEXT)`);
  const files = readdirSync(folder);
  assert.deepEqual(files.sort(), ["aaa.sqlite", "aaa.sqlite-shm", "aaa.sqlite-wal"]);
  for (const file of files) assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, file);
  await database.close();
});
