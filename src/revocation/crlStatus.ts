/**
 * What the CRLs of a source say of one certificate (RFC 5280 6.3, TS 33.320 7.2.2-7).
 *
 * Gets them from the store, with the delta CRLs that they point to, and has trust/crl.ts judge. What is out of date is
 * judged as of its last moment: it may still say revoked, and when it said good, policy may grant a time of grace.
 */
import type { Clock, Milliseconds } from "../sim/environment.ts";
import { type CrlProblem, type CrlsVerdict, checkCrls, describeCrlProblem, mayHaveSigned } from "../trust/crl.ts";
import type { CrlEvidence } from "../trust/crlVerdict.ts";
import { checkPurpose } from "../trust/pathRules.ts";
import {
  type Alternatives,
  crlUrlsOf,
  mayBeAsked,
  type Source,
  type StatusRule,
  sourcesFor,
} from "../trust/revocationPolicy.ts";
import type { SignatureCache } from "../trust/signatureCache.ts";
import type { Attempt, StatusAnswer, StatusEvidence } from "../trust/statusAnswer.ts";
import { type WorkingKey, workingKey } from "../trust/workingKey.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { Crl } from "../x509/crl.ts";
import { type CrlIssuer, issuersOf } from "./crlIssuers.ts";
import type { CrlInHand, CrlStore } from "./crlStore.ts";
import { attemptAt } from "./refreshProblem.ts";

export interface CrlSettings {
  /** How far the CA's clock and ours may differ. */
  tolerance: Milliseconds;
  allowWeakAlgorithms: boolean;
  /** Whether delta CRLs are fetched and used. */
  useDeltas: boolean;
  /** CRL issuers other than the CAs of a path, for indirect CRLs and CAs that sign CRLs by another key. */
  crlSigners: readonly Certificate[];
}

/** What the look-ups need of the world. */
export interface CrlStatusParts {
  store: CrlStore;
  clock: Clock;
  settings: CrlSettings;
  signatureCache: SignatureCache;
}

/** A certificate in its path, and where its CRLs are. */
export interface CrlQuestion {
  /** Validated: end entity first, anchor last. */
  path: readonly Certificate[];
  /** Which of the path. */
  certificate: number;
  source: Source;
  /** Hosts that a certificate or CRL may send us to; undefined for any. */
  namedHosts: readonly string[] | undefined;
  /** The rule for certificates of this issuer; without it, CRL issuers' own certificates are not asked about. */
  ruleFor?(issuer: Certificate): StatusRule;
}

/** What the source's CRLs say; never rejects. */
export async function askCrls(parts: CrlStatusParts, question: CrlQuestion): Promise<StatusAnswer> {
  const { source } = question;
  const fetched = await Promise.all(source.groups.map((group) => obtainAny(parts, question, group)));
  const deltas = parts.settings.useDeltas ? deltaGroups(question, fetched) : [];
  fetched.push(...(await Promise.all(deltas.map((group) => obtainAny(parts, question, group)))));
  const inHand = fetched.flatMap((one) => one.inHand ?? []);
  const attempts = fetched.flatMap((one) => one.attempts);
  const issuers = await crlIssuers(parts, question, inHand);
  return judge(parts, question, { inHand, issuers }, attempts);
}

/** CRLs, and those who signed them without being CAs of the path. */
interface AtHand {
  inHand: readonly CrlInHand[];
  issuers: readonly CrlIssuer[];
}

async function crlIssuers(
  parts: CrlStatusParts,
  { path, ruleFor }: CrlQuestion,
  inHand: readonly CrlInHand[],
): Promise<readonly CrlIssuer[]> {
  const { settings, clock, signatureCache } = parts;
  const { crlSigners, allowWeakAlgorithms } = settings;
  const alone = { ...parts, settings: { ...settings, crlSigners: [] } };
  const policy = { crlSigners, anchor: path.at(-1)!, allowWeakAlgorithms, clock, signatureCache };
  return issuersOf(inHand, policy, async (own, certificate) => {
    const rule = ruleFor?.(own[certificate + 1]!);
    if (rule === undefined) return undefined;
    let answer: StatusAnswer | undefined;
    for (const source of sourcesFor(rule, "crl", own[certificate]!)) {
      answer = await askCrls(alone, { path: own, certificate, source, namedHosts: rule.namedHosts });
      if (answer.status === "good" || answer.status === "revoked") break;
    }
    return answer;
  });
}

interface Fetched {
  inHand: CrlInHand | undefined;
  attempts: readonly Attempt[];
}

/** The first of several ways to a CRL that gives one that is current, else the first that gives any. */
async function obtainAny(
  { store, clock, settings }: CrlStatusParts,
  question: CrlQuestion,
  urls: Alternatives,
): Promise<Fetched> {
  const signers = [...question.path.slice(question.certificate + 1), ...settings.crlSigners];
  const reach = question.source.origin === "certificate" ? { hosts: question.namedHosts } : undefined;
  const attempts: Attempt[] = [];
  let outdated: CrlInHand | undefined;
  for (const url of urls) {
    const { inHand, problem } = await store.obtain(url, signers, reach);
    if (inHand !== undefined && clock.now() <= inHand.held.nextUpdate) return { inHand, attempts: [] };
    outdated ??= inHand;
    if (problem !== undefined) attempts.push(attemptAt(url, problem));
  }
  return { inHand: outdated, attempts };
}

/**
 * Where the delta CRLs are: said by the certificate, if what it names is asked at all, and by the complete CRLs (RFC 5280
 * 4.2.1.15, 5.2.6), which a configured one may only do for its own host.
 */
function deltaGroups(
  { path, certificate, source, namedHosts }: CrlQuestion,
  complete: readonly Fetched[],
): Alternatives[] {
  const groups: Alternatives[] = [];
  const add = (urls: Alternatives, hosts: readonly string[] | undefined) => {
    const allowed = urls.filter((url) => mayBeAsked(url, "crl", hosts)).slice(0, MAX_DELTAS);
    if (allowed.length > 0 && groups.length < MAX_DELTAS) groups.push(allowed);
  };
  const named = source.origin === "certificate";
  if (named) for (const point of path[certificate]!.extensions.freshestCrl) add(crlUrlsOf(point), namedHosts);
  for (const { inHand } of complete)
    for (const point of inHand?.loaded.crl.freshestCrl ?? [])
      add(crlUrlsOf(point), named ? namedHosts : [URL.parse(inHand!.url)?.hostname ?? ""]);
  return groups;
}

function judge(
  parts: CrlStatusParts,
  question: CrlQuestion,
  atHand: AtHand,
  attempts: readonly Attempt[],
): StatusAnswer {
  const { inHand } = atHand;
  const now = parts.clock.now();
  const verdict = judgeAt(parts, question, atHand, now);
  if (verdict.status === "good") return { status: "good", evidence: earliest(verdict.evidence, inHand) };
  if (verdict.status === "revoked") return revoked(verdict, question, inHand);
  const problems = verdict.problems.map((problem): Attempt => attemptFor(problem, inHand));
  const all = [...attempts, ...problems];
  const stale = verdict.problems.find((problem) => problem.reason === "Stale");
  if (stale !== undefined) {
    const before = judgeAt(parts, question, atHand, stale.nextUpdate);
    if (before.status === "revoked") return revoked(before, question, inHand);
    if (before.status === "good")
      return { status: "stale", evidence: earliest(before.evidence, inHand), attempts: all };
  }
  // Nothing in hand that could be used at all, or something that does not speak of this certificate.
  if (inHand.length === 0) return { status: "unreachable", attempts };
  if (verdict.problems.some(({ reason }) => SILENT.includes(reason)))
    return { status: "unknown", evidence: undefined, attempts: all };
  return { status: "unreachable", attempts: all };
}

function judgeAt(
  parts: CrlStatusParts,
  { path, certificate }: CrlQuestion,
  atHand: AtHand,
  time: Milliseconds,
): CrlsVerdict {
  const { tolerance, allowWeakAlgorithms, useDeltas } = parts.settings;
  const above = workingKeys(path).slice(certificate + 1);
  return checkCrls({
    certificate: path[certificate]!,
    crls: atHand.inHand.map(({ loaded }) => loaded.index),
    time,
    tolerance,
    allowWeakAlgorithms,
    useDeltas,
    signerOf: ({ crl }) => signerOf(crl, above, atHand),
  });
}

/** The keys of a path, from the anchor down, since a DSA key may take its parameters from the one above. */
function workingKeys(path: readonly Certificate[]): WorkingKey[] {
  const keys: WorkingKey[] = [];
  for (const certificate of path.toReversed()) keys.push(workingKey(certificate, keys.at(-1)));
  return keys.reverse();
}

/** Who signed the CRL: somebody above in the path, or a CRL issuer with a path of its own to the same anchor. */
function signerOf(crl: Crl, above: readonly WorkingKey[], { inHand, issuers }: AtHand): WorkingKey | CrlProblem {
  const issuer = crl.issuer.toString();
  // The key was found when the CRL was loaded: to try others here would hash a large CRL on the main loop.
  const spki = inHand.find(({ loaded }) => loaded.crl === crl)?.loaded.spki;
  const signed = (certificate: Certificate) =>
    spki?.equals(certificate.spki) === true && mayHaveSigned(crl, certificate);
  const key = above.find(({ certificate }) => signed(certificate));
  if (key !== undefined)
    return checkPurpose(key.certificate, "crlSigning") === undefined ? key : { reason: "IssuerMayNotSign", issuer };
  const others = issuers.filter(({ certificate }) => signed(certificate));
  const sound = others.find(({ problem }) => problem === undefined);
  if (sound !== undefined) return workingKey(sound.certificate, undefined);
  const detail = others[0]?.problem ?? "it was signed by a key of no certificate in the path";
  return { reason: "IssuerNotTrusted", issuer, detail };
}

function revoked(
  verdict: Extract<CrlsVerdict, { status: "revoked" }>,
  { path, certificate }: CrlQuestion,
  inHand: readonly CrlInHand[],
): StatusAnswer {
  const { serial, issuer } = path[certificate]!;
  const entry = inHand
    .map(({ loaded }) => loaded.index.lookUp(serial, issuer))
    .find((one) => one?.revokedAt === verdict.at && one.reason === verdict.reasonCode);
  return {
    status: "revoked",
    evidence: evidenceOf(verdict.evidence, inHand),
    revokedAt: verdict.at,
    reasonCode: verdict.reasonCode,
    invalidityDate: entry?.invalidityDate,
  };
}

/** Of several CRLs that a verdict rests on, the one that runs out first. */
function earliest(all: readonly CrlEvidence[], inHand: readonly CrlInHand[]): StatusEvidence {
  return all.map((one) => evidenceOf(one, inHand)).reduce((a, b) => (b.nextUpdate < a.nextUpdate ? b : a));
}

function evidenceOf(evidence: CrlEvidence, inHand: readonly CrlInHand[]): StatusEvidence {
  const { issuer, number, thisUpdate, nextUpdate, delta } = evidence;
  const from = inHand.find(
    ({ loaded }) => loaded.crl.thisUpdate === thisUpdate && loaded.crl.issuer.toString() === issuer,
  );
  return {
    kind: "crl",
    url: from?.url ?? "",
    issuer,
    number,
    thisUpdate: delta?.thisUpdate ?? thisUpdate,
    nextUpdate: delta?.nextUpdate ?? nextUpdate,
    ...(delta === undefined ? {} : { delta: delta.number ?? "without number" }),
    obtainedAt: from?.held.obtainedAt ?? thisUpdate,
  };
}

function attemptFor(problem: CrlProblem, inHand: readonly CrlInHand[]): Attempt {
  return { url: inHand[0]?.url ?? "", reason: problem.reason, message: describeCrlProblem(problem) };
}

/** Problems of CRLs that are all right and do not speak of this certificate. */
const SILENT: readonly CrlProblem["reason"][] = [
  "NoCrl",
  "OutOfScope",
  "ReasonsNotCovered",
  "DeltaWithoutBase",
  "OtherIssuer",
];
/** Delta CRLs fetched for one question. */
const MAX_DELTAS = 4;
