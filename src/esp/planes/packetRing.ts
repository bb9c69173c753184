/**
 * A ring of packets in shared memory, from one thread to one other. It bounds what waits between them: when it is full
 * the producer stops, the kernel's own queue fills, and the senders notice.
 *
 * The producer wakes the consumer by a message only when that has nothing left to do, so a busy ring costs no messages.
 */
import type { Bytes } from "../../bytes/bytes.ts";

/** Packets that may wait; a power of two, so that counters may wrap. */
const SLOTS = 256;

/** Where the control words stand: packets ever written and read, flags, then the length of each slot's packet. */
const HEAD = 0;
const TAIL = 1;
const AWAKE = 2;
const CLOSED = 3;
const LENGTHS = 4;

export class PacketRing {
  /** What to hand to the other thread. */
  readonly memory: SharedArrayBuffer;
  readonly slotLength: number;
  readonly #control: Int32Array;
  readonly #slots: Bytes[];

  constructor(slotLength: number, memory = new SharedArrayBuffer((LENGTHS + SLOTS) * 4 + SLOTS * slotLength)) {
    this.memory = memory;
    this.slotLength = slotLength;
    this.#control = new Int32Array(memory, 0, LENGTHS + SLOTS);
    const start = (LENGTHS + SLOTS) * 4;
    this.#slots = Array.from({ length: SLOTS }, (_, i) => Buffer.from(memory, start + i * slotLength, slotLength));
  }

  /** Producer: the slot to fill next, waiting for one if all are full; undefined once the ring is closed. */
  waitForSlot(): Bytes | undefined {
    for (;;) {
      const tail = Atomics.load(this.#control, TAIL);
      if (Atomics.load(this.#control, CLOSED) === 1) return undefined;
      const head = this.#control[HEAD]!;
      if (((head - tail) | 0) < SLOTS) return this.#slots[head & (SLOTS - 1)]!;
      Atomics.wait(this.#control, TAIL, tail);
    }
  }

  /** Producer: true if `waitForSlot` would have to wait. */
  get full(): boolean {
    return ((this.#control[HEAD]! - Atomics.load(this.#control, TAIL)) | 0) >= SLOTS;
  }

  /** Producer: hands over the slot, which holds `length` octets. */
  publish(length: number): void {
    const head = this.#control[HEAD]!;
    this.#control[LENGTHS + (head & (SLOTS - 1))] = length;
    Atomics.store(this.#control, HEAD, (head + 1) | 0);
  }

  /** Producer: true if the consumer sleeps over a packet and a message must wake it. */
  mustWake(): boolean {
    return !this.#empty && Atomics.exchange(this.#control, AWAKE, 1) === 0;
  }

  /** Consumer: the oldest packet, valid until `release`; undefined if there is none. */
  peek(): Bytes | undefined {
    if (this.#empty) return undefined;
    const slot = this.#control[TAIL]! & (SLOTS - 1);
    return this.#slots[slot]!.subarray(0, this.#control[LENGTHS + slot]!);
  }

  /** Consumer: gives the slot of the oldest packet back. */
  release(): void {
    Atomics.add(this.#control, TAIL, 1);
    Atomics.notify(this.#control, TAIL);
  }

  /** Consumer: true if it may wait for a message; false if a packet came meanwhile and no message will tell. */
  sleep(): boolean {
    Atomics.store(this.#control, AWAKE, 0);
    return this.#empty || Atomics.exchange(this.#control, AWAKE, 1) === 1;
  }

  /** Consumer: ends the producer's waiting for good. */
  close(): void {
    Atomics.store(this.#control, CLOSED, 1);
    // Changed as well as notified: a producer just about to wait then sees that it need not.
    this.release();
  }

  get #empty(): boolean {
    return Atomics.load(this.#control, HEAD) === Atomics.load(this.#control, TAIL);
  }
}
