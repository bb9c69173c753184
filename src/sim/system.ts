/** The real world's clock and randomness, for shells. */
import { randomFillSync } from "node:crypto";
import type { Clock, Random } from "./environment.ts";

const POOL = 4096;
let pool = Buffer.alloc(0);

export const systemEnvironment: { clock: Clock; random: Random } = {
  clock: { now: () => Date.now() },
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
