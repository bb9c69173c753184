/**
 * The CRLs of a PKI's CAs: complete ones, deltas, and shards by issuing distribution point (RFC 5280 5.2.3 to 5.2.6).
 *
 * A CRL is kept with its number once it is made, so that all processes and restarts give the same one, and made anew
 * where something of its scope changed or it grows old. Where delta CRLs are published a change makes a new delta, and
 * the complete CRL only its age.
 */
import type { Clock, Milliseconds } from "../sim/environment.ts";
import {
  buildCrl,
  deltaCrlIndicator,
  freshestCrl,
  issuingDistributionPoint,
  type NewExtension,
} from "../x509/build.ts";
import type { RevokedEntry } from "../x509/crlEntries.ts";
import type { KeyHolder } from "./caFolder.ts";
import { CrlArchive, type CrlKind, type CrlScope, type StoredCrl } from "./crlArchive.ts";
import type { PkiDatabase } from "./database.ts";
import { PkiError } from "./error.ts";

/** How CRLs are cut and where they are. */
export interface CrlPlan {
  /** Base URL of the CRL server, which distribution points name. */
  crlUrl?: string | undefined;
  deltas: boolean;
}

/** A CRL as it is now. */
export interface CurrentCrl extends StoredCrl {
  /** When it will be made anew though nothing more changes. */
  refreshAt: Milliseconds;
}

export class CrlPublisher {
  readonly #database: PkiDatabase;
  readonly #archive: CrlArchive;
  readonly #clock: Clock;
  readonly #plan: CrlPlan;
  /** What was current at a revision. */
  readonly #current = new Map<string, CurrentCrl & { at: number }>();

  constructor(database: PkiDatabase, clock: Clock, plan: CrlPlan) {
    this.#database = database;
    this.#archive = new CrlArchive(database);
    this.#clock = clock;
    this.#plan = plan;
  }

  /** The CRL of a scope, made anew if need be; `issuer` is the scope's CA. Throws PkiError where there are no deltas. */
  current(issuer: KeyHolder, scope: CrlScope, kind: CrlKind): CurrentCrl {
    if (kind === "delta" && !this.#plan.deltas) throw new PkiError("this PKI publishes no delta CRLs");
    const key = crlPath(scope, kind);
    const now = this.#clock.now();
    const { revision } = this.#database;
    const known = this.#current.get(key);
    if (known?.at === revision && isFresh(known, now)) return known;
    // Looked for again within the transaction: another process may have made it meanwhile.
    const current =
      this.#stored(scope, kind, now) ??
      this.#database.transaction(
        () => this.#stored(scope, kind, now) ?? this.#withRefresh(this.#publish(issuer, scope, kind, now), kind),
      );
    this.#current.set(key, { ...current, at: revision });
    return current;
  }

  /** The CRL that another call or process made, if it will still do. */
  #stored(scope: CrlScope, kind: CrlKind, now: Milliseconds): CurrentCrl | undefined {
    const [last] = this.#archive.crls(scope, kind);
    if (last === undefined) return undefined;
    const current = this.#withRefresh(last, kind);
    if (!isFresh(current, now)) return undefined;
    const toldByDelta = kind === "complete" && this.#plan.deltas;
    if (toldByDelta || last.revision >= this.#archive.lastChange(scope)) return current;
    // Making a long list takes a while, so that it is not done again for each of many revocations.
    const paced = { ...last, refreshAt: last.madeAt + Math.max(0, last.entries - FEW_ENTRIES) * PACE };
    return isFresh(paced, now) ? paced : undefined;
  }

  #publish(issuer: KeyHolder, scope: CrlScope, kind: CrlKind, now: Milliseconds): StoredCrl {
    const number = this.#archive.nextCrlNumber(scope);
    if (!this.#plan.deltas) return this.#complete(issuer, scope, number, now);
    const known = kind === "complete" ? undefined : this.#archive.crls(scope, "complete")[0];
    // RFC 5280 5.2.4: a complete CRL and a delta CRL made at the same time have the same number and tell the same.
    const fresh = known !== undefined && isFresh(this.#withRefresh(known, "complete"), now);
    const complete = fresh ? known : this.#complete(issuer, scope, number, now);
    const delta = this.#delta(issuer, scope, number, now);
    return kind === "complete" ? complete : delta;
  }

  #complete(issuer: KeyHolder, scope: CrlScope, number: number, now: Milliseconds): StoredCrl {
    const [last] = this.#archive.crls(scope, "complete");
    const freshest = this.#plan.deltas && this.#plan.crlUrl !== undefined;
    const extensions = freshest ? [freshestCrl(`${this.#plan.crlUrl}/${crlPath(scope, "delta")}`)] : [];
    return this.#sign(issuer, scope, "complete", number, now, this.#archive.revoked(scope, last), extensions);
  }

  #delta(issuer: KeyHolder, scope: CrlScope, number: number, now: Milliseconds): StoredCrl {
    // From the complete CRL before the newest while that is good still, so that who holds either can use the delta.
    const [newest, before] = this.#archive.crls(scope, "complete");
    const base = before !== undefined && now < before.nextUpdate ? before : newest!;
    const entries = this.#archive.changedSince(scope, base.revision);
    return this.#sign(issuer, scope, "delta", number, now, entries, [deltaCrlIndicator(base.number)]);
  }

  #sign(
    { certificate, signer }: KeyHolder,
    scope: CrlScope,
    kind: CrlKind,
    number: number,
    madeAt: Milliseconds,
    entries: readonly RevokedEntry[],
    extensions: readonly NewExtension[],
  ): StoredCrl {
    const nextUpdate = madeAt + LIFE;
    const der = buildCrl({
      issuer: certificate.subject,
      thisUpdate: madeAt,
      nextUpdate,
      number,
      entries,
      authorityKeyId: certificate.extensions.subjectKeyId!,
      // RFC 5280 5.2.5: the name by which certificates of this shard point to it.
      extensions:
        scope.shard === undefined
          ? extensions
          : [issuingDistributionPoint(`${this.#plan.crlUrl}/${crlPath(scope, "complete")}`), ...extensions],
      signer,
    });
    const crl = { number, madeAt, nextUpdate, revision: this.#database.revision, entries: entries.length, der };
    this.#archive.addCrl(scope, kind, crl);
    return crl;
  }

  #withRefresh(crl: StoredCrl, kind: CrlKind): CurrentCrl {
    const age = kind === "complete" && this.#plan.deltas ? REFRESH_WITH_DELTAS : REFRESH;
    return { ...crl, refreshAt: crl.madeAt + age };
  }
}

/** Where a CRL is below the CRL server's base URL: "segw-ca.crl", "device-ca/3.crl", "device-ca/3.delta.crl". */
export function crlPath({ ca, shard }: CrlScope, kind: CrlKind): string {
  return `${ca}${shard === undefined ? "" : `/${shard}`}${kind === "delta" ? ".delta" : ""}.crl`;
}

/** A clock that was put back makes a CRL from the future, which nobody takes. */
function isFresh({ madeAt, refreshAt }: CurrentCrl, now: Milliseconds): boolean {
  return now >= madeAt && now < refreshAt;
}

const HOUR: Milliseconds = 3600_000;
/** From thisUpdate to nextUpdate. */
const LIFE = 24 * HOUR;
/** After which a CRL is made anew though nothing changed. */
const REFRESH = HOUR;
/** The same for a complete CRL with deltas. */
const REFRESH_WITH_DELTAS = 12 * HOUR;
/** Entries of a list that is made anew at each change. */
const FEW_ENTRIES = 5_000;
/** Milliseconds for each entry beyond, about fifty times what it takes to write it. */
const PACE = 0.1;
