/** The real world's clock, timers and randomness, for shells. */
import { randomFillSync } from "node:crypto";
import type { Clock, Random, Timers } from "./environment.ts";

const POOL = 4096;
/** Node's longest timer, milliseconds: a longer one would fire at once, and is made of several. */
const MAX_DELAY = 2 ** 31 - 1;
let pool = Buffer.alloc(0);

export const systemEnvironment: { clock: Clock; timers: Timers; random: Random } = {
  clock: { now: () => Date.now() },
  timers: {
    after(delay, run) {
      let timer: NodeJS.Timeout;
      const wait = (left: number) => {
        timer = setTimeout(left > MAX_DELAY ? () => wait(left - MAX_DELAY) : run, Math.min(left, MAX_DELAY));
      };
      wait(delay);
      return () => clearTimeout(timer);
    },
  },
  random: {
    bytes(count) {
      // Filled in advance: a call into OpenSSL for each nonce and SPI costs more than the octets.
      if (count > pool.length) pool = randomFillSync(Buffer.allocUnsafeSlow(Math.max(POOL, count)));
      const taken = pool.subarray(0, count);
      pool = pool.subarray(count);
      return taken;
    },
  },
};
