/** Randomness for simulations: the same seed gives the same octets, on every machine. */
import { createHash } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import type { Random } from "./environment.ts";

export interface SeededRandom extends Random {
  /** A number from 0 up to but not including `limit`. */
  below(limit: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
}

export function seededRandom(seed: number | string): SeededRandom {
  let counter = 0;
  let pool: Bytes = Buffer.alloc(0);
  const bytes = (count: number): Bytes => {
    const parts: Bytes[] = [];
    for (let missing = count; missing > 0; ) {
      if (pool.length === 0) pool = createHash("sha256").update(`femtogate ${seed} ${counter++}`).digest();
      parts.push(pool.subarray(0, missing));
      pool = pool.subarray(missing);
      missing -= parts.at(-1)!.length;
    }
    return Buffer.concat(parts);
  };
  const unit = () => bytes(4).readUInt32BE() / 2 ** 32;
  return { bytes, below: (limit) => Math.floor(unit() * limit), chance: (probability) => unit() < probability };
}
