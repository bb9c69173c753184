/**
 * Remembers the CA certificates that come back with every peer: which were signed by which keys, and what they say, so
 * that a gateway parses and verifies each only once.
 */
import { hash } from "node:crypto";
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";

/** Good signatures of certificates that come back, bounded, the least recently used forgotten first. */
export class SignatureCache {
  readonly #limit: number;
  readonly #good = new Set<string>();
  readonly #certificates = new Map<string, Certificate>();

  /**
   * `limit` pairs of certificate and issuer are kept, the ones used last, and as many certificates; a pair takes about
   * 200 octets, a certificate some 10 kB.
   */
  constructor(limit = 1024) {
    this.#limit = limit;
  }

  /**
   * The certificate in `der`: the one that is remembered, with its key and names ready, or else read anew; throws
   * DerError. Only certificates with good signatures are remembered, so that strangers cannot push them out.
   */
  read(der: Bytes): Certificate {
    return this.#certificates.get(hash("sha256", der)) ?? parseCertificate(der);
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
    this.#keep(certificate);
    return true;
  }

  #keep(certificate: Certificate): void {
    const { fingerprint } = certificate;
    // A copy, since the certificate may be a view of the packet it came in.
    const kept = this.#certificates.get(fingerprint) ?? parseCertificate(copyOf(certificate.der));
    this.#certificates.delete(fingerprint);
    this.#certificates.set(fingerprint, kept);
    if (this.#certificates.size > this.#limit) this.#certificates.delete(this.#certificates.keys().next().value!);
  }
}
