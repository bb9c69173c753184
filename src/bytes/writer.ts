/**
 * A growing output buffer with lengths that are filled in once their content is known. A value that its field cannot hold
 * is a mistake of the caller's and throws RangeError; none is cut silently.
 */
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
    const at = this.#grow(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.#grow(2);
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  u24(value: number): this {
    const at = this.#grow(3);
    this.#buffer.writeUIntBE(value, at, 3);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#grow(8);
    this.#buffer.writeBigUInt64BE(value, at);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  zeros(count: number): this {
    const at = this.#grow(count);
    this.#buffer.fill(0, at, at + count);
    return this;
  }

  /** Overwrites two octets written before; used for lengths known only after their content. */
  patchU16(at: number, value: number): void {
    this.view().writeUInt16BE(value, at);
  }

  patchU8(at: number, value: number): void {
    this.view().writeUInt8(value, at);
  }

  patchU32(at: number, value: number): void {
    this.view().writeUInt32BE(value, at);
  }

  /** The bytes written so far as a view; later writes may or may not show in it. */
  view(): Bytes {
    return this.#buffer.subarray(0, this.#length);
  }

  // Call it before touching #buffer: it may put a larger one in its place.
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
