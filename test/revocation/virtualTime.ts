/** Promises in virtual time: after each event of the simulated world, whatever waits for it goes on before the next. */
import { setImmediate } from "node:timers/promises";
import type { Timers } from "../../src/revocation/timers.ts";
import { World } from "../../src/sim/world.ts";

export class VirtualTime {
  readonly world: World;
  /** Events after which whatever waited could go on. */
  turns = 0;
  readonly timers: Timers = {
    after: (delay, run) => {
      let cancelled = false;
      this.world.after(delay, () => {
        if (!cancelled) run();
      });
      return () => {
        cancelled = true;
      };
    },
  };

  constructor(seed: number | string) {
    this.world = new World(seed);
  }

  /** Lets `duration` milliseconds pass. */
  async run(duration: number): Promise<void> {
    const end = this.world.now() + duration;
    while (this.world.now() < end) {
      await settled();
      let looked = 0;
      this.turns += 1;
      this.world.runUntil(() => looked++ > 0, end - this.world.now());
    }
    await settled();
  }

  /** Runs until `promise` is settled, at most for `within` milliseconds of virtual time. */
  async until<T>(promise: Promise<T>, within: number): Promise<T> {
    let done = false;
    const finished = promise.finally(() => {
      done = true;
    });
    const end = this.world.now() + within;
    for (await settled(); !done && this.world.now() < end; await settled()) {
      let looked = 0;
      this.turns += 1;
      this.world.runUntil(() => looked++ > 0, end - this.world.now());
    }
    if (!done) throw new Error(`not settled within ${within} ms of virtual time`);
    return finished;
  }

  /** A promise that resolves after `delay`. */
  delay(delay: number): Promise<void> {
    return new Promise((resolve) => this.world.after(delay, resolve));
  }
}

/** What can go on without time passing has gone on. */
async function settled(): Promise<void> {
  for (let round = 0; round < 3; round++) await setImmediate();
}
