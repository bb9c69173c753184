import assert from "node:assert/strict";
import { test } from "node:test";
import { Pseudonyms } from "../../src/aaa/pseudonyms.ts";
import { makeTables } from "../../src/aaa/tables.ts";
import { readIdentity } from "../../src/eap/aka/identity.ts";
import { AKA, AKA_PRIME } from "../../src/eap/aka/variant.ts";
import { World } from "../../src/sim/world.ts";
import { integer, sql } from "../../src/store/sql.ts";
import { SqliteDatabase } from "../../src/store/sqlite.ts";

const DAY = 24 * 3600_000;
const IMSIS = ["123456", "001010123456789"];

async function opened() {
  const world = new World("pseudonyms", { loss: 0, duplicate: 0, delay: [1, 1] });
  const database = new SqliteDatabase(":memory:");
  await makeTables(database);
  const open = () => Pseudonyms.open(database, world, world.random);
  return { world, database, open, pseudonyms: await open() };
}

test("a pseudonym leads to its subscriber, is another each time, and is an identity of its kind", async () => {
  const { pseudonyms } = await opened();
  for (const imsi of IMSIS)
    for (const variant of [AKA, AKA_PRIME]) {
      const names = Array.from({ length: 50 }, () => pseudonyms.make(variant.prefix.pseudonym, imsi));
      assert.equal(new Set(names).size, names.length);
      for (const name of names) {
        assert.equal(await pseudonyms.imsiOf(name), imsi);
        assert.deepEqual(readIdentity(variant, Buffer.from(name)), { kind: "pseudonym", username: name });
        assert.ok(!name.includes(imsi) && name.length === 40);
      }
    }
});

test("a pseudonym that was changed anywhere, cut, or is of the other method leads nowhere", async () => {
  const { pseudonyms } = await opened();
  const name = pseudonyms.make("2", IMSIS[1]!);
  const whole = Buffer.from(name.slice(1), "base64url");
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const damaged = Buffer.from(whole);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(await pseudonyms.imsiOf(`2${damaged.toString("base64url")}`), undefined, `bit ${bit}`);
  }
  assert.equal(await pseudonyms.imsiOf(`7${name.slice(1)}`), undefined);
  for (const text of ["", "2", name.slice(0, -2), `${name}AA`, `2${"x".repeat(252)}`])
    assert.equal(await pseudonyms.imsiOf(text), undefined, text);
});

test("keys change every week, the old ones serve for another month, and a restart knows them all", async () => {
  const { world, database, pseudonyms, open } = await opened();
  const first = pseudonyms.make("2", IMSIS[1]!);
  for (let week = 0; week < 4; week++) {
    world.run(7 * DAY);
    await pseudonyms.renew();
    await pseudonyms.renew();
    assert.equal(await pseudonyms.imsiOf(first), IMSIS[1]);
  }
  const [row] = await database.rows(sql`SELECT COUNT(*) AS keys FROM pseudonym_key`);
  assert.equal(integer(row!, "keys"), 5);
  assert.equal(await (await open()).imsiOf(first), IMSIS[1]);
  for (let week = 0; week < 2; week++) {
    world.run(7 * DAY + 1);
    await pseudonyms.renew();
  }
  assert.equal(await pseudonyms.imsiOf(first), undefined);
});

test("two servers on one database understand each other's pseudonyms, also of a key that one of them made just now", async () => {
  const { world, pseudonyms, open } = await opened();
  const other = await open();
  assert.equal(await pseudonyms.imsiOf(other.make("2", IMSIS[0]!)), IMSIS[0]);
  world.run(8 * DAY);
  await Promise.all([other.renew(), pseudonyms.renew()]);
  const later = await open();
  world.run(8 * DAY);
  await later.renew();
  assert.equal(await pseudonyms.imsiOf(later.make("2", IMSIS[0]!)), IMSIS[0]);
});
