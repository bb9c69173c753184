/**
 * Remembers the CA certificates that come back with every peer: which were signed by which keys, and what they say, so
 * that a gateway parses and verifies each only once.
 */
import { type Bytes, copyOf, sameBytes } from "../bytes/bytes.ts";
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
    const known = this.#certificates.get(endOf(der));
    return known !== undefined && sameBytes(known.der, der) ? known : parseCertificate(der);
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
    const end = endOf(certificate.der);
    const known = this.#certificates.get(end);
    this.#certificates.delete(end);
    // A copy, since the certificate may be a view of the packet it came in.
    const same = known !== undefined && sameBytes(known.der, certificate.der);
    this.#certificates.set(end, same ? known : parseCertificate(copyOf(certificate.der)));
    if (this.#certificates.size > this.#limit) this.#certificates.delete(this.#certificates.keys().next().value!);
  }
}

/** The end of the signature tells certificates apart, and costs less than a hash over all of it. */
function endOf(der: Bytes): string {
  return der.toString("latin1", Math.max(0, der.length - 24));
}
