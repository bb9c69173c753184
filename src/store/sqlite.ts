/**
 * SQLite through node:sqlite, with what must survive made durable for many at once.
 *
 * Statements that come close after each other are carried out together, in one transaction with one fsync, and only
 * then is any of them answered: one at a time, an fsync each would bound a server to a few hundred authentications a
 * second. A statement that fails fails alone.
 */
import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type Database, type Queries, type Row, type Statement, StoreError } from "./sql.ts";

interface Waiting {
  perform(): void;
  resolve(): void;
  reject(error: unknown): void;
}

export class SqliteDatabase implements Database {
  readonly dialect = "sqlite";
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  /** Statements by the identity of their template: what is written once is prepared once. */
  readonly #prepared = new Map<readonly string[], StatementSync>();
  #waiting: Waiting[] = [];
  #scheduled = false;
  /** The end of the transaction under way; statements from outside wait for it. */
  #transactions: Promise<void> = Promise.resolve();
  #inTransaction = false;

  /** Opens or makes a file, for its owner only, since it holds subscribers' keys; throws StoreError. */
  constructor(path: string) {
    try {
      // SQLite makes one for everybody, and its journals with the mode of the file.
      if (path !== ":memory:") closeSync(openSync(path, "a", 0o600));
      this.#database = new DatabaseSync(path);
      // FULL: what was acknowledged survives the loss of power. Other processes (the command line) may write as well.
      this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;");
      this.#begin = this.#database.prepare("BEGIN IMMEDIATE");
      this.#commit = this.#database.prepare("COMMIT");
    } catch (error) {
      throw new StoreError(`cannot open the database ${path}: ${error instanceof Error ? error.message : error}`);
    }
  }

  async rows(statement: Statement): Promise<Row[]> {
    // What only reads has nothing to make durable, and sees all that was answered before.
    if (!this.#inTransaction && /^\s*SELECT\b/i.test(statement.parts[0]!)) return this.#rows(statement);
    return this.#enqueue(() => this.#rows(statement));
  }

  change(statement: Statement): Promise<number> {
    return this.#enqueue(() => this.#change(statement));
  }

  async transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    const before = this.#transactions;
    let ended = () => {};
    this.#transactions = new Promise((resolve) => {
      ended = resolve;
    });
    await before;
    this.#flush();
    this.#inTransaction = true;
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      const result = await work({
        rows: async (statement) => this.#rows(statement),
        change: async (statement) => this.#change(statement),
      });
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    } finally {
      this.#inTransaction = false;
      ended();
      this.#flush();
    }
  }

  async close(): Promise<void> {
    await this.#transactions;
    this.#flush();
    this.#database.close();
  }

  #enqueue<T>(perform: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      let result: T;
      this.#waiting.push({
        perform: () => {
          result = perform();
        },
        resolve: () => resolve(result),
        reject,
      });
      if (this.#scheduled) return;
      this.#scheduled = true;
      this.#gather(0);
    });
  }

  /** Carries out what waits once a turn of the event loop has brought nothing more, or there is a lot of it. */
  #gather(before: number): void {
    setImmediate(() => {
      const now = this.#waiting.length;
      if (now > before && now < MAX_BATCH) return this.#gather(now);
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Carries out what waits, in one transaction. */
  #flush(): void {
    if (this.#inTransaction || this.#waiting.length === 0) return;
    const batch = this.#waiting;
    this.#waiting = [];
    const done: Waiting[] = [];
    try {
      this.#begin.run();
      for (const waiting of batch) {
        try {
          waiting.perform();
          done.push(waiting);
        } catch (error) {
          // SQLite undoes the one statement and keeps the transaction, unless the disk itself is at fault.
          if (!this.#database.isTransaction) throw error;
          waiting.reject(error);
        }
      }
      this.#commit.run();
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      for (const waiting of batch) waiting.reject(error);
      return;
    }
    for (const waiting of done) waiting.resolve();
  }

  #rows(statement: Statement): Row[] {
    return this.#prepare(statement).all(...statement.values) as Row[];
  }

  #change(statement: Statement): number {
    return Number(this.#prepare(statement).run(...statement.values).changes);
  }

  #prepare({ parts }: Statement): StatementSync {
    const known = this.#prepared.get(parts);
    if (known !== undefined) return known;
    const prepared = this.#database.prepare(parts.join("?"));
    // Statements that were put together at run time come once: they make room for those that come again.
    if (this.#prepared.size >= MAX_PREPARED) this.#prepared.delete(this.#prepared.keys().next().value!);
    this.#prepared.set(parts, prepared);
    return prepared;
  }
}

const MAX_PREPARED = 200;
/** Statements that make a transaction large enough for its fsync. */
const MAX_BATCH = 256;
