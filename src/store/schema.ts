/** Tables by steps: each is done once, in order, and recorded, so that a database of any age becomes today's. */
import { type Database, integer, type Statement, StoreError, sql } from "./sql.ts";

/**
 * Brings the tables of `component` up to date. Each step is statements separated by ";"; OCTETS stands for the database's
 * type of octet strings, BIGINT and TEXT are understood by both. Throws StoreError for a database of a newer program.
 */
export async function migrate(database: Database, component: string, steps: readonly string[]): Promise<void> {
  await database.transaction(async (queries) => {
    await queries.change(
      plain("CREATE TABLE IF NOT EXISTS schema_step (component TEXT PRIMARY KEY, done BIGINT NOT NULL)"),
    );
    const [row] = await queries.rows(sql`SELECT done FROM schema_step WHERE component = ${component}`);
    const done = row === undefined ? 0 : integer(row, "done");
    if (done > steps.length)
      throw new StoreError(
        `the tables of ${component} are at step ${done}, this program knows ${steps.length}: use a newer one`,
      );
    for (const step of steps.slice(done)) {
      for (const statement of step.split(";").filter((part) => part.trim() !== ""))
        await queries.change(plain(statement.replaceAll("OCTETS", OCTETS[database.dialect])));
    }
    await queries.change(
      sql`INSERT INTO schema_step (component, done) VALUES (${component}, ${steps.length})
          ON CONFLICT (component) DO UPDATE SET done = ${steps.length}`,
    );
  });
}

function plain(statement: string): Statement {
  return { parts: [statement], values: [] };
}

const OCTETS = { sqlite: "BLOB", postgres: "BYTEA" } as const;
