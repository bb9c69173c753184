import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../../src/bytes/reader.ts";
import { sealRequest, sealResponse, verifyRequest, verifyResponse } from "../../../src/radius/codec/authenticators.ts";
import { ATTRIBUTES, type AttributeName, attributeName } from "../../../src/radius/codec/dictionary.ts";
import { eapMessage, eapOf } from "../../../src/radius/codec/eapMessage.ts";
import { mppeKeys, mskOf } from "../../../src/radius/codec/mppeKeys.ts";
import { Code } from "../../../src/radius/codec/numbers.ts";
import {
  attribute,
  attributeOf,
  attributesOf,
  decodePacket,
  encodePacket,
  packetStream,
  type RadiusPacket,
} from "../../../src/radius/codec/packet.ts";
import { seededRandom } from "../../../src/sim/random.ts";
import { attributes, mutated, octets, packet, withOwnLength } from "./arbitrary.ts";

const SECRET = Buffer.from("xyzzy5461");
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

/** RFC 2865 7.1, "User Telnet to Specified Host". */
const RFC2865_REQUEST = hex(`
  01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a 01 06 6e 65 6d 6f 02 12 0d be 70 8d
  93 d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8 01 10 05 06 00 00 00 03`);
const RFC2865_ACCEPT = hex(`
  02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2 06 06 00 00 00 01 0f 06 00 00 00 00
  0e 06 c0 a8 01 03`);

test("every packet that can be encoded decodes to itself", () => {
  fc.assert(
    fc.property(packet, (one) => {
      assert.deepEqual(decodePacket(encodePacket(one)), one);
    }),
    { numRuns: 500 },
  );
});

test("the packets of RFC 2865 7.1 decode, and the Response Authenticator there is the one computed here", () => {
  const request = decodePacket(RFC2865_REQUEST);
  assert.equal(request.code, Code.AccessRequest);
  assert.equal(attributeOf(request, "User-Name"), "nemo");
  assert.equal(attributeOf(request, "NAS-IP-Address"), "192.168.1.16");
  assert.equal(attributeOf(request, "NAS-Port"), 3);
  // The authenticator is right; what the packet of 2000 lacks is the Message-Authenticator.
  assert.equal(verifyResponse(RFC2865_ACCEPT, request.authenticator, SECRET), "NoMessageAuthenticator");
  assert.equal(verifyResponse(RFC2865_ACCEPT, request.authenticator, Buffer.from("other")), "WrongAuthenticator");
  assert.equal(verifyRequest(RFC2865_REQUEST, SECRET), "NoMessageAuthenticator");
});

test("random and damaged octets give a packet or a DecodeError, and so do the values in it", () => {
  const names = Object.keys(ATTRIBUTES) as AttributeName[];
  const input = fc.oneof(
    octets(0, 300),
    octets(0, 300).map(withOwnLength),
    mutated(packet.map(encodePacket)).map(withOwnLength),
  );
  fc.assert(
    fc.property(input, fc.constantFrom(...names), (bytes, name) => {
      try {
        const decoded = decodePacket(bytes);
        assert.ok(decoded.attributes.length * 2 <= bytes.length);
        attributesOf(decoded, name);
      } catch (error) {
        assert.ok(error instanceof DecodeError, `${error}`);
      }
    }),
    { numRuns: 2000 },
  );
});

test("what follows the length is padding; a length beyond the datagram or out of bounds is refused (RFC 2865 3)", () => {
  const padded = Buffer.concat([RFC2865_ACCEPT, Buffer.alloc(7)]);
  assert.deepEqual(decodePacket(padded), decodePacket(RFC2865_ACCEPT));
  assert.throws(() => decodePacket(RFC2865_ACCEPT.subarray(0, 37)), DecodeError);
  for (const length of [19, 4097]) {
    const wrong = Buffer.alloc(5000);
    wrong.writeUInt16BE(length, 2);
    assert.throws(() => decodePacket(wrong), DecodeError, String(length));
  }
  const one = (value: string) => decodePacket(withOwnLength(Buffer.concat([Buffer.alloc(20), hex(value)])));
  assert.throws(() => one("0101"), /less than its own header/);
  assert.throws(() => one("0103"), DecodeError);
  assert.throws(() => one("01"), DecodeError);
});

test("a packet or attribute too long for its length field is not encoded", () => {
  const value = Buffer.alloc(254);
  const make = (list: RadiusPacket["attributes"]) => () =>
    encodePacket({ code: 1, identifier: 0, authenticator: Buffer.alloc(16), attributes: list });
  assert.throws(make([{ type: 1, vendor: 0, value }]), RangeError);
  assert.throws(make([{ type: 1, vendor: 9, value: value.subarray(0, 248) }]), RangeError);
  assert.throws(make(new Array(17).fill({ type: 1, vendor: 0, value: value.subarray(0, 253) })), RangeError);
});

test("a Vendor-Specific attribute holds several of a vendor's, and stays whole if it does not look so", () => {
  const read = (value: string) => decodePacket(withOwnLength(Buffer.concat([Buffer.alloc(20), hex(value)]))).attributes;
  assert.deepEqual(read("1a0c 00000137 1003aa 1103bb"), [
    { type: 16, vendor: 311, value: hex("aa") },
    { type: 17, vendor: 311, value: hex("bb") },
  ]);
  for (const odd of ["00000137 1001", "00000137 1004aa", "00000137 1003aa11", "00000137", "00000000 0103aa"]) {
    const value = hex(odd);
    assert.deepEqual(read(`1a${(value.length + 2).toString(16).padStart(2, "0")}${odd}`), [
      { type: 26, vendor: 0, value },
    ]);
  }
});

test("a value of a wrong length is refused by name", () => {
  const wrong = decodePacket(withOwnLength(Buffer.concat([Buffer.alloc(20), hex("1b05000001")])));
  assert.throws(() => attributeOf(wrong, "Session-Timeout"), /Session-Timeout .* 3 octets/);
  const text = decodePacket(withOwnLength(Buffer.concat([Buffer.alloc(20), hex("0104c328")])));
  assert.throws(() => attributeOf(text, "User-Name"), /holds no text/);
});

test("what is sealed is believed with the same secret, and not with another, nor after any change", () => {
  const codes = [
    Code.AccessRequest,
    Code.StatusServer,
    Code.AccountingRequest,
    Code.CoaRequest,
    Code.DisconnectRequest,
  ];
  fc.assert(
    fc.property(fc.constantFrom(...codes), attributes, octets(16, 16), fc.nat(), (code, list, random, where) => {
      const sealed = sealRequest(code, 7, list.slice(0, 8), SECRET, random);
      assert.equal(verifyRequest(sealed, SECRET), undefined);
      assert.notEqual(verifyRequest(sealed, Buffer.from("other")), undefined);
      const changed = Buffer.from(sealed);
      // Any octet but those of the length field, which the decoder holds against the packet.
      const at = where % changed.length;
      if (at === 2 || at === 3) return;
      changed[at]! ^= 0x01;
      if (at === 0) return;
      assert.notEqual(verifyRequest(changed, SECRET), undefined, `octet ${at}`);
    }),
    { numRuns: 300 },
  );
});

test("an answer is believed for its own request only, and never without Message-Authenticator", () => {
  const request = { code: Code.AccessRequest, identifier: 9, authenticator: Buffer.alloc(16, 1) };
  for (const code of [
    Code.AccessAccept,
    Code.AccessReject,
    Code.AccessChallenge,
    Code.CoaAck,
    Code.AccountingResponse,
  ]) {
    const answer = sealResponse(code, request, [attribute("Reply-Message", "hello")], SECRET);
    assert.equal(verifyResponse(answer, request.authenticator, SECRET), undefined);
    assert.equal(verifyResponse(answer, Buffer.alloc(16, 2), SECRET), "WrongAuthenticator");
    assert.equal(answer[20], 80, "Message-Authenticator is the first attribute");
  }
});

test("accounting carries no Message-Authenticator, an answer to Status-Server does (RFC 2869 5.19, RFC 5997 3)", () => {
  const has = (bytes: Buffer) => decodePacket(bytes).attributes.some(({ type }) => type === 80);
  const request = { code: Code.AccountingRequest, identifier: 9, authenticator: Buffer.alloc(16, 1) };
  assert.equal(has(sealRequest(Code.AccountingRequest, 1, [], SECRET, Buffer.alloc(16))), false);
  assert.equal(has(sealResponse(Code.AccountingResponse, request, [], SECRET)), false);
  assert.equal(has(sealResponse(Code.AccountingResponse, { ...request, code: Code.StatusServer }, [], SECRET)), true);
});

test("a packet with a second Message-Authenticator is not believed", () => {
  const sealed = sealRequest(Code.AccessRequest, 1, [], SECRET, Buffer.alloc(16, 3));
  const twice = withOwnLength(Buffer.concat([sealed, sealed.subarray(20)]));
  assert.equal(verifyRequest(twice, SECRET), "RepeatedMessageAuthenticator");
});

test("an EAP packet of any length comes back from its attributes, an empty one as EAP-Start", () => {
  fc.assert(
    fc.property(octets(0, 3000), (eap) => {
      const parts = eapMessage(eap);
      assert.equal(parts.length, Math.max(1, Math.ceil(eap.length / 253)));
      const carried = { code: 1, identifier: 0, authenticator: Buffer.alloc(16), attributes: parts };
      assert.deepEqual(eapOf(decodePacket(encodePacket(carried))), eap);
    }),
  );
  assert.equal(eapOf({ code: 1, identifier: 0, authenticator: Buffer.alloc(16), attributes: [] }), undefined);
});

test("an MSK comes back from its two attributes with secret and authenticator, and from neither without", () => {
  fc.assert(
    fc.property(octets(64, 64), octets(16, 16), fc.nat(), (msk, authenticator, seed) => {
      const parts = mppeKeys(msk, SECRET, authenticator, seededRandom(seed));
      const salts = parts.map(({ value }) => value.subarray(0, 2).toString("hex"));
      assert.notEqual(salts[0], salts[1]);
      for (const { value } of parts) assert.ok(value[0]! >= 0x80 && value.length === 2 + 48);
      const carried = { code: 2, identifier: 0, authenticator, attributes: parts };
      assert.deepEqual(mskOf(carried, SECRET, authenticator), msk);
      assert.notDeepEqual(mskOf(carried, Buffer.from("other"), authenticator), msk);
      assert.equal(mskOf({ ...carried, attributes: parts.slice(1) }, SECRET, authenticator), undefined);
    }),
    { numRuns: 50 },
  );
});

test("damaged key attributes give no key, and never throw", () => {
  fc.assert(
    fc.property(octets(0, 100), octets(0, 100), (receive, send) => {
      const parts = [attribute("MS-MPPE-Recv-Key", receive), attribute("MS-MPPE-Send-Key", send)];
      const carried = { code: 2, identifier: 0, authenticator: Buffer.alloc(16), attributes: parts };
      assert.ok([undefined, 64].includes(mskOf(carried, SECRET, Buffer.alloc(16))?.length));
    }),
  );
});

test("the octets of a stream give the same packets however they are cut", () => {
  fc.assert(
    fc.property(
      fc.array(packet.map(encodePacket), { maxLength: 4 }),
      fc.array(fc.nat(), { maxLength: 30 }),
      (packets, cuts) => {
        const whole = Buffer.concat(packets);
        const places = [...cuts.map((cut) => cut % (whole.length + 1)), whole.length].sort((a, b) => a - b);
        const stream = packetStream();
        const seen: Buffer[] = [];
        let from = 0;
        for (const to of places) {
          seen.push(...stream.push(whole.subarray(from, to)));
          from = to;
        }
        assert.deepEqual(seen.map(String), packets.map(String));
      },
    ),
  );
  assert.throws(() => packetStream().push(hex("01001001")), DecodeError);
});

test("attribute numbers are unique", () => {
  for (const [name, { type, vendor }] of Object.entries(ATTRIBUTES)) assert.equal(attributeName(type, vendor), name);
});
