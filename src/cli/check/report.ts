/** What a person sees of a check: the tree of certificates, then each with its findings, path and status. */

import type { CertificateProfile, Finding, Severity } from "../../trust/profiles/rule.ts";
import { describeStatusEvidence } from "../../trust/statusAnswer.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { namesOf } from "../../x509/extensions.ts";
import { Oid } from "../../x509/oids.ts";
import type { CertificateReport, CheckReport, EndReport, Result } from "./judge.ts";
import { describeRole, type RoleReport } from "./roleReport.ts";
import { crlNumberText, describeEvidence } from "./status.ts";

export interface ReportStyle {
  /** Columns of the terminal. */
  width: number;
  colour: boolean;
  /** The tree and the verdicts only. */
  brief: boolean;
}

/** The lines of a report. */
export function reportLines(report: CheckReport, style: ReportStyle): string[] {
  const page = new Page(style);
  for (const root of report.kinship.roots) addTree(page, report, root.item, "", "");
  if (!style.brief) {
    for (const certificate of report.certificates) addCertificate(page, report, certificate);
    for (const { found, findings } of report.crls) {
      page.blank();
      page.add(`CRL of ${found.item.issuer}`, "title");
      page.field("from", found.origin);
      page.field("number", found.item.number === undefined ? "none" : crlNumberText(found.item.number));
      page.field("of", `${iso(found.item.thisUpdate)}, ${nextText(found.item.nextUpdate)}`);
      addFindings(page, findings);
    }
  }
  if (report.problems.length > 0) {
    page.blank();
    page.add("Not read", "title");
    for (const problem of report.problems) page.item(problem, "warning");
  }
  page.blank();
  for (const end of report.ends) {
    page.add(`${end.result}: ${end.certificate.subject}`, end.result);
    for (const reason of end.reasons) page.item(reason);
    const accepting = end.roles.filter(({ would }) => would === "accept");
    for (const role of accepting) page.item(describeRole(role), "valid");
  }
  if (report.ends.length === 0) page.add(`${report.result}: ${report.crls.length} CRLs`, report.result);
  return page.lines;
}

function addTree(page: Page, report: CheckReport, certificate: Certificate, lead: string, branch: string): void {
  const of = report.certificates.find(({ found }) => found.item === certificate);
  const end = report.ends.find((each) => each.certificate === certificate);
  const marks = [
    of === undefined ? "" : PROFILE_NAMES[of.profile],
    of?.trusted === true ? "trusted" : "",
    end === undefined ? "" : end.result,
  ];
  const note = marks.filter((mark) => mark !== "").join(", ");
  page.add(`${lead}${branch}${certificate.subject}  (${note})`, end?.result ?? "plain", lead.length + 3);
  const children = report.kinship.children(certificate);
  const below = branch === "" ? lead : `${lead}${branch.startsWith("└") ? "   " : "│  "}`;
  for (const [index, { item }] of children.entries())
    addTree(page, report, item, below, index === children.length - 1 ? "└─ " : "├─ ");
}

function addCertificate(page: Page, report: CheckReport, of: CertificateReport): void {
  const { found, profile, guessed, findings, trusted } = of;
  const { item: certificate, origin } = found;
  const end = report.ends.find((each) => each.certificate === certificate);
  page.blank();
  page.add(certificate.subject.toString(), "title");
  if (!certificate.isSelfIssued) page.field("issuer", certificate.issuer.toString());
  page.field("serial", certificate.serialText);
  page.field("key", `${keyText(certificate)}, signed with ${signatureText(certificate)}`);
  page.field("valid", `${iso(certificate.notBefore)} to ${iso(certificate.notAfter)}`);
  const names = namesOf(certificate.extensions.subjectAltName);
  if (names.length > 0) page.field("names", names.join(", "));
  const { crlUrls, ocspUrls } = certificate.extensions;
  if (crlUrls.length > 0) page.field("CRL", crlUrls.join(", "));
  if (ocspUrls.length > 0) page.field("OCSP", ocspUrls.join(", "));
  page.field("from", `${origin}${trusted ? ", trusted" : ""}`);
  page.field(
    "profile",
    `${PROFILE_NAMES[profile]}${guessed && end !== undefined ? " (guessed; --profile chooses)" : ""}`,
  );
  addFindings(page, findings);
  if (end !== undefined) addEnd(page, end);
}

function addFindings(page: Page, findings: readonly Finding[]): void {
  for (const { rule, severity, requirement, found, fix, clause, confidence } of findings) {
    page.item(`${severity} ${rule}: ${requirement}`, severity);
    page.note(`found: ${found}`);
    page.note(`${fix}`);
    page.note(`${clause}${CONFIDENCE[confidence]}`);
  }
}

function addEnd(page: Page, { certificate, path, pathProblem, statuses, roles }: EndReport): void {
  if (path !== undefined) {
    const anchor = path.at(-1)!;
    const length = path.length === 1 ? "itself trusted" : `${path.length - 1} below the root "${anchor.subject}"`;
    page.field("path", `valid: ${length}`, "valid");
  } else page.field("path", pathProblem ?? "none", "invalid");
  for (const { certificate: of, status, summary, evidence } of statuses) {
    if (of !== certificate && status === "notAsked") continue;
    const colour = status === "good" ? "valid" : status === "revoked" ? "invalid" : "plain";
    page.field("status", of === certificate ? summary : `of "${of.subject}" ${summary}`, colour);
    if (evidence.length > 1) for (const each of evidence) page.note(`${each.status}: ${describeEvidence(each)}`);
  }
  for (const report of roles) addRole(page, report);
}

function addRole(page: Page, { role, would, reason, message, statuses }: RoleReport): void {
  const verb = would === "undetermined" ? would : `would ${would}`;
  const colour = would === "accept" ? "valid" : would === "refuse" ? "invalid" : would;
  page.field(role, `${verb}${reason === undefined ? "" : ` (${reason})`}: ${message}`, colour);
  for (const { subject, findings } of statuses)
    for (const { method, answer } of findings) {
      const evidence = "evidence" in answer ? answer.evidence : undefined;
      const by = evidence === undefined ? "" : `: ${describeStatusEvidence(evidence)}`;
      page.note(`${method.toUpperCase()} ${answer.status} about "${subject}"${by}`);
      for (const { url, message: why } of "attempts" in answer ? answer.attempts : []) page.note(`  ${url}: ${why}`);
    }
}

type Colour = "plain" | "title" | "dim" | Result | Severity;

/** Lines in columns, wrapped between words with their indentation kept. */
class Page {
  readonly lines: string[] = [];
  readonly #style: ReportStyle;

  constructor(style: ReportStyle) {
    this.#style = style;
  }

  blank(): void {
    this.lines.push("");
  }

  add(text: string, colour: Colour = "plain", hang = 2): void {
    for (const line of wrap(text, this.#style.width, " ".repeat(hang))) this.lines.push(this.#paint(line, colour));
  }

  field(name: string, text: string, colour: Colour = "plain"): void {
    const indent = " ".repeat(FIELD);
    const [first = "", ...more] = wrap(`${indent}${text}`, this.#style.width, indent);
    this.lines.push(this.#paint(`  ${name.padEnd(FIELD - 2)}`, "dim") + this.#paint(first.slice(FIELD), colour));
    for (const line of more) this.lines.push(this.#paint(line, colour));
  }

  item(text: string, colour: Colour = "plain"): void {
    this.add(`  - ${text}`, colour, 4);
  }

  note(text: string): void {
    this.add(`    ${text}`, "dim", 4);
  }

  #paint(text: string, colour: Colour): string {
    return this.#style.colour && COLOURS[colour] !== 0 ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;
  }
}

/** Lines of at most `width` columns; a word longer than that stands alone. */
function wrap(text: string, width: number, hang: string): string[] {
  const lines: string[] = [];
  const lead = /^ */.exec(text)![0];
  let line = lead;
  let empty = true;
  for (const word of text.slice(lead.length).split(" ")) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = hang;
      empty = true;
    }
    line = empty ? line + word : `${line} ${word}`;
    empty = false;
  }
  return [...lines, line];
}

function keyText({ keyDescription: key }: Certificate): string {
  if (key.kind === "rsa") return `RSA-${key.bits}`;
  if (key.kind === "ec") return CURVES.get(key.curve ?? "") ?? `EC on ${key.curve ?? "a curve spelled out"}`;
  if (key.kind === "dsa") return key.bits === undefined ? "DSA with inherited parameters" : `DSA-${key.bits}`;
  return key.algorithm;
}

function signatureText({ signatureAlgorithm: { known, oid } }: Certificate): string {
  if (known === undefined) return oid;
  const kind = known.kind === "ec" ? "ECDSA" : known.kind === "rsa-pss" ? "RSA-PSS" : "RSA PKCS#1 v1.5";
  return `${kind} and ${known.digest.replace("sha", "SHA-")}`;
}

function nextText(nextUpdate: number | undefined): string {
  return nextUpdate === undefined ? "no next one announced" : `next at ${iso(nextUpdate)}`;
}

function iso(time: number): string {
  return new Date(time).toISOString().replace(".000Z", "Z");
}

const PROFILE_NAMES: Record<CertificateProfile, string> = {
  segw: "SeGW",
  "henb-ikev2": "H(e)NB, IKEv2",
  "henb-tls": "H(e)NB, TLS",
  henb: "H(e)NB, IKEv2 and TLS",
  hems: "H(e)MS",
  "root-ca": "root CA",
  "interconnection-ca": "interconnection CA",
  "seg-ca": "SEG CA",
  "tls-ca": "TLS CA",
  "ne-ca": "NE CA",
  "ocsp-signer": "OCSP signer",
};
const CONFIDENCE = {
  text: "",
  secondReading: " (as others implemented it; not read in the text)",
  knowledge: " (not confirmed against the text)",
};
const CURVES = new Map<string, string>([
  [Oid.p256, "P-256"],
  [Oid.p384, "P-384"],
  [Oid.p521, "P-521"],
]);
const COLOURS: Record<Colour, number> = {
  plain: 0,
  title: 1,
  dim: 2,
  valid: 32,
  invalid: 31,
  undetermined: 33,
  error: 31,
  warning: 33,
  notice: 0,
};
/** Columns in front of a field's text. */
const FIELD = 11;
