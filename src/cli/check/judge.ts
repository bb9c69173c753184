/**
 * What `femtogate check` says of certificates: each against its profile, each end of a path against the trusted roots,
 * and its status by the CRLs and OCSP responses at hand.
 *
 * No I/O. "invalid" needs a proof against the certificate; where something is missing that would decide (a root, an
 * answer about its status) it is "undetermined".
 */
import type { Milliseconds } from "../../sim/environment.ts";
import { describePathRefusal, type Purpose, validatePath } from "../../trust/path.ts";
import { lint } from "../../trust/profiles/lint.ts";
import type { CertificateProfile, Circumstances, Finding, Release, Severity } from "../../trust/profiles/rule.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { Crl } from "../../x509/crl.ts";
import { guessProfile, PURPOSES } from "./guess.ts";
import { Kinship } from "./kinship.ts";
import type { Found, Material } from "./material.ts";
import type { RoleReport } from "./roleReport.ts";
import { type StatusReport, statusOf } from "./status.ts";

export type Result = "valid" | "invalid" | "undetermined";

export interface CheckPolicy {
  anchors: readonly Found<Certificate>[];
  /** CRL issuers that are no CAs of the paths. */
  crlSigners: readonly Certificate[];
  time: Milliseconds;
  release: Release;
  /** Of the ends; guessed from the certificates if undefined. */
  profile: CertificateProfile | undefined;
  circumstances: Pick<Circumstances, "identity" | "crlServer" | "ocspServer" | "statusInBand">;
  /** Findings from this severity on make a certificate invalid. */
  severity: Severity;
  allowWeakAlgorithms: boolean;
}

export interface CertificateReport {
  found: Found<Certificate>;
  /** Trusted by --trust. */
  trusted: boolean;
  profile: CertificateProfile;
  guessed: boolean;
  findings: readonly Finding[];
}

/** An end of a path: an end entity, or a CA where nothing it issued was given. */
export interface EndReport {
  certificate: Certificate;
  /** End entity first, anchor last; undefined where there is no valid path. */
  path: readonly Certificate[] | undefined;
  /** Why the path is not valid, or why nothing can be said. */
  pathProblem: string | undefined;
  /** Status of each certificate that has one to be asked for, end entity first. */
  statuses: readonly StatusReport[];
  /** What roles would do by the policy given; none without one. */
  roles: readonly RoleReport[];
  result: Result;
  reasons: readonly string[];
}

export interface CrlReport {
  found: Found<Crl>;
  findings: readonly Finding[];
}

export interface CheckReport {
  /** Parents before their children. */
  certificates: readonly CertificateReport[];
  kinship: Kinship;
  ends: readonly EndReport[];
  crls: readonly CrlReport[];
  problems: readonly string[];
  result: Result;
}

export function judge(material: Material, policy: CheckPolicy): CheckReport {
  const kinship = new Kinship(material.certificates, policy.anchors);
  const ends = kinship.ends.map((end) => judgeEnd(end, kinship, material, policy));
  const atEnds = new Set(ends.map(({ certificate }) => certificate));
  const certificates = kinship.inOrder.map((found) => judgeProfile(found, atEnds.has(found.item), kinship, policy));
  const crls = material.crls.map((found) => ({ found, findings: lint({ crl: found.item, release: policy.release }) }));
  const judged = ends.map((end) => withFindings(end, certificates, policy));
  const badCrl = crls.some(({ findings }) => findings.some((finding) => counts(finding, policy)));
  const results = [...judged.map(({ result }) => result), ...(badCrl ? ["invalid" as const] : [])];
  return {
    certificates,
    kinship,
    ends: judged,
    crls,
    problems: material.problems,
    result: results.includes("invalid") ? "invalid" : results.includes("undetermined") ? "undetermined" : "valid",
  };
}

/** True if a finding makes a certificate invalid under the policy. */
function counts(finding: Finding, { severity }: Pick<CheckPolicy, "severity">): boolean {
  return SEVERITIES.indexOf(finding.severity) >= SEVERITIES.indexOf(severity);
}

function judgeProfile(
  found: Found<Certificate>,
  isEnd: boolean,
  kinship: Kinship,
  policy: CheckPolicy,
): CertificateReport {
  const certificate = found.item;
  const given = isEnd ? policy.profile : undefined;
  const profile = given ?? guessProfile(found, kinship.below(certificate));
  const issuer = certificate.isSelfIssued ? undefined : kinship.parent(certificate);
  const { identity, ...servers } = policy.circumstances;
  const circumstances = {
    ...servers,
    ...(issuer === undefined ? {} : { issuer }),
    ...(isEnd && identity !== undefined ? { identity } : {}),
  };
  return {
    found,
    trusted: kinship.isAnchor(certificate),
    profile,
    guessed: given === undefined,
    findings: lint({ certificate, profile, release: policy.release, circumstances }),
  };
}

function judgeEnd(found: Found<Certificate>, kinship: Kinship, material: Material, policy: CheckPolicy): EndReport {
  const certificate = found.item;
  const purpose = PURPOSES[policy.profile ?? guessProfile(found, [])];
  const { path, problem, certain } = pathOf(certificate, purpose, kinship, policy);
  // Without a valid path the status still tells something: under the issuers as they were found.
  const line = path ?? kinship.lineage(certificate);
  const statuses = line.slice(0, -1).map((each, index) =>
    statusOf(each, line[index + 1]!, material, {
      time: policy.time,
      allowWeakAlgorithms: policy.allowWeakAlgorithms,
      crlSigners: policy.crlSigners,
      anchors: policy.anchors.map(({ item }) => item),
      issuerValidated: path !== undefined,
    }),
  );
  const [own] = statuses;
  const revoked = statuses.filter(({ status }) => status === "revoked");
  const asked = material.crls.length + material.ocspResponses.length > 0;
  const proofs = [
    ...(found.disproof === undefined ? [] : [found.disproof]),
    ...(problem !== undefined && certain ? [problem] : []),
    ...revoked.map(naming),
  ];
  const gaps = [
    ...(problem !== undefined && !certain ? [problem] : []),
    ...(asked && own !== undefined && (own.status === "unknown" || own.status === "undetermined") ? [naming(own)] : []),
  ];
  return {
    certificate,
    path,
    pathProblem: problem,
    statuses,
    roles: [],
    result: proofs.length > 0 ? "invalid" : gaps.length > 0 ? "undetermined" : "valid",
    reasons: proofs.length > 0 ? proofs : gaps,
  };
}

function naming({ certificate, summary }: StatusReport): string {
  return `the status of "${certificate.subject}" is ${summary}`;
}

function pathOf(
  leaf: Certificate,
  purpose: Purpose,
  kinship: Kinship,
  { anchors, time, allowWeakAlgorithms }: CheckPolicy,
): { path: readonly Certificate[] | undefined; problem: string | undefined; certain: boolean } {
  if (kinship.isAnchor(leaf)) return { path: [leaf], problem: undefined, certain: true };
  if (anchors.length === 0) {
    const problem = "no trusted roots are given, so that no path can be judged; --trust FILE names them";
    return { path: undefined, problem, certain: false };
  }
  const verdict = validatePath({
    leaf,
    intermediates: kinship.above(leaf),
    anchors: anchors.map(({ item }) => item),
    time,
    purpose,
    maxPath: MAX_PATH,
    allowWeakAlgorithms,
  });
  if (verdict.valid) return { path: verdict.path, problem: undefined, certain: true };
  return { path: undefined, problem: describePathRefusal(verdict.refusal), certain: true };
}

/** What a profile finds in a path's certificates counts against its end; the root stands by configuration. */
function withFindings(end: EndReport, certificates: readonly CertificateReport[], policy: CheckPolicy): EndReport {
  const line = end.path ?? [end.certificate];
  const broken = line.flatMap((certificate) => {
    const report = certificates.find(({ found }) => found.item === certificate);
    if (report === undefined || report.trusted) return [];
    return report.findings
      .filter((finding) => counts(finding, policy))
      .map(
        ({ rule, requirement, found }) =>
          `"${certificate.subject}" breaks ${rule} (${requirement.replace(/\.$/, "")}): ${found}`,
      );
  });
  if (broken.length === 0) return end;
  return { ...end, result: "invalid", reasons: [...(end.result === "invalid" ? end.reasons : []), ...broken] };
}

const SEVERITIES: readonly Severity[] = ["notice", "warning", "error"];
/** TS 33.320 7.2.3, 7.2.4: certificates of a path without the root. */
const MAX_PATH = 4;
