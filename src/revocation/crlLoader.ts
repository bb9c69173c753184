/**
 * Loads CRLs without holding up the event loop: small ones at once, large ones on a thread of their own.
 *
 * One thread and one job at a time, so that several large CRLs do not need their memory at once. The thread ends when
 * it has been idle for a while; a gateway with daily CRLs does not keep its heap. Cutting the work into slices on the
 * main loop was rejected: the signature of a 40 MB list is one indivisible call of 30 ms and more.
 */
import { Worker } from "node:worker_threads";
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import type { Random } from "../sim/environment.ts";
import { CrlIndex } from "../trust/crlIndex.ts";
import { type Crl, parseCrl } from "../x509/crl.ts";
import { bufferOver, type CrlLoadProblem, type CrlSigner, type LoadOutcome, loadCrl } from "./crlLoading.ts";
import type { CrlJob, CrlJobDone } from "./crlThread.ts";

/** The thread could not be started or died; the CRL may be fine. */
export class CrlThreadError extends Error {
  override readonly name = "CrlThreadError";
}

/** A CRL that is ready: `spki` is the key that its signature verified under. */
export interface LoadedCrl {
  crl: Crl;
  index: CrlIndex;
  spki: Bytes;
}

/** A loaded CRL, or why there is none. */
export type CrlLoad = { ok: true; loaded: LoadedCrl } | { ok: false; problem: CrlLoadProblem };

/** Makes CRLs ready for look-ups. */
export interface CrlLoader {
  /**
   * Loads the CRL whose octets `segments` hold in order and which one of `signers` should have signed. Takes the
   * segments over: their memory is gone for the caller.
   */
  load(segments: readonly Bytes[], signers: readonly CrlSigner[]): Promise<CrlLoad>;
}

export class ThreadedCrlLoader implements CrlLoader, AsyncDisposable {
  readonly #random: Random;
  readonly #idleMs: number;
  #thread: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #waiting = new Map<number, { resolve: (outcome: LoadOutcome) => void; reject: (error: Error) => void }>();
  #lastId = 0;

  /** `idleMs`: how long the thread waits for the next CRL before it ends. */
  constructor(random: Random, idleMs: number = IDLE_MS) {
    this.#random = random;
    this.#idleMs = idleMs;
  }

  async load(segments: readonly Bytes[], signers: readonly CrlSigner[]): Promise<CrlLoad> {
    const octets = segments.reduce((sum, { length }) => sum + length, 0);
    const outcome =
      octets <= INLINE_MAX ? loadCrl(segments, signers, this.#random) : await this.#loadOnThread(segments, signers);
    return outcome.ok ? { ok: true, loaded: loadedCrl(outcome) } : outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle);
    await this.#thread?.terminate();
  }

  #loadOnThread(segments: readonly Bytes[], signers: readonly CrlSigner[]): Promise<LoadOutcome> {
    const thread = this.#start();
    clearTimeout(this.#idle);
    const id = ++this.#lastId;
    const owned = segments.map(transferable);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      const job: CrlJob = { id, segments: owned, signers };
      thread.postMessage(job, [...new Set(owned.map(({ buffer }) => buffer))]);
    });
  }

  #start(): Worker {
    if (this.#thread !== undefined) return this.#thread;
    const thread = new Worker(new URL("./crlThread.ts", import.meta.url), { name: "crl", resourceLimits: LIMITS });
    this.#thread = thread;
    // A process that wants to end is not kept by a thread without work.
    thread.unref();
    thread.on("message", ({ id, outcome }: CrlJobDone) => {
      this.#waiting.get(id)?.resolve(outcome);
      this.#waiting.delete(id);
      if (this.#waiting.size > 0) return;
      this.#idle = setTimeout(() => void thread.terminate(), this.#idleMs).unref();
    });
    thread.on("error", (error) => this.#lost(thread, `the CRL thread died: ${error}`));
    thread.on("exit", () => this.#lost(thread, "the CRL thread ended"));
    return thread;
  }

  #lost(thread: Worker, message: string): void {
    if (this.#thread !== thread) return;
    this.#thread = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new CrlThreadError(message));
  }
}

/** The CRL that a loading gave, on this side of the thread. */
export function loadedCrl(outcome: Extract<LoadOutcome, { ok: true }>): LoadedCrl {
  const crl = parseCrl(bufferOver(outcome.der));
  const spki = bufferOver(outcome.spki);
  return { crl, index: new CrlIndex(crl, outcome.table, spki), spki };
}

/** The octets in an ArrayBuffer of their own; one that is shared with others, as small Buffers are, cannot be given away. */
function transferable(bytes: Bytes): Uint8Array<ArrayBuffer> {
  const alone = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  const own = alone && bytes.buffer instanceof ArrayBuffer ? bytes : copyOf(bytes);
  return own as Uint8Array<ArrayBuffer>;
}

/** Octets of a CRL that is loaded on the spot: some 1500 entries and a millisecond. */
const INLINE_MAX = 64 * 1024;
const IDLE_MS = 30_000;
/** Megabytes of the thread's heap, which holds neither CRL nor table. */
const LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 };
