/**
 * What to say of a certificate, whoever issued it: by what was issued and revoked here, by a foreign CA's CRL, and by the
 * allow list where the operator wants one answer for both (TS 33.320 7.x-2).
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { Clock, Milliseconds } from "../sim/environment.ts";
import type { CertStatus } from "../x509/ocsp.ts";
import type { ForeignAuthority } from "./authorities.ts";
import type { Pki } from "./authority.ts";
import { type ForeignCrlSource, nextUpdateOf } from "./foreignCrls.ts";

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

  constructor(pki: Pki, foreign: ForeignCrlSource | undefined, clock: Clock) {
    this.#pki = pki;
    this.#foreign = foreign;
    this.#clock = clock;
  }

  /** Changes whenever an answer might. */
  get version(): number {
    return this.#pki.revision + (this.#foreign?.generation ?? 0);
  }

  /** Undefined where nothing can be said now: there is no CRL, or it is out of date. */
  of(ca: string, serial: Bytes): DatedStatus | undefined {
    const now = this.#clock.now();
    const authority = this.#pki.authority(ca);
    const known =
      authority.kind === "foreign"
        ? this.#byCrl(authority, serial, now)
        : { status: this.#pki.status(ca, serial), thisUpdate: now, until: undefined };
    // TS 33.320 7.x-2: `good` only if not revoked and authorized.
    if (known === undefined || known.status.kind === "revoked" || !this.isCombined(ca)) return known;
    if (known.status.kind === "good" && this.#pki.allowList.isAllowed(ca, serial)) return known;
    return { ...known, status: NOT_AUTHORIZED };
  }

  /** Whether `good` means authorized as well. */
  isCombined(ca: string): boolean {
    return this.#pki.allowList.isCombined(ca);
  }

  #byCrl(authority: ForeignAuthority, serial: Bytes, now: Milliseconds): DatedStatus | undefined {
    const loaded = this.#foreign?.crlOf(authority);
    if (loaded === undefined) return undefined;
    const { crl, index } = loaded;
    const until = nextUpdateOf(crl);
    if (until <= now) return undefined;
    const entry = index.lookUp(serial);
    const status: CertStatus =
      entry === undefined ? { kind: "good" } : { kind: "revoked", at: entry.revokedAt, reason: entry.reason };
    return { status, thisUpdate: crl.thisUpdate, until };
  }
}

/** What RFC 6960 2.2 has a responder say that calls more than revoked certificates revoked. */
const NOT_AUTHORIZED: CertStatus = { kind: "revoked", at: 0, reason: 6 };
