/**
 * Which devices are authorized, for the combined answer of TS 33.320 7.x-2.
 *
 * A device is listed by its identity, which all its certificates share, where the CA is ours; a foreign CA's CRL and an
 * OCSP request know serial numbers only.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { PkiDatabase } from "./database.ts";
import { canonical } from "./store.ts";

/** A device: its FQDN identity, or one certificate's serial number. */
export type ListedDevice = { identity: string } | { serial: Bytes };

export class AllowList {
  readonly #database: PkiDatabase;

  constructor(database: PkiDatabase) {
    this.#database = database;
  }

  /** Whether answers for a CA say `good` for listed devices only. */
  isCombined(ca: string): boolean {
    return this.#database.get("SELECT combined FROM authority WHERE name = ?", ca)?.combined === 1;
  }

  combine(ca: string, on: boolean): void {
    this.#database.change("UPDATE authority SET combined = ? WHERE name = ?", Number(on), ca);
  }

  /** All or none of them; on disk when this returns. */
  allow(ca: string, devices: readonly ListedDevice[]): void {
    this.#database.transaction(() => {
      for (const device of devices)
        this.#database.change("INSERT OR IGNORE INTO allowed (ca, device) VALUES (?, ?)", ca, keyOf(device));
    });
  }

  disallow(ca: string, devices: readonly ListedDevice[]): void {
    this.#database.transaction(() => {
      for (const device of devices)
        this.#database.change("DELETE FROM allowed WHERE ca = ? AND device = ?", ca, keyOf(device));
    });
  }

  /** "ap-1.example" or "serial 4f3e..", in order. */
  list(ca: string): string[] {
    return this.#database
      .all("SELECT device FROM allowed WHERE ca = ? ORDER BY device", ca)
      .map(({ device }) => String(device));
  }

  /** Whether the device that holds this certificate is listed. */
  isAllowed(ca: string, serial: Bytes): boolean {
    const text = canonical(serial);
    const found = this.#database.get(
      `SELECT 1 AS found FROM allowed WHERE ca = ?1 AND device IN
       (?3, (SELECT identity FROM certificate WHERE ca = ?1 AND serial = ?2))`,
      ca,
      text,
      `serial ${text}`,
    );
    return found !== undefined;
  }
}

/** Names of hosts do not differ by case (RFC 4343), and hold no space. */
function keyOf(device: ListedDevice): string {
  return "serial" in device ? `serial ${canonical(device.serial)}` : device.identity.toLowerCase();
}
