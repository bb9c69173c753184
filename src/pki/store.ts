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
import type { Certificate } from "../x509/certificate.ts";
import type { RevokedEntry } from "../x509/crlEntries.ts";
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

/** What a CRL covers: all certificates of a CA, or those of one shard (RFC 5280 5.2.5). */
export interface CrlScope {
  ca: string;
  shard: number | undefined;
}

/** A CRL that was made. */
export interface StoredCrl {
  /** One sequence for the complete CRLs and delta CRLs of a scope (RFC 5280 5.2.4). */
  number: number;
  madeAt: Milliseconds;
  nextUpdate: Milliseconds;
  /** Revision whose revocations it tells. */
  revision: number;
  entries: number;
  der: Bytes;
}

/** Complete CRL, or delta CRL. */
export type CrlKind = "complete" | "delta";

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

  add(ca: string, shard: number | undefined, certificate: Certificate, at: Milliseconds): void {
    this.#change(
      "INSERT INTO certificate (ca, shard, serial, subject, notAfter, issuedAt, der) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ca,
      shard ?? null,
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

  /** Sets or, without `revoked`, takes back a revocation; on disk when this returns. */
  setRevoked(
    ca: string,
    serial: Bytes,
    at: Milliseconds,
    revoked: { since: Milliseconds; reason: number } | undefined,
  ): void {
    this.#change(
      `UPDATE certificate SET revokedAt = ?, reason = ?, changedAt = ?, changed = 1 + ${REVISION}
       WHERE ca = ? AND serial = ?`,
      revoked?.since ?? null,
      revoked?.reason ?? null,
      at,
      ca,
      canonical(serial),
    );
  }

  /** Revision at which the CRL of a scope last changed; 0 if it never did. */
  lastChange({ ca, shard }: CrlScope): number {
    const row =
      shard === undefined
        ? this.#get("SELECT max(changed) AS last FROM certificate WHERE ca = ? AND changed IS NOT NULL", ca)
        : this.#get(
            "SELECT max(changed) AS last FROM certificate WHERE ca = ? AND shard = ? AND changed IS NOT NULL",
            ca,
            shard,
          );
    return Number(row?.last ?? 0);
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

  /**
   * What a complete CRL of a scope lists, in the order of revocation. Certificates that had ended when `last` was made are
   * left out, if `last` lists them (RFC 5280 3.3: an entry stays until a CRL after the certificate's end had it).
   */
  revoked(scope: CrlScope, last: StoredCrl | undefined): RevokedEntry[] {
    return this.#entries(
      scope,
      "revokedAt IS NOT NULL AND (notAfter >= ? OR changed > ?)",
      last?.madeAt ?? 0,
      last?.revision ?? 0,
    );
  }

  /** What a delta CRL lists: what was revoked after a revision, and what was released (RFC 5280 5.2.4, 5.3.1). */
  changedSince(scope: CrlScope, revision: number): RevokedEntry[] {
    return this.#entries(scope, "changed > ?", revision);
  }

  #entries({ ca, shard }: CrlScope, condition: string, ...values: number[]): RevokedEntry[] {
    const within = shard === undefined ? "" : "AND shard = ?";
    return this.#all(
      `SELECT serial, revokedAt, reason, changedAt FROM certificate
       WHERE ca = ? ${within} AND changed IS NOT NULL AND ${condition} ORDER BY changed`,
      ca,
      ...(shard === undefined ? [] : [shard]),
      ...values,
    ).map((row) => ({
      serial: Buffer.from(String(row.serial), "hex"),
      revokedAt: Number(row.revokedAt ?? row.changedAt),
      reason: row.revokedAt === null ? REMOVE_FROM_CRL : reasonOf(row.reason),
    }));
  }

  /** The newest CRLs of a scope, at most two, newest first. */
  crls({ ca, shard }: CrlScope, kind: CrlKind): StoredCrl[] {
    return this.#all(
      `SELECT number, madeAt, nextUpdate, revision, entries, der FROM crl
       WHERE ca = ? AND shard = ? AND kind = ? ORDER BY number DESC LIMIT 2`,
      ca,
      shard ?? WHOLE,
      kind,
    ).map((row) => ({
      number: Number(row.number),
      madeAt: Number(row.madeAt),
      nextUpdate: Number(row.nextUpdate),
      revision: Number(row.revision),
      entries: Number(row.entries),
      der: bytesOf(row.der),
    }));
  }

  /** The number for the next CRL of a scope; call it in the transaction that keeps the CRL (RFC 5280 5.2.3). */
  nextCrlNumber({ ca, shard }: CrlScope): number {
    return (
      1 +
      Number(this.#get("SELECT max(number) AS last FROM crl WHERE ca = ? AND shard = ?", ca, shard ?? WHOLE)?.last ?? 0)
    );
  }

  /** Keeps a CRL, and of those before it only the last. */
  addCrl({ ca, shard }: CrlScope, kind: CrlKind, crl: StoredCrl): void {
    this.transaction(() => {
      this.#run(
        `INSERT INTO crl (ca, shard, kind, number, madeAt, nextUpdate, revision, entries, der)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ca,
        shard ?? WHOLE,
        kind,
        crl.number,
        crl.madeAt,
        crl.nextUpdate,
        crl.revision,
        crl.entries,
        crl.der,
      );
      this.#run(
        `DELETE FROM crl WHERE ca = ?1 AND shard = ?2 AND kind = ?3 AND number NOT IN
         (SELECT number FROM crl WHERE ca = ?1 AND shard = ?2 AND kind = ?3 ORDER BY number DESC LIMIT 2)`,
        ca,
        shard ?? WHOLE,
        kind,
      );
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

/** CRLReason of a delta CRL's entry that takes one back (RFC 5280 5.3.1). */
const REMOVE_FROM_CRL = 8;
/** Shard number that stands for all certificates of a CA. */
const WHOLE = -1;
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
  der BLOB NOT NULL, shard INTEGER, revokedAt INTEGER, reason INTEGER, changed INTEGER, changedAt INTEGER,
  PRIMARY KEY (ca, serial)
);
CREATE INDEX certificateSerial ON certificate (serial);
CREATE INDEX certificateChanged ON certificate (ca, changed) WHERE changed IS NOT NULL;
CREATE INDEX shardChanged ON certificate (ca, shard, changed) WHERE changed IS NOT NULL;
CREATE TABLE crl (
  ca TEXT NOT NULL, shard INTEGER NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, madeAt INTEGER NOT NULL,
  nextUpdate INTEGER NOT NULL, revision INTEGER NOT NULL, entries INTEGER NOT NULL, der BLOB NOT NULL,
  PRIMARY KEY (ca, shard, kind, number)
);
PRAGMA user_version = ${SCHEMA_VERSION};
`;
