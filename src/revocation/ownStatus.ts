/**
 * A gateway's or H(e)MS's own revocation status, to send in-band (RFC 4806, TS 33.320 7.2.2-6) or stapled (RFC 6066 8,
 * 8.3.2.1-3): one OCSP response for each certificate of its path, fetched from the responder and kept while it is good.
 *
 * A device that asks while a kept response still holds gets that one at once; past half its life it is fetched anew in
 * the background. Only one fetch per certificate is under way, however many devices wait for it.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { describeFetchProblem } from "../revocation/fetching.ts";
import type { OcspTransport } from "../revocation/ocspTransport.ts";
import type { Clock, Milliseconds } from "../sim/environment.ts";
import { checkOcspResponse, describeOcspProblem } from "../trust/ocsp.ts";
import type { Certificate } from "../x509/certificate.ts";
import { buildOcspRequest, certIdOf } from "../x509/ocsp.ts";

export interface OwnStatusOptions {
  /** Our path, end entity first, without the root. */
  chain: readonly Certificate[];
  /** Roots of our own, among which the issuer of the path's last certificate is looked for. */
  roots: readonly Certificate[];
  /** Which responses to send: the end entity's, or that of every certificate of the path. */
  depth: "leaf" | "path";
  /** The responder to ask; undefined asks the one that a certificate names itself (AIA). */
  url: string | undefined;
  tolerance: Milliseconds;
  /** Longest time before a response is fetched anew, so that a revocation shows. */
  refreshAfter: Milliseconds;
  /** How long nothing is fetched after a failure, where those who ask are strangers; 0 where they have proved who they are. */
  restAfterFailure?: Milliseconds;
  allowWeakAlgorithms: boolean;
  clock: Clock;
  transport: OcspTransport;
  /** Hears why there is no response to send. */
  onProblem(message: string): void;
}

interface Kept {
  response: Bytes;
  /** No longer sent from then on. */
  goodUntil: Milliseconds;
  /** Fetched anew from then on. */
  refreshAt: Milliseconds;
}

interface Subject {
  certificate: Certificate;
  issuer: Certificate;
  url: string;
  kept: Kept | undefined;
  fetching: Promise<void> | undefined;
  /** Nothing is fetched before. */
  restUntil: Milliseconds;
}

export class OwnStatus {
  readonly #options: OwnStatusOptions;
  readonly #subjects: readonly Subject[];

  constructor(options: OwnStatusOptions) {
    this.#options = options;
    this.#subjects = subjectsOf(options);
  }

  /** DER responses to send now, end entity's first; what the responder does not give is left out. */
  responses(): readonly Bytes[] | Promise<readonly Bytes[]> {
    const waits: Promise<void>[] = [];
    const now = this.#options.clock.now();
    for (const subject of this.#subjects) {
      if (now < subject.restUntil) continue;
      if (subject.kept === undefined || subject.kept.goodUntil <= now) waits.push(this.#refresh(subject));
      else if (subject.kept.refreshAt <= now) void this.#refresh(subject);
    }
    return waits.length === 0 ? this.#current() : Promise.all(waits).then(() => this.#current());
  }

  #current(): Bytes[] {
    const now = this.#options.clock.now();
    return this.#subjects.flatMap(({ kept }) => (kept === undefined || kept.goodUntil <= now ? [] : [kept.response]));
  }

  #refresh(subject: Subject): Promise<void> {
    subject.fetching ??= this.#fetch(subject).finally(() => {
      subject.fetching = undefined;
    });
    return subject.fetching;
  }

  async #fetch(subject: Subject): Promise<void> {
    const { transport, clock, tolerance, allowWeakAlgorithms, refreshAfter, onProblem } = this.#options;
    const { certificate, issuer, url } = subject;
    const fetched = await transport.ask(url, buildOcspRequest([certIdOf(certificate, issuer)], undefined), "post");
    if (!fetched.ok) return this.#failed(subject, `OCSP responder ${url}: ${describeFetchProblem(fetched.problem)}`);
    const response = fetched.der;
    const time = clock.now();
    const verdict = checkOcspResponse({
      response,
      certificate,
      issuer,
      time,
      tolerance,
      maxAge: refreshAfter,
      trustedResponders: [],
      allowWeakAlgorithms,
    });
    if (verdict.status === "invalid")
      return this.#failed(
        subject,
        `${url} gave no good answer about "${certificate.subject}": ${describeOcspProblem(verdict.problem)}`,
      );
    // Bad news is passed on as well: the device is to hear it from us sooner than not at all.
    if (verdict.status !== "good")
      onProblem(`${url} says that our certificate "${certificate.subject}" is ${verdict.status}`);
    const goodUntil = verdict.evidence.nextUpdate ?? time + refreshAfter;
    subject.kept = { response, goodUntil, refreshAt: Math.min(time + refreshAfter, (time + goodUntil) / 2) };
  }

  #failed(subject: Subject, problem: string): void {
    const { clock, restAfterFailure = 0, onProblem } = this.#options;
    onProblem(problem);
    subject.restUntil = clock.now() + restAfterFailure;
    if (subject.kept !== undefined) subject.kept.refreshAt = clock.now() + RETRY_AFTER;
  }
}

function subjectsOf({ chain, roots, depth, url, onProblem }: OwnStatusOptions): Subject[] {
  const wanted = depth === "leaf" ? chain.slice(0, 1) : chain;
  return wanted.flatMap((certificate, index) => {
    const issuer = chain[index + 1] ?? roots.find((root) => root.subject.equals(certificate.issuer));
    const responder = url ?? certificate.extensions.ocspUrls[0];
    if (issuer === undefined)
      onProblem(`the issuer of our certificate "${certificate.subject}" is not at hand: add it to credentials.roots`);
    else if (responder === undefined)
      onProblem(`no OCSP responder for our certificate "${certificate.subject}": set ownStatus.url`);
    else return [{ certificate, issuer, url: responder, kept: undefined, fetching: undefined, restUntil: 0 }];
    return [];
  });
}

/** Milliseconds before a responder that failed is asked again while an older response still serves. */
const RETRY_AFTER = 30_000;
