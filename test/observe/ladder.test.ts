import assert from "node:assert/strict";
import test from "node:test";
import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { ikeLadderMessage, type LadderEntry, type LadderStyle, ladderLines } from "../../src/observe/ladder.ts";

test("a message and its answer are two rungs, the device left, and payloads stand beneath within 80 columns", () => {
  const sent = {
    direction: "sent" as const,
    header: { exchangeType: 35, response: false, messageId: 1 },
    payloads: ["IDi(ap-1.example)", "CERT(X.509, 1200 octets)", "AUTH(DIGITAL_SIGNATURE)", "CP(REQUEST IP4)"],
    fragments: 2,
    bytes: 2441,
  };
  const parties = { self: "ap-1.example", peer: "segw.example" };
  assert.deepEqual(ladderLines(ikeLadderMessage(sent, parties, 1012), PLAIN), [
    "   0.012 ap-1.example     ─ IKEv2 IKE_AUTH request 1 ─────────▶ segw.example",
    "                          │ IDi(ap-1.example) · CERT(X.509, 1200 octets)",
    "                          │ AUTH(DIGITAL_SIGNATURE) · CP(REQUEST IP4)",
    "                          │ 2441 octets in 2 fragments",
  ]);
  const received = {
    direction: "received" as const,
    header: { exchangeType: 37, response: true, messageId: 2 },
    payloads: [],
    fragments: 1,
    bytes: 80,
  };
  assert.deepEqual(ladderLines(ikeLadderMessage(received, parties, 2000), { ...PLAIN, unicode: false }), [
    "   1.000 ap-1.example     <- IKEv2 INFORMATIONAL response 2 --- segw.example",
    "                          | 80 octets",
  ]);
});

test("between two parties of the network the one nearer to the devices stands left", () => {
  const answer: LadderEntry = {
    kind: "message",
    at: 1000,
    from: "AAA",
    to: "segw.example",
    protocol: "Diameter",
    title: "DEA 1001",
    details: [],
  };
  assert.deepEqual(ladderLines(answer, PLAIN), ["   0.000 segw.example     ◀─ Diameter DEA 1001 ──────────────── AAA"]);
});

test("a verdict is told with its mark, whose it is, and what it rests on", () => {
  const note: LadderEntry = {
    kind: "note",
    at: 1500,
    who: "segw.example",
    verdict: "bad",
    text: "certificate of ap-1.example is revoked",
    details: ["OCSP revoked (keyCompromise)"],
  };
  assert.deepEqual(ladderLines(note, { ...PLAIN, colour: true }).map(stripVTControlCharacters), [
    "   0.500 segw.example     ✘ certificate of ap-1.example is revoked",
    "                          │ OCSP revoked (keyCompromise)",
  ]);
  assert.ok(ladderLines(note, { ...PLAIN, colour: true })[0]!.includes("\u001b[31m✘"));
});

test("no line is wider than the terminal, whatever a peer puts into names and payloads, and nothing of it controls it", () => {
  fc.assert(
    fc.property(ENTRY, fc.integer({ min: 60, max: 200 }), fc.boolean(), (entry, width, unicode) => {
      for (const line of ladderLines(entry, { ...PLAIN, width, unicode })) {
        assert.ok(columns(line) <= width, `${columns(line)} columns of ${width}: ${line}`);
        assert.doesNotMatch(line, unicode ? /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u : /[^\x20-\x7e]/);
      }
    }),
  );
});

test("every word of a message's payloads is shown, and colour changes no character", () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[A-Za-z0-9(), |]{1,90}$/), { maxLength: 8 }), (details) => {
      const entry: LadderEntry = {
        kind: "message",
        at: 1000,
        from: "a",
        to: "segw.example",
        protocol: "P",
        title: "T",
        details,
      };
      const lines = ladderLines(entry, PLAIN);
      const text = (parts: readonly string[]) => parts.join("").replaceAll(/[ │·]/g, "");
      assert.equal(text(lines.slice(1)), text(details));
      assert.deepEqual(ladderLines(entry, { ...PLAIN, colour: true }).map(stripVTControlCharacters), lines);
    }),
  );
});

const PLAIN: LadderStyle = {
  width: 80,
  unicode: true,
  colour: false,
  start: 1000,
  inwards: ["segw.example", "AAA", "HSS"],
};

const TEXT = fc.oneof(fc.string({ unit: "binary", maxLength: 80 }), fc.string({ unit: "grapheme", maxLength: 80 }));
const ENTRY: fc.Arbitrary<LadderEntry> = fc.oneof(
  fc.record({
    kind: fc.constant("message" as const),
    at: fc.integer({ min: 1000, max: 1_000_000_000 }),
    from: TEXT,
    to: TEXT,
    protocol: TEXT,
    title: TEXT,
    details: fc.array(TEXT, { maxLength: 5 }),
    octets: fc.nat(70_000),
  }),
  fc.record({
    kind: fc.constant("note" as const),
    at: fc.integer({ min: 1000, max: 1_000_000_000 }),
    who: TEXT,
    verdict: fc.constantFrom("good", "bad", "doubtful", "neutral"),
    text: TEXT,
    details: fc.array(TEXT, { maxLength: 5 }),
  }),
);

/** A count of its own: two columns for what terminals draw wide, one for each other cluster. */
function columns(line: string): number {
  const wide = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}]/u;
  return [...new Intl.Segmenter("en").segment(line)].reduce(
    (sum, { segment }) => sum + (wide.test(segment) ? 2 : 1),
    0,
  );
}
