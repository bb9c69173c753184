/**
 * The SQLite file of a PKI: one connection, prepared statements, and the revision by which answers know their age.
 *
 * Full synchronisation: a change is on disk before the call returns, so what was acknowledged survives the loss of
 * power. Several processes may have the same file open, such as `serve` and `revoke`; each sees the others' changes by
 * `revision`.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { PkiError } from "./error.ts";

/** One row of a result. */
export type Row = ReturnType<StatementSync["all"]>[number];

export class PkiDatabase {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Counts what this connection changed; SQLite's data_version counts what others did. */
  #ownChanges = 0;
  #seenOwn = -1;
  #seenOthers = -1;
  #revision = 0;
  /** Whether what others did was looked for in this turn of the event loop. */
  #lookedThisTurn = false;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;");
    if (this.#version === 0)
      this.transaction(() => {
        if (this.#version === 0) this.#database.exec(SCHEMA);
      });
    const version = this.#version;
    if (version === SCHEMA_VERSION) return;
    this.close();
    throw new PkiError(`${path} was made by another release of Femtogate (layout ${version}, not ${SCHEMA_VERSION})`);
  }

  /** Runs `change` whole or not at all; other processes wait. What it gives is on disk when this returns. */
  transaction<T>(change: () => T): T {
    if (this.#database.isTransaction) return change();
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = change();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    } finally {
      this.#ownChanges++;
    }
  }

  /** Changes with every change that an answer may depend on, whichever process made it. */
  get revision(): number {
    const others = Number(this.get("PRAGMA data_version")?.data_version);
    if (others !== this.#seenOthers || this.#ownChanges !== this.#seenOwn) {
      this.#revision = Number(this.get(`SELECT ${REVISION} AS revision`)?.revision);
      this.#seenOthers = others;
      this.#seenOwn = this.#ownChanges;
    }
    return this.#revision;
  }

  /**
   * As `revision`, but what other processes changed is looked for once in a turn of the event loop, for those who ask a
   * hundred times in one.
   */
  get revisionThisTurn(): number {
    if (this.#lookedThisTurn && this.#ownChanges === this.#seenOwn) return this.#revision;
    if (!this.#lookedThisTurn) {
      this.#lookedThisTurn = true;
      setImmediate(() => {
        this.#lookedThisTurn = false;
      });
    }
    return this.revision;
  }

  /** A change that answers may depend on. */
  change(sql: string, ...values: SQLInputValue[]): void {
    this.transaction(() => {
      this.run(sql, ...values);
      this.run("UPDATE revision SET value = value + 1");
    });
  }

  /** Something that answers depend on changed, though not in the database. */
  touch(): void {
    this.transaction(() => this.run("UPDATE revision SET value = value + 1"));
  }

  run(sql: string, ...values: SQLInputValue[]): void {
    this.#statement(sql).run(...values);
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...values);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  get #version(): number {
    return Number(this.get("PRAGMA user_version")?.user_version);
  }

  /** Preparing costs more than most of these statements do. */
  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** The revision now, within a statement. */
export const REVISION = "(SELECT value FROM revision)";
const SCHEMA_VERSION = 1;
const SCHEMA = `
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE revision (value INTEGER NOT NULL);
INSERT INTO revision VALUES (0);
CREATE TABLE authority (
  name TEXT PRIMARY KEY, parent TEXT, kind TEXT NOT NULL, crlSource TEXT, combined INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE certificate (
  ca TEXT NOT NULL, serial TEXT NOT NULL, identity TEXT NOT NULL, subject TEXT NOT NULL, notAfter INTEGER NOT NULL,
  issuedAt INTEGER NOT NULL, der BLOB NOT NULL, shard INTEGER, revokedAt INTEGER, reason INTEGER, changed INTEGER,
  changedAt INTEGER, PRIMARY KEY (ca, serial)
);
CREATE INDEX certificateSerial ON certificate (serial);
CREATE INDEX certificateChanged ON certificate (ca, changed) WHERE changed IS NOT NULL;
CREATE INDEX shardChanged ON certificate (ca, shard, changed) WHERE changed IS NOT NULL;
CREATE TABLE crl (
  ca TEXT NOT NULL, shard INTEGER NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, madeAt INTEGER NOT NULL,
  nextUpdate INTEGER NOT NULL, revision INTEGER NOT NULL, entries INTEGER NOT NULL, der BLOB NOT NULL,
  PRIMARY KEY (ca, shard, kind, number)
);
CREATE TABLE allowed (ca TEXT NOT NULL, device TEXT NOT NULL, PRIMARY KEY (ca, device)) WITHOUT ROWID;
PRAGMA user_version = ${SCHEMA_VERSION};
`;
