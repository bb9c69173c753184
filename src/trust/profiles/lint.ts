/**
 * Certificates and CRLs against the profiles of TS 33.310 6.1 and TS 33.320 7.2.5.2 and 8.3.3.
 *
 * The rules are tables, one row each (commonRules, authorityRules, entityRules, crlRules), with the ids of
 * docs/standards/ts33310-profiles.md. This does not judge signatures, times or paths: `validatePath` does.
 */
import { DecodeError } from "../../bytes/reader.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { Crl } from "../../x509/crl.ts";
import { AUTHORITY_RULES } from "./authorityRules.ts";
import { COMMON_RULES } from "./commonRules.ts";
import { CRL_RULES } from "./crlRules.ts";
import { ENTITY_RULES } from "./entityRules.ts";
import type { CertificateProfile, CertificateRule, Circumstances, CrlRule, Finding, Release } from "./rule.ts";

export const CERTIFICATE_RULES: readonly CertificateRule[] = [...COMMON_RULES, ...AUTHORITY_RULES, ...ENTITY_RULES];

type LintRequest =
  | { certificate: Certificate; profile: CertificateProfile; release: Release; circumstances?: Circumstances }
  | { crl: Crl; release: Release };

/** The rules that are broken, in the order of the tables; none for what conforms. */
export function lint(request: LintRequest): Finding[] {
  if ("crl" in request) {
    const { crl, release } = request;
    return CRL_RULES.flatMap((rule) => judge(rule, rule.clause, release, () => rule.check(crl, release)));
  }
  const { certificate, profile, release, circumstances } = request;
  const about = { ...circumstances, profile, release };
  return CERTIFICATE_RULES.flatMap((rule) =>
    judge(rule, rule.clauses[profile], release, () => rule.check(certificate, about)),
  );
}

function judge(
  rule: CertificateRule | CrlRule,
  clause: string | undefined,
  release: Release,
  check: () => string | undefined,
): Finding[] {
  const applied = rule.in[release];
  if (applied === undefined || clause === undefined) return [];
  const found = foundBy(check);
  if (found === undefined) return [];
  const { id, requirement, fix } = rule;
  return [{ rule: id, ...applied, clause, requirement, found, fix }];
}

/** What is malformed only where a rule looks breaks that rule; nothing hostile may stop the others. */
function foundBy(check: () => string | undefined): string | undefined {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return error.message;
  }
}
