import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromPem, toPem } from "../../src/x509/pem.ts";

test("blocks of one label read back in order, whatever stands between them", () => {
  const der = fc.uint8Array({ minLength: 1, maxLength: 200 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(fc.array(der, { maxLength: 4 }), (blocks) => {
      const text = blocks.map((block) => `subject=CN\n${toPem("CERTIFICATE", block)}${toPem("PRIVATE KEY", block)}`);
      assert.deepEqual(fromPem(text.join("\n"), "CERTIFICATE"), blocks);
    }),
  );
});

test("lines have at most 64 characters", () => {
  const lines = toPem("CERTIFICATE", Buffer.alloc(100)).split("\n");
  assert.ok(lines.every((line) => line.length <= 64));
});

test("text without blocks gives none, and an unfinished block does not stall the reader", () => {
  assert.deepEqual(fromPem("nothing here", "CERTIFICATE"), []);
  assert.deepEqual(fromPem("-----BEGIN CERTIFICATE-----\n".repeat(1000) + "A".repeat(10_000), "CERTIFICATE"), []);
});
