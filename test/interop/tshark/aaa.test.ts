/** tshark reads every Diameter command and every RADIUS code that we send, by its own dictionaries, without complaint. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { COMMANDS } from "../../../src/diameter/codec/commands.ts";
import { AVPS } from "../../../src/diameter/codec/dictionary.ts";
import { writeValues } from "../../../src/diameter/codec/grammar.ts";
import { encodeMessage } from "../../../src/diameter/codec/message.ts";
import { Application } from "../../../src/diameter/codec/numbers.ts";
import { capturedPacket, captureHeader } from "../../../src/observe/pcapng.ts";
import { sealRequest, sealResponse } from "../../../src/radius/codec/authenticators.ts";
import { eapMessage } from "../../../src/radius/codec/eapMessage.ts";
import { mppeKeys } from "../../../src/radius/codec/mppeKeys.ts";
import { AcctStatusType, Code, ErrorCause, ServiceType } from "../../../src/radius/codec/numbers.ts";
import { attribute, decodePacket } from "../../../src/radius/codec/packet.ts";
import { seededRandom } from "../../../src/sim/random.ts";
import { valuesOf } from "../../diameter/codec/arbitrary.ts";
import { Tshark } from "./tshark.ts";

const AAA = { address: "10.0.0.1", port: 3868 };
const SEGW = { address: "10.0.0.2", port: 40_000 };
const SECRET = "a secret that both know";
const IDENTITY = "0001010123456789@x.y";
const EAP_IDENTITY = Buffer.concat([Buffer.from([2, 1, 0, 5 + IDENTITY.length, 1]), Buffer.from(IDENTITY)]);

test("tshark's dictionary has every command and AVP that we send, under the same name and in a format it can read", () => {
  using tshark = new Tshark();
  const packets: Buffer[] = [captureHeader({ application: "test", interfaceName: "aaa" })];
  for (const definition of COMMANDS.values()) {
    for (const [request, grammar] of [
      [true, definition.request],
      [false, definition.answer],
    ] as const) {
      // Every AVP at least once: of twenty samples each has all that is optional in some.
      for (const values of fc.sample(valuesOf(grammar), { numRuns: 20, seed: definition.code })) {
        const header = {
          request,
          proxiable: definition.proxiable,
          error: false,
          retransmitted: false,
          command: definition.code,
          application: applicationOf(definition.code),
          hopByHop: 1,
          endToEnd: 2,
        };
        // Random AVPs within Failed-AVP are nobody's, and random octets no EAP and no proxy's state.
        const avps = writeValues(grammar, values)
          .filter(({ code }) => code !== AVPS["Failed-AVP"].code && code !== AVPS["Proxy-Info"].code)
          .map((avp) => (FIXED.has(avp.code) && avp.vendor === 0 ? { ...avp, data: FIXED.get(avp.code)! } : avp));
        const [from, to] = request ? [SEGW, AAA] : [AAA, SEGW];
        packets.push(capturedPacket({ at: 0, from, to, payload: encodeMessage({ header, avps }) }));
      }
    }
  }
  writeFileSync(tshark.file, Buffer.concat(packets));
  const decode = ["-d", "udp.port==3868,diameter"];
  const filter = '_ws.malformed || _ws.expert.severity >= "Warning"';
  const complaints = tshark
    .read("without keys", ...decode, "-Y", filter, "-V")
    .split("\n")
    .filter((line) => /Expert Info|Malformed/.test(line) && !HARMLESS.test(line));
  assert.deepEqual([...new Set(complaints)], []);
  const shown = tshark.read("without keys", ...decode, "-V");
  const names = new Set([...shown.matchAll(/AVP Code: (\d+) (\S+)/g)].map(([, code, name]) => `${code} ${name}`));
  const differing = Object.entries(AVPS).flatMap(([name, { code }]) => {
    const theirs = [...names].filter((entry) => entry.startsWith(`${code} `)).map((entry) => entry.split(" ")[1]!);
    return NEVER_SENT_HERE.has(name) || theirs.includes(name) || theirs.includes(`3GPP-${name}`)
      ? []
      : [`${name} is ${theirs.join(", ")}`];
  });
  assert.deepEqual(differing, []);
});

test("tshark finds the authenticators of all RADIUS packets right, and no attribute malformed", () => {
  using tshark = new Tshark();
  const random = seededRandom("tshark");
  const secret = Buffer.from(SECRET);
  const session = [
    attribute("User-Name", "0001010123456789@x.y"),
    attribute("NAS-Identifier", "segw.example"),
    attribute("NAS-IP-Address", "10.0.0.2"),
    attribute("Calling-Station-Id", "ap-1.example"),
    attribute("Acct-Session-Id", "0001"),
    attribute("Tunnel-Client-Endpoint", "192.0.2.1"),
  ];
  const granted = [
    attribute("Framed-IP-Address", "10.1.2.3"),
    attribute("Framed-IPv6-Address", "2001:db8::7"),
    attribute("Filter-Id", "guests"),
    attribute("Session-Timeout", 600),
    attribute("Class", random.bytes(32)),
  ];
  const counters = [
    attribute("Acct-Status-Type", AcctStatusType.Stop),
    attribute("Acct-Input-Octets", 1),
    attribute("Acct-Input-Gigawords", 2),
    attribute("Acct-Session-Time", 60),
    attribute("Event-Timestamp", Date.UTC(2026, 10, 24)),
  ];
  const eap = eapMessage(EAP_IDENTITY);
  const exchanges = [
    [
      Code.AccessRequest,
      [...session, ...eap],
      Code.AccessChallenge,
      [attribute("State", random.bytes(16)), ...eap],
      1812,
    ],
    [Code.AccessRequest, [...session, ...eap], Code.AccessAccept, [...granted, ...eap], 1812],
    [Code.AccessRequest, [attribute("Service-Type", ServiceType.CallCheck), ...session], Code.AccessReject, [], 1812],
    [Code.AccountingRequest, [...session, ...counters], Code.AccountingResponse, [], 1813],
    [Code.DisconnectRequest, session, Code.DisconnectAck, [], 3799],
    [Code.CoaRequest, session, Code.CoaNak, [attribute("Error-Cause", ErrorCause.SessionContextNotFound)], 3799],
  ] as const;
  const packets: Buffer[] = [captureHeader({ application: "test", interfaceName: "aaa" })];
  for (const [index, [code, asked, verdict, answered, port]] of exchanges.entries()) {
    const request = sealRequest(code, index, asked, secret, random.bytes(16));
    const { authenticator } = decodePacket(request);
    const keys = verdict === Code.AccessAccept ? mppeKeys(random.bytes(64), secret, authenticator, random) : [];
    const answer = sealResponse(verdict, { code, identifier: index, authenticator }, [...answered, ...keys], secret);
    const server = { address: "10.0.0.1", port };
    packets.push(capturedPacket({ at: index, from: SEGW, to: server, payload: request }));
    packets.push(capturedPacket({ at: index, from: server, to: SEGW, payload: answer }));
  }
  writeFileSync(tshark.file, Buffer.concat(packets));
  const check = ["-o", `radius.shared_secret:${SECRET}`, "-o", "radius.validate_authenticator:TRUE"];
  const filter = '_ws.malformed || _ws.expert.severity >= "Warning" || radius.authenticator.invalid == 1';
  const complaints = tshark.read("without keys", ...check, "-Y", filter, "-V");
  assert.equal(complaints, "");
  const valid = tshark.read(
    "without keys",
    ...check,
    "-Y",
    "radius.authenticator.valid == 1",
    "-T",
    "fields",
    "-e",
    "radius.code",
  );
  // tshark checks answers only.
  assert.deepEqual(
    valid.trim().split("\n").map(Number),
    exchanges.map(([, , verdict]) => verdict),
  );
});

function applicationOf(command: number): number {
  if (command === 257 || command === 280 || command === 282) return Application.common;
  if (command === 271) return Application.baseAccounting;
  return command > 300 ? Application.SWx : Application.SWm;
}

const FIXED = new Map<number, Buffer>([
  [AVPS["EAP-Payload"].code, EAP_IDENTITY],
  [AVPS["EAP-Reissued-Payload"].code, EAP_IDENTITY],
  [AVPS["Framed-IP-Address"].code, Buffer.from([10, 1, 2, 3])],
  [AVPS["NAS-IP-Address"].code, Buffer.from([10, 0, 0, 2])],
  [AVPS["NAS-IPv6-Address"].code, Buffer.alloc(16, 1)],
  [AVPS["Framed-IPv6-Prefix"].code, Buffer.concat([Buffer.from([0, 128]), Buffer.alloc(16, 1)])],
]);
/** Random values may be empty, and every sample has the same two identifiers. */
const HARMLESS = /Data is empty|This packet is a retransmission/;
const NEVER_SENT_HERE = new Set(["Failed-AVP", "Proxy-Info"]);
