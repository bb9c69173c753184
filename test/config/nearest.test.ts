import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nearest } from "../../src/config/nearest.ts";

const KNOWN = ["listen", "address", "port", "pools", "id", "pki", "lab", "signatureAlgorithms"];

test("a slip of the fingers finds the word that was meant", () => {
  const slips: Record<string, string> = {
    lisen: "listen",
    lissten: "listen",
    lizten: "listen",
    lsiten: "listen",
    Listen: "listen",
    LISTEN: "listen",
    prot: "port",
    pot: "port",
    pki: "pki",
    pik: "pki",
    lba: "lab",
    adres: "address",
    signature_algorithm: "signatureAlgorithms",
    "signature-algorithms": "signatureAlgorithms",
    ip: "id",
  };
  for (const [slip, meant] of Object.entries(slips)) assert.equal(nearest(slip, KNOWN), meant, slip);
});

test("a word that is like none is not guessed at", () => {
  for (const word of ["", "x", "xy", "verbose", "pxyz", "zzzport", "signature", "lxyzen"])
    assert.equal(nearest(word, KNOWN), undefined, word);
  assert.equal(nearest("listen", []), undefined);
});

test("of several near words the nearest is taken, the first of equals", () => {
  assert.equal(nearest("ports", ["pools", "port", "posts"]), "port");
  assert.equal(nearest("cat", ["bat", "hat"]), "bat");
  assert.equal(nearest("prot", ["prop", "port"]), "prop", "two letters swapped are a slip as one replaced is");
  assert.equal(nearest("ba", ["xb"]), undefined, "no letters are swapped here");
  assert.equal(nearest("id", ["ID"]), "ID");
});

test("a known word is itself, and one letter dropped, doubled or two swapped are seen through", () => {
  const words = ["replayWindow", "rekeyBefore", "outerAddress"];
  fc.assert(
    fc.property(fc.constantFrom(...words), fc.nat(), fc.constantFrom("drop", "double", "swap"), (word, where, slip) => {
      assert.equal(nearest(word, words), word);
      const at = where % (word.length - 1);
      const [head, tail] = [word.slice(0, at), word.slice(at)];
      const slipped = {
        drop: head + tail.slice(1),
        double: head + word[at] + tail,
        swap: head + tail[1] + tail[0] + tail.slice(2),
      };
      assert.equal(nearest(slipped[slip], words), word);
    }),
  );
});
