import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import test from "node:test";
import fc from "fast-check";
import { digest, hmac } from "../../src/bytes/digest.ts";

const octets = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));

for (const algorithm of ["md5", "sha1", "sha256"] as const) {
  test(`digests and HMACs by ${algorithm} are OpenSSL's, however the input comes in parts and whatever the key's length`, () => {
    fc.assert(
      fc.property(octets, fc.array(octets, { maxLength: 4 }), (key, parts) => {
        const whole = Buffer.concat(parts);
        assert.deepEqual(digest(algorithm, ...parts), createHash(algorithm).update(whole).digest());
        assert.deepEqual(hmac(algorithm, key, ...parts), createHmac(algorithm, key).update(whole).digest());
      }),
    );
  });
}

test("a key of exactly a block, and one octet more, and none (RFC 2104 2)", () => {
  for (const length of [0, 63, 64, 65]) {
    const key = Buffer.alloc(length, 0xaa);
    assert.deepEqual(hmac("md5", key, key), createHmac("md5", key).update(key).digest());
  }
});
