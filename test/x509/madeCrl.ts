/** CRLs made for tests: complete, delta, indirect, with any extension of the list and of its entries. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import * as write from "../../src/der/writer.ts";
import { authorityKeyIdentifier, extension, keyIdOf, type NewExtension, signed } from "../../src/x509/build.ts";
import { type Crl, parseCrl } from "../../src/x509/crl.ts";
import type { Name } from "../../src/x509/name.ts";
import { Oid } from "../../src/x509/oids.ts";
import { DAY, type Made, NOW } from "./made.ts";
import { certificateIssuer } from "./madeExtensions.ts";

export interface CrlMaking {
  number?: number;
  thisUpdate?: number;
  /** Undefined leaves it out. */
  nextUpdate?: number | undefined;
  revoked?: readonly RevokedMaking[];
  /** Of the list, besides the authority's key identifier and the number. */
  more?: readonly NewExtension[];
  keyIds?: "present" | "absent";
  issuerName?: Name;
  signer?: Made["signer"];
}

export interface RevokedMaking {
  certificate: Made;
  reason?: number;
  /** Stands in the entry as certificateIssuer. */
  issuer?: Name;
  more?: readonly NewExtension[];
}

/** When `makeCrl` says that certificates were revoked. */
export const REVOKED_AT = NOW - 2 * DAY;

export function makeCrl(issuer: Made, making: CrlMaking = {}): Crl {
  const { number = 1, thisUpdate = NOW - DAY, revoked = [], more = [] } = making;
  const nextUpdate = "nextUpdate" in making ? making.nextUpdate : NOW + DAY;
  const signer = making.signer ?? issuer.signer;
  const extensions = [
    ...(making.keyIds === "absent" ? [] : [authorityKeyIdentifier(keyIdOf(issuer.keys.publicKey))]),
    { oid: Oid.crlNumber, critical: false, value: write.integer(number) },
    ...more,
  ];
  const tbs = write.sequence(
    write.integer(1),
    signer.algorithm,
    (making.issuerName ?? issuer.certificate.subject).der,
    write.time(thisUpdate),
    ...(nextUpdate === undefined ? [] : [write.time(nextUpdate)]),
    ...(revoked.length === 0 ? [] : [write.sequence(...revoked.map(entry))]),
    write.explicit(0, write.sequence(...extensions.map(extension))),
  );
  return parseCrl(signed(tbs, signer));
}

function entry({ certificate, reason, issuer, more = [] }: RevokedMaking): Bytes {
  const extensions = [
    ...(reason === undefined ? [] : [{ oid: Oid.reasonCode, critical: false, value: write.enumerated(reason) }]),
    ...(issuer === undefined ? [] : [certificateIssuer(issuer)]),
    ...more,
  ];
  return write.sequence(
    write.integer(certificate.certificate.serial),
    write.time(REVOKED_AT),
    ...(extensions.length === 0 ? [] : [write.sequence(...extensions.map(extension))]),
  );
}
