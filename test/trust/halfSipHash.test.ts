import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { halfSipHash, hashKey } from "../../src/trust/halfSipHash.ts";

const vectors: { key: string; hashes: string[] } = JSON.parse(
  readFileSync(new URL("../vectors/halfsiphash13.json", import.meta.url), "utf8"),
);

test("HalfSipHash-1-3 gives the published hashes, wherever in a buffer the octets lie", () => {
  const key = hashKey(Buffer.from(vectors.key, "hex"));
  for (const [length, hash] of vectors.hashes.entries())
    for (const at of [0, 3]) {
      const bytes = Buffer.concat([Buffer.alloc(at, 0xee), Buffer.from(Array.from({ length }, (_, i) => i))]);
      assert.equal(
        (halfSipHash(bytes, at, at + length, key) >>> 0).toString(16).padStart(8, "0"),
        hash,
        `length ${length}`,
      );
    }
});
