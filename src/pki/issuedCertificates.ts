/** What a PKI issued and revoked, in SQLite; every write is on disk before it returns. */
import { DatabaseSync } from "node:sqlite";
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import type { RevokedEntry } from "../x509/build.ts";
import type { Certificate } from "../x509/certificate.ts";

export interface IssuedRow {
  ca: string;
  serial: string;
  subject: string;
  /** Milliseconds since 1970. */
  notAfter: number;
  revokedAt: number | null;
  reason: number | null;
}

export type IssuedStatus =
  | { kind: "good" }
  | { kind: "revoked"; at: number; reason: number | undefined }
  | { kind: "unknown" };

export class IssuedCertificates {
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    // FULL: an acknowledged revocation survives the loss of power.
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;");
    this.#database.exec(SCHEMA);
  }

  /** The options that a PKI was made with. */
  static readOptions(path: string): Record<string, never> {
    const store = new IssuedCertificates(path);
    try {
      const row = store.#database.prepare("SELECT value FROM setting WHERE name = 'options'").get();
      return JSON.parse(typeof row?.value === "string" ? row.value : "{}");
    } finally {
      store.close();
    }
  }

  setOptions(options: object): void {
    this.#database
      .prepare("INSERT OR REPLACE INTO setting (name, value) VALUES ('options', ?)")
      .run(JSON.stringify(options));
  }

  add(ca: string, certificate: Certificate, at: number): void {
    this.#database
      .prepare("INSERT INTO certificate (ca, serial, subject, notAfter, issuedAt, der) VALUES (?, ?, ?, ?, ?, ?)")
      .run(
        ca,
        certificate.serialText,
        certificate.subject.toString(),
        certificate.notAfter,
        at,
        copyOf(certificate.der),
      );
  }

  /** False if no such certificate was issued or it is revoked already. */
  revoke(serial: Bytes, at: number, reason: number): boolean {
    const { changes } = this.#database
      .prepare("UPDATE certificate SET revokedAt = ?, reason = ? WHERE serial = ? AND revokedAt IS NULL")
      .run(at, reason, canonical(serial));
    return Number(changes) > 0;
  }

  status(ca: string, serial: Bytes): IssuedStatus {
    const row = this.#database
      .prepare("SELECT revokedAt, reason FROM certificate WHERE ca = ? AND serial = ?")
      .get(ca, canonical(serial)) as Pick<IssuedRow, "revokedAt" | "reason"> | undefined;
    if (row === undefined) return { kind: "unknown" };
    if (row.revokedAt === null) return { kind: "good" };
    return {
      kind: "revoked",
      at: row.revokedAt,
      reason: row.reason === null || row.reason === 0 ? undefined : row.reason,
    };
  }

  all(): IssuedRow[] {
    return this.#database
      .prepare("SELECT ca, serial, subject, notAfter, revokedAt, reason FROM certificate ORDER BY issuedAt, rowid")
      .all() as unknown as IssuedRow[];
  }

  revoked(ca: string): RevokedEntry[] {
    const rows = this.#database
      .prepare(
        "SELECT serial, revokedAt, reason FROM certificate WHERE ca = ? AND revokedAt IS NOT NULL ORDER BY revokedAt",
      )
      .all(ca) as unknown as IssuedRow[];
    return rows.map((row) => ({
      serial: Buffer.from(row.serial, "hex"),
      revokedAt: row.revokedAt!,
      reason: row.reason === null || row.reason === 0 ? undefined : row.reason,
    }));
  }

  /** Changes whenever another connection or this one has written. */
  get revision(): number {
    const external = this.#database.prepare("PRAGMA data_version").get() as { data_version: number };
    const own = this.#database.prepare("SELECT total_changes() AS changes").get() as { changes: number };
    return external.data_version * 2 ** 20 + own.changes;
  }

  nextCrlNumber(ca: string): number {
    const row = this.#database
      .prepare(
        "INSERT INTO crl (ca, number) VALUES (?, 1) ON CONFLICT (ca) DO UPDATE SET number = number + 1 RETURNING number",
      )
      .get(ca) as { number: number };
    return row.number;
  }

  close(): void {
    this.#database.close();
  }
}

/** Serial as stored: content of the INTEGER in hexadecimal. */
function canonical(serial: Bytes): string {
  return serial.toString("hex");
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS certificate (
  ca TEXT NOT NULL, serial TEXT NOT NULL, subject TEXT NOT NULL, notAfter INTEGER NOT NULL, issuedAt INTEGER NOT NULL,
  der BLOB NOT NULL, revokedAt INTEGER, reason INTEGER, PRIMARY KEY (ca, serial)
);
CREATE TABLE IF NOT EXISTS crl (ca TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
`;
