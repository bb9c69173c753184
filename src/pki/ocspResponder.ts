/**
 * Answers OCSP requests for all CAs of a PKI (RFC 6960).
 *
 * Responses without a nonce are signed once and kept until half their life is over or something was revoked; a nonce
 * makes the response for this request alone.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Clock } from "../sim/environment.ts";
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

export interface OcspAnswer {
  der: Bytes;
  /** Milliseconds since 1970 until which caches may keep it; undefined: not at all (RFC 5019 6.2). */
  cacheUntil: number | undefined;
}

export class OcspResponder {
  readonly #pki: Pki;
  readonly #clock: Clock;
  readonly #life: number;
  readonly #cache = new Map<string, { der: Bytes; revision: number; freshUntil: number; nextUpdate: number }>();

  /** `life` is the time from thisUpdate to nextUpdate, milliseconds. */
  constructor(pki: Pki, clock: Clock, life: number = RESPONSE_LIFE) {
    this.#pki = pki;
    this.#clock = clock;
    this.#life = life;
  }

  answer(request: Bytes): OcspAnswer {
    try {
      const { ids, nonce } = parseOcspRequest(request);
      const [first] = ids;
      if (first === undefined) return error(ResponseStatus.malformedRequest);
      const signer = this.#signerFor(first);
      // RFC 6960 2.3: a responder says `unauthorized` for a CA that is not its own.
      if (signer === undefined) return error(ResponseStatus.unauthorized);
      if (nonce !== undefined || ids.length > 1) return { der: this.#sign(signer, ids, nonce), cacheUntil: undefined };
      return this.#cached(signer, first);
    } catch (problem) {
      if (problem instanceof DecodeError) return error(ResponseStatus.malformedRequest);
      throw problem;
    }
  }

  #cached(signer: OcspSigner, id: CertId): OcspAnswer {
    const key = `${signer.ca} ${id.hash} ${id.serial.toString("hex")}`;
    const now = this.#clock.now();
    const { revision } = this.#pki;
    const known = this.#cache.get(key);
    if (known !== undefined && known.revision === revision && now < known.freshUntil)
      return { der: known.der, cacheUntil: known.nextUpdate };
    const der = this.#sign(signer, [id], undefined);
    if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
    const nextUpdate = now + this.#life;
    this.#cache.set(key, { der, revision, freshUntil: now + this.#life / 2, nextUpdate });
    return { der, cacheUntil: nextUpdate };
  }

  #sign(signer: OcspSigner, ids: readonly CertId[], nonce: Bytes | undefined): Bytes {
    const now = this.#clock.now();
    return buildOcspResponse({
      responderId: { byName: signer.certificate.subject },
      producedAt: now,
      responses: ids.map(
        (id): SingleResponse => ({
          id,
          status: this.#status(signer, id),
          thisUpdate: now,
          nextUpdate: now + this.#life,
        }),
      ),
      nonce,
      certificates: [signer.certificate.der],
      signer: signer.signer,
    });
  }

  #status(signer: OcspSigner, id: CertId): SingleResponse["status"] {
    // A request may name several CAs; what another signer answers for is unknown to this one.
    return this.#signerFor(id) === signer ? this.#pki.status(signer.ca, id.serial) : { kind: "unknown" };
  }

  #signerFor(id: CertId): OcspSigner | undefined {
    return this.#pki.ocspSigners().find((signer) => {
      const own = certIdOf(signer.certificate, signer.issuer, id.hash);
      return own.issuerKeyHash.equals(id.issuerKeyHash) && own.issuerNameHash.equals(id.issuerNameHash);
    });
  }
}

function error(status: number): OcspAnswer {
  return { der: buildOcspError(status), cacheUntil: undefined };
}

/** Milliseconds from thisUpdate to nextUpdate. */
const RESPONSE_LIFE = 12 * 3600_000;
/** Pre-signed responses kept; each is about a kilobyte. */
const MAX_CACHED = 100_000;
