/**
 * A virtual clock and a datagram network that loses, repeats and delays, all from one seed.
 *
 * Events run in order of time, those of one moment in the order in which they were scheduled, so that a run repeats
 * exactly.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { Clock, Milliseconds, Timers } from "./environment.ts";
import { type SeededRandom, seededRandom } from "./random.ts";

export interface Address {
  address: string;
  port: number;
}

export interface Link {
  /** Probability that a datagram is lost. */
  loss: number;
  /** Probability that it arrives twice. */
  duplicate: number;
  /** Milliseconds, least and most; a wide range reorders. */
  delay: readonly [least: number, most: number];
}

export const PERFECT_LINK: Link = { loss: 0, duplicate: 0, delay: [1, 1] };

type Receiver = (packet: Bytes, from: Address, to: Address, marker: string) => void;

interface Event {
  at: Milliseconds;
  order: number;
  run: () => void;
}

export class World implements Clock, Timers {
  readonly random: SeededRandom;
  /** May be changed while the world runs. */
  link: Link;
  /** Datagrams handed to the network so far. */
  sent = 0;
  #now: Milliseconds = Date.UTC(2026, 0, 1);
  #events: Event[] = [];
  #order = 0;
  #receivers = new Map<string, Receiver>();
  /** Decides about each datagram before chance does; for tests that tamper. */
  tap: ((packet: Bytes, from: Address, to: Address) => Bytes | "drop") | undefined;

  constructor(seed: number | string, link: Link = PERFECT_LINK) {
    this.random = seededRandom(seed);
    this.link = link;
  }

  now(): Milliseconds {
    return this.#now;
  }

  /** Runs `run` after `delay` milliseconds of virtual time; the function it gives takes that back. */
  after(delay: number, run: () => void): () => void {
    const event: Event = { at: this.#now + Math.max(0, delay), order: this.#order++, run };
    let index = this.#events.length;
    while (index > 0 && this.#events[index - 1]!.at > event.at) index--;
    this.#events.splice(index, 0, event);
    return () => {
      event.run = () => undefined;
    };
  }

  /** Delivers datagrams for all ports of `address` to `receive`. */
  attach(address: string, receive: Receiver): void {
    this.#receivers.set(address, receive);
  }

  /** Sends a datagram; `marker` travels along for the receiver ("natT" or ""). */
  send(packet: Bytes, sender: Address, receiver: Address, marker: string): void {
    this.sent += 1;
    // Copies, so that a tap can play a NAT by changing them.
    const from = { ...sender };
    const to = { ...receiver };
    const tapped = this.tap?.(packet, from, to) ?? packet;
    if (tapped === "drop") return;
    // As on a wire: what the sender does with its buffer afterwards changes nothing, nor does another receiver.
    const datagram = Buffer.from(tapped);
    const copies = this.random.chance(this.link.duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.random.chance(this.link.loss)) continue;
      const [least, most] = this.link.delay;
      this.after(least + this.random.below(most - least + 1), () =>
        this.#receivers.get(to.address)?.(Buffer.from(datagram), { ...from }, { ...to }, marker),
      );
    }
  }

  /** Runs until `done` holds; false if `within` milliseconds pass or nothing is left to happen. */
  runUntil(done: () => boolean, within: Milliseconds): boolean {
    const limit = this.#now + within;
    while (!done()) {
      const event = this.#events[0];
      if (event === undefined || event.at > limit) {
        this.#now = limit;
        return done();
      }
      this.#events.shift();
      this.#now = event.at;
      event.run();
    }
    return true;
  }

  /**
   * As `runUntil`, for parties that answer through promises: between two events of virtual time everything that waits for
   * a promise gets its turn.
   */
  async runUntilSettled(done: () => boolean, within: Milliseconds): Promise<boolean> {
    const limit = this.#now + within;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (done()) return true;
      const next = this.#events[0];
      if (next === undefined || next.at > limit) {
        this.#now = limit;
        return done();
      }
      this.runUntil(() => this.#now >= next.at && this.#events[0] !== next, next.at - this.#now);
    }
  }

  /** Lets `duration` milliseconds pass. */
  run(duration: Milliseconds): void {
    this.runUntil(() => false, duration);
  }
}

/** Runs a simulation under many seeds; a failure names its seed, and FEMTOGATE_SEED replays that one alone. */
export function forSeeds(count: number, replay: string | undefined, simulate: (seed: number) => void): void {
  for (const seed of seedsOf(count, replay)) {
    try {
      simulate(seed);
    } catch (error) {
      throw naming(seed, error);
    }
  }
}

/** As `forSeeds`, for simulations of parties that answer through promises; one seed after the other. */
export async function forSeedsSettled(
  count: number,
  replay: string | undefined,
  simulate: (seed: number) => Promise<void>,
): Promise<void> {
  for (const seed of seedsOf(count, replay)) {
    try {
      await simulate(seed);
    } catch (error) {
      throw naming(seed, error);
    }
  }
}

function seedsOf(count: number, replay: string | undefined): number[] {
  return replay === undefined ? Array.from({ length: count }, (_, index) => index + 1) : [Number(replay)];
}

function naming(seed: number, error: unknown): Error {
  const problem = error instanceof Error ? error.message : String(error);
  return new Error(`seed ${seed} failed; replay it with FEMTOGATE_SEED=${seed}: ${problem}`, { cause: error });
}
