import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Subscribers } from "../../src/aaa/hss/subscribers.ts";
import { makeTables } from "../../src/aaa/tables.ts";
import { PostgresDatabase } from "../../src/store/postgres.ts";
import { StoreError } from "../../src/store/sql.ts";
import { databaseBehaviour } from "./behaviour.ts";
import { PostgresServer } from "./postgresServer.ts";

let server: PostgresServer;
before(async () => {
  server = await PostgresServer.start();
});
after(() => server[Symbol.asyncDispose]());

databaseBehaviour("PostgreSQL", async () => {
  const url = server.newDatabase();
  return { open: () => PostgresDatabase.open(url), remove: async () => {} };
});

test("PostgreSQL: two AAA servers on one database never take the same sequence number", async () => {
  await using ends = new AsyncDisposableStack();
  const url = server.newDatabase();
  const [one, two] = [await PostgresDatabase.open(url), await PostgresDatabase.open(url)];
  for (const database of [one, two]) ends.defer(() => database.close());
  await Promise.all([makeTables(one), makeTables(two)]);
  const imsi = "001010123456789";
  await new Subscribers(one).add({ imsi, algorithm: "milenage", k: Buffer.alloc(16, 1), opc: Buffer.alloc(16, 2) });
  const taken = await Promise.all(
    Array.from({ length: 100 }, (_, index) => new Subscribers(index % 2 === 0 ? one : two).takeSqn(imsi)),
  );
  assert.equal(new Set(taken.map((each) => each?.sqn)).size, 100);
});

test("PostgreSQL: a server that is not there is named, without the password", async () => {
  await assert.rejects(
    PostgresDatabase.open("postgres://user:secret@127.0.0.1:1/x"),
    (error: unknown) =>
      error instanceof StoreError && error.message.includes("127.0.0.1:1") && !error.message.includes("secret"),
  );
});
