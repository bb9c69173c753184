/**
 * Answers OCSP requests for all CAs of a PKI (RFC 6960).
 *
 * Responses without a nonce are signed once and kept until half their life is over or the certificate's status is
 * another (RFC 5019 2.2, pre-produced responses); a nonce makes the response for this request alone.
 */
import { createHash } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Clock, Milliseconds } from "../sim/environment.ts";
import {
  buildOcspError,
  buildOcspResponse,
  type CertId,
  certIdOf,
  parseOcspRequest,
  ResponseStatus,
  type SingleResponse,
} from "../x509/ocsp.ts";
import type { OcspSigner, Pki } from "./authority.ts";
import type { IssuedStatus } from "./store.ts";

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
  thisUpdate: Milliseconds;
  nextUpdate: Milliseconds;
  etag: string;
}

export class OcspResponder {
  readonly #pki: Pki;
  readonly #clock: Clock;
  readonly #life: Milliseconds;
  readonly #kept = new Map<string, Kept>();
  #signers = new Map<string, OcspSigner>();
  /** Revision at which #signers was what the PKI says. */
  #signersAt = -1;

  /** `life` is the time from thisUpdate to nextUpdate. */
  constructor(pki: Pki, clock: Clock, life: Milliseconds = RESPONSE_LIFE) {
    this.#pki = pki;
    this.#clock = clock;
    this.#life = life;
  }

  /** Answers a request as received; whatever is wrong with it is said in the answer. */
  answer(request: Bytes): OcspAnswer {
    try {
      const { ids, nonce } = parseOcspRequest(request);
      const [first] = ids;
      if (first === undefined) return error(ResponseStatus.malformedRequest);
      const signer = this.#signerFor(first);
      // RFC 6960 2.3: a responder says `unauthorized` for a CA that is not its own.
      if (signer === undefined) return error(ResponseStatus.unauthorized);
      if (nonce === undefined && ids.length === 1) return this.#preProduced(signer, first);
      const der = this.#sign(
        signer,
        ids.map((id) => [id, this.#status(signer, id)]),
        nonce,
      );
      return { kind: "live", der };
    } catch (problem) {
      if (problem instanceof DecodeError) return error(ResponseStatus.malformedRequest);
      throw problem;
    }
  }

  #preProduced(signer: OcspSigner, id: CertId): OcspAnswer {
    const key = `${signer.ca} ${id.der.toString("latin1")}`;
    const now = this.#clock.now();
    const { revision } = this.#pki;
    const kept = this.#kept.get(key);
    if (kept !== undefined && now < kept.renewAt && now >= kept.thisUpdate) {
      if (kept.revision === revision) return kept;
      // Something changed, but perhaps not this.
      if (sameStatus(kept.status, this.#status(signer, id))) {
        kept.revision = revision;
        return kept;
      }
    }
    const status = this.#status(signer, id);
    const der = this.#sign(signer, [[id, status]], undefined);
    const etag = `"${createHash("sha1").update(der).digest("hex")}"`;
    const made: Kept = {
      kind: "preProduced",
      der,
      thisUpdate: now,
      nextUpdate: now + this.#life,
      etag,
      status,
      revision,
      renewAt: now + this.#life / 2,
    };
    // What anybody can invent is not kept: it would push out what devices ask for.
    if (status.kind === "unknown") return made;
    this.#kept.delete(key);
    if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(key, made);
    return made;
  }

  #sign(signer: OcspSigner, asked: readonly [CertId, IssuedStatus][], nonce: Bytes | undefined): Bytes {
    const now = this.#clock.now();
    return buildOcspResponse({
      responderId: { byName: signer.certificate.subject },
      producedAt: now,
      responses: asked.map(
        ([id, status]): SingleResponse => ({ id, status, thisUpdate: now, nextUpdate: now + this.#life }),
      ),
      nonce,
      certificates: [signer.certificate.der],
      signer: signer.signer,
    });
  }

  #status(signer: OcspSigner, id: CertId): IssuedStatus {
    // A request may name several CAs; what another signer answers for is unknown to this one.
    return this.#signerFor(id) === signer ? this.#pki.status(signer.ca, id.serial) : { kind: "unknown" };
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

interface Kept extends PreProduced {
  status: IssuedStatus;
  /** Revision at which `status` was still the certificate's. */
  revision: number;
  renewAt: Milliseconds;
}

function error(status: number): OcspAnswer {
  return { kind: "refusal", der: buildOcspError(status) };
}

function issuerKey({ hash, issuerNameHash, issuerKeyHash }: CertId): string {
  return `${hash} ${issuerNameHash.toString("latin1")} ${issuerKeyHash.toString("latin1")}`;
}

function sameStatus(a: IssuedStatus, b: IssuedStatus): boolean {
  if (a.kind !== "revoked" || b.kind !== "revoked") return a.kind === b.kind;
  return a.at === b.at && a.reason === b.reason;
}

const HASHES = ["sha1", "sha256"] as const;
/** From thisUpdate to nextUpdate. */
const RESPONSE_LIFE: Milliseconds = 12 * 3600_000;
/** Pre-produced responses; each takes about a kilobyte. */
const MAX_KEPT = 100_000;
