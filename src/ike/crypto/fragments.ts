/** Putting fragments of one message together again (RFC 7383 2.6); each was authentic before it came here. */
import { type Bytes, copyOf } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";

/**
 * Octets of payloads that fragments may add up to; what one unfragmented message over UDP could hold. Anybody who
 * completes IKE_SA_INIT can send authentic fragments, so this bounds what a stranger makes us keep.
 */
const MAX_REASSEMBLED = 65_536;

export class Reassembly {
  /** Which message this collects: a fragment of another one begins anew. */
  readonly key: string;
  /** Octets of the datagrams that came for it so far, counted by who feeds it. */
  datagramOctets = 0;
  #total = 0;
  #octets = 0;
  #parts = new Map<number, Bytes>();
  #firstInner = 0;

  constructor(key: string) {
    this.key = key;
  }

  /**
   * Adds fragment `number` of `total` (both as the decoder lets them through) and gives the whole content once none is
   * missing. Throws DecodeError above MAX_REASSEMBLED octets.
   */
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
      this.#octets = 0;
      this.#total = total;
    }
    if (this.#parts.has(number)) return undefined;
    this.#octets += plaintext.length;
    if (this.#octets > MAX_REASSEMBLED)
      throw new DecodeError("SKF", 0, `fragments hold over ${MAX_REASSEMBLED} octets`);
    this.#parts.set(number, copyOf(plaintext));
    if (number === 1) this.#firstInner = firstInner;
    if (this.#parts.size < this.#total) return undefined;
    const inOrder = Array.from({ length: this.#total }, (_, index) => this.#parts.get(index + 1)!);
    return { firstInner: this.#firstInner, bytes: Buffer.concat(inOrder, this.#octets) };
  }
}
