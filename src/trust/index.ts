/**
 * `femtogate/trust`: judging certificates, CRLs, OCSP responses and profiles, for use outside Femtogate.
 *
 * Nothing here reads files, opens sockets or looks at a clock: the caller brings octets and the time, and gets verdicts
 * with typed reasons. docs/library-trust.md shows how. What is not exported here may change without notice.
 */

export type { Bytes } from "../bytes/bytes.ts";
export { DecodeError } from "../bytes/reader.ts";
export type { Milliseconds, Random } from "../sim/environment.ts";
export { type Certificate, parseCertificate } from "../x509/certificate.ts";
export { type Crl, type CrlEntry, parseCrl } from "../x509/crl.ts";
export type { Extensions, GeneralNames } from "../x509/extensions.ts";
export type { Name } from "../x509/name.ts";
export type { NameConstraints } from "../x509/nameConstraintsExtension.ts";
export { buildOcspRequest, type CertId, certIdOf, type OcspResponse, parseOcspResponse } from "../x509/ocsp.ts";
export { fromPem, toPem } from "../x509/pem.ts";
export {
  type CrlCheck,
  type CrlEvidence,
  type CrlProblem,
  type CrlsCheck,
  type CrlsVerdict,
  type CrlVerdict,
  checkCrl,
  checkCrls,
  describeCrlProblem,
} from "./crl.ts";
export type { SearchableCrl } from "./crlEntries.ts";
export { CrlIndex } from "./crlIndex.ts";
export { checkOcspResponse, describeOcspProblem, type OcspCheck, type OcspProblem, type OcspVerdict } from "./ocsp.ts";
export {
  describePathRefusal,
  type PathRefusal,
  type PathRequest,
  type PathVerdict,
  type Purpose,
  validatePath,
} from "./path.ts";
export type { PolicyDemands } from "./policyGraph.ts";
export { lint } from "./profiles/lint.ts";
export type { CertificateProfile, Circumstances, Finding, Release, Severity } from "./profiles/rule.ts";
export { checkServerName, type NameMismatch } from "./serverName.ts";
export { SignatureCache } from "./signatureCache.ts";
