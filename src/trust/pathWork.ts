/**
 * The work that one call of validatePath may cause. A peer chooses the certificates it sends: decoys of the right name,
 * CAs that certify each other, a hundred keys to try. What it costs us is counted, and ends at a limit.
 */
import type { Certificate } from "../x509/certificate.ts";
import { verifySignature } from "../x509/signature.ts";
import type { PathRefusal } from "./pathRefusal.ts";
import type { SignatureCache } from "./signatureCache.ts";
import { inheritsParameters, keyObjectOf, type WorkingKey } from "./workingKey.ts";

/** What is left of the limits, and what was verified already. */
export class PathWork {
  readonly #cache: SignatureCache | undefined;
  readonly #verdicts = new Map<Certificate, Map<Certificate, boolean>>();
  #candidates = LIMITS["candidate issuers"];
  #signatures = LIMITS["signature checks"];
  #reached: keyof typeof LIMITS | undefined;

  constructor(cache: SignatureCache | undefined) {
    this.#cache = cache;
  }

  /** The limit that cut the work short, as a reason against the path. */
  get cutShort(): PathRefusal | undefined {
    const of = this.#reached;
    return of && { reason: "SearchLimitReached", of, limit: LIMITS[of] };
  }

  /** Counts one more issuer to try; false at the limit. */
  mayTry(): boolean {
    if (this.#reached === undefined && --this.#candidates < 0) this.#reached = "candidate issuers";
    return this.#reached === undefined;
  }

  /**
   * True if the certificate's signature verifies under the issuer's key, from memory or anew; false as well at the
   * limit, which `cutShort` then tells. `recurs` says that the certificate will be met in later calls, so that the
   * signature cache is worth asking.
   */
  verifies(certificate: Certificate, issuer: WorkingKey, recurs: boolean): boolean {
    if (this.#reached !== undefined) return false;
    // The same certificate with other parameters is another key.
    if (inheritsParameters(issuer.certificate)) return this.#verify(certificate, issuer);
    const known = this.#verdicts.get(certificate) ?? new Map<Certificate, boolean>();
    this.#verdicts.set(certificate, known);
    let verdict = known.get(issuer.certificate);
    if (verdict === undefined) {
      const verify = () => this.#verify(certificate, issuer);
      verdict =
        recurs && this.#cache !== undefined ? this.#cache.remember(certificate, issuer.certificate, verify) : verify();
      known.set(issuer.certificate, verdict);
    }
    return verdict;
  }

  #verify({ signatureAlgorithm, tbs, signature }: Certificate, issuer: WorkingKey): boolean {
    if (this.#signatures === 0) {
      this.#reached = "signature checks";
      return false;
    }
    this.#signatures -= 1;
    const key = keyObjectOf(issuer);
    return key !== undefined && verifySignature(signatureAlgorithm, key, tbs, signature);
  }
}

/** Of one call, for the path and for those of CRL issuers together; signatures that the cache knows do not count. */
const LIMITS = { "candidate issuers": 256, "signature checks": 64 };
