/** The CRLs that a PKI made, and what the next ones are to list. */
import type { Bytes } from "../bytes/bytes.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { RevokedEntry } from "../x509/crlEntries.ts";
import type { PkiDatabase, Row } from "./database.ts";
import { reasonOf } from "./store.ts";

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

export class CrlArchive {
  readonly #database: PkiDatabase;

  constructor(database: PkiDatabase) {
    this.#database = database;
  }

  /** Revision at which the CRL of a scope last changed; 0 if it never did. */
  lastChange({ ca, shard }: CrlScope): number {
    const row =
      shard === undefined
        ? this.#database.get("SELECT max(changed) AS last FROM certificate WHERE ca = ? AND changed IS NOT NULL", ca)
        : this.#database.get(
            "SELECT max(changed) AS last FROM certificate WHERE ca = ? AND shard = ? AND changed IS NOT NULL",
            ca,
            shard,
          );
    return Number(row?.last ?? 0);
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

  /** The newest CRLs of a scope, at most two, newest first. */
  crls({ ca, shard }: CrlScope, kind: CrlKind): StoredCrl[] {
    return this.#database
      .all(
        `SELECT number, madeAt, nextUpdate, revision, entries, der FROM crl
       WHERE ca = ? AND shard = ? AND kind = ? ORDER BY number DESC LIMIT 2`,
        ca,
        shard ?? WHOLE,
        kind,
      )
      .map((row) => ({
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
      Number(
        this.#database.get("SELECT max(number) AS last FROM crl WHERE ca = ? AND shard = ?", ca, shard ?? WHOLE)
          ?.last ?? 0,
      )
    );
  }

  /** Keeps a CRL, and of those before it only the last. */
  addCrl({ ca, shard }: CrlScope, kind: CrlKind, crl: StoredCrl): void {
    this.#database.transaction(() => {
      this.#database.run(
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
      this.#database.run(
        `DELETE FROM crl WHERE ca = ?1 AND shard = ?2 AND kind = ?3 AND number NOT IN
         (SELECT number FROM crl WHERE ca = ?1 AND shard = ?2 AND kind = ?3 ORDER BY number DESC LIMIT 2)`,
        ca,
        shard ?? WHOLE,
        kind,
      );
    });
  }

  #entries({ ca, shard }: CrlScope, condition: string, ...values: number[]): RevokedEntry[] {
    const within = shard === undefined ? "" : "AND shard = ?";
    return this.#database
      .all(
        `SELECT serial, revokedAt, reason, changedAt FROM certificate
       WHERE ca = ? ${within} AND changed IS NOT NULL AND ${condition} ORDER BY changed`,
        ca,
        ...(shard === undefined ? [] : [shard]),
        ...values,
      )
      .map((row) => ({
        serial: Buffer.from(String(row.serial), "hex"),
        revokedAt: Number(row.revokedAt ?? row.changedAt),
        reason: row.revokedAt === null ? REMOVE_FROM_CRL : reasonOf(row.reason),
      }));
  }
}

function bytesOf(value: Row[string] | undefined): Bytes {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length) : Buffer.alloc(0);
}

/** CRLReason of a delta CRL's entry that takes one back (RFC 5280 5.3.1). */
const REMOVE_FROM_CRL = 8;
/** Shard number that stands for all certificates of a CA. */
const WHOLE = -1;
