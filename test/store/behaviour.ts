/** What every database behind the query layer does; run against each. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { migrate } from "../../src/store/schema.ts";
import {
  type Database,
  integer,
  octets,
  optionalInteger,
  optionalText,
  StoreError,
  sql,
  text,
} from "../../src/store/sql.ts";

interface Place {
  open(): Promise<Database>;
  remove(): Promise<void>;
}

const STEP_1 = "CREATE TABLE thing (name TEXT PRIMARY KEY, count BIGINT, secret OCTETS)";
const STEP_2 = "ALTER TABLE thing ADD COLUMN note TEXT; CREATE INDEX thing_count ON thing (count)";

export function databaseBehaviour(name: string, place: () => Promise<Place>): void {
  const opened = async (work: (database: Database, again: () => Promise<Database>) => Promise<void>) => {
    await using ends = new AsyncDisposableStack();
    const { open, remove } = await place();
    ends.defer(remove);
    const another = async () => {
      const database = await open();
      ends.defer(() => database.close());
      return database;
    };
    await work(await another(), another);
  };

  test(`${name}: values come back as they went in`, () =>
    opened(async (database) => {
      await migrate(database, "test", [STEP_1]);
      const secret = Buffer.from([0, 255, 1]);
      await database.change(sql`INSERT INTO thing (name, count, secret) VALUES (${"a'; --"}, ${2 ** 48}, ${secret})`);
      await database.change(sql`INSERT INTO thing (name, count, secret) VALUES (${"b"}, ${null}, ${Buffer.alloc(0)})`);
      const [a, b] = await database.rows(sql`SELECT name, count, secret FROM thing ORDER BY name`);
      assert.deepEqual([text(a!, "name"), integer(a!, "count"), octets(a!, "secret")], ["a'; --", 2 ** 48, secret]);
      assert.equal(optionalInteger(b!, "count"), undefined);
      assert.equal(octets(b!, "secret").length, 0);
      assert.throws(() => integer(b!, "count"), StoreError);
      assert.throws(() => text(a!, "count"), StoreError);
      assert.throws(() => octets(a!, "name"), StoreError);
    }));

  test(`${name}: tables of any age are brought up to date, and newer ones are left alone`, () =>
    opened(async (database) => {
      await migrate(database, "test", [STEP_1]);
      await database.change(sql`INSERT INTO thing (name) VALUES (${"kept"})`);
      await migrate(database, "test", [STEP_1, STEP_2]);
      await migrate(database, "test", [STEP_1, STEP_2]);
      const [row] = await database.rows(sql`SELECT name, note FROM thing`);
      assert.equal(text(row!, "name"), "kept");
      assert.equal(optionalText(row!, "note"), undefined);
      await assert.rejects(migrate(database, "test", [STEP_1]), /at step 2, this program knows 1/);
    }));

  test(`${name}: a counter that many count up together gives each a number of its own`, () =>
    opened(async (database, again) => {
      await migrate(database, "test", [STEP_1]);
      await database.change(sql`INSERT INTO thing (name, count) VALUES (${"n"}, ${0})`);
      const other = await again();
      const up = async (which: Database) => {
        const [row] = await which.rows(sql`UPDATE thing SET count = count + 1 WHERE name = ${"n"} RETURNING count`);
        return integer(row!, "count");
      };
      const numbers = await Promise.all(
        Array.from({ length: 60 }, (_, index) => up(index % 3 === 0 ? other : database)),
      );
      assert.deepEqual(
        numbers.sort((a, b) => a - b),
        Array.from({ length: 60 }, (_, index) => index + 1),
      );
    }));

  test(`${name}: a statement that fails takes none of its neighbours along`, () =>
    opened(async (database) => {
      await migrate(database, "test", [STEP_1]);
      const outcomes = await Promise.allSettled(
        ["a", "b", "a", "c"].map((thing) => database.change(sql`INSERT INTO thing (name) VALUES (${thing})`)),
      );
      assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 1);
      assert.equal((await database.rows(sql`SELECT name FROM thing`)).length, 3);
      assert.equal(await database.change(sql`DELETE FROM thing WHERE name <> ${"a"}`), 2);
    }));

  test(`${name}: a transaction happens whole or not at all, and others wait for it`, () =>
    opened(async (database) => {
      await migrate(database, "test", [STEP_1]);
      const failing = database.transaction(async (queries) => {
        await queries.change(sql`INSERT INTO thing (name) VALUES (${"gone"})`);
        throw new Error("no");
      });
      await assert.rejects(failing, /^Error: no$/);
      const add = (thing: string) =>
        database.transaction(async (queries) => {
          const rows = await queries.rows(sql`SELECT name FROM thing`);
          await queries.change(sql`INSERT INTO thing (name, count) VALUES (${thing}, ${rows.length})`);
        });
      await Promise.all([add("a"), database.change(sql`INSERT INTO thing (name) VALUES (${"x"})`), add("b")]);
      const names = (await database.rows(sql`SELECT name FROM thing ORDER BY name`)).map((row) => text(row, "name"));
      assert.deepEqual(names, ["a", "b", "x"]);
    }));
}
