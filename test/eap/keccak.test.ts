import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { keccakF1600 } from "../../src/eap/keccak.ts";

/** SHA3-256 made of the permutation (FIPS 202 6.1), to hold it against OpenSSL's. */
function sha3(message: Uint8Array): string {
  const rate = 136;
  const state = Buffer.alloc(200);
  const padded = Buffer.alloc(Math.floor(message.length / rate + 1) * rate);
  padded.set(message);
  padded[message.length]! ^= 0x06;
  padded[padded.length - 1]! ^= 0x80;
  for (let at = 0; at < padded.length; at += rate) {
    for (let i = 0; i < rate; i++) state[i]! ^= padded[at + i]!;
    keccakF1600(state);
  }
  return state.subarray(0, 32).toString("hex");
}

test("SHA3-256 built on the permutation is OpenSSL's SHA3-256", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500, size: "max" }), (message) => {
      assert.equal(sha3(message), createHash("sha3-256").update(message).digest("hex"));
    }),
  );
});

test("a state within a larger buffer is permuted where it lies", () => {
  const around = Buffer.alloc(210, 7);
  const alone = Buffer.alloc(200, 7);
  keccakF1600(around.subarray(5, 205));
  keccakF1600(alone);
  assert.deepEqual(around.subarray(5, 205), alone);
  assert.deepEqual(around.subarray(0, 5), Buffer.alloc(5, 7));
  assert.deepEqual(around.subarray(205), Buffer.alloc(5, 7));
});

test("only 200 octets are a state", () => {
  assert.throws(() => keccakF1600(Buffer.alloc(199)), RangeError);
});
