/**
 * What is to be done again, and when: hundreds of thousands of connected devices, without a pause of the event loop.
 *
 * Those due are kept in buckets of time, one timer each; a few run at once, and after every handful the loop gets its
 * turn, because a check by CRL is all computing and would otherwise hold it from the first to the last.
 */
import type { Clock, Milliseconds } from "../sim/environment.ts";
import type { Cancel, Timers } from "./timers.ts";

export class RecheckQueue<T> implements Disposable {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #run: (item: T) => Promise<void>;
  readonly #buckets = new Map<number, { items: Set<T>; cancel: Cancel }>();
  readonly #bucketOf = new Map<T, number>();
  readonly #ready = new Set<T>();
  #running = 0;
  #resting = false;
  #closed = false;

  /** `run` must not reject. */
  constructor(clock: Clock, timers: Timers, run: (item: T) => Promise<void>) {
    this.#clock = clock;
    this.#timers = timers;
    this.#run = run;
  }

  /** Runs the item at this time, instead of whenever it was due. */
  at(item: T, time: Milliseconds): void {
    if (this.#closed) return;
    this.forget(item);
    const number = Math.floor(time / BUCKET);
    let bucket = this.#buckets.get(number);
    if (bucket === undefined) {
      const cancel = this.#timers.after(Math.max(0, number * BUCKET - this.#clock.now()), () => this.#open(number));
      bucket = { items: new Set(), cancel };
      this.#buckets.set(number, bucket);
    }
    bucket.items.add(item);
    this.#bucketOf.set(item, number);
  }

  /** Runs the item as soon as it is its turn. */
  now(item: T): void {
    if (this.#closed) return;
    this.forget(item);
    this.#ready.add(item);
    // Not here and now: a thousand calls of this would be a thousand runs without a turn of the loop.
    this.#rest();
  }

  /** Takes the item out; one that runs already runs to its end. */
  forget(item: T): void {
    this.#ready.delete(item);
    const number = this.#bucketOf.get(item);
    if (number === undefined) return;
    this.#bucketOf.delete(item);
    const bucket = this.#buckets.get(number);
    bucket?.items.delete(item);
    if (bucket?.items.size !== 0) return;
    bucket.cancel();
    this.#buckets.delete(number);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { cancel } of this.#buckets.values()) cancel();
    this.#buckets.clear();
    this.#bucketOf.clear();
    this.#ready.clear();
  }

  #open(number: number): void {
    const bucket = this.#buckets.get(number);
    if (bucket === undefined) return;
    this.#buckets.delete(number);
    for (const item of bucket.items) {
      this.#bucketOf.delete(item);
      this.#ready.add(item);
    }
    this.#begin();
  }

  #begin(): void {
    if (this.#resting) return;
    for (let begun = 0; begun < HANDFUL && this.#running < MAX_RUNNING; begun++) {
      const item = this.#ready.values().next();
      if (item.done === true) return;
      this.#ready.delete(item.value);
      this.#running += 1;
      void this.#run(item.value).finally(() => {
        this.#running -= 1;
        if (this.#ready.size > 0) this.#rest();
      });
    }
    if (this.#ready.size > 0 && this.#running < MAX_RUNNING) this.#rest();
  }

  /** The loop's turn. */
  #rest(): void {
    if (this.#resting) return;
    this.#resting = true;
    this.#timers.after(0, () => {
      this.#resting = false;
      this.#begin();
    });
  }
}

/** Milliseconds that a bucket spans: how much earlier than asked an item may run. */
const BUCKET = 1_000;
/** Begun before the loop gets its turn. */
const HANDFUL = 32;
/** Under way at a time, most of them waiting for a responder. */
const MAX_RUNNING = 256;
