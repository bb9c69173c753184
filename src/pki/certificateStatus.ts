/**
 * What to say of a certificate, whoever issued it: by what was issued and revoked here, by a foreign CA's CRL, and by the
 * allow list where the operator wants one answer for both (TS 33.320 7.x-2).
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { Clock, Milliseconds } from "../sim/environment.ts";
import type { CertStatus } from "../x509/ocsp.ts";
import type { Authority, ForeignAuthority } from "./authorities.ts";
import type { Pki } from "./authority.ts";
import { type ForeignCrlSource, nextUpdateOf } from "./foreignCrls.ts";
import type { IssuedStatus } from "./store.ts";

/** A status and the time for which it may be told (RFC 6960 2.4). */
export interface DatedStatus {
  status: CertStatus;
  thisUpdate: Milliseconds;
  /** The answer ends then at the latest; undefined leaves it to the responder. */
  until: Milliseconds | undefined;
}

export class CertificateStatus {
  readonly #pki: Pki;
  readonly #foreign: ForeignCrlSource | undefined;
  readonly #clock: Clock;
  /** What the database said of certificates at a version: asking it again costs as much as signing does. */
  readonly #issued = new Map<string, { status: IssuedStatus; version: number }>();
  /** What is known of CAs at a version. */
  readonly #cas = new Map<string, { authority: Authority; combined: boolean; version: number }>();

  constructor(pki: Pki, foreign: ForeignCrlSource | undefined, clock: Clock) {
    this.#pki = pki;
    this.#foreign = foreign;
    this.#clock = clock;
  }

  /** Changes whenever an answer might; asking costs some microseconds, so that one value goes through an answer. */
  get version(): number {
    return this.#pki.revisionThisTurn + (this.#foreign?.generation ?? 0);
  }

  /** Undefined where there is no CRL to tell by; one that is out of date tells until a time that is over. */
  of(ca: string, serial: Bytes, version: number): DatedStatus | undefined {
    const now = this.#clock.now();
    const { authority, combined } = this.#ca(ca, version);
    const known =
      authority.kind === "foreign"
        ? this.#byCrl(authority, serial)
        : { status: this.#issuedStatus(ca, serial, version), thisUpdate: now, until: undefined };
    if (known === undefined || known.status.kind === "revoked") return known;
    // What nobody issued or allowed may be issued or allowed in a moment.
    const soon = now + NOT_YET_LIFE;
    const until = known.until === undefined ? soon : Math.min(known.until, soon);
    // TS 33.320 7.x-2: `good` only if not revoked and authorized.
    if (combined && (known.status.kind === "unknown" || !this.#pki.allowList.isAllowed(ca, serial)))
      return { ...known, status: NOT_AUTHORIZED, until };
    return known.status.kind === "unknown" ? { ...known, until } : known;
  }

  /** Whether `good` means authorized as well. */
  isCombined(ca: string, version: number): boolean {
    return this.#ca(ca, version).combined;
  }

  #ca(name: string, version: number): { authority: Authority; combined: boolean } {
    const known = this.#cas.get(name);
    if (known?.version === version) return known;
    const read = { authority: this.#pki.authority(name), combined: this.#pki.allowList.isCombined(name), version };
    this.#cas.set(name, read);
    return read;
  }

  #issuedStatus(ca: string, serial: Bytes, version: number): IssuedStatus {
    const key = `${ca} ${serial.toString("latin1")}`;
    const known = this.#issued.get(key);
    if (known?.version === version) return known.status;
    const status = this.#pki.status(ca, serial);
    if (known !== undefined) Object.assign(known, { status, version });
    else if (status.kind !== "unknown") {
      if (this.#issued.size >= MAX_REMEMBERED) this.#issued.clear();
      this.#issued.set(key, { status, version });
    }
    return status;
  }

  #byCrl(authority: ForeignAuthority, serial: Bytes): DatedStatus | undefined {
    const loaded = this.#foreign?.crlOf(authority);
    if (loaded === undefined) return undefined;
    const { crl, index } = loaded;
    const entry = index.lookUp(serial);
    const status: CertStatus =
      entry === undefined ? { kind: "good" } : { kind: "revoked", at: entry.revokedAt, reason: entry.reason };
    return { status, thisUpdate: crl.thisUpdate, until: nextUpdateOf(crl) };
  }
}

/** Certificates whose status is remembered, some 150 octets each. */
const MAX_REMEMBERED = 100_000;
/** Milliseconds for which it is told that a certificate is unknown or its device not allowed. */
const NOT_YET_LIFE = 300_000;
/** What RFC 6960 2.2 has a responder say that calls more than revoked certificates revoked. */
const NOT_AUTHORIZED: CertStatus = { kind: "revoked", at: 0, reason: 6 };
