/** A certificate's revocation status by the CRLs and OCSP responses at hand, each verdict with what it rests on. */

import type { Bytes } from "../../bytes/bytes.ts";
import type { Milliseconds } from "../../sim/environment.ts";
import {
  type CrlEvidence,
  type CrlProblem,
  type CrlsVerdict,
  checkCrls,
  describeCrlProblem,
  mayHaveSigned,
} from "../../trust/crl.ts";
import type { SearchableCrl } from "../../trust/crlEntries.ts";
import { verifiesCrl } from "../../trust/crlSignature.ts";
import { checkOcspResponse, describeOcspProblem } from "../../trust/ocsp.ts";
import { describePathRefusal, validatePath } from "../../trust/path.ts";
import { type WorkingKey, workingKey } from "../../trust/workingKey.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { Crl } from "../../x509/crl.ts";
import type { Found, Material } from "./material.ts";

/** What one source says. */
export interface StatusEvidence {
  source: "CRL" | "OCSP";
  origin: string;
  status: "good" | "revoked" | "unknown" | "unusable";
  /** Why it is unusable. */
  problem?: string;
  /** CRL issuer or OCSP responder. */
  issuer?: string;
  /** cRLNumber in decimal. */
  crlNumber?: string;
  /** Of the delta CRL that brought it up to date. */
  deltaCrlNumber?: string;
  /** When it was revoked, and the CRLReason by name. */
  revokedAt?: Milliseconds;
  reason?: string;
  producedAt?: Milliseconds;
  thisUpdate?: Milliseconds;
  nextUpdate?: Milliseconds;
}

export interface StatusReport {
  certificate: Certificate;
  /** undetermined: there are sources, and none says anything about it; notAsked: there are none. */
  status: "good" | "revoked" | "unknown" | "undetermined" | "notAsked";
  /** One line, without the certificate's name. */
  summary: string;
  evidence: readonly StatusEvidence[];
}

export interface StatusPolicy {
  time: Milliseconds;
  allowWeakAlgorithms: boolean;
  /** CRL issuers that are no CAs of the path, and the roots that their own paths end at (RFC 5280 6.3.3 f). */
  crlSigners: readonly Certificate[];
  anchors: readonly Certificate[];
  /** False where the issuer's own path is not valid, which the summary says then. */
  issuerValidated: boolean;
}

/** Any source that says revoked decides; else any that says good (RFC 6960 2.2, RFC 5280 6.3). */
export function statusOf(
  certificate: Certificate,
  issuer: Certificate,
  material: Pick<Material, "crls" | "ocspResponses">,
  policy: StatusPolicy,
): StatusReport {
  const all = [
    ...byCrls(material.crls, certificate, issuer, policy),
    ...material.ocspResponses.map((response) => byOcsp(response, certificate, issuer, policy)),
  ];
  // A CRL of another CA or a response about another certificate is nothing to complain of.
  const evidence = all.filter((each) => each !== undefined);
  const decisive =
    evidence.find(({ status }) => status === "revoked") ??
    evidence.find(({ status }) => status === "good") ??
    evidence.find(({ status }) => status === "unknown");
  const under = policy.issuerValidated ? "" : ", under an issuer that is not validated";
  if (decisive !== undefined) {
    const summary = `${decisive.status}: ${describeEvidence(decisive)}${under}`;
    return { certificate, status: decisive.status as "good" | "revoked" | "unknown", summary, evidence };
  }
  if (all.length === 0) return { certificate, status: "notAsked", summary: "not asked", evidence };
  const why =
    evidence.length === 0
      ? "no CRL and no OCSP response at hand is about it"
      : evidence.map(describeEvidence).join("; ");
  return { certificate, status: "undetermined", summary: `undetermined: ${why}`, evidence };
}

/** One line for a person. */
export function describeEvidence(evidence: StatusEvidence): string {
  const { source, origin, issuer, problem } = evidence;
  if (evidence.status === "unusable") return `${origin}: ${problem}`;
  const delta = evidence.deltaCrlNumber === undefined ? "" : ` with delta CRL number ${evidence.deltaCrlNumber}`;
  const parts = [
    `${source}${evidence.crlNumber === undefined ? "" : ` number ${evidence.crlNumber}`}${delta} of "${issuer}" (${origin})`,
  ];
  if (evidence.revokedAt !== undefined)
    parts.push(`revoked ${iso(evidence.revokedAt)}, reason ${evidence.reason ?? "not given"}`);
  if (evidence.producedAt !== undefined) parts.push(`produced ${iso(evidence.producedAt)}`);
  if (evidence.thisUpdate !== undefined) {
    const until = evidence.nextUpdate === undefined ? "" : `, next at ${iso(evidence.nextUpdate)}`;
    parts.push(`of ${iso(evidence.thisUpdate)}${until}`);
  }
  return parts.join(", ");
}

/** cRLNumber in decimal, as other tools show it. */
export function crlNumberText(number: Bytes): string {
  return BigInt(`0x${number.toString("hex")}`).toString();
}

/** All CRLs together, since a delta CRL speaks only with its base, and several may share the reasons (RFC 5280 6.3). */
function byCrls(
  crls: readonly Found<Crl>[],
  certificate: Certificate,
  issuer: Certificate,
  policy: StatusPolicy,
): (StatusEvidence | undefined)[] {
  if (crls.length === 0) return [];
  const verdict = crlVerdict(crls, certificate, policy, (signed) => signerOf(signed, issuer, crls, policy));
  if (verdict.status === "revoked")
    return [{ ...evidenceOf(verdict.evidence, crls), status: "revoked", ...revocation(verdict) }];
  if (verdict.status === "good") return verdict.evidence.map((each) => ({ ...evidenceOf(each, crls), status: "good" }));
  const files = crls.filter(({ item }) => item.issuer.equals(certificate.issuer)).map(({ origin }) => origin);
  return verdict.problems.map((problem) =>
    problem.reason === "NoCrl"
      ? undefined
      : { source: "CRL", origin: files.join(", ") || "CRL", status: "unusable", problem: describeCrlProblem(problem) },
  );
}

function crlVerdict(
  crls: readonly Found<Crl>[],
  certificate: Certificate,
  { time, allowWeakAlgorithms }: StatusPolicy,
  signer: (signed: SearchableCrl) => WorkingKey | CrlProblem,
): CrlsVerdict {
  return checkCrls({
    certificate,
    crls: crls.map(({ item }) => item),
    time,
    tolerance: TOLERANCE,
    allowWeakAlgorithms,
    useDeltas: true,
    signerOf: signer,
  });
}

/** The issuer itself, or one of the CRL issuers given. */
function signerOf(
  signed: SearchableCrl,
  issuer: Certificate,
  crls: readonly Found<Crl>[],
  policy: StatusPolicy,
): WorkingKey | CrlProblem {
  const { crl } = signed;
  const name = crl.issuer.toString();
  if (mayHaveSigned(crl, issuer)) return signedBy(signed, issuer);
  const other = policy.crlSigners.find((candidate) => mayHaveSigned(crl, candidate));
  if (other !== undefined) return foreignSigner(signed, other, crls, policy);
  const detail = "it is not the certificate's issuer, or has another key; --crl-signer FILE names others";
  return { reason: "IssuerNotTrusted", issuer: name, detail };
}

function signedBy(signed: SearchableCrl, signer: Certificate): WorkingKey | CrlProblem {
  const issuer = signed.crl.issuer.toString();
  if (signer.extensions.keyUsage?.cRLSign === false) return { reason: "IssuerMayNotSign", issuer };
  const key = workingKey(signer, undefined);
  return verifiesCrl(signed, key) ? key : { reason: "BadSignature", issuer };
}

/** A CRL issuer needs a path of its own, and must not be revoked by the CRLs of the CAs above it (RFC 5280 6.3.3 f). */
function foreignSigner(
  signed: SearchableCrl,
  signer: Certificate,
  crls: readonly Found<Crl>[],
  policy: StatusPolicy,
): WorkingKey | CrlProblem {
  const issuer = signed.crl.issuer.toString();
  const path = validatePath({
    leaf: signer,
    intermediates: policy.crlSigners.filter((candidate) => candidate !== signer).slice(0, MAX_INTERMEDIATES),
    anchors: policy.anchors,
    time: policy.time,
    purpose: "crlSigning",
    maxPath: MAX_INTERMEDIATES + 1,
    allowWeakAlgorithms: policy.allowWeakAlgorithms,
  });
  if (!path.valid) return { reason: "IssuerNotTrusted", issuer, detail: describePathRefusal(path.refusal) };
  for (const [index, above] of path.path.slice(1).entries()) {
    const certificate = path.path[index]!;
    const verdict = crlVerdict(crls, certificate, policy, (other) =>
      mayHaveSigned(other.crl, above) ? signedBy(other, above) : { reason: "NoCrl", issuer: above.subject.toString() },
    );
    if (verdict.status === "revoked")
      return {
        reason: "IssuerNotTrusted",
        issuer,
        detail: `"${certificate.subject}" was revoked at ${iso(verdict.at)}`,
      };
  }
  return signedBy(signed, signer);
}

function evidenceOf(
  { issuer, number, thisUpdate, nextUpdate, delta }: CrlEvidence,
  crls: readonly Found<Crl>[],
): Omit<StatusEvidence, "status"> {
  const origin = crls.find(({ item }) => item.thisUpdate === thisUpdate && item.issuer.toString() === issuer)?.origin;
  return {
    source: "CRL",
    origin: origin ?? "CRL",
    issuer,
    ...(number === undefined ? {} : { crlNumber: number }),
    ...(delta?.number === undefined ? {} : { deltaCrlNumber: delta.number }),
    thisUpdate: delta?.thisUpdate ?? thisUpdate,
    nextUpdate: delta?.nextUpdate ?? nextUpdate,
  };
}

function byOcsp(
  { item: response, origin }: Found<Bytes>,
  certificate: Certificate,
  issuer: Certificate,
  policy: StatusPolicy,
): StatusEvidence | undefined {
  const { time, allowWeakAlgorithms } = policy;
  const verdict = checkOcspResponse({
    response,
    certificate,
    issuer,
    time,
    tolerance: TOLERANCE,
    maxAge: MAX_AGE,
    trustedResponders: [],
    allowWeakAlgorithms,
  });
  if (verdict.status === "invalid") {
    if (verdict.problem.reason === "OtherCertificate") return undefined;
    return { source: "OCSP", origin, status: "unusable", problem: describeOcspProblem(verdict.problem) };
  }
  const { responder, producedAt, thisUpdate, nextUpdate } = verdict.evidence;
  const times = { producedAt, thisUpdate, ...(nextUpdate === undefined ? {} : { nextUpdate }) };
  const evidence = { source: "OCSP" as const, origin, issuer: responder, ...times };
  if (verdict.status !== "revoked") return { ...evidence, status: verdict.status };
  return { ...evidence, status: "revoked", ...revocation(verdict) };
}

function revocation({ at, reasonCode }: { at: Milliseconds; reasonCode: number | undefined }): {
  revokedAt: Milliseconds;
  reason?: string;
} {
  if (reasonCode === undefined) return { revokedAt: at };
  return { revokedAt: at, reason: REASONS[reasonCode] ?? `code ${reasonCode}` };
}

function iso(time: Milliseconds): string {
  return new Date(time).toISOString().replace(".000Z", "Z");
}

/** Milliseconds that a CA's clock and ours may differ. */
const TOLERANCE = 5 * 60_000;
/** Milliseconds that a response without nextUpdate is taken for. */
const MAX_AGE = 24 * 3600_000;
/** Certificates of a CRL issuer's own path (TS 33.320 7.2.4-2). */
const MAX_INTERMEDIATES = 3;
/** CRLReason (RFC 5280 5.3.1); 7 is not used. */
const REASONS: readonly (string | undefined)[] = [
  "unspecified",
  "keyCompromise",
  "cACompromise",
  "affiliationChanged",
  "superseded",
  "cessationOfOperation",
  "certificateHold",
  undefined,
  "removeFromCRL",
  "privilegeWithdrawn",
  "aACompromise",
];
