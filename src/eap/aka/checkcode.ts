/**
 * AT_CHECKCODE: a hash over all AKA-Identity packets of a conversation, so that nobody changes them unnoticed
 * (RFC 4187 10.13, RFC 9048 3.4.3).
 */
import { createHash } from "node:crypto";
import { type Bytes, EMPTY, sameSecret } from "../../bytes/bytes.ts";
import type { AkaVariant } from "./variant.ts";

export class Checkcode {
  readonly #variant: AkaVariant;
  readonly #packets: Bytes[] = [];

  constructor(variant: AkaVariant) {
    this.#variant = variant;
  }

  /** Takes a request or response as it goes over the wire, in order, without retransmissions. */
  add(packet: Bytes): void {
    this.#packets.push(packet);
  }

  /** What AT_CHECKCODE holds: nothing if there were no AKA-Identity packets. */
  value(): Bytes {
    if (this.#packets.length === 0) return EMPTY;
    const hash = createHash(this.#variant.hash);
    for (const packet of this.#packets) hash.update(packet);
    return hash.digest();
  }

  /** True if the other side saw the same packets, or does not say (the attribute is optional to send). */
  agrees(received: Bytes | undefined): boolean {
    return received === undefined || sameSecret(received, this.value());
  }
}
