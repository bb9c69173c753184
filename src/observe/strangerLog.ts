/**
 * Lines about strangers, whom anybody on the Internet can play at will: so many and no more, so that they neither fill a
 * disk nor hide everything else. What was left out is counted in the next line.
 */
import type { Clock } from "../sim/environment.ts";

/** Decides which lines are written: `BURST` at once, after that `PER_SECOND`. */
export class StrangerLog {
  readonly #clock: Clock;
  #left = BURST;
  #at: number;
  #suppressed = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#at = clock.now();
  }

  /** Has the line written, with the number of those left out before it where there were some; or leaves it out. */
  say(write: (more: { suppressed?: number }, tail: string) => void): void {
    const now = this.#clock.now();
    this.#left = Math.min(BURST, this.#left + (Math.max(0, now - this.#at) * PER_SECOND) / 1000);
    this.#at = now;
    if (this.#left < 1) {
      this.#suppressed += 1;
      return;
    }
    this.#left -= 1;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    if (suppressed === 0) write({}, "");
    else write({ suppressed }, `; ${suppressed} such lines before it were left out`);
  }
}

/** A fleet that fails together is told one by one; a flood is not. */
const BURST = 500;
const PER_SECOND = 20;
