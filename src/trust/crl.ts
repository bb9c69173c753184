/**
 * A certificate's status by CRLs (RFC 5280 6.3): complete and delta, direct and indirect, of some reasons or all.
 *
 * No I/O: the caller brings the CRLs, in any order, and says who may have signed them. A certificate is good only when
 * every reason for revoking it is covered by a CRL that could be used; what could not be used is told with its reason.
 */
import { compareBytes, sameBytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { Crl, CrlEntry } from "../x509/crl.ts";
import { ALL_REASONS } from "../x509/distributionPoints.ts";
import { Oid } from "../x509/oids.ts";
import { type SearchableCrl, searchable } from "./crlEntries.ts";
import { impliedPoint, reasonNames, reasonsCovered } from "./crlScope.ts";
import { verifiesCrl } from "./crlSignature.ts";
import type { CrlEvidence, CrlProblem } from "./crlVerdict.ts";
import { type WorkingKey, workingKey } from "./workingKey.ts";

export { type CrlEvidence, type CrlProblem, describeCrlProblem } from "./crlVerdict.ts";

/** A question to one CRL of the certificate's issuer. */
export interface CrlCheck {
  crl: Crl | SearchableCrl;
  certificate: Certificate;
  /** The certificate's issuer, validated. */
  issuer: Certificate;
  time: Milliseconds;
  /** How far the CA's clock and ours may differ. */
  tolerance: Milliseconds;
  allowWeakAlgorithms: boolean;
}

/** What the CRL says; `at` in milliseconds since 1970, `reasonCode` a CRLReason. */
export type CrlVerdict =
  | { status: "good"; evidence: CrlEvidence }
  | { status: "revoked"; at: Milliseconds; reasonCode: number | undefined; evidence: CrlEvidence }
  | { status: "invalid"; problem: CrlProblem };

/** Judges `certificate` by one CRL that its issuer signed with the key of `issuer`; all of its entries are read. */
export function checkCrl({ crl, issuer, ...check }: CrlCheck): CrlVerdict {
  const { certificate } = check;
  const list = searchable(crl).crl;
  const name = list.issuer.toString();
  if (!certificate.issuer.equals(issuer.subject) || !mayHaveSigned(list, issuer))
    return {
      status: "invalid",
      problem: { reason: "OtherIssuer", issuer: name, expected: certificate.issuer.toString() },
    };
  if (issuer.extensions.keyUsage?.cRLSign === false)
    return { status: "invalid", problem: { reason: "IssuerMayNotSign", issuer: name } };
  const verdict = checkCrls({ ...check, crls: [crl], useDeltas: false, signerOf: () => workingKey(issuer, undefined) });
  if (verdict.status === "undetermined") return { status: "invalid", problem: verdict.problems[0]! };
  if (verdict.status === "revoked") return verdict;
  return { status: "good", evidence: verdict.evidence[0]! };
}

/** A question to all CRLs at hand. */
export interface CrlsCheck {
  certificate: Certificate;
  crls: readonly (Crl | SearchableCrl)[];
  time: Milliseconds;
  tolerance: Milliseconds;
  allowWeakAlgorithms: boolean;
  /** Whether delta CRLs are used where there are any (RFC 5280 6.3.1 b). */
  useDeltas: boolean;
  /** Who signed the CRL, validated and allowed to (RFC 5280 6.3.3 f), or why nobody is known who did. */
  signerOf(crl: SearchableCrl): WorkingKey | CrlProblem;
}

/** What the CRLs say together; each problem belongs to a CRL that could not be used, the most telling first. */
export type CrlsVerdict =
  | { status: "good"; evidence: readonly CrlEvidence[] }
  | { status: "revoked"; at: Milliseconds; reasonCode: number | undefined; evidence: CrlEvidence }
  | { status: "undetermined"; problems: readonly CrlProblem[] };

/** Judges `certificate` by all CRLs (RFC 5280 6.3.3); never throws for what a CRL holds. */
export function checkCrls(check: CrlsCheck): CrlsVerdict {
  const { certificate } = check;
  const crls = check.crls.map(searchable);
  // The newest first: what it covers is not asked of older ones that are still within their time.
  const complete = crls
    .filter(({ crl }) => crl.baseNumber === undefined)
    .sort((a, b) => b.crl.thisUpdate - a.crl.thisUpdate);
  const said = new Map<SearchableCrl, Consulted | CrlProblem>();
  const evidence: CrlEvidence[] = [];
  const problems = new Map<Crl, CrlProblem>();
  const used = new Set<Crl>();
  let covered = 0;
  for (const point of [...certificate.extensions.crlDistributionPoints, impliedPoint(certificate)]) {
    for (const candidate of complete) {
      const scope = reasonsCovered(candidate.crl, point, certificate);
      if (scope === undefined) continue;
      if ("reason" in scope) {
        note(problems, candidate.crl, scope);
        continue;
      }
      // RFC 5280 6.3.3 e: a CRL that adds no reason is not looked at.
      if ((scope.reasons & ~covered) === 0) continue;
      const consulted = said.get(candidate) ?? consult(candidate, crls, check);
      said.set(candidate, consulted);
      if ("reason" in consulted) {
        note(problems, candidate.crl, consulted);
        continue;
      }
      const { entry } = consulted;
      if (entry !== undefined && entry.reason !== REMOVE_FROM_CRL)
        return { status: "revoked", at: entry.revokedAt, reasonCode: entry.reason, evidence: consulted.evidence };
      evidence.push(consulted.evidence);
      covered |= scope.reasons;
      used.add(candidate.crl);
    }
  }
  if (covered === ALL_REASONS) return { status: "good", evidence };
  const told = [...problems].filter(([crl]) => !used.has(crl)).map(([, problem]) => problem);
  return { status: "undetermined", problems: whatIsMissing(covered, told, check) };
}

function whatIsMissing(
  covered: number,
  problems: readonly CrlProblem[],
  { certificate, crls }: CrlsCheck,
): readonly CrlProblem[] {
  const issuer = certificate.issuer.toString();
  const telling = problems.toSorted((a, b) => weight(b) - weight(a)).slice(0, MAX_PROBLEMS);
  if (covered !== 0)
    return [{ reason: "ReasonsNotCovered", issuer, reasons: reasonNames(ALL_REASONS & ~covered) }, ...telling];
  if (telling.length > 0) return telling;
  const delta = crls.some((one) => searchable(one).crl.issuer.equals(certificate.issuer));
  return [{ reason: delta ? "DeltaWithoutBase" : "NoCrl", issuer }];
}

/** By name and, where both sides have one, by key identifier. */
export function mayHaveSigned({ issuer, authorityKeyId }: Crl, candidate: Certificate): boolean {
  const { subjectKeyId } = candidate.extensions;
  const otherKey =
    authorityKeyId !== undefined && subjectKeyId !== undefined && !sameBytes(authorityKeyId, subjectKeyId);
  return !otherKey && issuer.equals(candidate.subject);
}

interface Consulted {
  entry: CrlEntry | undefined;
  evidence: CrlEvidence;
}

/** What one complete CRL, brought up to date by a delta CRL if there is one, says (RFC 5280 6.3.3 a, c, f to k). */
function consult(complete: SearchableCrl, all: readonly SearchableCrl[], check: CrlsCheck): Consulted | CrlProblem {
  const { crl } = complete;
  const { certificate, time, tolerance } = check;
  try {
    const problem = unusable(crl, check);
    if (problem !== undefined) return problem;
    const signer = check.signerOf(complete);
    if ("reason" in signer) return signer;
    if (!verifiesCrl(complete, signer)) return { reason: "BadSignature", issuer: crl.issuer.toString() };
    const { unknownCritical } = complete;
    if (unknownCritical !== undefined) return { reason: "UnknownCriticalExtension", oid: unknownCritical };
    const delta = check.useDeltas ? newestDelta(complete, all, check, signer) : undefined;
    // RFC 5280 6.3.3 a: what must be current is the newest of the two.
    const nextUpdate = nextUpdateOf((delta ?? complete).crl);
    if (time > nextUpdate + tolerance) return { reason: "Stale", nextUpdate, time };
    const entry =
      delta?.lookUp(certificate.serial, certificate.issuer) ?? complete.lookUp(certificate.serial, certificate.issuer);
    return { entry, evidence: evidenceOf(crl, delta?.crl) };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { reason: "Malformed", detail: error.message };
  }
}

/** Why a CRL cannot be used whoever signed it. */
function unusable(crl: Crl, check: CrlsCheck): CrlProblem | undefined {
  const [unknown] = crl.unknownCritical;
  if (unknown !== undefined) return { reason: "UnknownCriticalExtension", oid: unknown };
  if (crl.thisUpdate > check.time + check.tolerance)
    return { reason: "FromTheFuture", thisUpdate: crl.thisUpdate, time: check.time };
  if (crl.signatureAlgorithm.known?.digest === "sha1" && !check.allowWeakAlgorithms)
    return { reason: "WeakAlgorithm", issuer: crl.issuer.toString() };
  return undefined;
}

/** The delta CRL with the highest number that may be combined with the complete one (RFC 5280 5.2.4, 6.3.3 c and h). */
function newestDelta(
  complete: SearchableCrl,
  all: readonly SearchableCrl[],
  check: CrlsCheck,
  signer: WorkingKey,
): SearchableCrl | undefined {
  let newest: SearchableCrl | undefined;
  for (const candidate of all) {
    const { crl } = candidate;
    if (!continues(crl, complete.crl)) continue;
    if (newest !== undefined && compareNumbers(crl.number, newest.crl.number) <= 0) continue;
    if (unusable(crl, check) !== undefined || check.time > nextUpdateOf(crl) + check.tolerance) continue;
    if (verifiesCrl(candidate, signer) && candidate.unknownCritical === undefined) newest = candidate;
  }
  return newest;
}

/** Same issuer, scope and key; made since the complete CRL, and about the time since it or earlier (RFC 5280 5.2.4). */
function continues(delta: Crl, complete: Crl): boolean {
  const scope = ({ extensions }: Crl) => extensions.find(({ oid }) => oid === Oid.issuingDistributionPoint)?.value;
  const same = (a: Buffer | undefined, b: Buffer | undefined) =>
    a === undefined || b === undefined ? a === b : sameBytes(a, b);
  return (
    delta.baseNumber !== undefined &&
    delta.issuer.equals(complete.issuer) &&
    same(scope(delta), scope(complete)) &&
    same(delta.authorityKeyId, complete.authorityKeyId) &&
    compareNumbers(complete.number, delta.baseNumber) >= 0 &&
    compareNumbers(complete.number, delta.number) < 0
  );
}

/** Order of non-negative INTEGERs; a missing one is lower than all. */
function compareNumbers(a: Buffer | undefined, b: Buffer | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return a.length - b.length || compareBytes(a, b);
}

/** RFC 5280 5.1.2.5: nextUpdate is mandatory; a CRL without one would be good for ever. */
function nextUpdateOf(crl: Crl): Milliseconds {
  return crl.nextUpdate ?? crl.thisUpdate;
}

function evidenceOf(crl: Crl, delta: Crl | undefined): CrlEvidence {
  const of = (one: Crl) => ({
    number: one.number && BigInt(`0x${one.number.toString("hex")}`).toString(),
    thisUpdate: one.thisUpdate,
    nextUpdate: nextUpdateOf(one),
  });
  return { issuer: crl.issuer.toString(), ...of(crl), ...(delta === undefined ? {} : { delta: of(delta) }) };
}

/** A CRL is met once per distribution point; what it fails at last, furthest on, is kept. */
function note(problems: Map<Crl, CrlProblem>, crl: Crl, problem: CrlProblem): void {
  const before = problems.get(crl);
  if (before === undefined || weight(before) < weight(problem)) problems.set(crl, problem);
}

/** A CRL that was in scope and failed then tells more than one that is about other certificates. */
function weight({ reason }: CrlProblem): number {
  return reason === "OutOfScope" ? 0 : 1;
}

/** CRLReason of a delta's entry that takes an earlier one back (RFC 5280 5.3.1). */
const REMOVE_FROM_CRL = 8;
/** Problems told of one certificate. */
const MAX_PROBLEMS = 8;
