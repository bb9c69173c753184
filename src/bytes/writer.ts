/** A growing output buffer with lengths that are filled in once their content is known. */
import type { Bytes } from "./bytes.ts";

export class Writer {
  #buffer: Bytes;
  #length = 0;

  constructor(expected = 512) {
    this.#buffer = Buffer.allocUnsafe(expected);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#buffer[this.#grow(1)] = value;
    return this;
  }

  u16(value: number): this {
    this.#buffer.writeUInt16BE(value, this.#grow(2));
    return this;
  }

  u24(value: number): this {
    this.#buffer.writeUIntBE(value, this.#grow(3), 3);
    return this;
  }

  u32(value: number): this {
    this.#buffer.writeUInt32BE(value, this.#grow(4));
    return this;
  }

  u64(value: bigint): this {
    this.#buffer.writeBigUInt64BE(value, this.#grow(8));
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#buffer.set(bytes, this.#grow(bytes.length));
    return this;
  }

  zeros(count: number): this {
    const at = this.#grow(count);
    this.#buffer.fill(0, at, at + count);
    return this;
  }

  /** Overwrites two octets written before; used for lengths known only after their content. */
  patchU16(at: number, value: number): void {
    this.#buffer.writeUInt16BE(value, at);
  }

  patchU8(at: number, value: number): void {
    this.#buffer[at] = value;
  }

  patchU32(at: number, value: number): void {
    this.#buffer.writeUInt32BE(value, at);
  }

  /** The bytes written so far as a view; later writes may or may not show in it. */
  view(): Bytes {
    return this.#buffer.subarray(0, this.#length);
  }

  #grow(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    this.#length = needed;
    return at;
  }
}
