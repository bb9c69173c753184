/**
 * OCSP as a client (RFC 6960, RFC 5019): asks, judges, and remembers what was answered.
 *
 * One query at a time about a certificate, however many want to know; valid answers are used again until they run out or
 * for as long as policy allows, whichever ends first; a responder in trouble is left alone for growing pauses, so that ten
 * thousand devices do not each wait for it. Time, randomness and network are passed in.
 */

import type { Bytes } from "../bytes/bytes.ts";
import type { Clock, Milliseconds, Random } from "../sim/environment.ts";
import {
  checkOcspResponse,
  describeOcspProblem,
  type OcspCheck,
  type OcspProblem,
  type OcspStatement,
} from "../trust/ocsp.ts";
import type { Alternatives } from "../trust/revocationPolicy.ts";
import type { SignatureCache } from "../trust/signatureCache.ts";
import type { Attempt, StatusAnswer, StatusEvidence } from "../trust/statusAnswer.ts";
import type { Certificate } from "../x509/certificate.ts";
import { buildOcspRequest, type CertId, certIdOf, ResponseStatus } from "../x509/ocsp.ts";
import { describeFetchProblem } from "./fetching.ts";
import type { OcspDisk } from "./ocspDisk.ts";
import type { OcspMethod, OcspTransport } from "./ocspTransport.ts";
import { type Reach, reachKey } from "./reach.ts";

export interface OcspSettings {
  method: OcspMethod;
  /** `optional`: sent, and a response without one is accepted; `required`: it is not (RFC 9654). */
  nonce: "off" | "optional" | "required";
  /** Octets of a nonce, 1 to 128; 32 is what RFC 9654 2.1 asks for. */
  nonceLength: number;
  /** What certificates are named by in requests; RFC 5019 responders know SHA-1 only. */
  hash: CertId["hash"];
  /** How far the responder's clock and ours may differ. */
  tolerance: Milliseconds;
  /** How old a response without nextUpdate may be. */
  maxAge: Milliseconds;
  /** For how long at most an answer is used again: how late a revocation may be noticed. */
  reuse: Milliseconds;
  /** Responders that may answer for every CA (RFC 6960 2.6). */
  trustedResponders: readonly Certificate[];
  allowWeakAlgorithms: boolean;
  /** What to do about a delegated signer without id-pkix-ocsp-nocheck: trust it, or check it by CRL (4.2.2.2.1). */
  delegates: "trust" | "check";
}

export interface OcspClientParts {
  clock: Clock;
  random: Random;
  transport: OcspTransport;
  /** Keeps responses beyond this process. */
  disk?: OcspDisk;
  settings: OcspSettings;
  signatureCache: SignatureCache;
}

/** What is asked, and whom. */
export interface OcspQuestion {
  certificate: Certificate;
  /** The certificate's issuer, validated. */
  issuer: Certificate;
  urls: Alternatives;
  /** Where a certificate named the addresses. */
  reach?: Reach;
  /** Why a delegated signer may not be relied on, or undefined if its certificate is good; asked by `delegates: check`. */
  checkDelegate(delegate: Certificate): Promise<string | undefined>;
  /** An answer from before this time is not used again; for asking anew in time. */
  notBefore?: Milliseconds;
}

/** An answer in hand. */
interface Remembered {
  answer: StatusAnswer;
  obtainedAt: Milliseconds;
  until: Milliseconds;
}

/** A responder that gave no valid answer. */
interface Trouble {
  failures: number;
  retryAt: Milliseconds;
  attempt: Attempt;
}

export class OcspClient {
  readonly #parts: OcspClientParts;
  /** By address and certificate, those used least recently first. */
  readonly #answers = new Map<string, Remembered>();
  readonly #underWay = new Map<string, Promise<StatusAnswer>>();
  readonly #troubles = new Map<string, Trouble>();

  constructor(parts: OcspClientParts) {
    this.#parts = parts;
  }

  /** What the responders say of the certificate, from memory or asked now; never rejects. */
  async ask(question: OcspQuestion): Promise<StatusAnswer> {
    const { certificate, issuer, urls, reach, notBefore = 0 } = question;
    const id = certIdOf(certificate, issuer, this.#parts.settings.hash);
    const key = `${urls.join(" ")} ${reachKey(reach)} ${id.der.toString("latin1")}`;
    const known = this.#recall(key, notBefore);
    if (known !== undefined) return known;
    const waiting = this.#underWay.get(key);
    if (waiting !== undefined) return waiting;
    const asking = this.#restoreOrAsk(question, id, key).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asking);
    const answer = await asking;
    this.#remember(key, answer);
    return answer;
  }

  /** From disk if that would still be in memory, else from the responders; revoked stands until they say otherwise. */
  async #restoreOrAsk(question: OcspQuestion, id: CertId, key: string): Promise<StatusAnswer> {
    const restored = await this.#restore(question, key);
    const { notBefore = 0 } = question;
    if (restored !== undefined && "evidence" in restored && restored.evidence?.kind === "ocsp") {
      const { producedAt, nextUpdate } = restored.evidence;
      const until = Math.min(producedAt + this.#parts.settings.reuse, nextUpdate);
      if (restored.status !== "unknown" && until >= this.#parts.clock.now() && producedAt >= notBefore) return restored;
    }
    const answer = await this.#askAll(question, id, key);
    return answer.status === "unreachable" && restored?.status === "revoked" ? restored : answer;
  }

  /** Who requires a nonce takes no response that was made for another request. */
  async #restore(question: OcspQuestion, key: string): Promise<StatusAnswer | undefined> {
    const { clock, disk, settings } = this.#parts;
    if (disk === undefined || settings.nonce === "required") return undefined;
    const stored = await disk.read(key);
    if (stored === undefined) return undefined;
    const now = clock.now();
    const verdict = checkOcspResponse(this.#checkOf(question, stored.der, now));
    if (verdict.status !== "invalid") return this.#believe(stored.url, verdict, question, now);
    const { problem } = verdict;
    return problem.reason === "Stale" ? this.#believe(stored.url, problem.said, question, now) : undefined;
  }

  async #askAll(question: OcspQuestion, id: CertId, key: string): Promise<StatusAnswer> {
    const attempts: Attempt[] = [];
    let unsure: StatusAnswer | undefined;
    for (const url of question.urls) {
      const trouble = this.#troubles.get(troubleKey(url, question.reach));
      if (trouble !== undefined && this.#parts.clock.now() < trouble.retryAt) {
        attempts.push(trouble.attempt);
        continue;
      }
      const answer = await this.#askOne(url, question, id, key);
      if (answer.status === "good" || answer.status === "revoked") return answer;
      if ("attempts" in answer) attempts.push(...answer.attempts);
      // Another responder may know more; of those that do not, unknown says more than stale.
      if (answer.status === "unknown" || (answer.status === "stale" && unsure === undefined)) unsure = answer;
    }
    if (unsure !== undefined && "attempts" in unsure) return { ...unsure, attempts };
    return { status: "unreachable", attempts };
  }

  async #askOne(url: string, question: OcspQuestion, id: CertId, key: string): Promise<StatusAnswer> {
    const { clock, random, transport, settings, disk } = this.#parts;
    const nonce = settings.nonce === "off" ? undefined : random.bytes(settings.nonceLength);
    const method = nonce === undefined ? settings.method : "post";
    const { reach } = question;
    const fetched = await transport.ask(
      url,
      buildOcspRequest([id], nonce),
      method,
      reach === undefined ? {} : { reach },
    );
    if (!fetched.ok) return this.#inTrouble(url, reach, fetched.problem.reason, describeFetchProblem(fetched.problem));
    const now = clock.now();
    const verdict = checkOcspResponse({
      ...this.#checkOf(question, fetched.der, now),
      nonceRequired: settings.nonce === "required",
      ...(nonce === undefined ? {} : { nonce }),
    });
    if (verdict.status === "invalid") {
      const { problem } = verdict;
      if (problem.reason === "Stale") return this.#stale(url, problem, question, now);
      const message = describeOcspProblem(problem);
      // What is wrong with this response says nothing of those about other certificates, unless it says so itself.
      const overloaded = problem.reason === "NotSuccessful" && BUSY.includes(problem.status);
      return overloaded ? this.#inTrouble(url, reach, problem.reason, message) : unusable(url, problem.reason, message);
    }
    const answer = await this.#accept(url, verdict, question, now);
    if (answer.status === "good" || answer.status === "revoked") disk?.write(key, { url, der: fetched.der });
    return answer;
  }

  #checkOf({ certificate, issuer }: OcspQuestion, response: Bytes, time: Milliseconds): OcspCheck {
    const { settings, signatureCache } = this.#parts;
    const { tolerance, maxAge, trustedResponders, allowWeakAlgorithms, delegates } = settings;
    return {
      ...{ response, certificate, issuer, time, tolerance, maxAge, trustedResponders, allowWeakAlgorithms },
      delegates: delegates === "check" ? "report" : "trust",
      signatureCache,
    };
  }

  /** Takes what a response says, unless its signer's own certificate is no good. */
  async #accept(url: string, said: OcspStatement, question: OcspQuestion, now: Milliseconds): Promise<StatusAnswer> {
    this.#troubles.delete(troubleKey(url, question.reach));
    return this.#believe(url, said, question, now);
  }

  async #believe(url: string, said: OcspStatement, question: OcspQuestion, now: Milliseconds): Promise<StatusAnswer> {
    if (said.delegate !== undefined) {
      const refused = await question.checkDelegate(said.delegate);
      if (refused !== undefined) return unusable(url, "DelegateNotGood", refused);
    }
    const evidence = this.#evidenceOf(url, said, now);
    switch (said.status) {
      case "good":
        return { status: "good", evidence };
      case "revoked": {
        const { at, reasonCode } = said;
        return { status: "revoked", evidence, revokedAt: at, reasonCode, invalidityDate: undefined };
      }
      case "unknown": {
        const message = `"${said.evidence.responder}" does not know the certificate`;
        return { status: "unknown", evidence, attempts: [{ url, reason: "Unknown", message }] };
      }
    }
  }

  /** What was revoked once stays so; what was good may have a time of grace. */
  async #stale(
    url: string,
    problem: Extract<OcspProblem, { reason: "Stale" }>,
    question: OcspQuestion,
    now: Milliseconds,
  ): Promise<StatusAnswer> {
    const attempt = { url, reason: problem.reason, message: describeOcspProblem(problem) };
    const answer = await this.#accept(url, problem.said, question, now);
    if (answer.status === "good") return { status: "stale", evidence: answer.evidence, attempts: [attempt] };
    return answer.status === "revoked" ? answer : unusable(url, attempt.reason, attempt.message);
  }

  #evidenceOf(url: string, { evidence }: OcspStatement, now: Milliseconds): StatusEvidence {
    const { responder, producedAt, thisUpdate, nextUpdate, withNonce } = evidence;
    return {
      kind: "ocsp",
      url,
      responder,
      producedAt,
      thisUpdate,
      nextUpdate: nextUpdate ?? thisUpdate + this.#parts.settings.maxAge,
      obtainedAt: now,
      fresh: withNonce,
    };
  }

  /** Negative caching: the responder is left alone for a pause that doubles each time. */
  #inTrouble(url: string, reach: Reach | undefined, reason: string, message: string): StatusAnswer {
    const attempt = { url, reason, message };
    const now = this.#parts.clock.now();
    const key = troubleKey(url, reach);
    const before = this.#troubles.get(key);
    // Queries that were under way together fail together, and count once.
    if (before !== undefined && now < before.retryAt) return { status: "unreachable", attempts: [attempt] };
    const failures = (before?.failures ?? 0) + 1;
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
    this.#troubles.delete(key);
    this.#troubles.set(key, { failures, retryAt: now + pause, attempt });
    forgetOldest(this.#troubles, MAX_RESPONDERS);
    return { status: "unreachable", attempts: [attempt] };
  }

  #recall(key: string, notBefore: Milliseconds): StatusAnswer | undefined {
    const known = this.#answers.get(key);
    if (known === undefined) return undefined;
    this.#answers.delete(key);
    if (this.#parts.clock.now() > known.until) return undefined;
    this.#answers.set(key, known);
    return known.obtainedAt >= notBefore ? known.answer : undefined;
  }

  #remember(key: string, answer: StatusAnswer): void {
    const until = this.#usableUntil(answer);
    if (until === undefined) return;
    this.#answers.delete(key);
    this.#answers.set(key, { answer, obtainedAt: this.#parts.clock.now(), until });
    forgetOldest(this.#answers, MAX_ANSWERS);
  }

  #usableUntil(answer: StatusAnswer): Milliseconds | undefined {
    const now = this.#parts.clock.now();
    const { reuse } = this.#parts.settings;
    if (answer.status === "good") return Math.min(now + reuse, answer.evidence.nextUpdate);
    if (answer.status === "revoked") return now + reuse;
    // Whatever else it is may be better in a moment, and a crowd asking the same is spared.
    return answer.status === "noSource" ? undefined : now + Math.min(reuse, UNSURE_REUSE);
  }
}

function unusable(url: string, reason: string, message: string): StatusAnswer {
  return { status: "unreachable", attempts: [{ url, reason, message }] };
}

/** What a certificate may not reach is no trouble of the responder's. */
function troubleKey(url: string, reach: Reach | undefined): string {
  return `${url} ${reachKey(reach)}`;
}

function forgetOldest(map: Map<string, unknown>, limit: number): void {
  if (map.size > limit) map.delete(map.keys().next().value!);
}

/** Statuses of a responder that is in trouble as a whole. */
const BUSY: readonly number[] = [ResponseStatus.internalError, ResponseStatus.tryLater];
/** Answers kept; each is some hundred octets. */
const MAX_ANSWERS = 100_000;
const MAX_RESPONDERS = 256;
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 60_000;
const MAX_DOUBLINGS = 10;
/** How long an answer that is neither good nor revoked stands. */
const UNSURE_REUSE = 10_000;
