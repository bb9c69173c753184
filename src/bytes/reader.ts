/**
 * A bounds-checked cursor over received bytes.
 *
 * Every read names what it reads, so that a refusal tells a person what was wrong and where. A reader never reads past
 * its end and never allocates: what it returns are views of the bytes it was made from.
 */
import type { Bytes } from "./bytes.ts";

/** What a decoder throws for input that is not what its format says; nothing else may leave a decoder. */
export class DecodeError extends Error {
  override readonly name: string = "DecodeError";
  /** What was being read, in the words of the standard ("Proposal.spiSize"). */
  readonly field: string;
  /** Octets from the start of the outermost input to where the trouble is. */
  readonly offset: number;

  constructor(field: string, offset: number, problem: string) {
    super(`${field} at octet ${offset}: ${problem}`);
    this.field = field;
    this.offset = offset;
  }
}

export class Reader {
  readonly bytes: Bytes;
  /** Position of `bytes[0]` in the outermost input; for error messages only. */
  readonly base: number;
  #position = 0;

  constructor(bytes: Uint8Array, base = 0) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.base = base;
  }

  /** Octets already read. */
  get position(): number {
    return this.#position;
  }

  /** Octets not yet read. */
  get remaining(): number {
    return this.bytes.length - this.#position;
  }

  get atEnd(): boolean {
    return this.#position >= this.bytes.length;
  }

  u8(field: string): number {
    return this.bytes[this.#advance(1, field)]!;
  }

  u16(field: string): number {
    return this.bytes.readUInt16BE(this.#advance(2, field));
  }

  u24(field: string): number {
    return this.bytes.readUIntBE(this.#advance(3, field), 3);
  }

  u32(field: string): number {
    return this.bytes.readUInt32BE(this.#advance(4, field));
  }

  u64(field: string): bigint {
    return this.bytes.readBigUInt64BE(this.#advance(8, field));
  }

  /** The next `length` octets as a view. */
  take(length: number, field: string): Bytes {
    const start = this.#advance(length, field);
    return this.bytes.subarray(start, start + length);
  }

  /** All octets up to the end as a view. */
  rest(): Bytes {
    return this.take(this.remaining, "rest");
  }

  /** A reader over the next `length` octets, which this reader passes over. */
  sub(length: number, field: string): Reader {
    const start = this.#advance(length, field);
    return new Reader(this.bytes.subarray(start, start + length), this.base + start);
  }

  skip(length: number, field: string): void {
    this.#advance(length, field);
  }

  /** Refuses octets left over where the format allows none. */
  end(field: string): void {
    if (!this.atEnd) this.fail(field, `${this.remaining} octets too many`);
  }

  fail(field: string, problem: string): never {
    throw new DecodeError(field, this.base + this.#position, problem);
  }

  #advance(length: number, field: string): number {
    const start = this.#position;
    if (!(length >= 0) || length > this.bytes.length - start) {
      this.fail(field, `needs ${length} octets, ${this.bytes.length - start} left`);
    }
    this.#position = start + length;
    return start;
  }
}
