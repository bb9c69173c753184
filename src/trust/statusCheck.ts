/**
 * Checking the status of a path's certificates under a policy (TS 33.320 7.2.2-7, 7.2.2-8, 7.2.4-4): a state machine.
 *
 * No I/O: it asks for look-ups as effects and takes their answers, in any order, late or never. All certificates are
 * checked at once; the origins of one method one after the other, until one says good or revoked. The first `revoked`
 * decides the whole.
 */
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import {
  type Method,
  type Origin,
  type PeerClass,
  type RevocationPolicy,
  ruleFor,
  type Source,
  type StatusRule,
  sourcesFor,
  type Trouble,
} from "./revocationPolicy.ts";
import type {
  Attempt,
  CertificateDecision,
  CertificateStatus,
  Finding,
  StatusAnswer,
  StatusRefusal,
  StatusVerdict,
} from "./statusAnswer.ts";
import { type Answers, combine, type LastGood, methodsOf, tolerate } from "./statusDecision.ts";

/** What is to be checked. */
export interface StatusQuestion {
  /** Validated: end entity first, anchor last. */
  path: readonly Certificate[];
  peerClass: PeerClass;
  policy: RevocationPolicy;
  /** For each certificate, from earlier checks. */
  lastGood: readonly LastGood[];
}

/** A look-up to be carried out and answered. */
export interface AskEffect {
  kind: "ask";
  /** Which of the path, 0 being the end entity. */
  certificate: number;
  method: Method;
  source: Source;
}

export type StatusInput =
  | { kind: "answer"; certificate: number; method: Method; origin: Origin; answer: StatusAnswer }
  /** The time for checking is over: whoever has not answered is out of reach. */
  | { kind: "deadline" };

export type StatusState =
  | { kind: "AwaitAnswers"; checks: readonly CertificateCheck[] }
  | { kind: "Decided"; verdict: StatusVerdict };

export interface StatusStep {
  state: StatusState;
  effects: readonly AskEffect[];
}

/** One certificate under check. */
interface CertificateCheck {
  certificate: Certificate;
  rule: StatusRule;
  /** Undefined while checked. */
  skipped: "methods" | "scope" | undefined;
  lastGood: LastGood;
  /** By method, once it was begun. */
  progress: Partial<Record<Method, Progress>>;
}

/** One method: what is being asked, what is left to ask, the most telling answer so far. */
interface Progress {
  asking: Source | undefined;
  left: readonly Source[];
  finding: Finding;
}

/** Begins a check. */
export function startCheck(question: StatusQuestion, now: Milliseconds): StatusStep {
  const { path, policy, peerClass, lastGood } = question;
  const checks = path.slice(0, -1).map((certificate, index): CertificateCheck => {
    const rule = ruleFor(policy, peerClass, path[index + 1]!);
    const skipped = rule.methods === "none" ? "methods" : index > 0 && rule.scope === "leaf" ? "scope" : undefined;
    return { certificate, rule, skipped, lastGood: lastGood[index] ?? {}, progress: {} };
  });
  return proceed(checks, now);
}

/** Takes an answer or the deadline; what comes late or was never asked for changes nothing. */
export function continueCheck(state: StatusState, input: StatusInput, now: Milliseconds): StatusStep {
  if (state.kind === "Decided") return { state, effects: [] };
  if (input.kind === "deadline") return proceed(state.checks.map(giveUp), now);
  const { certificate, method, origin, answer } = input;
  const check = state.checks[certificate];
  const progress = check?.progress[method];
  if (check === undefined || progress === undefined || progress.asking?.origin !== origin)
    return { state, effects: [] };
  const answered = withAnswer(progress, { method, origin, answer });
  const checks = state.checks.with(certificate, { ...check, progress: { ...check.progress, [method]: answered } });
  return proceed(checks, now);
}

/** Asks whatever must be asked next, or decides. */
function proceed(checks: readonly CertificateCheck[], now: Milliseconds): StatusStep {
  const effects: AskEffect[] = [];
  const begun = checks.map((check, index) => begin(check, index, effects));
  const decisions = begun.map((check) => decisionOn(check, now));
  const revoked = decisions.some((one) => one?.kind === "refused" && one.refusal.reason === "CertificateRevoked");
  if (!revoked && decisions.includes(undefined)) return { state: { kind: "AwaitAnswers", checks: begun }, effects };
  return { state: { kind: "Decided", verdict: verdictOn(begun, decisions) }, effects: [] };
}

/** Starts the methods that must answer next, and the next origin of one whose last was in trouble. */
function begin(check: CertificateCheck, index: number, effects: AskEffect[]): CertificateCheck {
  const { rule, certificate } = check;
  if (rule.methods === "none" || check.skipped !== undefined) return check;
  let progress = check.progress;
  for (;;) {
    const step = combine(rule.methods, answersOf(progress));
    if (step.kind !== "ask") return { ...check, progress };
    const idle = step.methods.find((method) => progress[method]?.asking === undefined);
    if (idle === undefined) return { ...check, progress };
    const sources = progress[idle]?.left ?? sourcesFor(rule, idle, certificate);
    const [asking, ...left] = sources;
    const none: Finding = { method: idle, origin: undefined, answer: { status: "noSource" } };
    progress = { ...progress, [idle]: { asking, left, finding: progress[idle]?.finding ?? none } };
    if (asking !== undefined) effects.push({ kind: "ask", certificate: index, method: idle, source: asking });
  }
}

/** What each method has come to; one that is asking, or has somebody left to ask, has not answered. */
function answersOf(progress: CertificateCheck["progress"]): Answers {
  const answers: Answers = {};
  for (const method of ["crl", "ocsp"] as const) {
    const one = progress[method];
    if (one !== undefined && one.asking === undefined && one.left.length === 0)
      answers[method] = one.finding.answer.status;
  }
  return answers;
}

function withAnswer(progress: Progress, finding: Finding): Progress {
  const { status } = finding.answer;
  if (status === "good" || status === "revoked") return { asking: undefined, left: [], finding };
  return { asking: undefined, left: progress.left, finding: moreTelling(progress.finding, finding) };
}

/** Of two origins in trouble, the one that says more; the attempts of both. */
function moreTelling(before: Finding, after: Finding): Finding {
  const attempts = [...attemptsOf(before.answer), ...attemptsOf(after.answer)].slice(0, MAX_ATTEMPTS);
  const chosen = weightOf(after) > weightOf(before) ? after : before;
  const { answer } = chosen;
  return "attempts" in answer ? { ...chosen, answer: { ...answer, attempts } } : chosen;
}

function weightOf({ answer: { status } }: Finding): number {
  return status === "good" || status === "revoked" ? WEIGHTS.unknown : WEIGHTS[status];
}

function attemptsOf(answer: StatusAnswer): readonly Attempt[] {
  return "attempts" in answer ? answer.attempts : [];
}

function giveUp(check: CertificateCheck): CertificateCheck {
  const progress: CertificateCheck["progress"] = {};
  for (const method of methodsOf(check.rule.methods)) {
    const one = check.progress[method];
    if (one === undefined) {
      const unasked: Finding = { method, origin: undefined, answer: { status: "unreachable", attempts: [] } };
      progress[method] = { asking: undefined, left: [], finding: unasked };
    } else if (one.asking === undefined && one.left.length === 0) progress[method] = one;
    else {
      const message = "no answer within the time for checking";
      const attempts = (one.asking?.groups.flat() ?? []).map((url) => ({ url, reason: "Deadline", message }));
      const late: Finding = { method, origin: one.asking?.origin, answer: { status: "unreachable", attempts } };
      progress[method] = { asking: undefined, left: [], finding: moreTelling(one.finding, late) };
    }
  }
  return { ...check, progress };
}

/** The decision on one certificate, or undefined while it waits for answers. */
function decisionOn(check: CertificateCheck, now: Milliseconds): CertificateDecision | undefined {
  const { rule, skipped, progress } = check;
  if (rule.methods === "none" || skipped !== undefined) return { kind: "notChecked", because: skipped ?? "methods" };
  const step = combine(rule.methods, answersOf(progress));
  switch (step.kind) {
    case "ask":
      return undefined;
    case "good":
      return { kind: "good" };
    case "revoked":
      return { kind: "refused", refusal: revocation(check, progress[step.method]!.finding) };
    case "troubled": {
      const tolerated = tolerate(step.troubles, rule.tolerances, lastGoodOf(check), now);
      if (tolerated.accepted) return { kind: "tolerated", troubles: step.troubles, until: tolerated.until };
      const { method, trouble } = tolerated.refusedFor;
      const refusal: StatusRefusal = {
        reason: REASONS[trouble],
        ...nameOf(check.certificate),
        method,
        attempts: attemptsOf(progress[method]!.finding.answer),
        graceEnded: tolerated.graceEnded,
      };
      return { kind: "refused", refusal };
    }
  }
}

/** From earlier checks, and from what is stale now. */
function lastGoodOf({ lastGood, progress }: CertificateCheck): LastGood {
  const latest: LastGood = { ...lastGood };
  for (const { finding } of Object.values(progress)) {
    const { method, answer } = finding;
    if (answer.status === "stale") latest[method] = Math.max(latest[method] ?? 0, answer.evidence.nextUpdate);
  }
  return latest;
}

function revocation({ certificate }: CertificateCheck, { answer, origin }: Finding): StatusRefusal {
  if (answer.status !== "revoked") throw new TypeError("a finding that is not of a revocation");
  const { revokedAt, reasonCode, evidence } = answer;
  return { reason: "CertificateRevoked", ...nameOf(certificate), origin, revokedAt, reasonCode, evidence };
}

function verdictOn(
  checks: readonly CertificateCheck[],
  decisions: readonly (CertificateDecision | undefined)[],
): StatusVerdict {
  const certificates = checks.map(({ certificate, progress }, index): CertificateStatus => {
    const findings = Object.values(progress).filter(({ asking }) => asking === undefined);
    return {
      ...nameOf(certificate),
      issuer: certificate.issuer.toString(),
      decision: decisions[index] ?? { kind: "undecided" },
      findings: findings.map(({ finding }) => finding),
    };
  });
  const refusals = certificates.flatMap(({ decision }) => (decision.kind === "refused" ? [decision.refusal] : []));
  const refusal = refusals.find(({ reason }) => reason === "CertificateRevoked") ?? refusals[0];
  if (refusal !== undefined) return { accepted: false, refusal, certificates };
  const ends = certificates.flatMap(endsOf);
  return { accepted: true, reliableUntil: ends.length === 0 ? undefined : Math.min(...ends), certificates };
}

/** When what an acceptance rests on runs out. */
function endsOf({ decision, findings }: CertificateStatus): Milliseconds[] {
  const good = findings.flatMap(({ answer }) => (answer.status === "good" ? [answer.evidence.nextUpdate] : []));
  if (decision.kind === "tolerated" && decision.until !== undefined) good.push(decision.until);
  return good;
}

function nameOf(certificate: Certificate): { subject: string; serial: string } {
  return { subject: certificate.subject.toString(), serial: certificate.serialText };
}

const REASONS = {
  unknown: "StatusUnknown",
  stale: "StatusStale",
  unreachable: "StatusUnreachable",
  noSource: "NoStatusSource",
} as const satisfies Record<Trouble, string>;

/** How much an answer in trouble says. */
const WEIGHTS: Record<Trouble, number> = { unknown: 3, stale: 2, unreachable: 1, noSource: 0 };
/** Attempts kept as evidence for one method. */
const MAX_ATTEMPTS = 16;
