/** The rules as the table of docs/standards/ts33310-profiles.md; run alone it writes the table into that file. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CRL_RULES } from "../../../src/trust/profiles/crlRules.ts";
import { CERTIFICATE_RULES } from "../../../src/trust/profiles/lint.ts";
import { CERTIFICATE_PROFILES, type CertificateRule, type Release } from "../../../src/trust/profiles/rule.ts";

export const DOCUMENT = fileURLToPath(new URL("../../../docs/standards/ts33310-profiles.md", import.meta.url));
const BEGIN = "<!-- rules: made by test/trust/profiles/table.ts -->\n";
const END = "<!-- end of rules -->\n";

/** The document with the table in its place. */
export function withTable(document: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} has no place for the table of rules`);
  return document.slice(0, begin + BEGIN.length) + table() + document.slice(end);
}

function table(): string {
  const certificates = CERTIFICATE_RULES.map((rule) => [
    rule.id,
    rule.requirement,
    profilesOf(rule),
    clausesOf(rule),
    ...releases(rule),
  ]);
  const crls = CRL_RULES.map((rule) => [rule.id, rule.requirement, "CRLs", rule.clause, ...releases(rule)]);
  const head = ["id", "what must hold", "profiles", "clause", "R9", "newest"];
  const rows = [head, head.map(() => "---"), ...certificates, ...crls];
  return rows.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

function releases(rule: { in: CertificateRule["in"] }): string[] {
  return (["R9", "newest"] satisfies Release[]).map((release) => {
    const applied = rule.in[release];
    return applied === undefined ? "" : `${applied.severity} (${CONFIDENCE[applied.confidence]})`;
  });
}

function profilesOf({ clauses }: CertificateRule): string {
  const has = CERTIFICATE_PROFILES.filter((profile) => clauses[profile] !== undefined);
  return has.length === CERTIFICATE_PROFILES.length ? "all" : has.join(", ");
}

function clausesOf({ clauses }: CertificateRule): string {
  return [...new Set(Object.values(clauses))].join("; ");
}

const CONFIDENCE = { text: "t", secondReading: "s", knowledge: "k" };

if (import.meta.main) writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, "utf8")));
