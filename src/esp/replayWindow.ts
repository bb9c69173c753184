/**
 * Anti-replay window (RFC 4303 3.4.3) and the inference of an extended sequence number's upper half (RFC 4303 A2).
 *
 * The window is a ring of words as in RFC 6479: advancing clears whole words and shifts nothing. Sequence numbers are
 * plain numbers, exact up to 2^53; at ten million packets a second that lasts 28 years, far beyond any SA.
 *
 * Not built: resynchronization after a loss of 2^32 packets in a row (RFC 4303 A3); the SA is rekeyed or deleted instead.
 */

/** Bounds of the window in packets: 32 is the least RFC 4303 3.4.3 allows. */
export const MIN_REPLAY_WINDOW = 32;
export const MAX_REPLAY_WINDOW = 4096;

export class ReplayWindow {
  readonly #size: number;
  readonly #esn: boolean;
  readonly #ring: Uint32Array;
  #top = 0;

  /** `size` in packets; throws RangeError outside of 32..4096. */
  constructor(size: number, esn: boolean) {
    if (!Number.isInteger(size) || size < MIN_REPLAY_WINDOW || size > MAX_REPLAY_WINDOW) {
      throw new RangeError(
        `a replay window of ${size} packets is not within ${MIN_REPLAY_WINDOW}..${MAX_REPLAY_WINDOW}`,
      );
    }
    this.#size = size;
    this.#esn = esn;
    // One word more than the window needs, because the word at its left end is shared with the one at its right.
    this.#ring = new Uint32Array(Math.ceil(size / 32) + 1);
  }

  /** Highest sequence number verified so far, 0 before the first. */
  get top(): number {
    return this.#top;
  }

  /** The whole sequence number that a received lower half stands for, or undefined if there is none (RFC 4303 A2.2). */
  infer(low: number): number | undefined {
    if (!this.#esn) return low;
    const topLow = this.#top >>> 0;
    const topHigh = Math.floor(this.#top / TWO_32);
    const left = topLow - this.#size + 1;
    if (left >= 0) return (low >= left ? topHigh : topHigh + 1) * TWO_32 + low;
    // The window reaches back into the previous 2^32 numbers.
    if (low < left + TWO_32) return topHigh * TWO_32 + low;
    return topHigh === 0 ? undefined : (topHigh - 1) * TWO_32 + low;
  }

  /** True if the number is new: right of the window, or in it and not yet marked. Zero is never sent. */
  accepts(sequence: number): boolean {
    if (sequence === 0) return false;
    if (sequence > this.#top) return true;
    if (sequence <= this.#top - this.#size) return false;
    return (this.#ring[this.#word(sequence)]! & bit(sequence)) === 0;
  }

  /** Records a number that `accepts` took and whose packet has verified. */
  mark(sequence: number): void {
    if (sequence > this.#top) {
      const firstWord = Math.floor(this.#top / 32) + 1;
      const lastWord = Math.floor(sequence / 32);
      if (lastWord - firstWord >= this.#ring.length) this.#ring.fill(0);
      else for (let word = firstWord; word <= lastWord; word++) this.#ring[word % this.#ring.length] = 0;
      this.#top = sequence;
    }
    this.#ring[this.#word(sequence)]! |= bit(sequence);
  }

  #word(sequence: number): number {
    return Math.floor(sequence / 32) % this.#ring.length;
  }
}

function bit(sequence: number): number {
  return 1 << (sequence % 32);
}

const TWO_32 = 2 ** 32;
