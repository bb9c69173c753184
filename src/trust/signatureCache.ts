/** Remembers which CA certificates were signed by which keys, so that a gateway verifies each only once. */
import type { Certificate } from "../x509/certificate.ts";

export class SignatureCache {
  readonly #limit: number;
  readonly #known = new Map<string, boolean>();

  /** `limit` pairs of certificate and issuer are kept, the ones used last. */
  constructor(limit = 1024) {
    this.#limit = limit;
  }

  /** The verdict on `certificate` under `issuer`, from memory or from `verify`. */
  remember(certificate: Certificate, issuer: Certificate, verify: () => boolean): boolean {
    const key = `${certificate.fingerprint} ${issuer.fingerprint}`;
    const known = this.#known.get(key);
    if (known !== undefined) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return known;
    }
    const verdict = verify();
    this.#known.set(key, verdict);
    if (this.#known.size > this.#limit) this.#known.delete(this.#known.keys().next().value!);
    return verdict;
  }
}
