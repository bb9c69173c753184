/**
 * Is this certificate valid now, and is it still? What a SeGW and an H(e)MS call (TS 33.320 7.2.2-7, 7.2.4-4, 8.3.2.1-4).
 *
 * `check` runs the policy's state machine (trust/statusCheck.ts) and carries out its look-ups. `watch` is for peers that
 * stay connected: their certificates are checked again when a CRL is updated, when what they rest on runs out, and at
 * least once in a configured time; whoever subscribed is told which went bad.
 */
import type { Clock, Milliseconds, Random } from "../sim/environment.ts";
import { type PeerClass, type RevocationPolicy, ruleFor, sourcesFor } from "../trust/revocationPolicy.ts";
import type { SignatureCache } from "../trust/signatureCache.ts";
import type { StatusAnswer, StatusRefusal, StatusVerdict } from "../trust/statusAnswer.ts";
import { type AskEffect, continueCheck, type StatusInput, type StatusState, startCheck } from "../trust/statusCheck.ts";
import { methodsOf } from "../trust/statusDecision.ts";
import type { Certificate } from "../x509/certificate.ts";
import { askCrls, type CrlSettings } from "./crlStatus.ts";
import type { CrlStore } from "./crlStore.ts";
import { type DurableLastGood, LastGoodMemory } from "./lastGood.ts";
import type { OcspClient } from "./ocspClient.ts";
import { RecheckQueue } from "./recheckQueue.ts";
import type { Timers } from "./timers.ts";

export interface StatusSettings {
  /** For one check, all look-ups included. */
  deadline: Milliseconds;
  /** How often a watched certificate is checked again at least. */
  recheck: Milliseconds;
  /** What ends a watched peer's stay: revocation only, or any refusal by the policy. */
  disconnectOn: "revoked" | "refused";
}

export interface StatusServiceParts {
  clock: Clock;
  random: Random;
  timers: Timers;
  policy: RevocationPolicy;
  settings: StatusSettings;
  crls: CrlStore;
  crlSettings: CrlSettings;
  ocsp: OcspClient;
  /** Keeps what grace counts from beyond this process; without it a restart ends all grace. */
  lastGood?: DurableLastGood;
  signatureCache: SignatureCache;
}

/** A peer whose certificate is watched. */
export interface Watch {
  /** Validated: end entity first, anchor last. */
  readonly path: readonly Certificate[];
  readonly peerClass: PeerClass;
  /** Ends it; the peer is gone. */
  close(): void;
}

/** A watched certificate that is good no longer; its watch has ended. */
export interface Lost {
  watch: Watch;
  refusal: StatusRefusal;
  verdict: StatusVerdict;
}

export class StatusService implements Disposable {
  readonly #parts: StatusServiceParts;
  readonly #lastGood: LastGoodMemory;
  readonly #listeners = new Set<(lost: Lost) => void>();
  readonly #watches = new Set<Watched>();
  /** Watches by the addresses of their CRLs. */
  readonly #byUrl = new Map<string, Set<Watched>>();
  readonly #queue: RecheckQueue<Watched>;
  readonly #unsubscribe: () => void;

  constructor(parts: StatusServiceParts) {
    this.#parts = parts;
    this.#lastGood = parts.lastGood?.memory ?? new LastGoodMemory();
    this.#queue = new RecheckQueue(parts.clock, parts.timers, (watched) => this.#recheck(watched));
    this.#unsubscribe = parts.crls.subscribe((event) => {
      if (event.kind === "adopted") this.#onNewCrl(event.url);
    });
  }

  /** Fetches all CRLs that the policy names, and keeps them fresh; `cas` are who may have signed them. */
  start(cas: readonly Certificate[]): void {
    const { policy, crls, crlSettings } = this.#parts;
    const rules = Object.values(policy).flatMap(({ issuers, otherwise }) => [
      ...issuers.map(({ rule }) => rule),
      otherwise,
    ]);
    const used = rules.filter(({ methods }) => methodsOf(methods).includes("crl"));
    const urls = used.flatMap((rule) =>
      (["operator", "manufacturer"] as const).flatMap((origin) =>
        rule.origins.includes(origin) ? rule[origin].crl.flatMap((group) => group.slice(0, 1)) : [],
      ),
    );
    for (const url of new Set(urls)) crls.keep(url, [...cas, ...crlSettings.crlSigners]);
  }

  /** The verdict on the certificates of a validated path, end entity first and anchor last; never rejects. */
  check(path: readonly Certificate[], peerClass: PeerClass): Promise<StatusVerdict> {
    return this.#check(path, peerClass, 0);
  }

  /** Has a connected peer's certificate checked again from now on, until it is lost or the watch is closed. */
  watch(path: readonly Certificate[], peerClass: PeerClass): Watch {
    const watched: Watched = {
      path,
      peerClass,
      urls: this.#crlUrls(path, peerClass),
      close: () => this.#forget(watched),
    };
    this.#watches.add(watched);
    for (const url of watched.urls) this.#byUrl.set(url, (this.#byUrl.get(url) ?? new Set()).add(watched));
    // At once: what came to light between the check and now would otherwise be missed. It costs no look-up outside.
    this.#queue.now(watched);
    return watched;
  }

  /** Calls `listener` for each watched certificate that is good no longer, until the function it gives is called. */
  onRevoked(listener: (lost: Lost) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Watched certificates. */
  get watching(): number {
    return this.#watches.size;
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#queue[Symbol.dispose]();
    this.#watches.clear();
    this.#byUrl.clear();
  }

  /** `freshSince`: OCSP answers from before are not used again. */
  async #check(path: readonly Certificate[], peerClass: PeerClass, freshSince: Milliseconds): Promise<StatusVerdict> {
    await this.#parts.lastGood?.restoring;
    return this.#checkNow(path, peerClass, freshSince);
  }

  #checkNow(path: readonly Certificate[], peerClass: PeerClass, freshSince: Milliseconds): Promise<StatusVerdict> {
    const { clock, timers, policy, settings } = this.#parts;
    const lastGood = path.map((certificate) => this.#lastGood.of(certificate));
    return new Promise((resolve) => {
      let state: StatusState | undefined;
      const take = (step: { state: StatusState; effects: readonly AskEffect[] }) => {
        if (state?.kind === "Decided") return;
        state = step.state;
        for (const effect of step.effects) void this.#answer(effect, path, peerClass, freshSince).then(give);
        if (state.kind !== "Decided") return;
        cancel();
        if (this.#lastGood.learn(path, state.verdict)) this.#parts.lastGood?.changed();
        resolve(state.verdict);
      };
      const give = (input: StatusInput) => {
        if (state !== undefined) take(continueCheck(state, input, clock.now()));
      };
      const cancel = timers.after(settings.deadline, () => give({ kind: "deadline" }));
      take(startCheck({ path, peerClass, policy, lastGood }, clock.now()));
    });
  }

  /** Carries out a look-up; never rejects. */
  async #answer(
    { certificate, method, source }: AskEffect,
    path: readonly Certificate[],
    peerClass: PeerClass,
    freshSince: Milliseconds,
  ): Promise<StatusInput> {
    const { policy } = this.#parts;
    const { origin } = source;
    const rule = ruleFor(policy, peerClass, path[certificate + 1]!);
    const { namedHosts } = rule;
    const ask = async (): Promise<StatusAnswer> => {
      if (method === "crl")
        return askCrls(this.#crlParts, {
          ...{ path, certificate, source, namedHosts },
          ruleFor: (issuer) => ruleFor(policy, peerClass, issuer),
        });
      return this.#parts.ocsp.ask({
        certificate: path[certificate]!,
        issuer: path[certificate + 1]!,
        urls: source.groups.flat(),
        ...(origin === "certificate" ? { reach: { hosts: namedHosts } } : {}),
        notBefore: freshSince,
        checkDelegate: (delegate) => this.#checkDelegate(delegate, path.slice(certificate + 1), peerClass),
      });
    };
    return { kind: "answer", certificate, method, origin, answer: await ask() };
  }

  /** By CRL only: a responder cannot vouch for itself (RFC 6960 4.2.2.2.1). */
  async #checkDelegate(
    delegate: Certificate,
    above: readonly Certificate[],
    peerClass: PeerClass,
  ): Promise<string | undefined> {
    const rule = ruleFor(this.#parts.policy, peerClass, above[0]!);
    let problem = "no CRL to check it by: none is configured, and none that it names may be asked";
    for (const source of sourcesFor(rule, "crl", delegate)) {
      const { namedHosts } = rule;
      const answer = await askCrls(this.#crlParts, { path: [delegate, ...above], certificate: 0, source, namedHosts });
      if (answer.status === "good") return undefined;
      if (answer.status === "revoked") return `the certificate of the responder "${delegate.subject}" is revoked`;
      if ("attempts" in answer) problem = answer.attempts.map(({ message }) => message).join("; ") || answer.status;
    }
    return `the status of the responder "${delegate.subject}" is not known: ${problem}`;
  }

  get #crlParts() {
    const { crls: store, clock, crlSettings: settings, signatureCache } = this.#parts;
    return { store, clock, settings, signatureCache };
  }

  #crlUrls(path: readonly Certificate[], peerClass: PeerClass): ReadonlySet<string> {
    const urls = path.slice(0, -1).flatMap((certificate, index) => {
      const rule = ruleFor(this.#parts.policy, peerClass, path[index + 1]!);
      const checked = methodsOf(rule.methods).includes("crl") && (index === 0 || rule.scope === "path");
      return checked ? sourcesFor(rule, "crl", certificate).flatMap(({ groups }) => groups.flat()) : [];
    });
    return new Set(urls);
  }

  /** A delta CRL comes from an address that no watch knows; then all that use CRLs are looked at. */
  #onNewCrl(url: string): void {
    const known = this.#byUrl.get(url);
    const concerned = known ?? [...this.#watches].filter(({ urls }) => urls.size > 0);
    for (const watched of concerned) this.#queue.now(watched);
  }

  async #recheck(watched: Watched): Promise<void> {
    const { clock, settings } = this.#parts;
    // Half the interval: answers that others had fetched since the last time count, older ones do not.
    const verdict = await this.#check(watched.path, watched.peerClass, clock.now() - settings.recheck / 2);
    if (!this.#watches.has(watched)) return;
    if (verdict.accepted) return this.#schedule(watched, verdict.reliableUntil);
    if (settings.disconnectOn === "revoked" && verdict.refusal.reason !== "CertificateRevoked")
      return this.#schedule(watched, undefined);
    this.#forget(watched);
    for (const listener of this.#listeners) listener({ watch: watched, refusal: verdict.refusal, verdict });
  }

  /** Up to a quarter early by chance, so that devices that attached together are not checked together for ever. */
  #schedule(watched: Watched, reliableUntil: Milliseconds | undefined): void {
    const { clock, random, settings } = this.#parts;
    const now = clock.now();
    const chance = random.bytes(4).readUInt32BE() / 2 ** 32;
    const latest = Math.min(now + settings.recheck, reliableUntil ?? Number.POSITIVE_INFINITY);
    this.#queue.at(watched, now + Math.max(LEAST_PAUSE, (latest - now) * (1 - JITTER * chance)));
  }

  #forget(watched: Watched): void {
    this.#watches.delete(watched);
    this.#queue.forget(watched);
    for (const url of watched.urls) {
      const others = this.#byUrl.get(url);
      others?.delete(watched);
      if (others?.size === 0) this.#byUrl.delete(url);
    }
  }
}

interface Watched extends Watch {
  urls: ReadonlySet<string>;
}

const JITTER = 0.25;
/** Between two checks of one certificate that nothing new gives rise to. */
const LEAST_PAUSE = 10_000;
