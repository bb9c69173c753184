/**
 * DER written from its end to its beginning into one buffer: the length of an element is known when its header is
 * written, so that nothing is measured, copied or allocated twice.
 *
 * For what is written thousands of times a second; everything else is put together inside out by der/writer.ts, which
 * reads as the structure does.
 */
import type { Bytes } from "../bytes/bytes.ts";

export class BackwardWriter {
  readonly #buffer: Bytes;
  #start: number;

  /** `room` is the most that will be written; writing more throws RangeError. */
  constructor(room: number) {
    this.#buffer = Buffer.allocUnsafe(room);
    this.#start = room;
  }

  /** Where the next octet goes in front; what was written since is what an `element` holds. */
  get mark(): number {
    return this.#start;
  }

  /** Puts octets in front. */
  bytes(octets: Uint8Array): this {
    const start = this.#start - octets.length;
    if (start < 0) throw new RangeError(`${octets.length} octets more than there is room for`);
    this.#buffer.set(octets, start);
    this.#start = start;
    return this;
  }

  /** Puts tag and length of an element in front, whose content is all that was written since `mark`. */
  element(tag: number, mark: number): this {
    let length = mark - this.#start;
    if (length < 0x80) return this.#octet(length).#octet(tag);
    let count = 0;
    for (; length > 0; length >>>= 8) {
      this.#octet(length & 0xff);
      count++;
    }
    return this.#octet(0x80 | count).#octet(tag);
  }

  /** All that was written, as a view. */
  view(): Bytes {
    return this.#buffer.subarray(this.#start);
  }

  #octet(value: number): this {
    if (this.#start === 0) throw new RangeError("an octet more than there is room for");
    this.#buffer[--this.#start] = value;
    return this;
  }
}
