/** Timers passed in, so that a day of refreshing passes in a moment of simulation. */
import type { Milliseconds } from "../sim/environment.ts";

/** Takes a timer back; harmless once it has gone off. */
export type Cancel = () => void;

export interface Timers {
  /** Runs `run` once after `delay`. */
  after(delay: Milliseconds, run: () => void): Cancel;
}

/** The process's own; none of them keeps it from ending. */
export const systemTimers: Timers = {
  after(delay, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, delay), MAX_DELAY)).unref();
    return () => clearTimeout(timer);
  },
};

/** What setTimeout takes; it goes off too early for more, which every user of a timer must bear anyway. */
const MAX_DELAY = 2 ** 31 - 1;
