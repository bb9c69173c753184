/** Does a CRL cover this certificate, and for which reasons? (RFC 5280 6.3.3 b to e) */
import type { Certificate } from "../x509/certificate.ts";
import type { Crl } from "../x509/crl.ts";
import {
  ALL_REASONS,
  type DistributionPoint,
  fullNames,
  type IssuingDistributionPoint,
} from "../x509/distributionPoints.ts";
import { emptyNames, shareName } from "../x509/generalNames.ts";
import type { CrlProblem } from "./crlVerdict.ts";

/** The point to assume for CRLs that no distribution point names (RFC 5280 6.3.3, last paragraph). */
export function impliedPoint(certificate: Certificate): DistributionPoint {
  return {
    name: { fullName: { ...emptyNames(), directory: [certificate.issuer] } },
    reasons: undefined,
    crlIssuer: undefined,
  };
}

/** The reasons that `crl` covers of this certificate at this point, as a mask; undefined for a CRL of other CAs. */
export function reasonsCovered(
  crl: Crl,
  point: DistributionPoint,
  certificate: Certificate,
): { reasons: number } | CrlProblem | undefined {
  const scope = crl.issuingDistributionPoint;
  const outside = (detail: string): CrlProblem => ({ reason: "OutOfScope", issuer: crl.issuer.toString(), detail });
  if (point.crlIssuer === undefined) {
    if (!crl.issuer.equals(certificate.issuer)) return undefined;
  } else {
    if (!point.crlIssuer.directory.some((name) => name.equals(crl.issuer))) return undefined;
    if (scope?.indirectCrl !== true) return outside("it is not an indirect CRL, and another CA issued the certificate");
  }
  if (scope !== undefined) {
    const problem = outsideScope(crl, scope, point, certificate);
    if (problem !== undefined) return outside(problem);
  }
  return { reasons: (scope?.onlySomeReasons ?? ALL_REASONS) & (point.reasons ?? ALL_REASONS) };
}

/** Names of the reasons of a mask, as RFC 5280 4.2.1.13 spells them. */
export function reasonNames(mask: number): string[] {
  return REASONS.filter((_, bit) => (mask & (1 << bit)) !== 0);
}

/** RFC 5280 6.3.3 b 2. */
function outsideScope(
  crl: Crl,
  scope: IssuingDistributionPoint,
  point: DistributionPoint,
  certificate: Certificate,
): string | undefined {
  const isCa = certificate.extensions.basicConstraints?.ca === true;
  if (scope.onlyContainsUserCerts && isCa) return "it lists end entities only";
  if (scope.onlyContainsCaCerts && !isCa) return "it lists CAs only";
  if (scope.onlyContainsAttributeCerts) return "it lists attribute certificates only";
  if (scope.name === undefined) return undefined;
  const own = fullNames(scope.name, crl.issuer);
  // RFC 5280 4.2.1.13: a relative name is below the CRL issuer's, which without cRLIssuer is the certificate's issuer.
  const wanted = point.name === undefined ? point.crlIssuer : fullNames(point.name, crl.issuer);
  return wanted !== undefined && shareName(own, wanted) ? undefined : "it is of another distribution point";
}

const REASONS: readonly string[] = [
  "unused",
  "keyCompromise",
  "cACompromise",
  "affiliationChanged",
  "superseded",
  "cessationOfOperation",
  "certificateHold",
  "privilegeWithdrawn",
  "aACompromise",
];
