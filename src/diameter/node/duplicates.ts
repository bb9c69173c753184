/**
 * Requests that were received, so that one that comes again gets the same answer and is carried out once
 * (RFC 6733 3 "End-to-End Identifier", 9.4): known by who sent it first and its End-to-End Identifier.
 *
 * Bounded by number: the oldest answers are forgotten first. A request still at work is never forgotten, since its
 * answer would find nobody.
 */
import type { DiameterMessage } from "../codec/message.ts";
import type { RequestHandle } from "./effects.ts";

type Known = { at: "work"; handle: RequestHandle } | { at: "answered"; answer: DiameterMessage };

export class Duplicates {
  readonly #limit: number;
  readonly #working = new Map<string, RequestHandle>();
  /** In the order in which they were answered. */
  readonly #answered = new Map<string, DiameterMessage>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  static key(origin: string, { header }: DiameterMessage): string {
    return `${header.endToEnd} ${header.command} ${origin}`;
  }

  find(key: string): Known | undefined {
    const handle = this.#working.get(key);
    if (handle !== undefined) return { at: "work", handle };
    const answer = this.#answered.get(key);
    return answer === undefined ? undefined : { at: "answered", answer };
  }

  started(key: string, handle: RequestHandle): void {
    this.#working.set(key, handle);
  }

  answered(key: string, answer: DiameterMessage): void {
    this.#working.delete(key);
    this.#answered.set(key, answer);
    if (this.#answered.size <= this.#limit) return;
    const { value } = this.#answered.keys().next();
    if (value !== undefined) this.#answered.delete(value);
  }
}
