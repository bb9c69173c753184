import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { Tag } from "../../src/der/reader.ts";
import { element } from "../../src/der/writer.ts";
import { BackwardWriter } from "../../src/x509/backwardWriter.ts";

type Tree = { octets: Bytes } | { tag: number; inner: Tree[] };

const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.uint8Array({ maxLength: 300 }).map((octets) => ({ octets: Buffer.from(octets) })),
    fc.record({
      tag: fc.constantFrom(Tag.SEQUENCE, Tag.OCTET_STRING, 0xa0),
      inner: fc.array(tie("tree"), { maxLength: 4 }),
    }),
  ),
}));

test("any structure comes out as der/writer makes it, in room that just suffices", () => {
  fc.assert(
    fc.property(tree, (structure) => {
      const expected = forward(structure);
      const out = new BackwardWriter(expected.length);
      backward(out, structure);
      assert.deepEqual(out.view(), expected);
      if (expected.length > 0)
        assert.throws(() => backward(new BackwardWriter(expected.length - 1), structure), RangeError);
    }),
  );
});

test("lengths at the edges of their forms", () => {
  for (const length of [0, 127, 128, 255, 256, 65_535, 65_536]) {
    const content = Buffer.alloc(length, 7);
    const out = new BackwardWriter(length + 8);
    out.bytes(content).element(Tag.OCTET_STRING, length + 8);
    assert.ok(out.view().equals(element(Tag.OCTET_STRING, content)), String(length));
  }
});

function forward(structure: Tree): Bytes {
  return "octets" in structure ? structure.octets : element(structure.tag, ...structure.inner.map(forward));
}

function backward(out: BackwardWriter, structure: Tree): void {
  if ("octets" in structure) return void out.bytes(structure.octets);
  const end = out.mark;
  for (const one of structure.inner.toReversed()) backward(out, one);
  out.element(structure.tag, end);
}
