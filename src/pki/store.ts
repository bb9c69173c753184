/** What a PKI is, and what it issued and revoked. */
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { CrlScope } from "./crlArchive.ts";
import { type PkiDatabase, REVISION, type Row } from "./database.ts";

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

/** One CA. */
export interface AuthorityRow {
  name: string;
  parent: string | undefined;
  kind: "own" | "foreign";
  /** URL of a foreign CA's CRL. */
  crlSource: string | undefined;
}

/** What is known of a serial under one CA. */
export type IssuedStatus =
  | { kind: "good" }
  | { kind: "revoked"; at: Milliseconds; reason: number | undefined }
  | { kind: "unknown" };

export class PkiStore {
  readonly #database: PkiDatabase;

  constructor(database: PkiDatabase) {
    this.#database = database;
  }

  /** A setting that `set` kept, or undefined. */
  setting(name: string): unknown {
    const value = this.#database.get("SELECT value FROM setting WHERE name = ?", name)?.value;
    return typeof value === "string" ? JSON.parse(value) : undefined;
  }

  set(name: string, value: object): void {
    this.#database.transaction(() =>
      this.#database.run("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", name, JSON.stringify(value)),
    );
  }

  addAuthority({ name, parent, kind, crlSource }: AuthorityRow): void {
    this.#database.change(
      "INSERT INTO authority (name, parent, kind, crlSource) VALUES (?, ?, ?, ?)",
      name,
      parent ?? null,
      kind,
      crlSource ?? null,
    );
  }

  /** CAs in the order in which they were added. */
  authorities(): AuthorityRow[] {
    return this.#database.all("SELECT name, parent, kind, crlSource FROM authority ORDER BY rowid").map((row) => ({
      name: String(row.name),
      parent: row.parent === null ? undefined : String(row.parent),
      kind: row.kind === "own" ? "own" : "foreign",
      crlSource: row.crlSource === null ? undefined : String(row.crlSource),
    }));
  }

  /** `identity` is the name by which its holder is known. */
  add({ ca, shard }: CrlScope, certificate: Certificate, identity: string, at: Milliseconds): void {
    this.#database.change(
      `INSERT INTO certificate (ca, shard, serial, identity, subject, notAfter, issuedAt, der)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ca,
      shard ?? null,
      canonical(certificate.serial),
      identity.toLowerCase(),
      certificate.subject.toString(),
      certificate.notAfter,
      at,
      copyOf(certificate.der),
    );
  }

  /** Every certificate with this serial, which is one unless a CA's random numbers are broken. */
  withSerial(serial: Bytes): IssuedRow[] {
    return this.#database
      .all(
        "SELECT ca, serial, subject, notAfter, revokedAt, reason FROM certificate WHERE serial = ?",
        canonical(serial),
      )
      .map(issuedRow);
  }

  /** Sets or, without `revoked`, takes back a revocation; on disk when this returns. */
  setRevoked(
    ca: string,
    serial: Bytes,
    at: Milliseconds,
    revoked: { since: Milliseconds; reason: number } | undefined,
  ): void {
    this.#database.change(
      `UPDATE certificate SET revokedAt = ?, reason = ?, changedAt = ?, changed = 1 + ${REVISION}
       WHERE ca = ? AND serial = ?`,
      revoked?.since ?? null,
      revoked?.reason ?? null,
      at,
      ca,
      canonical(serial),
    );
  }

  status(ca: string, serial: Bytes): IssuedStatus {
    const row = this.#database.get(
      "SELECT revokedAt, reason FROM certificate WHERE ca = ? AND serial = ?",
      ca,
      canonical(serial),
    );
    if (row === undefined) return { kind: "unknown" };
    if (row.revokedAt === null) return { kind: "good" };
    return { kind: "revoked", at: Number(row.revokedAt), reason: reasonOf(row.reason) };
  }

  /** Serials under a CA, in order, from behind the hexadecimal `after` on; those of certificates that have not ended. */
  serialsAfter(ca: string, after: string, limit: number, now: Milliseconds): Bytes[] {
    return this.#database
      .all(
        "SELECT serial FROM certificate WHERE ca = ? AND serial > ? AND notAfter > ? ORDER BY serial LIMIT ?",
        ca,
        after,
        now,
        limit,
      )
      .map(({ serial }) => Buffer.from(String(serial), "hex"));
  }

  all(): IssuedRow[] {
    return this.#database
      .all("SELECT ca, serial, subject, notAfter, revokedAt, reason FROM certificate ORDER BY issuedAt, rowid")
      .map(issuedRow);
  }
}

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
export function reasonOf(value: Row[string] | undefined): number | undefined {
  return value === null || value === undefined || value === 0 ? undefined : Number(value);
}

/** Serial as stored: its value in hexadecimal, without the INTEGER's sign octet. */
export function canonical(serial: Bytes): string {
  return serial.toString("hex").replace(/^(00)+(?=..)/, "");
}
