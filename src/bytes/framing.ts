/**
 * Whole messages out of a stream of octets, for protocols whose messages say their length near their start.
 *
 * It holds at most one incomplete message, and a wrong length is refused as soon as its octets are there.
 */
import { type Bytes, EMPTY } from "./bytes.ts";

export class MessageStream {
  readonly #start: number;
  readonly #lengthOf: (start: Bytes) => number;
  #pieces: Bytes[] = [];
  #held = 0;
  /** Octets of the message that is being collected; 0 while its length is not known. */
  #wanted = 0;

  /** `lengthOf` gives a message's length, at least `start`, from its first `start` octets, or throws DecodeError. */
  constructor(start: number, lengthOf: (start: Bytes) => number) {
    this.#start = start;
    this.#lengthOf = lengthOf;
  }

  /**
   * Takes what arrived and gives the messages that it completes, as views. Throws DecodeError where no message can
   * begin; the stream is useless from then on.
   */
  push(chunk: Bytes): Bytes[] {
    if (chunk.length === 0) return [];
    this.#pieces.push(chunk);
    this.#held += chunk.length;
    if (this.#held < Math.max(this.#start, this.#wanted)) return [];
    const bytes = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces, this.#held);
    const messages: Bytes[] = [];
    let at = 0;
    this.#wanted = 0;
    while (bytes.length - at >= this.#start) {
      const length = this.#lengthOf(bytes.subarray(at, at + this.#start));
      if (bytes.length - at < length) {
        this.#wanted = length;
        break;
      }
      messages.push(bytes.subarray(at, at + length));
      at += length;
    }
    const rest = at === bytes.length ? EMPTY : bytes.subarray(at);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#held = rest.length;
    return messages;
  }
}
