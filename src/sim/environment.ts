/**
 * What a protocol core may ask of the world: time and randomness, passed in so that a whole ecosystem can run on a
 * virtual clock and replay from a seed. Sockets, files and timers stay with the shells.
 */
import type { Bytes } from "../bytes/bytes.ts";

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Milliseconds = number;

export interface Clock {
  /** Wall time, for validity periods and log lines. */
  now(): Milliseconds;
}

export interface Random {
  /** `count` octets; cryptographically strong in production, from the seed in simulation. */
  bytes(count: number): Bytes;
}

export interface Timers {
  /** Runs `run` once `delay` milliseconds have passed; the function it gives takes that back. */
  after(delay: Milliseconds, run: () => void): () => void;
}
