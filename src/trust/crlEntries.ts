/**
 * Finding a certificate in a CRL (RFC 5280 5.3, 6.3.3 i and j).
 *
 * An interface, because a list of a million entries wants an index and one of ten does not: `searchable` reads through
 * the CRL at each look-up and keeps nothing.
 */
import { type Bytes, sameBytes } from "../bytes/bytes.ts";
import type { Crl, CrlEntry } from "../x509/crl.ts";
import type { Name } from "../x509/name.ts";

/** A CRL whose entries can be looked up. Both members throw DerError where an entry is malformed. */
export interface SearchableCrl {
  readonly crl: Crl;
  /** SubjectPublicKeyInfo of the key that the signature was verified under when the CRL was loaded, if it was then. */
  readonly verifiedUnder?: Bytes | undefined;
  /** A critical extension of any entry that is not processed: the CRL must not be used then (RFC 5280 5.3). */
  readonly unknownCritical: string | undefined;
  /** The entry of the certificate with this serial number that `certificateIssuer` issued (RFC 5280 5.3.3). */
  lookUp(serial: Bytes, certificateIssuer: Name): CrlEntry | undefined;
}

/** The CRL as given if it can be searched already, else with a look-up that reads through it. */
export function searchable(crl: Crl | SearchableCrl): SearchableCrl {
  return "lookUp" in crl ? crl : new ReadThrough(crl);
}

class ReadThrough implements SearchableCrl {
  readonly crl: Crl;

  constructor(crl: Crl) {
    this.crl = crl;
  }

  get unknownCritical(): string | undefined {
    for (const { unknownCritical } of this.crl.entries())
      if (unknownCritical[0] !== undefined) return unknownCritical[0];
    return undefined;
  }

  lookUp(serial: Bytes, certificateIssuer: Name): CrlEntry | undefined {
    // RFC 5280 5.3.3: who issued an entry's certificate holds for the entries after it, too.
    let issuer = this.crl.issuer;
    for (const entry of this.crl.entries()) {
      issuer = entry.certificateIssuer ?? issuer;
      if (sameBytes(entry.serial, serial) && issuer.equals(certificateIssuer)) return entry;
    }
    return undefined;
  }
}
