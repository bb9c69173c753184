/** What ladders and logs say of EAP packets. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { encodeAkaMessage } from "../../src/eap/aka/message.ts";
import { AKA, AKA_PRIME } from "../../src/eap/aka/variant.ts";
import { describeEap } from "../../src/eap/describe.ts";
import { encodeEap } from "../../src/eap/packet.ts";

const SECRET = Buffer.alloc(16, "s3cret");

test("a message of EAP-AKA is told by its subtype and the names of its attributes, never their values", () => {
  const challenge = encodeAkaMessage(
    "request",
    AKA,
    1,
    "challenge",
    { AT_RAND: SECRET, AT_AUTN: SECRET },
    { kAut: SECRET },
  );
  assert.equal(describeEap(challenge), "request AKA-Challenge RAND AUTN MAC");
  const answer = encodeAkaMessage("response", AKA_PRIME, 1, "challenge", { AT_RES: SECRET }, { kAut: SECRET });
  assert.equal(describeEap(answer), "response AKA'-Challenge RES MAC");
  const failed = encodeAkaMessage("response", AKA, 1, "synchronizationFailure", { AT_AUTS: Buffer.alloc(14) });
  assert.equal(describeEap(failed), "response AKA-SynchronizationFailure AUTS");
});

test("other packets are told by what they are", () => {
  const name = Buffer.from("0001010000000001@example");
  for (const [packet, text] of [
    [{ kind: "success", id: 1 }, "success"],
    [{ kind: "request", id: 1, content: { kind: "identity", text: name } }, "request Identity"],
    [{ kind: "response", id: 1, content: { kind: "nak", desired: [50, 99] } }, "response Nak AKA' type 99"],
    [{ kind: "request", id: 1, content: { kind: "method", type: 13, body: SECRET } }, "request TLS"],
    [
      { kind: "request", id: 1, content: { kind: "method", type: 23, body: Buffer.of(77, 0, 0, 200, 1, 0, 0) } },
      "request AKA-subtype 77 attribute 200",
    ],
    [{ kind: "request", id: 1, content: { kind: "method", type: 23, body: Buffer.of(1) } }, "request AKA-Challenge"],
  ] as const)
    assert.equal(describeEap(encodeEap(packet)), text);
  assert.equal(describeEap(Buffer.of(9, 1, 0, 4)), "malformed");
});

test("whatever comes, the text is short and printable", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), (octets) => {
      const packet = Buffer.from(octets);
      if (packet.length > 4) [packet[0], packet[4]] = [1 + (packet[0]! % 2), 23 + (packet[4]! % 2) * 27];
      if (packet.length > 3) packet.writeUInt16BE(packet.length, 2);
      const text = describeEap(packet);
      assert.match(text, /^[\x20-\x7e]+$/);
      assert.ok(text.length < 2_000);
    }),
  );
});
