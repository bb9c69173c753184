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
  type CertId,
  type CertStatus,
  certIdOf,
  parseOcspRequest,
  ResponseStatus,
} from "../x509/ocsp.ts";
import { ocspResponseData, signedOcspResponse } from "../x509/ocspResponseWriter.ts";
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
  readonly #toSign: Waiting[] = [];
  #signers = new Map<string, OcspSigner>();
  /** Version at which #signers was what the PKI says. */
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
    const found = this.#find(request);
    if (!("content" in found)) return found;
    const { content, signer } = found;
    return this.#finish(found, signer.signer.sign(content));
  }

  /**
   * As `answer`, but signs with keys that take long on another thread, and with others when all requests of this turn of
   * the event loop have been read: one after the other, signatures take half as long as between other work.
   */
  answerSoon(request: Bytes): OcspAnswer | Promise<OcspAnswer> {
    const found = this.#find(request);
    if (!("content" in found)) return found;
    const { content, signer } = found;
    const { signAside } = signer.signer;
    if (signAside !== undefined) return signAside(content).then((signature) => this.#finish(found, signature));
    if (this.#toSign.length === 0) setImmediate(() => this.#signAll());
    return new Promise((resolve, reject) => this.#toSign.push({ found, resolve, reject }));
  }

  #signAll(): void {
    const batch = this.#toSign.splice(0, MAX_BATCH);
    if (this.#toSign.length > 0) setImmediate(() => this.#signAll());
    try {
      const signatures = batch.map(({ found }) => found.signer.signer.sign(found.content));
      for (const [index, { found, resolve }] of batch.entries()) resolve(this.#finish(found, signatures[index]!));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  /** The answer, or what is still to be signed for it. */
  #find(request: Bytes): OcspAnswer | Unsigned {
    const key = request.toString("latin1");
    const now = this.#clock.now();
    const { version } = this.#statuses;
    const kept = this.#byRequest.get(key);
    if (kept !== undefined && this.#isCurrent(kept, version, now)) return kept;
    try {
      const { ids, nonce } = parseOcspRequest(request);
      const [first] = ids;
      if (first === undefined) return refusal(ResponseStatus.malformedRequest);
      const signer = this.#signerFor(first, version);
      // RFC 6960 2.3: a responder says `unauthorized` for a CA that is not its own.
      if (signer === undefined) return refusal(ResponseStatus.unauthorized);
      const alone = nonce === undefined && ids.length === 1;
      const keptFor = alone ? this.#kept.get(certificateKey(signer, first)) : undefined;
      if (keptFor !== undefined && this.#isCurrent(keptFor, version, now)) {
        this.#remember(key, keptFor);
        return keptFor;
      }
      const asked = ids.map((id): Asked => ({ id, known: this.#status(signer, id, version) }));
      const nextUpdate = this.#nextUpdate(signer, asked, now);
      // RFC 6960 4.2.1: the CRL that it should tell of is not here, or not any more.
      if (nextUpdate === undefined) return refusal(ResponseStatus.tryLater);
      const content = ocspResponseData({
        responderId: { byName: signer.certificate.subject },
        producedAt: now,
        responses: asked.map(({ id, known }) => ({
          id,
          status: known?.status ?? { kind: "unknown" },
          thisUpdate: known?.thisUpdate ?? now,
          nextUpdate,
        })),
        nonce,
        extensions: this.#statuses.isCombined(signer.ca, version) ? [ocspExtendedRevoke()] : [],
      });
      return { content, signer, alone: alone ? asked[0] : undefined, key, nextUpdate, version, now };
    } catch (problem) {
      if (problem instanceof DecodeError) return refusal(ResponseStatus.malformedRequest);
      throw problem;
    }
  }

  /** What others may ask for in the same way is kept. */
  #finish({ content, signer, alone, key, nextUpdate, version, now }: Unsigned, signature: Bytes): OcspAnswer {
    const der = signedOcspResponse(content, signer.signer.algorithm, signature, [signer.certificate.der]);
    if (alone?.known === undefined) return { kind: "live", der };
    const { id, known } = alone;
    const made: Kept = {
      kind: "preProduced",
      der,
      producedAt: now,
      nextUpdate,
      etag: `"${createHash("sha1").update(der).digest("hex")}"`,
      ca: signer.ca,
      serial: copyOf(id.serial),
      status: known.status,
      version,
      renewAt: now + (nextUpdate - now) / 2,
    };
    // What anybody can invent is not kept: it would push out what devices ask for.
    if (known.status.kind !== "unknown" && id.der.length <= usualLength(signer, id)) {
      put(this.#kept, certificateKey(signer, id), made);
      this.#remember(key, made);
    }
    return made;
  }

  #remember(key: string, kept: Kept): void {
    if (key.length <= MAX_REMEMBERED) put(this.#byRequest, key, kept);
  }

  /** Where something changed it is looked up whether it was this. */
  #isCurrent(kept: Kept, version: number, now: Milliseconds): boolean {
    if (now >= kept.renewAt || now < kept.producedAt) return false;
    if (kept.version === version) return true;
    const known = this.#statuses.of(kept.ca, kept.serial, version);
    if (known === undefined || !sameStatus(known.status, kept.status)) return false;
    kept.version = version;
    return true;
  }

  /** Undefined where nothing can be said that would hold. */
  #nextUpdate(signer: OcspSigner, asked: readonly Asked[], now: Milliseconds): Milliseconds | undefined {
    if (asked[0]?.known === undefined) return undefined;
    const ends = asked.map(({ known }) => known?.until ?? Number.POSITIVE_INFINITY);
    const end = Math.min(signer.certificate.notAfter, ...ends);
    return end <= now ? undefined : Math.min(now + this.#life, end);
  }

  #status(signer: OcspSigner, id: CertId, version: number): DatedStatus | undefined {
    // A request may name several CAs; what another signer answers for is unknown to this one.
    return this.#signerFor(id, version) === signer ? this.#statuses.of(signer.ca, id.serial, version) : undefined;
  }

  #signerFor(id: CertId, version: number): OcspSigner | undefined {
    if (this.#signersAt !== version) {
      // Hashes of names and keys are taken once for each CA, not for each request.
      const signers = this.#pki.ocspSigners();
      this.#signers = new Map(
        signers.flatMap((signer) =>
          HASHES.map((hash) => [issuerKey(certIdOf(signer.certificate, signer.issuer, hash)), signer] as const),
        ),
      );
      this.#signersAt = version;
    }
    return this.#signers.get(issuerKey(id));
  }
}

/** An answer that lacks its signature. */
interface Unsigned {
  content: Bytes;
  signer: OcspSigner;
  /** What a request without a nonce asked about, if it was one certificate. */
  alone: Asked | undefined;
  /** The octets of the request. */
  key: string;
  nextUpdate: Milliseconds;
  version: number;
  now: Milliseconds;
}

/** Somebody who waits for a signature. */
interface Waiting {
  found: Unsigned;
  resolve(answer: OcspAnswer): void;
  reject(error: unknown): void;
}

interface Asked {
  id: CertId;
  known: DatedStatus | undefined;
}

interface Kept extends PreProduced {
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

/** The length tells whether the hash algorithm has parameters, which an answer echoes. */
function certificateKey({ ca }: OcspSigner, { hash, der, serial }: CertId): string {
  return `${ca} ${hash} ${der.length} ${serial.toString("latin1")}`;
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
/** Signatures made in one go: some milliseconds. */
const MAX_BATCH = 64;
/** From thisUpdate to nextUpdate. */
const RESPONSE_LIFE: Milliseconds = 12 * 3600_000;
/** Pre-produced responses; each takes about a kilobyte. */
const MAX_KEPT = 100_000;
/** Octets of a request that is found again by itself; one about a certificate takes about a hundred. */
const MAX_REMEMBERED = 256;
