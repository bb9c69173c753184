/** Until when each certificate was last known to be good, by method: what a time of grace counts from. */
import type { StatusVerdict } from "../trust/statusAnswer.ts";
import type { LastGood } from "../trust/statusDecision.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { LastGoodDisk, LastGoodEntries } from "./lastGoodFile.ts";
import type { Cancel, Timers } from "./timers.ts";

export class LastGoodMemory {
  /** By fingerprint, those learnt of least recently first. */
  readonly #known = new Map<string, LastGood>();

  of(certificate: Certificate): LastGood {
    return this.#known.get(certificate.fingerprint) ?? {};
  }

  /** Takes in what a verdict on the path found; true if that is news. */
  learn(path: readonly Certificate[], { certificates }: StatusVerdict): boolean {
    let news = false;
    for (const [index, { findings }] of certificates.entries()) {
      const { fingerprint } = path[index]!;
      const before = this.#known.get(fingerprint) ?? {};
      const learnt: LastGood = { ...before };
      for (const { method, answer } of findings) {
        if (answer.status === "good") learnt[method] = Math.max(learnt[method] ?? 0, answer.evidence.nextUpdate);
        // Revoked once, it has no good time left to be granted grace for.
        else if (answer.status === "revoked") delete learnt[method];
      }
      news ||= learnt.crl !== before.crl || learnt.ocsp !== before.ocsp;
      this.#known.delete(fingerprint);
      if (Object.keys(learnt).length > 0) this.#known.set(fingerprint, learnt);
      if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    }
    return news;
  }

  /** All that is known, in the order in which it makes room. */
  get entries(): LastGoodEntries {
    return [...this.#known];
  }

  /** Takes in what an earlier process knew; what was learnt since stands. */
  restore(entries: LastGoodEntries): void {
    const since = this.entries;
    this.#known.clear();
    for (const [fingerprint, known] of [...entries, ...since].slice(-MAX_KNOWN)) {
      this.#known.delete(fingerprint);
      this.#known.set(fingerprint, known);
    }
  }
}

/** A memory that outlives the process, but for the last minute before it is killed. */
export class DurableLastGood implements AsyncDisposable {
  readonly memory = new LastGoodMemory();
  readonly #disk: LastGoodDisk;
  readonly #timers: Timers;
  #pending: Cancel | undefined;
  /** What is being read or written. */
  #busy: Promise<void>;
  /** Settles once what an earlier process knew is there; undefined afterwards. */
  restoring: Promise<void> | undefined;

  constructor(disk: LastGoodDisk, timers: Timers) {
    this.#disk = disk;
    this.#timers = timers;
    this.restoring = disk.read().then((entries) => {
      this.memory.restore(entries);
      this.restoring = undefined;
    });
    this.#busy = this.restoring;
  }

  /** What was learnt is written before long, together with what comes until then. */
  changed(): void {
    this.#pending ??= this.#timers.after(WRITE_AFTER, () => this.#write());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#pending !== undefined) this.#write();
    await this.#busy;
  }

  #write(): void {
    this.#pending?.();
    this.#pending = undefined;
    // One after the other. A disk that fails costs grace after a restart, and is tried again with the next news.
    this.#busy = this.#busy.then(() => this.#disk.write(this.memory.entries)).catch(() => undefined);
  }
}

/** Certificates remembered; each takes some 200 octets, and 48 on disk. */
export const MAX_KNOWN = 200_000;
/** Milliseconds from the first news to the write. */
const WRITE_AFTER = 60_000;
