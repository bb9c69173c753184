/**
 * The CRLs in hand, by address: fetched when first wanted, refreshed in the background, kept on disk.
 *
 * A thin shell around crlRefresh.ts: it carries out what that asks for and hands back what came of it. Clock, chance,
 * timers, network, disk and loader are passed in. While a CRL is fetched and loaded, look-ups go on against the one in
 * hand.
 */
import type { Clock, Milliseconds, Random } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { CrlDisk } from "./crlDisk.ts";
import { type CrlLoad, type CrlLoader, CrlThreadError, type LoadedCrl } from "./crlLoader.ts";
import type { CrlSigner } from "./crlLoading.ts";
import {
  type CrlFacts,
  type HeldCrl,
  type RefreshEffect,
  type RefreshInput,
  type RefreshProblem,
  type RefreshSchedule,
  type RefreshState,
  refresh,
  UNUSED,
} from "./crlRefresh.ts";
import type { Fetcher, Validators } from "./fetching.ts";
import { type Reach, reachKey } from "./reach.ts";
import type { Cancel, Timers } from "./timers.ts";

/** What the store needs of the world. */
export interface CrlStoreParts {
  clock: Clock;
  random: Random;
  timers: Timers;
  fetcher: Fetcher;
  disk: CrlDisk;
  loader: CrlLoader;
  schedule: RefreshSchedule;
}

/** What the store tells about itself. */
export type CrlStoreEvent =
  | { kind: "adopted"; url: string; facts: CrlFacts; entries: number }
  | { kind: "failed"; url: string; problem: RefreshProblem; retryAt: Milliseconds }
  | { kind: "diskFailed"; url: string; detail: string };

/** A CRL in hand, with when and where it was obtained. */
export interface CrlInHand {
  url: string;
  loaded: LoadedCrl;
  held: HeldCrl;
}

/** What an address gives now: the CRL in hand, perhaps out of date, and why there is no newer one. */
export interface Obtained {
  inHand: CrlInHand | undefined;
  problem: RefreshProblem | undefined;
}

export class CrlStore implements AsyncDisposable {
  readonly #parts: CrlStoreParts;
  readonly #sources = new Map<string, CrlSource>();
  readonly #listeners = new Set<(event: CrlStoreEvent) => void>();

  constructor(parts: CrlStoreParts) {
    this.#parts = parts;
  }

  /**
   * The CRL at this address, which one of `signers` should have signed. Waits for a fetch only if there is none in hand
   * that is current; an address that failed a moment ago gives that failure at once. One that a certificate names is
   * asked within `reach`, and apart from the same one in the configuration.
   */
  async obtain(url: string, signers: readonly Certificate[], reach?: Reach): Promise<Obtained> {
    const source = this.#sourceOf(url, reach);
    await source.want(signers);
    return source.obtained;
  }

  /** Begins to fetch the CRL at this address and keeps it fresh whether or not anybody asks for it. */
  keep(url: string, signers: readonly Certificate[]): void {
    const source = this.#sourceOf(url);
    source.kept = true;
    void source.want(signers);
  }

  /** Calls `listener` for every event until the function it gives is called. */
  subscribe(listener: (event: CrlStoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends all fetching; resolves once what was adopted is on disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    const sources = [...this.#sources.values()];
    this.#sources.clear();
    for (const source of sources) source.close();
    await Promise.all(sources.map((source) => source.written));
  }

  #sourceOf(url: string, reach?: Reach): CrlSource {
    const key = `${url} ${reachKey(reach)}`;
    const known = this.#sources.get(key);
    if (known !== undefined) {
      // The order of the map is that of use.
      this.#sources.delete(key);
      this.#sources.set(key, known);
      return known;
    }
    const source = new CrlSource({ url, reach, key }, this.#parts, {
      emit: (event) => {
        for (const listener of this.#listeners) listener(event);
      },
      idle: () => this.#forget(source),
    });
    this.#sources.set(key, source);
    if (this.#sources.size > MAX_SOURCES) {
      const leastUsed = [...this.#sources.values()].find((one) => !one.kept && !one.busy);
      if (leastUsed !== undefined) this.#forget(leastUsed);
    }
    return source;
  }

  #forget(source: CrlSource): void {
    source.close();
    this.#sources.delete(source.key);
  }
}

/** One address. */
class CrlSource {
  readonly url: string;
  readonly key: string;
  readonly #reach: Reach | undefined;
  kept = false;
  readonly #parts: CrlStoreParts;
  readonly #events: { emit: (event: CrlStoreEvent) => void; idle: () => void };
  readonly #signers = new Map<string, CrlSigner>();
  #state: RefreshState = UNUSED;
  #loaded: LoadedCrl | undefined;
  /** Loaded, and not yet adopted. */
  #candidate: LoadedCrl | undefined;
  #waiting: (() => void)[] = [];
  #timer: Cancel | undefined;
  #wantedAt: Milliseconds = 0;
  #closed = false;
  /** Settles when the last write to disk has ended, well or not. */
  written: Promise<void> = Promise.resolve();

  constructor(
    { url, reach, key }: { url: string; reach: Reach | undefined; key: string },
    parts: CrlStoreParts,
    events: { emit: (event: CrlStoreEvent) => void; idle: () => void },
  ) {
    this.url = url;
    this.key = key;
    this.#reach = reach;
    this.#parts = parts;
    this.#events = events;
  }

  get busy(): boolean {
    return this.#state.kind === "Fetching" || this.#state.kind === "Restoring";
  }

  get obtained(): Obtained {
    const held = "held" in this.#state ? this.#state.held : undefined;
    const loaded = this.#loaded;
    return {
      inHand: held === undefined || loaded === undefined ? undefined : { url: this.url, loaded, held },
      problem: this.#state.kind === "Failed" ? this.#state.problem : undefined,
    };
  }

  /** Resolves once there is something to say: a CRL in hand that is current, or an outcome. */
  want(signers: readonly Certificate[]): Promise<void> {
    this.#wantedAt = this.#parts.clock.now();
    const news = this.#learn(signers);
    this.#give({ kind: "wanted" });
    if (news && this.#state.kind === "Failed" && SIGNER_PROBLEMS.includes(this.#state.problem.reason))
      this.#give({ kind: "retry" });
    if (!this.busy || this.#isCurrent()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.();
    this.#settle();
  }

  #isCurrent(): boolean {
    const held = "held" in this.#state ? this.#state.held : undefined;
    return held !== undefined && this.#loaded !== undefined && this.#parts.clock.now() <= held.nextUpdate;
  }

  /** True if a signer was not known before. */
  #learn(signers: readonly Certificate[]): boolean {
    let news = false;
    for (const { subject, spki } of signers) {
      const key = spki.toString("latin1");
      if (this.#signers.has(key) || this.#signers.size >= MAX_SIGNERS) continue;
      this.#signers.set(key, { name: subject.der, spki });
      news = true;
    }
    return news;
  }

  #give(input: RefreshInput): void {
    if (this.#closed) return;
    const { clock, random, schedule } = this.#parts;
    const chance = random.bytes(4).readUInt32BE() / 2 ** 32;
    const before = this.#state;
    const { state, effects } = refresh(before, input, clock.now(), schedule, chance);
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
    if (state.kind === "Failed" && before.kind !== "Failed")
      this.#events.emit({ kind: "failed", url: this.url, problem: state.problem, retryAt: state.retryAt });
    if (!this.busy) this.#settle();
  }

  #carryOut(effect: RefreshEffect): void {
    switch (effect.kind) {
      case "restore":
        void this.#restore().then((input) => this.#give(input));
        return;
      case "fetch":
        void this.#fetch(effect.validators).then((input) => {
          this.#give(input);
          // One that was not adopted makes room.
          this.#candidate = undefined;
        });
        return;
      case "adopt":
        this.#adopt(effect.held);
        return;
      case "confirm":
        // On disk the time of the fetch stays behind: after a restart it is asked for a little early, and unchanged.
        return;
      case "arm":
        this.#timer?.();
        this.#timer = this.#parts.timers.after(effect.at - this.#parts.clock.now(), () => this.#due());
        return;
    }
  }

  #due(): void {
    if (!this.kept && this.#parts.clock.now() - this.#wantedAt > MAX_IDLE) this.#events.idle();
    else this.#give({ kind: "due" });
  }

  async #restore(): Promise<RefreshInput> {
    const { disk } = this.#parts;
    const restored = await disk.read(this.url);
    if (restored.kind === "corrupt") this.#events.emit({ kind: "diskFailed", url: this.url, detail: restored.detail });
    if (restored.kind !== "stored") return { kind: "notRestored" };
    const { der, obtainedAt, validators } = restored.stored;
    const load = await this.#load([der]);
    if (!load.ok) return { kind: "notRestored" };
    this.#loaded = load.loaded;
    return { kind: "restored", held: { ...factsOf(load.loaded), obtainedAt, validators } };
  }

  async #fetch(validators: Validators): Promise<RefreshInput> {
    const fetched = await this.#parts.fetcher.fetch(this.url, validators, this.#reach);
    if (fetched.kind !== "content") return fetched;
    const load = await this.#load(fetched.segments);
    if (!load.ok) return { kind: "failed", problem: load.problem };
    this.#candidate = load.loaded;
    return { kind: "loaded", facts: factsOf(load.loaded), validators: fetched.validators };
  }

  async #load(segments: readonly Buffer[]): Promise<CrlLoad> {
    try {
      return await this.#parts.loader.load(segments, [...this.#signers.values()]);
    } catch (error) {
      if (!(error instanceof CrlThreadError)) throw error;
      return { ok: false, problem: { reason: "LoaderFailed", detail: error.message } };
    }
  }

  #adopt(held: HeldCrl): void {
    const loaded = this.#candidate;
    if (loaded === undefined) return;
    this.#candidate = undefined;
    this.#loaded = loaded;
    const { obtainedAt, validators } = held;
    // One after the other: of two lists the newer must stay.
    this.written = this.written
      .then(() => this.#parts.disk.write(this.url, { der: loaded.crl.der, obtainedAt, validators }))
      .catch((error: unknown) => this.#events.emit({ kind: "diskFailed", url: this.url, detail: String(error) }));
    this.#events.emit({ kind: "adopted", url: this.url, facts: held, entries: loaded.index.size });
  }

  #settle(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** RFC 5280 5.1.2.5: nextUpdate is mandatory; a CRL without one is of no use a moment later. */
function factsOf({ crl }: LoadedCrl): CrlFacts {
  const { thisUpdate, nextUpdate = thisUpdate, number } = crl;
  return { thisUpdate, nextUpdate, number: number === undefined ? undefined : BigInt(`0x${number.toString("hex")}`) };
}

/** Failures that another signer may cure. */
const SIGNER_PROBLEMS: readonly RefreshProblem["reason"][] = ["UnknownSigner", "BadSignature"];
/** Addresses in use at a time. */
const MAX_SOURCES = 256;
/** Keys that may have signed the CRL of one address: a CA, its successor, a CRL issuer. */
const MAX_SIGNERS = 16;
/** How long an address that nobody asks for any more is kept fresh. */
const MAX_IDLE = 24 * 3600_000;
