/**
 * PostgreSQL, for a fleet that shares one database (several AAA servers, one set of sequence numbers).
 *
 * Each statement is a transaction of its own on one of a few connections; what it tells is durable by then, as long as
 * the server runs with synchronous_commit on, which is PostgreSQL's default.
 */
import postgres from "postgres";
import { type Database, type Queries, type Row, type Statement, StoreError } from "./sql.ts";

type Client = postgres.Sql<{ bigint: number }>;

export class PostgresDatabase implements Database {
  readonly dialect = "postgres";
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  /** Connects to a "postgres:" URL; rejects with StoreError, which never quotes a password. */
  static async open(url: string): Promise<PostgresDatabase> {
    const client: Client = postgres(url, {
      max: CONNECTIONS,
      connect_timeout: CONNECT_SECONDS,
      // "relation already exists, skipping" is what our schema steps expect.
      onnotice: () => {},
      // BIGINT holds counters and times, all of which a double holds exactly; as text nobody could add to them.
      types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    });
    const database = new PostgresDatabase(client);
    try {
      await client.unsafe("SELECT 1");
    } catch (error) {
      await client.end({ timeout: 1 });
      const place = new URL(url);
      place.password = "";
      throw new StoreError(`cannot reach the database ${place}: ${error instanceof Error ? error.message : error}`);
    }
    return database;
  }

  rows(statement: Statement): Promise<Row[]> {
    return queriesOn(this.#client).rows(statement);
  }

  change(statement: Statement): Promise<number> {
    return queriesOn(this.#client).change(statement);
  }

  async transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    // SERIALIZABLE: who reads, decides and writes must not pass another who does the same; who comes second tries again.
    for (let attempt = 1; ; attempt++) {
      try {
        const outcome = await this.#client.begin("ISOLATION LEVEL SERIALIZABLE", async (transaction) => ({
          result: await work(queriesOn(transaction)),
        }));
        return outcome.result;
      } catch (error) {
        const conflict = error instanceof postgres.PostgresError && RETRIABLE.has(error.code);
        if (!conflict || attempt >= ATTEMPTS) throw error;
      }
    }
  }

  async close(): Promise<void> {
    await this.#client.end({ timeout: 5 });
  }
}

function queriesOn(client: postgres.Sql<{ bigint: number }> | postgres.TransactionSql<{ bigint: number }>): Queries {
  const run = ({ parts, values }: Statement) =>
    // Prepared by its text, so that a statement that comes again is parsed and planned once.
    client.unsafe<Row[]>(numbered(parts), [...values], { prepare: values.length > 0 });
  return {
    rows: async (statement) => [...(await run(statement))],
    change: async (statement) => (await run(statement)).count,
  };
}

/** Parameters are numbered here, where SQLite has question marks. */
function numbered(parts: readonly string[]): string {
  return parts.reduce((text, part, index) => (index === 0 ? part : `${text}$${index}${part}`), "");
}

const CONNECTIONS = 8;
const CONNECT_SECONDS = 10;
/** serialization_failure, deadlock_detected, and unique_violation where two made the same table. */
const RETRIABLE = new Set(["40001", "40P01", "23505"]);
const ATTEMPTS = 10;
