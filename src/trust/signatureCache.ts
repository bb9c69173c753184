/** Remembers which CA certificates were signed by which keys, so that a gateway verifies each only once. */
import type { Certificate } from "../x509/certificate.ts";

/** Good signatures of certificates that come back, bounded, the least recently used forgotten first. */
export class SignatureCache {
  readonly #limit: number;
  readonly #good = new Set<string>();

  /** `limit` pairs of certificate and issuer are kept, the ones used last; each takes about 200 octets. */
  constructor(limit = 1024) {
    this.#limit = limit;
  }

  /**
   * The verdict on `certificate` under `issuer`, from memory or from `verify`. Only good ones are kept: bad ones cost
   * whoever brings them nothing to make, and would push the good ones out.
   */
  remember(certificate: Certificate, issuer: Certificate, verify: () => boolean): boolean {
    const key = `${certificate.fingerprint} ${issuer.fingerprint}`;
    const known = this.#good.delete(key);
    if (!known && !verify()) return false;
    this.#good.add(key);
    if (this.#good.size > this.#limit) this.#good.delete(this.#good.values().next().value!);
    return true;
  }
}
