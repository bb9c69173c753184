/** A check as one JSON object, for machines; its fields are kept from release to release. */
import type { Certificate } from "../../x509/certificate.ts";
import { namesOf } from "../../x509/extensions.ts";
import type { CheckPolicy, CheckReport } from "./judge.ts";

export function reportJson(report: CheckReport, policy: CheckPolicy): unknown {
  return {
    result: report.result,
    time: iso(policy.time),
    release: policy.release,
    severity: policy.severity,
    certificates: report.certificates.map(({ found, trusted, profile, guessed, findings }) => ({
      ...identityOf(found.item),
      issuer: found.item.issuer.toString(),
      notBefore: iso(found.item.notBefore),
      notAfter: iso(found.item.notAfter),
      names: namesOf(found.item.extensions.subjectAltName),
      from: found.origin,
      trusted,
      profile,
      profileGuessed: guessed,
      findings,
    })),
    ends: report.ends.map(({ certificate, path, pathProblem, statuses, roles, result, reasons }) => ({
      ...identityOf(certificate),
      result,
      reasons,
      path: path?.map(identityOf) ?? null,
      ...(pathProblem === undefined ? {} : { pathProblem }),
      statuses: statuses.map(({ certificate: of, status, summary, evidence }) => ({
        ...identityOf(of),
        status,
        summary,
        evidence: withIsoTimes(evidence),
      })),
      roles: roles.map(({ role, would, reason, message, statuses: found }) => ({
        role,
        would,
        ...(reason === undefined ? {} : { reason }),
        message,
        statuses: withIsoTimes(found),
      })),
    })),
    crls: report.crls.map(({ found, findings }) => ({
      issuer: found.item.issuer.toString(),
      thisUpdate: iso(found.item.thisUpdate),
      nextUpdate: found.item.nextUpdate === undefined ? null : iso(found.item.nextUpdate),
      from: found.origin,
      findings,
    })),
    problems: report.problems,
  };
}

function identityOf(certificate: Certificate): { subject: string; serial: string; sha256: string } {
  return {
    subject: certificate.subject.toString(),
    serial: certificate.serialText,
    sha256: certificate.fingerprint,
  };
}

/** The same, its times being text; they are known by their names. */
function withIsoTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withIsoTimes);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name,
      typeof each === "number" && TIMES.includes(name) ? iso(each) : withIsoTimes(each),
    ]),
  );
}

function iso(time: number): string {
  return new Date(time).toISOString();
}

const TIMES: readonly string[] = [
  ...["revokedAt", "invalidityDate", "producedAt", "thisUpdate", "nextUpdate", "obtainedAt"],
  ...["until", "graceEnded"],
];
