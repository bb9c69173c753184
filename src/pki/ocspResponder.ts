/**
 * Answers OCSP requests for all CAs of a PKI (RFC 6960).
 *
 * Responses without a nonce are signed once and kept until half their life is over or the certificate's status is
 * another (RFC 5019 2.2, pre-produced responses), and found again by the octets of the request; a nonce makes the
 * response for this request alone.
 */
import { createHash } from "node:crypto";
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Clock, Milliseconds } from "../sim/environment.ts";
import { ocspExtendedRevoke } from "../x509/build.ts";
import {
  buildOcspError,
  buildOcspResponse,
  type CertId,
  type CertStatus,
  certIdOf,
  parseOcspRequest,
  ResponseStatus,
} from "../x509/ocsp.ts";
import type { OcspSigner } from "./authorities.ts";
import type { Pki } from "./authority.ts";
import { CertificateStatus, type DatedStatus } from "./certificateStatus.ts";
import type { ForeignCrlSource } from "./foreignCrls.ts";

/** A response, DER, and what HTTP caches may do with it (RFC 5019 6.2). */
export type OcspAnswer =
  | PreProduced
  /** Good for this request alone. */
  | { kind: "live"; der: Bytes }
  /** Says only why there is no answer. */
  | { kind: "refusal"; der: Bytes };

interface PreProduced {
  kind: "preProduced";
  der: Bytes;
  producedAt: Milliseconds;
  nextUpdate: Milliseconds;
  etag: string;
}

export class OcspResponder {
  readonly #pki: Pki;
  readonly #clock: Clock;
  readonly #life: Milliseconds;
  readonly #statuses: CertificateStatus;
  /** By certificate, and so no more than twice as many as there are for each way of hashing. */
  readonly #kept = new Map<string, Kept>();
  /** The same by the octets of the request, of which anybody can make many for one certificate. */
  readonly #byRequest = new Map<string, Kept>();
  #signers = new Map<string, OcspSigner>();
  /** Revision at which #signers was what the PKI says. */
  #signersAt = -1;

  /** `life` is the time from thisUpdate to nextUpdate; without `foreign` nothing is known of foreign CAs' certificates. */
  constructor(pki: Pki, clock: Clock, life: Milliseconds = RESPONSE_LIFE, foreign?: ForeignCrlSource) {
    this.#pki = pki;
    this.#clock = clock;
    this.#life = life;
    this.#statuses = new CertificateStatus(pki, foreign, clock);
  }

  /** Answers a request as received; whatever is wrong with it is said in the answer. */
  answer(request: Bytes): OcspAnswer {
    const key = request.toString("latin1");
    const now = this.#clock.now();
    const { version } = this.#statuses;
    const kept = this.#byRequest.get(key);
    if (kept !== undefined && this.#isCurrent(kept, version, now)) return kept;
    try {
      const { ids, nonce } = parseOcspRequest(request);
      const [first] = ids;
      if (first === undefined) return refusal(ResponseStatus.malformedRequest);
      const signer = this.#signerFor(first);
      // RFC 6960 2.3: a responder says `unauthorized` for a CA that is not its own.
      if (signer === undefined) return refusal(ResponseStatus.unauthorized);
      if (nonce !== undefined || ids.length > 1) return this.#live(signer, ids, nonce, now);
      const made = this.#preProduced(signer, first, version, now);
      if (made === undefined) return refusal(ResponseStatus.tryLater);
      if (this.#kept.get(made.key) === made) put(this.#byRequest, key, made);
      return made;
    } catch (problem) {
      if (problem instanceof DecodeError) return refusal(ResponseStatus.malformedRequest);
      throw problem;
    }
  }

  #live(signer: OcspSigner, ids: readonly CertId[], nonce: Bytes | undefined, now: Milliseconds): OcspAnswer {
    const asked = ids.map((id): Asked => ({ id, known: this.#status(signer, id) }));
    const nextUpdate = this.#nextUpdate(signer, asked[0]?.known, now);
    // RFC 6960 4.2.1: the CRL that it should tell of is not here, or not any more.
    if (nextUpdate === undefined) return refusal(ResponseStatus.tryLater);
    return { kind: "live", der: this.#sign(signer, asked, nonce, nextUpdate, now) };
  }

  /** Undefined where nothing can be said now. */
  #preProduced(signer: OcspSigner, id: CertId, version: number, now: Milliseconds): Kept | undefined {
    // The length tells whether the hash algorithm has parameters, which an answer echoes.
    const key = `${signer.ca} ${id.hash} ${id.der.length} ${id.serial.toString("latin1")}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined && this.#isCurrent(kept, version, now)) return kept;
    const known = this.#status(signer, id);
    const nextUpdate = this.#nextUpdate(signer, known, now);
    if (known === undefined || nextUpdate === undefined) return undefined;
    const der = this.#sign(signer, [{ id, known }], undefined, nextUpdate, now);
    const made: Kept = {
      kind: "preProduced",
      der,
      producedAt: now,
      nextUpdate,
      etag: `"${createHash("sha1").update(der).digest("hex")}"`,
      key,
      ca: signer.ca,
      serial: copyOf(id.serial),
      status: known.status,
      version,
      renewAt: now + (nextUpdate - now) / 2,
    };
    // What anybody can invent is not kept: it would push out what devices ask for.
    if (known.status.kind !== "unknown" && id.der.length <= usualLength(signer, id)) put(this.#kept, key, made);
    return made;
  }

  /** Where something changed it is looked up whether it was this. */
  #isCurrent(kept: Kept, version: number, now: Milliseconds): boolean {
    if (now >= kept.renewAt || now < kept.producedAt) return false;
    if (kept.version === version) return true;
    const known = this.#statuses.of(kept.ca, kept.serial);
    if (known === undefined || !sameStatus(known.status, kept.status)) return false;
    kept.version = version;
    return true;
  }

  /** Undefined where nothing can be said that would hold. */
  #nextUpdate(signer: OcspSigner, known: DatedStatus | undefined, now: Milliseconds): Milliseconds | undefined {
    if (known === undefined) return undefined;
    const end = Math.min(signer.certificate.notAfter, known.until ?? Number.POSITIVE_INFINITY);
    return end <= now ? undefined : Math.min(now + this.#life, end);
  }

  #sign(
    signer: OcspSigner,
    asked: readonly Asked[],
    nonce: Bytes | undefined,
    nextUpdate: Milliseconds,
    now: Milliseconds,
  ): Bytes {
    return buildOcspResponse({
      responderId: { byName: signer.certificate.subject },
      producedAt: now,
      responses: asked.map(({ id, known }) => ({
        id,
        status: known?.status ?? { kind: "unknown" },
        thisUpdate: known?.thisUpdate ?? now,
        nextUpdate,
      })),
      nonce,
      extensions: this.#statuses.isCombined(signer.ca) ? [ocspExtendedRevoke()] : [],
      certificates: [signer.certificate.der],
      signer: signer.signer,
    });
  }

  #status(signer: OcspSigner, id: CertId): DatedStatus | undefined {
    // A request may name several CAs; what another signer answers for is unknown to this one.
    return this.#signerFor(id) === signer ? this.#statuses.of(signer.ca, id.serial) : undefined;
  }

  #signerFor(id: CertId): OcspSigner | undefined {
    const { revision } = this.#pki;
    if (this.#signersAt !== revision) {
      // Hashes of names and keys are taken once for each CA, not for each request.
      const signers = this.#pki.ocspSigners();
      this.#signers = new Map(
        signers.flatMap((signer) =>
          HASHES.map((hash) => [issuerKey(certIdOf(signer.certificate, signer.issuer, hash)), signer] as const),
        ),
      );
      this.#signersAt = revision;
    }
    return this.#signers.get(issuerKey(id));
  }
}

interface Asked {
  id: CertId;
  known: DatedStatus | undefined;
}

interface Kept extends PreProduced {
  key: string;
  ca: string;
  serial: Bytes;
  status: CertStatus;
  /** Version at which `status` was still the certificate's. */
  version: number;
  renewAt: Milliseconds;
}

/** The oldest makes room. */
function put(map: Map<string, Kept>, key: string, kept: Kept): void {
  map.delete(key);
  if (map.size >= MAX_KEPT) map.delete(map.keys().next().value!);
  map.set(key, kept);
}

/** Octets of a CertID as everybody encodes it, with NULL for the parameters of the hash algorithm. */
function usualLength({ certificate, issuer }: OcspSigner, { hash, serial }: CertId): number {
  return certIdOf(certificate, issuer, hash).der.length - certificate.serial.length + serial.length;
}

function refusal(status: number): OcspAnswer {
  return { kind: "refusal", der: buildOcspError(status) };
}

function issuerKey({ hash, issuerNameHash, issuerKeyHash }: CertId): string {
  return `${hash} ${issuerNameHash.toString("latin1")} ${issuerKeyHash.toString("latin1")}`;
}

function sameStatus(a: CertStatus, b: CertStatus): boolean {
  if (a.kind !== "revoked" || b.kind !== "revoked") return a.kind === b.kind;
  return a.at === b.at && a.reason === b.reason;
}

const HASHES = ["sha1", "sha256"] as const;
/** From thisUpdate to nextUpdate. */
const RESPONSE_LIFE: Milliseconds = 12 * 3600_000;
/** Pre-produced responses; each takes about a kilobyte. */
const MAX_KEPT = 100_000;
