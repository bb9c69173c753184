/**
 * Whole messages out of a stream of octets (RFC 6733 2.1).
 *
 * It holds at most one incomplete message, and refuses a wrong length as soon as its four octets are there.
 */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import { checkStart } from "./message.ts";

export class MessageStream {
  #pieces: Bytes[] = [];
  #held = 0;
  /** Octets of the message that is being collected; 0 while not even its length is known. */
  #wanted = 0;

  /**
   * Takes what arrived and gives the messages that it completes. Throws DiameterError where no message can begin; the
   * stream is useless from then on.
   */
  push(chunk: Bytes): Bytes[] {
    if (chunk.length === 0) return [];
    this.#pieces.push(chunk);
    this.#held += chunk.length;
    if (this.#held < Math.max(START, this.#wanted)) return [];
    const bytes = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces, this.#held);
    const messages: Bytes[] = [];
    let at = 0;
    this.#wanted = 0;
    while (bytes.length - at >= START) {
      const length = checkStart(bytes.subarray(at, at + START));
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

const START = 4;
