import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { createEspCipher, ESP_HEADER, type EspCipher } from "../../src/esp/cipher.ts";
import { EspError, type EspProblem } from "../../src/esp/error.ts";
import { NextHeader, open, readEspHeader, seal } from "../../src/esp/transform.ts";
import { seededRandom } from "../../src/sim/random.ts";
import { octets } from "../ike/codec/arbitrary.ts";
import { CBC, direction, GCM, SUITES } from "./specs.ts";

const TRIPLE_DES = { encryption: "3des-cbc", integrity: "hmac-sha1-96", esn: false } as const;
const gcm = createEspCipher(GCM, direction(GCM, 1));
const cbc = createEspCipher(CBC, direction(CBC, 1));
const tripleDes = createEspCipher(TRIPLE_DES, direction(TRIPLE_DES, 1));
const random = seededRandom("transform");

test("what is sealed comes out again, for every suite, sequence number, length and next header", () => {
  const ciphers = SUITES.flatMap((suite) =>
    [false, true].map((esn) => createEspCipher({ ...suite, esn }, direction({ ...suite, esn }, 1))),
  );
  const sequences = fc.oneof(
    fc.integer({ min: 1, max: 0xffff_ffff }),
    fc.integer({ min: 2 ** 32, max: Number.MAX_SAFE_INTEGER }),
    fc.constantFrom(1, 0xffff_ffff, 2 ** 32, 2 ** 32 + 1),
  );
  const spis = fc.integer({ min: 256, max: 0xffff_ffff });
  fc.assert(
    fc.property(
      fc.constantFrom(...ciphers),
      spis,
      sequences,
      fc.integer({ min: 0, max: 255 }),
      octets(0, 100),
      (cipher, spi, sequence, nextHeader, inner) => {
        const packet = seal(cipher, spi, sequence, nextHeader, inner, random);
        assert.deepEqual(readEspHeader(packet), { spi, sequenceLow: sequence % 2 ** 32 });
        const opened = open(cipher, packet, Math.floor(sequence / 2 ** 32));
        assert.deepEqual({ ...opened }, { nextHeader, payload: inner });
      },
    ),
    { numRuns: 500 },
  );
});

test("the padding is the shortest that aligns, and is 1, 2, 3 ... (RFC 4303 2.4)", () => {
  for (const [cipher, alignment] of [
    [gcm, 4],
    [cbc, 16],
    [tripleDes, 8],
  ] as const) {
    for (let length = 0; length <= 40; length++) {
      const packet = seal(cipher, 1, 1, NextHeader.IPV4, Buffer.alloc(length, 0xee), random);
      const plaintext = cipher.open(packet, 0);
      const padLength = plaintext.length - length - 2;
      assert.equal(plaintext.length % alignment, 0);
      assert.ok(padLength < alignment);
      const trailer = [...Array.from({ length: padLength }, (_, i) => i + 1), padLength, NextHeader.IPV4];
      assert.deepEqual([...plaintext.subarray(length)], trailer);
      assert.equal(packet.length, ESP_HEADER + cipher.ivLength + plaintext.length + cipher.icvLength);
    }
  }
});

test("the IV is the whole sequence number with AES-GCM, and fresh random octets with CBC (RFC 4106 3.1, RFC 3602 3)", () => {
  const ivOf = (packet: Bytes, cipher: EspCipher) => packet.subarray(ESP_HEADER, ESP_HEADER + cipher.ivLength);
  const counted = seal(gcm, 1, 2 ** 32 * 7 + 9, NextHeader.IPV4, Buffer.alloc(20), random);
  assert.equal(ivOf(counted, gcm).toString("hex"), "0000000700000009");
  const drawn = seededRandom("iv").bytes(32);
  const source = seededRandom("iv");
  for (const expected of [drawn.subarray(0, 16), drawn.subarray(16)]) {
    const packet = seal(cbc, 1, 1, NextHeader.IPV4, Buffer.alloc(20), source);
    assert.deepEqual(ivOf(packet, cbc), expected);
  }
});

describe("opening", () => {
  test("takes padding up to 255 octets if it is 1, 2, 3 ...", () => {
    for (const [cipher, padLength] of [
      [gcm, 254],
      [cbc, 252],
      [tripleDes, 252],
    ] as const) {
      const padding = Array.from({ length: padLength }, (_, i) => i + 1);
      const { payload, nextHeader } = open(cipher, withPlaintext(cipher, [9, 9, ...padding, padLength, 4]), 0);
      assert.deepEqual([...payload, nextHeader], [9, 9, 4]);
    }
  });

  test("gives an empty payload where there is only padding", () => {
    const { payload } = open(gcm, withPlaintext(gcm, [1, 2, 2, 59]), 0);
    assert.equal(payload.length, 0);
  });

  test("refuses padding longer than the plaintext, and padding that is not 1, 2, 3 ...", () => {
    for (const [plaintext, message] of [
      [[7, 7, 3, 4], /3 octets, but only 2/],
      [[7, 7, 255, 4], /255 octets, but only 2/],
      [[1, 3, 2, 4], /is not 1, 2, 3/],
      [[0, 0, 2, 4], /is not 1, 2, 3/],
      [[7, 2, 1, 4], /is not 1, 2, 3/],
    ] as const) {
      const packet = withPlaintext(gcm, plaintext);
      refused("BadPadding", () => open(gcm, packet, 0));
      assert.throws(() => open(gcm, packet, 0), message);
    }
    const block = [...Buffer.alloc(12), 1, 1, 2, 4];
    refused("BadPadding", () => open(cbc, withPlaintext(cbc, block), 0));
  });

  test("refuses a packet that ends within its header", () => {
    for (let length = 0; length < ESP_HEADER; length++)
      refused("Truncated", () => readEspHeader(Buffer.alloc(length, 1)));
    assert.deepEqual(readEspHeader(Buffer.alloc(ESP_HEADER, 1)), { spi: 0x01010101, sequenceLow: 0x01010101 });
  });

  test("of any plaintext under the right key gives a payload or BadPadding, and nothing longer than came in", () => {
    fc.assert(
      fc.property(fc.constantFrom(gcm, cbc, tripleDes), octets(1, 20), (cipher, start) => {
        const length = Math.ceil((start.length + 2) / cipher.alignment) * cipher.alignment;
        const plaintext = Buffer.concat([Buffer.alloc(length - start.length), start]);
        const packet = withPlaintext(cipher, [...plaintext]);
        try {
          assert.ok(open(cipher, packet, 0).payload.length <= plaintext.length - 2);
        } catch (error) {
          assert.ok(error instanceof EspError && error.problem === "BadPadding");
        }
      }),
      { numRuns: 1000 },
    );
  });
});

/** A packet whose ICV verifies and whose plaintext is this. */
function withPlaintext(cipher: EspCipher, plaintext: readonly number[]): Bytes {
  const packet = Buffer.concat([
    Buffer.alloc(ESP_HEADER + cipher.ivLength, 1),
    Buffer.from(plaintext),
    Buffer.alloc(cipher.icvLength),
  ]);
  cipher.protect(packet, 0);
  return packet;
}

function refused(problem: EspProblem, run: () => unknown): void {
  assert.throws(run, (error) => error instanceof EspError && error.problem === problem);
}
