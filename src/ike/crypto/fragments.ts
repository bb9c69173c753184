/** Putting fragments of one message together again (RFC 7383 2.6); each was authentic before it came here. */
import { type Bytes, copyOf } from "../../bytes/bytes.ts";

export class Reassembly {
  /** Which message this collects: a fragment of another one begins anew. */
  readonly key: string;
  #total = 0;
  #parts = new Map<number, Bytes>();
  #firstInner = 0;

  constructor(key: string) {
    this.key = key;
  }

  /** Adds a fragment and gives the whole content once none is missing. */
  add(
    number: number,
    total: number,
    firstInner: number,
    plaintext: Bytes,
  ): { firstInner: number; bytes: Bytes } | undefined {
    if (total < this.#total) return undefined;
    if (total > this.#total) {
      // The sender has found a smaller packet size and starts over (RFC 7383 2.6).
      this.#parts.clear();
      this.#total = total;
    }
    if (this.#parts.has(number)) return undefined;
    this.#parts.set(number, copyOf(plaintext));
    if (number === 1) this.#firstInner = firstInner;
    if (this.#parts.size < this.#total) return undefined;
    const inOrder = Array.from({ length: this.#total }, (_, index) => this.#parts.get(index + 1)!);
    return { firstInner: this.#firstInner, bytes: Buffer.concat(inOrder) };
  }
}
