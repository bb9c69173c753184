/**
 * Building and validating certification paths (RFC 5280 6.1) under the limit of TS 33.320 7.2.3 and 7.2.4.
 *
 * No I/O and no clock: the caller brings certificates, anchors, CRLs and the time. The search goes up from the end
 * entity by names and by what each certificate says, and tries every way to an anchor within a limit of work; what needs
 * keys and the certificates above (signatures, name constraints, policies, revocation) is then processed from the anchor
 * down. A stranger's certificates cost one failed verification each time, and never enter the signature cache.
 *
 * An anchor stands by configuration, but not past its time and not for more than its own certificate says (RFC 5937).
 */
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { Crl } from "../x509/crl.ts";
import type { NameConstraints } from "../x509/nameConstraintsExtension.ts";
import type { CrlEvidence } from "./crl.ts";
import type { SearchableCrl } from "./crlEntries.ts";
import type { PathRefusal } from "./pathRefusal.ts";
import type { Purpose } from "./pathRules.ts";
import { findPath } from "./pathSearch.ts";
import { PathWork } from "./pathWork.ts";
import type { PolicyDemands } from "./policyGraph.ts";
import { checkServerName } from "./serverName.ts";
import type { SignatureCache } from "./signatureCache.ts";

export { describePathRefusal, type PathRefusal } from "./pathRefusal.ts";
export type { Purpose } from "./pathRules.ts";

/** A peer's certificates and the rules they are judged by. */
export interface PathRequest {
  leaf: Certificate;
  /** What the peer sent besides; order and surplus do not matter. */
  intermediates: readonly Certificate[];
  anchors: readonly Certificate[];
  time: Milliseconds;
  purpose: Purpose;
  /** The name that the leaf must have (TS 33.320 7.2.2-4); not looked at if left out. */
  name?: { fqdn: string } | { address: string };
  /** Certificate policies that are demanded; none if left out. */
  policies?: PolicyDemands;
  /** Constraints on top of those in the certificates, such as the domain of one manufacturer's devices. */
  nameConstraints?: NameConstraints;
  /** If given, each certificate below the anchor must be good by these CRLs (RFC 5280 6.3). */
  crls?: readonly (Crl | SearchableCrl)[];
  /** Who may have signed CRLs besides the CAs of the path, validated like anybody else (RFC 5280 6.3.3 f). */
  crlIssuers?: readonly Certificate[];
  /** False leaves delta CRLs aside. */
  useDeltaCrls?: boolean;
  /** How far CRL issuers' clocks and ours may differ; none if left out. */
  crlTolerance?: Milliseconds;
  /** Certificates of the path without the anchor, as RFC 5280 6.1 counts; four by TS 33.320 7.2.3-2 and 7.2.4-2. */
  maxPath: number;
  /** SHA-1 signatures and RSA keys below 2048 bits, for old devices (TS 33.310 6.1.1). */
  allowWeakAlgorithms: boolean;
  signatureCache?: SignatureCache;
}

/**
 * The path, end entity first and anchor last, with the policies it is valid for in the words of the anchor (RFC 5280
 * 6.1.6) and the CRLs that its certificates are good by; or why there is none: the most telling reason, and all of them.
 */
export type PathVerdict =
  | { valid: true; path: readonly Certificate[]; policies: readonly string[]; evidence: readonly CrlEvidence[] }
  | { valid: false; refusal: PathRefusal; refusals: readonly PathRefusal[] };

/** Looks for a valid path from the leaf to an anchor; never throws for what certificates and CRLs hold. */
export function validatePath(request: PathRequest): PathVerdict {
  const work = new PathWork(request.signatureCache);
  const { leaf, intermediates, purpose, anchors, crls, policies: demands = {} } = request;
  const found = findPath({ request, work }, { leaf, intermediates, purpose, anchors, crls, policies: demands });
  if ("refusals" in found) return { valid: false, refusal: found.refusals[0]!, refusals: found.refusals };
  const mismatch = request.name && checkServerName(leaf, request.name);
  if (mismatch !== undefined) {
    const refusal = { ...mismatch, subject: leaf.subject.toString() };
    return { valid: false, refusal, refusals: [refusal] };
  }
  const { path, policies, evidence } = found;
  return { valid: true, path, policies, evidence };
}
