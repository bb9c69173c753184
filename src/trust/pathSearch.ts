/**
 * Looking for a path: up from the end entity by names and by what each certificate says, every way to an anchor, within
 * a limit of work. What a whole candidate path is worth is judged elsewhere, from its anchor down.
 */
import { sameBytes } from "../bytes/bytes.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { CrlEvidence } from "./crl.ts";
import type { PathRequest } from "./path.ts";
import { processPath } from "./pathProcessing.ts";
import type { PathRefusal } from "./pathRefusal.ts";
import { checkIssuer, checkPurpose, checkSignatureStrength, checkStanding, type Purpose } from "./pathRules.ts";
import { checkPathStatus } from "./pathStatus.ts";
import type { PathWork } from "./pathWork.ts";
import type { PolicyDemands } from "./policyGraph.ts";
import type { WorkingKey } from "./workingKey.ts";

/** What all searches of one call share. */
export interface Validation {
  request: PathRequest;
  work: PathWork;
}

/** Whose path is looked for: that of the peer, or of somebody who signed a CRL. */
export interface PathTarget {
  leaf: Certificate;
  intermediates: readonly Certificate[];
  purpose: Purpose;
  anchors: readonly Certificate[];
  /** Undefined where the status is not asked for. */
  crls: PathRequest["crls"];
  policies: PolicyDemands;
  /** Signers of CRLs whose own path is being looked at further up. */
  underway?: readonly Certificate[];
}

/** A valid path; `keys` in the order of the path. */
export interface FoundPath {
  path: readonly Certificate[];
  policies: readonly string[];
  keys: readonly WorkingKey[];
  evidence: readonly CrlEvidence[];
}

/** A valid path, or why there is none: at least one reason, that of the candidate that got furthest first. */
export type SearchResult = FoundPath | { refusals: readonly PathRefusal[] };

/** The first valid path that the search comes to. */
export function findPath(validation: Validation, target: PathTarget): SearchResult {
  const search: Search = { ...validation, target, refusals: [] };
  const found = extend(search, [target.leaf]);
  if (found !== undefined) return found;
  const refusals = search.refusals.sort((a, b) => b.depth - a.depth).map(({ refusal }) => refusal);
  const { cutShort } = validation.work;
  if (cutShort !== undefined && !refusals.some(({ reason }) => reason === cutShort.reason)) refusals.push(cutShort);
  const { subject, issuer } = target.leaf;
  if (refusals.length === 0)
    refusals.push({ reason: "NoPathToTrustAnchor", subject: subject.toString(), issuer: issuer.toString() });
  return { refusals };
}

interface Search extends Validation {
  target: PathTarget;
  /** What spoke against each candidate, with the length of its path. */
  refusals: { depth: number; refusal: PathRefusal }[];
}

/** Tries whoever may stand above `path`: anchors end it, intermediates lead on. */
function extend(search: Search, path: readonly Certificate[]): FoundPath | undefined {
  const { request, work, target } = search;
  const last = path.at(-1)!;
  const passes = (refusal: PathRefusal | undefined) => {
    if (refusal !== undefined) search.refusals.push({ depth: path.length, refusal });
    return refusal === undefined;
  };
  if (!passes(checkStanding(last, request) ?? checkSignatureStrength(last, request))) return undefined;
  if (path.length === 1 && !passes(checkPurpose(last, target.purpose))) return undefined;
  let tooLong = false;
  for (const [issuer, stands] of issuersOf(path, target)) {
    // TS 33.320 7.2.3-1, 7.2.4-1: nobody sends a longer one.
    if (stands === "intermediate" && path.length >= request.maxPath) {
      tooLong = true;
      continue;
    }
    if (!work.mayTry()) return undefined;
    if (stands === "anchor") {
      if (!passes(checkStanding(issuer, request) ?? checkIssuer(issuer, path, target.purpose))) continue;
      const found = judge(search, [...path, issuer]);
      if (!("reason" in found)) return found;
      passes(found);
    } else {
      if (!passes(checkIssuer(issuer, path, target.purpose))) continue;
      const found = extend(search, [...path, issuer]);
      if (found !== undefined) return found;
    }
  }
  if (tooLong) passes({ reason: "PathTooLong", length: path.length + 1, limit: request.maxPath });
  return undefined;
}

/** Judges a whole candidate path by what goes from the anchor down. */
function judge(search: Search, path: readonly Certificate[]): FoundPath | PathRefusal {
  const { request, work, target } = search;
  const processed = processPath(path, {
    policies: target.policies,
    nameConstraints: request.nameConstraints,
    work,
    leafRecurs: target.purpose === "ocspSigning" || target.purpose === "crlSigning",
  });
  if ("reason" in processed) return processed;
  if (target.crls === undefined) return { path, ...processed, evidence: [] };
  const evidence = checkPathStatus(path, processed.keys, {
    request,
    crls: target.crls,
    pathOf: signerSearch(search, path),
  });
  return "reason" in evidence ? evidence : { path, ...processed, evidence };
}

/**
 * Searches for the path of a CRL's signer, under the same anchor and by the same CRLs (RFC 5280 6.3.3 f). While a
 * signer's own status is looked at it is taken to be good: it may be covered by nothing but its own CRL (PKITS 4.14.30),
 * which can be read then, and says whether it is.
 */
function signerSearch(search: Search, path: readonly Certificate[]): (signer: Certificate) => SearchResult {
  const { request, work, target } = search;
  const underway = target.underway ?? [];
  const intermediates = [...request.intermediates, ...(request.crlIssuers ?? [])];
  return (signer) => {
    const known = underway.includes(signer);
    return findPath(
      { request, work },
      {
        leaf: signer,
        intermediates,
        purpose: "crlSigning",
        anchors: path.slice(-1),
        crls: known ? undefined : target.crls,
        policies: {},
        underway: known ? underway : [...underway, signer],
      },
    );
  };
}

/**
 * Who may have issued the last of the path: by name and, where both sides have one, by key identifier (RFC 5280 4.2.1.1).
 * None stands twice in a path, nor an intermediate by its name and key, so that CAs that certify each other end the
 * search. Names that are spelled alike come first: nearly always there are no others, and comparing them takes long.
 */
function* issuersOf(
  path: readonly Certificate[],
  { anchors, intermediates }: PathTarget,
): Iterable<[Certificate, "anchor" | "intermediate"]> {
  const { issuer, extensions } = path.at(-1)!;
  const wanted = extensions.authorityKeyId;
  const mayFollow = (candidate: Certificate) => {
    const has = candidate.extensions.subjectKeyId;
    if (wanted !== undefined && has !== undefined && !sameBytes(wanted, has)) return false;
    return !path.some((used) => sameBytes(used.der, candidate.der));
  };
  const standsIn = ({ subject, spki }: Certificate) =>
    path.some((used) => sameBytes(used.spki, spki) && used.subject.equals(subject));
  for (const spelling of ["alike", "otherwise"]) {
    const isNamed = ({ subject }: Certificate) =>
      sameBytes(subject.der, issuer.der) ? spelling === "alike" : spelling === "otherwise" && subject.equals(issuer);
    for (const anchor of anchors) if (isNamed(anchor) && mayFollow(anchor)) yield [anchor, "anchor"];
    for (const candidate of intermediates)
      if (isNamed(candidate) && mayFollow(candidate) && !standsIn(candidate)) yield [candidate, "intermediate"];
  }
}
