import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Avp, MAX_AVPS } from "../../../src/diameter/codec/avp.ts";
import {
  AA,
  CapabilitiesExchange,
  COMMANDS,
  type CommandDefinition,
  DeviceWatchdog,
  DiameterEap,
  MultimediaAuth,
  makeAnswer,
  makeErrorAnswer,
  makeRequest,
  readAnswer,
  readRequest,
} from "../../../src/diameter/codec/commands.ts";
import { describeAvps, describeCommand } from "../../../src/diameter/codec/describe.ts";
import { AVPS, type AvpDefinition, avpName } from "../../../src/diameter/codec/dictionary.ts";
import { DiameterError } from "../../../src/diameter/codec/error.ts";
import { readValues, writeValues } from "../../../src/diameter/codec/grammar.ts";
import {
  type DiameterHeader,
  type DiameterMessage,
  decodeMessage,
  encodeMessage,
  MAX_MESSAGE,
  messageStream,
  peekHeader,
} from "../../../src/diameter/codec/message.ts";
import { Application, ResultCode } from "../../../src/diameter/codec/numbers.ts";
import { describeEap } from "../../../src/eap/describe.ts";
import { avps, header, mutated, nested, octets, valuesOf, withOwnLength } from "./arbitrary.ts";

const HEADER: DiameterHeader = {
  request: true,
  proxiable: true,
  error: false,
  retransmitted: false,
  command: 268,
  application: Application.SWm,
  hopByHop: 1,
  endToEnd: 2,
};
const ORIGIN = { host: "aaa.example", realm: "example" };

const eapRequest = {
  "Session-Id": "segw.example;1;2",
  "Auth-Application-Id": Application.SWm,
  "Origin-Host": "segw.example",
  "Origin-Realm": "example",
  "Destination-Realm": "example",
  "Auth-Request-Type": 3,
  "EAP-Payload": Buffer.from("0201000401", "hex"),
};

test("every message that can be encoded decodes to itself", () => {
  fc.assert(
    fc.property(header, avps, (head, content) => {
      assert.deepEqual(decodeMessage(encodeMessage({ header: head, avps: content })), { header: head, avps: content });
    }),
    { numRuns: 500 },
  );
});

test("all values that a command's grammar allows come back from its octets", () => {
  for (const definition of COMMANDS.values()) {
    for (const grammar of [definition.request, definition.answer]) {
      fc.assert(
        fc.property(valuesOf(grammar), (values) => {
          const message = { header: HEADER, avps: writeValues(grammar, values) };
          assert.deepEqual(readValues(grammar, decodeMessage(encodeMessage(message)).avps, "test"), values);
        }),
        { numRuns: 40 },
      );
    }
  }
});

test("a watchdog request has the octets that RFC 6733 3 and 5.5.1 draw", () => {
  const request = makeRequest(DeviceWatchdog, Application.common, 0x0a0b0c0d, {
    "Origin-Host": "a.example",
    "Origin-Realm": "example",
    "Origin-State-Id": 7,
  });
  request.header.hopByHop = 0x01020304;
  const expected = [
    "01 000044 80 000118 00000000 01020304 0a0b0c0d", // version, length, R, 280, application 0
    "00000108 40 000011 612e6578616d706c65 000000", // Origin-Host, M, 17 octets, padded to 20
    "00000128 40 00000f 6578616d706c65 00", // Origin-Realm
    "00000116 40 00000c 00000007", // Origin-State-Id
  ];
  const bytes = Buffer.from(expected.join("").replaceAll(" ", ""), "hex");
  assert.equal(encodeMessage(request).toString("hex"), bytes.toString("hex"));
});

test("a vendor's AVP carries its Vendor-Id and the V bit (RFC 6733 4.1)", () => {
  const [avp] = writeValues(MultimediaAuth.request, {
    ...swx(),
    "SIP-Number-Auth-Items": 1,
    "SIP-Auth-Data-Item": {},
  }).filter((one) => one.code === 607);
  const bytes = encodeMessage({ header: HEADER, avps: [avp!] });
  assert.equal(bytes.subarray(20).toString("hex"), "0000025fc0000010000028af00000001");
});

test("random octets give a message or a DiameterError", () => {
  fc.assert(
    fc.property(octets(0, 400), (bytes) => {
      decodesOrRefuses(bytes);
      decodesOrRefuses(withOwnLength(bytes));
    }),
    { numRuns: 1000 },
  );
});

test("a damaged message gives a message or a DiameterError, and never more AVPs than its octets pay for", () => {
  const message = fc.tuple(header, avps).map(([head, content]) => encodeMessage({ header: head, avps: content }));
  fc.assert(
    fc.property(mutated(message).map(withOwnLength), (bytes) => {
      const decoded = decodesOrRefuses(bytes);
      if (decoded !== undefined) assert.ok(decoded.avps.length * 8 <= bytes.length);
    }),
    { numRuns: 2000 },
  );
});

test("an EAP packet is told by whoever knows EAP, and by its length where nobody does", () => {
  const avps = [
    { code: AVPS["EAP-Payload"].code, vendor: 0, mandatory: true, data: Buffer.from("0201000a016170403031", "hex") },
    { code: AVPS["EAP-Payload"].code, vendor: 0, mandatory: true, data: Buffer.alloc(0) },
  ];
  const message = { header: HEADER, avps };
  assert.deepEqual(describeAvps(message, describeEap), ["EAP-Payload(response Identity)", "EAP-Payload(empty)"]);
  assert.deepEqual(describeAvps(message), ["EAP-Payload(10 octets)", "EAP-Payload(0 octets)"]);
});

test("a damaged command gives values or a DiameterError, and its description is printable", () => {
  for (const definition of COMMANDS.values()) {
    const made = valuesOf(definition.request).map((values) =>
      encodeMessage({ header: { ...HEADER, command: definition.code }, avps: writeValues(definition.request, values) }),
    );
    fc.assert(
      fc.property(mutated(made).map(withOwnLength), (bytes) => {
        const decoded = decodesOrRefuses(bytes);
        if (decoded === undefined) return;
        for (const text of [describeCommand(decoded), ...describeAvps(decoded, describeEap)])
          assert.match(text, /^[\x20-\x7e]+$/);
        try {
          readRequest(definition, decoded);
        } catch (error) {
          assert.ok(error instanceof DiameterError, `${error}`);
          const answer = makeErrorAnswer(decoded, ORIGIN, { ...error, message: error.message });
          decodeMessage(encodeMessage(answer));
        }
      }),
      { numRuns: 60 },
    );
  }
});

test("the octets of a stream give the same messages however they are cut", () => {
  const message = fc.tuple(header, avps).map(([head, content]) => encodeMessage({ header: head, avps: content }));
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 30 }), (messages, cuts) => {
      const whole = Buffer.concat(messages);
      const places = [...cuts.map((cut) => cut % (whole.length + 1)), whole.length].sort((a, b) => a - b);
      const stream = messageStream();
      const seen: Buffer[] = [];
      let from = 0;
      for (const to of places) {
        seen.push(...stream.push(whole.subarray(from, to)));
        from = to;
      }
      assert.deepEqual(
        seen.map((bytes) => bytes.toString("hex")),
        messages.map((bytes) => bytes.toString("hex")),
      );
    }),
  );
});

test("a stream refuses a length that no message has at its fourth octet", () => {
  for (const start of ["02000014", "01000010", "01000015", "01ffffff", "01020004"])
    assert.throws(() => messageStream().push(Buffer.from(start, "hex")), DiameterError, start);
  assert.deepEqual(messageStream().push(Buffer.from("01020000", "hex")), [], "the largest that is taken");
});

test("a message's first faults are told apart by their Result-Code", () => {
  const whole = encodeMessage({ header: HEADER, avps: [] });
  refused(whole.subarray(0, 19), ResultCode.INVALID_MESSAGE_LENGTH);
  refused(Buffer.concat([whole, Buffer.alloc(4)]), ResultCode.INVALID_MESSAGE_LENGTH);
  refused(changed(whole, 0, 2), ResultCode.UNSUPPORTED_VERSION);
  refused(changed(whole, 4, 0xa0), ResultCode.INVALID_HDR_BITS);
  assert.deepEqual(peekHeader(changed(whole, 0, 2)), HEADER);
  // The reserved flag bits say nothing (RFC 6733 3).
  assert.deepEqual(decodeMessage(changed(whole, 4, 0xcf)).header, { ...HEADER, retransmitted: false });
});

test("an AVP's length is held against its header and against what is left, and its padding belongs to it", () => {
  const avp = (hex: string) =>
    withOwnLength(
      Buffer.concat([encodeMessage({ header: HEADER, avps: [] }), Buffer.from(hex.replaceAll(" ", ""), "hex")]),
    );
  refused(avp("00000001 40 000007"), ResultCode.INVALID_AVP_LENGTH);
  refused(avp("00000001 c0 00000b 00000000"), ResultCode.INVALID_AVP_LENGTH);
  refused(avp("00000001 c0 00000c"), ResultCode.INVALID_AVP_LENGTH);
  refused(avp("00000001 40 00000c"), ResultCode.INVALID_AVP_LENGTH);
  refused(avp("00000001 40 ffffff 61616161"), ResultCode.INVALID_AVP_LENGTH);
  refused(avp("00000001"), ResultCode.INVALID_AVP_LENGTH);
  const failed = refused(avp("00000001 40 000010 61616161"), ResultCode.INVALID_AVP_LENGTH);
  assert.deepEqual(failed.failedAvp, { code: 1, vendor: 0, mandatory: true, data: Buffer.alloc(0) });
  assert.deepEqual(decodeMessage(avp("00000001 00 000009 61 ffffff")).avps, [
    { code: 1, vendor: 0, mandatory: false, data: Buffer.from("a") },
  ]);
  const cut = encodeMessage({ header: HEADER, avps: [] });
  const unpadded = Buffer.concat([cut, Buffer.from("000000014000000961", "hex"), Buffer.alloc(2)]);
  unpadded.writeUIntBE(28, 1, 3);
  refused(unpadded.subarray(0, 28), ResultCode.INVALID_AVP_LENGTH);
});

test("a message with more AVPs than the limit is refused, one at the limit is not", () => {
  const one: Avp = { code: 9999, vendor: 0, mandatory: false, data: Buffer.alloc(0) };
  const of = (count: number) => encodeMessage({ header: HEADER, avps: new Array<Avp>(count).fill(one) });
  assert.equal(decodeMessage(of(MAX_AVPS)).avps.length, MAX_AVPS);
  refused(of(MAX_AVPS + 1), ResultCode.RESOURCES_EXCEEDED);
});

test("groups nested without end are one octet string until a grammar opens them, and it opens as many as it names", () => {
  const deep = nested(4000, 297);
  const decoded = decodeMessage(encodeMessage({ header: HEADER, avps: [deep] }));
  assert.equal(decoded.avps.length, 1);
  assert.throws(
    () => readValues({ required: ["Experimental-Result"], optional: [], repeated: [] }, decoded.avps, "test"),
    (error: unknown) => error instanceof DiameterError && error.resultCode === ResultCode.MISSING_AVP,
  );
  assert.ok(encodeMessage({ header: HEADER, avps: [deep] }).length < MAX_MESSAGE);
});

test("a missing AVP is named by an example of it, filled with zeros (RFC 6733 7.5)", () => {
  const { "Auth-Request-Type": _, ...rest } = eapRequest;
  const error = requestRefused(DiameterEap, writeValues(DiameterEap.request, { ...rest } as typeof eapRequest));
  assert.equal(error.resultCode, ResultCode.MISSING_AVP);
  assert.deepEqual(error.failedAvp, { code: 274, vendor: 0, mandatory: true, data: Buffer.alloc(4) });
  assert.match(error.message, /DER: Auth-Request-Type .* missing/);
});

test("an AVP that occurs twice where one is allowed comes back in Failed-AVP", () => {
  const valid = writeValues(DiameterEap.request, eapRequest);
  const error = requestRefused(DiameterEap, [...valid, valid[0]!]);
  assert.equal(error.resultCode, ResultCode.AVP_OCCURS_TOO_MANY_TIMES);
  assert.deepEqual(error.failedAvp, valid[0]);
});

test("an AVP with a length or value its format does not have is refused", () => {
  const valid = writeValues(DiameterEap.request, eapRequest);
  const with_ = (code: number, data: Buffer) =>
    requestRefused(DiameterEap, [
      ...valid.filter((avp) => avp.code !== code),
      { code, vendor: 0, mandatory: true, data },
    ]).resultCode;
  assert.equal(with_(274, Buffer.alloc(3)), ResultCode.INVALID_AVP_LENGTH);
  assert.equal(with_(274, Buffer.alloc(5)), ResultCode.INVALID_AVP_LENGTH);
  assert.equal(with_(264, Buffer.alloc(0)), ResultCode.INVALID_AVP_LENGTH);
  assert.equal(with_(264, Buffer.from("a b")), ResultCode.INVALID_AVP_VALUE);
  assert.equal(with_(1, Buffer.from([0xc3, 0x28])), ResultCode.INVALID_AVP_VALUE);
  const cer = { code: 257, vendor: 0, mandatory: true, data: Buffer.from("000300000000", "hex") };
  assert.equal(
    requestRefused(CapabilitiesExchange, [
      ...writeValues(CapabilitiesExchange.request, {
        "Origin-Host": "a",
        "Origin-Realm": "b",
        "Vendor-Id": 0,
        "Product-Name": "c",
      }),
      cer,
    ]).resultCode,
    ResultCode.INVALID_AVP_VALUE,
    "an address of an unknown family",
  );
});

test("an AVP not understood is refused if its M bit is set and passed over if not, in answers always", () => {
  const valid = writeValues(DiameterEap.request, eapRequest);
  const unknown = (mandatory: boolean): Avp => ({ code: 4711, vendor: 9, mandatory, data: Buffer.from("x") });
  const error = requestRefused(DiameterEap, [...valid, unknown(true)]);
  assert.equal(error.resultCode, ResultCode.AVP_UNSUPPORTED);
  assert.deepEqual(error.failedAvp, unknown(true));
  assert.deepEqual(readRequest(DiameterEap, { header: HEADER, avps: [...valid, unknown(false)] }), eapRequest);
  const answer = writeValues(DiameterEap.answer, eapAnswer(2001));
  assert.ok(readAnswer(DiameterEap, { header: HEADER, avps: [...answer, unknown(true)] }).ok);
});

test("an answer that failed is taken without what its grammar requires, one that succeeded is not", () => {
  const failed = makeErrorAnswer({ header: HEADER, avps: [] }, ORIGIN, { resultCode: 3002, message: "no peer" });
  assert.ok(failed.header.error, "3xxx sets the E bit");
  assert.deepEqual(readAnswer(DiameterEap, failed), {
    ok: false,
    outcome: { vendor: 0, code: 3002, message: "no peer" },
    values: {
      "Result-Code": 3002,
      "Origin-Host": "aaa.example",
      "Origin-Realm": "example",
      "Error-Message": "no peer",
    },
  });
  const lacking = makeErrorAnswer({ header: HEADER, avps: [] }, ORIGIN, { resultCode: 2001, message: "" });
  assert.throws(() => readAnswer(DiameterEap, lacking), DiameterError);
  const without = { header: HEADER, avps: failed.avps.filter((avp) => avp.code !== 268) };
  assert.throws(() => readAnswer(DiameterEap, without), /DEA: Result-Code/);
});

test("an answer has its request's identifiers, Session-Id first, and Proxy-Info as it came (RFC 6733 6.2)", () => {
  const proxyInfo: Avp = { code: 284, vendor: 0, mandatory: true, data: Buffer.from("whatever") };
  const request = makeRequest(DiameterEap, Application.SWm, 99, eapRequest);
  const received = {
    header: { ...request.header, hopByHop: 5, retransmitted: true },
    avps: [...request.avps, proxyInfo],
  };
  for (const answer of [
    makeAnswer(DiameterEap, received, eapAnswer(1001)),
    makeErrorAnswer(received, ORIGIN, { resultCode: 5012, message: "no" }),
  ]) {
    assert.deepEqual(answer.header, { ...received.header, request: false, retransmitted: false });
    assert.equal(answer.avps[0]!.code, 263);
    assert.deepEqual(answer.avps.at(-1), proxyInfo);
  }
});

test("AVP numbers are unique, and every name in a grammar is in the dictionary", () => {
  const definitions = Object.entries(AVPS) as [string, AvpDefinition][];
  for (const [name, { code, vendor }] of definitions) assert.equal(avpName(code, vendor), name);
  const grammars = [
    ...[...COMMANDS.values()].flatMap(({ request, answer }) => [request, answer]),
    ...definitions.flatMap(([, definition]) => (definition.format === "Grouped" ? [definition.members] : [])),
  ];
  const used = new Set<string>();
  for (const { required, optional, repeated } of grammars) {
    const names = [...required, ...optional, ...repeated];
    for (const name of names) assert.ok(Object.hasOwn(AVPS, name), name);
    for (const name of names) used.add(name);
    assert.equal(new Set(names).size, names.length, "no name twice");
  }
  assert.deepEqual(
    definitions.map(([name]) => name).filter((name) => !used.has(name)),
    [],
    "what no grammar names",
  );
});

test("a description shows identities and results, and no key, response or vector", () => {
  const secret = Buffer.alloc(32, 0xa5);
  const answer = makeAnswer(DiameterEap, makeRequest(DiameterEap, Application.SWm, 1, eapRequest), {
    ...eapAnswer(2001),
    "User-Name": "ap-1.example\n",
    "Framed-IP-Address": Buffer.from([10, 0, 0, 1]),
    "EAP-Master-Session-Key": secret,
  });
  assert.equal(describeCommand(answer), "DEA");
  assert.deepEqual(describeAvps(answer), [
    "Session-Id=segw.example;1;2",
    "Auth-Application-Id=16777264",
    "Auth-Request-Type=3",
    "SUCCESS",
    "User-Name=ap-1.example?",
    "Framed-IP-Address=10.0.0.1",
    "EAP-Master-Session-Key(32 octets)",
  ]);
});

test("the AVPs of an authorization without EAP are typed by their grammar", () => {
  const { "EAP-Payload": _, ...values } = { ...eapRequest, "Auth-Request-Type": 2 };
  const request = makeRequest(AA, Application.SWm, 1, values);
  const read = readRequest(AA, decodeMessage(encodeMessage(request)));
  const type: number = read["Auth-Request-Type"];
  const user: string | undefined = read["User-Name"];
  assert.deepEqual([type, user], [2, undefined]);
});

function eapAnswer(resultCode: number) {
  return {
    "Session-Id": "segw.example;1;2",
    "Auth-Application-Id": Application.SWm,
    "Auth-Request-Type": 3,
    "Origin-Host": "aaa.example",
    "Origin-Realm": "example",
    "Result-Code": resultCode,
  };
}

function swx() {
  return {
    "Session-Id": "aaa.example;1;2",
    "Vendor-Specific-Application-Id": { "Vendor-Id": 10415, "Auth-Application-Id": Application.SWx },
    "Auth-Session-State": 1,
    "Origin-Host": "aaa.example",
    "Origin-Realm": "example",
    "Destination-Realm": "example",
    "User-Name": "001010000000001",
  };
}

function decodesOrRefuses(bytes: Buffer): DiameterMessage | undefined {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    assert.ok(error instanceof DiameterError, `${error}`);
    return undefined;
  }
}

function refused(bytes: Buffer, resultCode: number): DiameterError {
  try {
    decodeMessage(bytes);
  } catch (error) {
    assert.ok(error instanceof DiameterError, `${error}`);
    assert.equal(error.resultCode, resultCode, error.message);
    return error;
  }
  return assert.fail(`not refused: ${bytes.toString("hex")}`);
}

function requestRefused(definition: CommandDefinition, content: readonly Avp[]): DiameterError {
  try {
    readRequest(definition, { header: HEADER, avps: content });
  } catch (error) {
    assert.ok(error instanceof DiameterError, `${error}`);
    return error;
  }
  return assert.fail("not refused");
}

function changed(bytes: Buffer, at: number, to: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = to;
  return copy;
}
