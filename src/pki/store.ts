/**
 * What a PKI issued and revoked, in SQLite.
 *
 * Full synchronisation: a change is on disk before the call returns, so what was acknowledged survives the loss of
 * power. Several processes may have the same file open, such as `serve` and `revoke`; each sees the others' changes by
 * `revision`.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { RevokedEntry } from "../x509/build.ts";
import type { Certificate } from "../x509/certificate.ts";
import { PkiError } from "./error.ts";

/** One issued certificate, for people; times in milliseconds since 1970. */
export interface IssuedRow {
  ca: string;
  /** Hexadecimal. */
  serial: string;
  subject: string;
  notAfter: Milliseconds;
  revokedAt: Milliseconds | null;
  /** CRLReason (RFC 5280 5.3.1). */
  reason: number | null;
}

/** What is known of a serial under one CA. */
export type IssuedStatus =
  | { kind: "good" }
  | { kind: "revoked"; at: Milliseconds; reason: number | undefined }
  | { kind: "unknown" };

/** A CRL that was made, with the revision it was made at. */
export interface StoredCrl {
  der: Bytes;
  madeAt: Milliseconds;
  revision: number;
}

export class PkiStore {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Counts what this connection changed; SQLite's data_version counts what others did. */
  #ownChanges = 0;
  #seen = "";
  #revision = 0;

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
    const seen = `${this.#get("PRAGMA data_version")?.data_version} ${this.#ownChanges}`;
    if (seen !== this.#seen) {
      this.#revision = Number(this.#get(`SELECT ${REVISION} AS revision`)?.revision);
      this.#seen = seen;
    }
    return this.#revision;
  }

  /** A setting that `set` kept, or undefined. */
  setting(name: string): unknown {
    const value = this.#get("SELECT value FROM setting WHERE name = ?", name)?.value;
    return typeof value === "string" ? JSON.parse(value) : undefined;
  }

  set(name: string, value: object): void {
    this.transaction(() =>
      this.#run("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", name, JSON.stringify(value)),
    );
  }

  addAuthority(name: string, parent: string | undefined): void {
    this.#change("INSERT INTO authority (name, parent) VALUES (?, ?)", name, parent ?? null);
  }

  /** CAs in the order in which they were made. */
  authorities(): { name: string; parent: string | undefined }[] {
    return this.#all("SELECT name, parent FROM authority ORDER BY rowid").map((row) => ({
      name: String(row.name),
      parent: row.parent === null ? undefined : String(row.parent),
    }));
  }

  add(ca: string, certificate: Certificate, at: Milliseconds): void {
    this.#change(
      "INSERT INTO certificate (ca, serial, subject, notAfter, issuedAt, der) VALUES (?, ?, ?, ?, ?, ?)",
      ca,
      canonical(certificate.serial),
      certificate.subject.toString(),
      certificate.notAfter,
      at,
      copyOf(certificate.der),
    );
  }

  /** Every certificate with this serial, which is one unless a CA's random numbers are broken. */
  withSerial(serial: Bytes): IssuedRow[] {
    return this.#all(
      "SELECT ca, serial, subject, notAfter, revokedAt, reason FROM certificate WHERE serial = ?",
      canonical(serial),
    ).map(issuedRow);
  }

  /** On disk when this returns. */
  revoke(ca: string, serial: Bytes, at: Milliseconds, reason: number): void {
    this.#change(
      `UPDATE certificate SET revokedAt = ?, reason = ?, changed = 1 + ${REVISION} WHERE ca = ? AND serial = ?`,
      at,
      reason,
      ca,
      canonical(serial),
    );
  }

  /** Revision at which a CA's CRL last changed; 0 if it never did. */
  lastRevocation(ca: string): number {
    return Number(
      this.#get("SELECT max(changed) AS last FROM certificate WHERE ca = ? AND changed IS NOT NULL", ca)?.last ?? 0,
    );
  }

  status(ca: string, serial: Bytes): IssuedStatus {
    const row = this.#get(
      "SELECT revokedAt, reason FROM certificate WHERE ca = ? AND serial = ?",
      ca,
      canonical(serial),
    );
    if (row === undefined) return { kind: "unknown" };
    if (row.revokedAt === null) return { kind: "good" };
    return { kind: "revoked", at: Number(row.revokedAt), reason: reasonOf(row.reason) };
  }

  all(): IssuedRow[] {
    return this.#all(
      "SELECT ca, serial, subject, notAfter, revokedAt, reason FROM certificate ORDER BY issuedAt, rowid",
    ).map(issuedRow);
  }

  /** What a CRL of this CA lists, in the order of revocation. */
  revoked(ca: string): RevokedEntry[] {
    return this.#all(
      "SELECT serial, revokedAt, reason FROM certificate WHERE ca = ? AND changed IS NOT NULL AND revokedAt IS NOT NULL ORDER BY changed",
      ca,
    ).map((row) => ({
      serial: Buffer.from(String(row.serial), "hex"),
      revokedAt: Number(row.revokedAt),
      reason: reasonOf(row.reason),
    }));
  }

  /** The newest CRL of a CA, and the revision it was made at. */
  crl(ca: string): StoredCrl | undefined {
    const row = this.#get("SELECT der, madeAt, revision FROM crl WHERE ca = ?", ca);
    if (row === undefined) return undefined;
    return { der: bytesOf(row.der), madeAt: Number(row.madeAt), revision: Number(row.revision) };
  }

  /** Numbers a new CRL, makes it and keeps it; no two have the same number, and none is lost (RFC 5280 5.2.3). */
  addCrl(ca: string, madeAt: Milliseconds, make: (number: number) => Bytes): StoredCrl {
    return this.transaction(() => {
      const number = Number(this.#get("SELECT number FROM crl WHERE ca = ?", ca)?.number ?? 0) + 1;
      const der = make(number);
      const revision = Number(this.#get(`SELECT ${REVISION} AS revision`)?.revision);
      this.#run(
        "INSERT OR REPLACE INTO crl (ca, number, madeAt, revision, der) VALUES (?, ?, ?, ?, ?)",
        ca,
        number,
        madeAt,
        revision,
        der,
      );
      return { der, madeAt, revision };
    });
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  get #version(): number {
    return Number(this.#get("PRAGMA user_version")?.user_version);
  }

  /** A change that answers may depend on. */
  #change(sql: string, ...values: SQLInputValue[]): void {
    this.transaction(() => {
      this.#run(sql, ...values);
      this.#run("UPDATE revision SET value = value + 1");
    });
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#statement(sql).run(...values);
  }

  #get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values);
  }

  #all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...values);
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

type Row = ReturnType<StatementSync["all"]>[number];

function issuedRow(row: Row): IssuedRow {
  return {
    ca: String(row.ca),
    serial: String(row.serial),
    subject: String(row.subject),
    notAfter: Number(row.notAfter),
    revokedAt: row.revokedAt === null ? null : Number(row.revokedAt),
    reason: row.reason === null ? null : Number(row.reason),
  };
}

/** `unspecified` is not said (RFC 5280 5.3.1). */
function reasonOf(value: Row[string] | undefined): number | undefined {
  return value === null || value === undefined || value === 0 ? undefined : Number(value);
}

function bytesOf(value: Row[string] | undefined): Bytes {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length) : Buffer.alloc(0);
}

/** Serial as stored: its value in hexadecimal, without the INTEGER's sign octet. */
function canonical(serial: Bytes): string {
  return serial.toString("hex").replace(/^(00)+(?=..)/, "");
}

/** The revision now. */
const REVISION = "(SELECT value FROM revision)";
const SCHEMA_VERSION = 1;
const SCHEMA = `
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE revision (value INTEGER NOT NULL);
INSERT INTO revision VALUES (0);
CREATE TABLE authority (name TEXT PRIMARY KEY, parent TEXT);
CREATE TABLE certificate (
  ca TEXT NOT NULL, serial TEXT NOT NULL, subject TEXT NOT NULL, notAfter INTEGER NOT NULL, issuedAt INTEGER NOT NULL,
  der BLOB NOT NULL, revokedAt INTEGER, reason INTEGER, changed INTEGER, PRIMARY KEY (ca, serial)
);
CREATE INDEX certificateSerial ON certificate (serial);
CREATE INDEX certificateChanged ON certificate (ca, changed) WHERE changed IS NOT NULL;
CREATE TABLE crl (ca TEXT PRIMARY KEY, number INTEGER NOT NULL, madeAt INTEGER NOT NULL, revision INTEGER NOT NULL,
  der BLOB NOT NULL);
PRAGMA user_version = ${SCHEMA_VERSION};
`;
