import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../../src/bytes/reader.ts";
import { describeEap } from "../../../src/eap/describe.ts";
import { encodeEap } from "../../../src/eap/packet.ts";
import { sealRequest } from "../../../src/radius/codec/authenticators.ts";
import { describeAttributes, describeCode } from "../../../src/radius/codec/describe.ts";
import { eapMessage } from "../../../src/radius/codec/eapMessage.ts";
import { mppeKeys } from "../../../src/radius/codec/mppeKeys.ts";
import { Code } from "../../../src/radius/codec/numbers.ts";
import { attribute, decodePacket, type RadiusPacket } from "../../../src/radius/codec/packet.ts";
import { type DescribedPacket, reportPackets } from "../../../src/radius/transport/messageRecord.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";

const SECRET = Buffer.from("a secret of the test");
const packet = (...attributes: RadiusPacket["attributes"]): RadiusPacket => ({
  code: Code.AccessAccept,
  identifier: 1,
  authenticator: Buffer.alloc(16),
  attributes,
});

test("codes have the names of the RFCs", () => {
  const named = Object.values(Code).map((code) => describeCode({ ...packet(), code }));
  assert.deepEqual(named, [
    "Access-Request",
    "Access-Accept",
    "Access-Reject",
    "Accounting-Request",
    "Accounting-Response",
    "Access-Challenge",
    "Status-Server",
    "Disconnect-Request",
    "Disconnect-ACK",
    "Disconnect-NAK",
    "CoA-Request",
    "CoA-ACK",
    "CoA-NAK",
  ]);
  assert.equal(describeCode({ ...packet(), code: 99 }), "code 99");
});

test("attributes are told with their values, octets by their number only, EAP-Message as one, unknown ones by number", () => {
  const told = describeAttributes(
    packet(
      attribute("User-Name", "ap-1.example"),
      attribute("Reply-Message", "two\nlines"),
      attribute("Session-Timeout", 3600),
      attribute("Framed-IP-Address", "10.64.0.1"),
      attribute("Event-Timestamp", 1_790_000_000_000),
      attribute("State", Buffer.from("state")),
      ...eapMessage(Buffer.alloc(300)),
      attribute("Message-Authenticator", Buffer.alloc(16)),
      { type: 200, vendor: 0, value: Buffer.alloc(3) },
      { type: 1, vendor: 9, value: Buffer.alloc(3) },
      { type: 27, vendor: 0, value: Buffer.alloc(3) },
    ),
  );
  assert.deepEqual(told, [
    "User-Name=ap-1.example",
    "Reply-Message=two?lines",
    "Session-Timeout=3600",
    "Framed-IP-Address=10.64.0.1",
    "Event-Timestamp=2026-09-21T14:13:20.000Z",
    "State(5 octets)",
    "attribute 200",
    "attribute 9:1",
    "Session-Timeout(malformed)",
    "EAP-Message(300 octets)",
  ]);
});

test("an EAP packet is told by whoever knows EAP, whole, and never by its content", () => {
  const identity = encodeEap({ kind: "response", id: 1, content: { kind: "identity", text: Buffer.alloc(400, "x") } });
  assert.deepEqual(describeAttributes(packet(...eapMessage(identity)), describeEap), [
    "EAP-Message(response Identity)",
  ]);
  assert.deepEqual(describeAttributes(packet(...eapMessage(Buffer.alloc(0))), describeEap), ["EAP-Message(empty)"]);
  assert.deepEqual(describeAttributes(packet(...eapMessage(Buffer.alloc(3))), describeEap), ["EAP-Message(malformed)"]);
});

test("keys are not told, hidden or not", () => {
  const msk = Buffer.alloc(64, 0x5a);
  const keys = mppeKeys(msk, SECRET, Buffer.alloc(16), systemEnvironment.random);
  assert.deepEqual(describeAttributes(packet(...keys)), ["MS-MPPE-Recv-Key(50 octets)", "MS-MPPE-Send-Key(50 octets)"]);
});

test("a packet is handed on as a record with a sentence; octets that are none are not, whatever they are", () => {
  const reported: DescribedPacket[] = [];
  const trace = reportPackets((described) => reported.push(described));
  const octets = sealRequest(Code.AccessRequest, 7, [attribute("User-Name", "ap-1")], SECRET, Buffer.alloc(16, 1));
  trace("sent", octets, "aaa");
  assert.deepEqual(reported, [
    {
      text: "sent Access-Request 7 to aaa: User-Name=ap-1",
      record: {
        event: "radiusMessage",
        direction: "sent",
        peer: "aaa",
        code: "Access-Request",
        identifier: 7,
        attributes: ["User-Name=ap-1"],
        bytes: octets.length,
      },
    },
  ]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (random, framed) => {
      const bytes = Buffer.from(random);
      if (framed && bytes.length >= 20) bytes.writeUInt16BE(bytes.length, 2);
      const before = reported.length;
      trace("received", bytes, "192.0.2.1:1812");
      let sound = true;
      try {
        decodePacket(bytes);
      } catch (error) {
        assert.ok(error instanceof DecodeError);
        sound = false;
      }
      assert.equal(reported.length - before, sound ? 1 : 0);
      assert.match(reported.at(-1)!.text, /^[\x20-\x7e]*$/);
    }),
  );
});
