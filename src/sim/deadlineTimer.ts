/** The one timer of a core that says when it wants to be woken next. */
import type { Clock, Milliseconds, Timers } from "./environment.ts";

export class DeadlineTimer {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #run: () => void;
  #at = Number.POSITIVE_INFINITY;
  #cancel = () => {};

  constructor(clock: Clock, timers: Timers, run: () => void) {
    this.#clock = clock;
    this.#timers = timers;
    this.#run = run;
  }

  /** Has `run` called then, and not at a time before; Infinity: not at all. */
  set(at: Milliseconds): void {
    if (at === this.#at) return;
    this.#cancel();
    this.#cancel = () => {};
    this.#at = at;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#cancel = this.#timers.after(Math.max(0, at - this.#clock.now()), () => {
      this.#at = Number.POSITIVE_INFINITY;
      this.#run();
    });
  }
}
