import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { formatIp } from "../../src/bytes/ip.ts";
import {
  AA,
  AbortSession,
  Accounting,
  MultimediaAuth,
  makeAnswer,
  makeRequest,
  ReAuth,
  readAnswer,
  readRequest,
  SessionTermination,
} from "../../src/diameter/codec/commands.ts";
import type { DiameterMessage } from "../../src/diameter/codec/message.ts";
import { Application, CommandCode, ResultCode } from "../../src/diameter/codec/numbers.ts";
import { AKA, AKA_PRIME } from "../../src/eap/aka/variant.ts";
import { eapOf } from "../../src/radius/codec/eapMessage.ts";
import { AcctStatusType, Code, ErrorCause, ServiceType } from "../../src/radius/codec/numbers.ts";
import { attribute, attributeOf, type RadiusPacket } from "../../src/radius/codec/packet.ts";
import { RadiusListener } from "../../src/radius/transport/listener.ts";
import { RadiusRequester, type RadiusServerTarget } from "../../src/radius/transport/requester.ts";
import { World } from "../../src/sim/world.ts";
import { TlsAuthority } from "../net/tlsCredentials.ts";
import { HostingParty, IMSI, K, OPC } from "./made.ts";
import {
  authenticateByDiameter,
  authenticateByRadius,
  diameterGateway,
  Place,
  provisioning,
  REAL,
  SECRET,
  SWM_REALM,
  swm,
} from "./served.ts";

const LOOPBACK = { address: "127.0.0.1", port: 0 };
const ADMIN = { listen: LOOPBACK, tokenFile: "secret" };
const DIAMETER = {
  host: "aaa.example",
  realm: "example",
  listen: [LOOPBACK],
  peers: [{ host: "segw.example" }, { host: "other.example" }],
};
const SUBSCRIBER = { imsi: IMSI, k: K.toString("hex"), opc: OPC.toString("hex") };
const world = new World("wire", { loss: 0, duplicate: 0, delay: [1, 1] });

async function served(ends: AsyncDisposableStack, configuration: object, secrets: Record<string, string> = {}) {
  const running = await new Place(ends, { admin: ADMIN, ...configuration }, secrets).serve(ends);
  return { running, ask: provisioning(running.ports.admin!) };
}

test("Diameter: a device is authorized, its hosting party authenticated, and both end with one STR", async () => {
  await using ends = new AsyncDisposableStack();
  const { running, ask } = await served(ends, { diameter: DIAMETER });
  await ask("POST", "/subscribers", { ...SUBSCRIBER, address: "10.1.2.3", sessionTimeout: 7200 });
  await ask("PUT", "/devices/ap-1.example", { authentication: "combined", filter: "guests" });
  const segw = await diameterGateway(ends, running.ports.diameter[0]!);

  const aar = (device: string, type = 2) =>
    makeRequest(AA, Application.SWm, segw.node.newEndToEnd(), {
      ...swm("segw.example;1;1"),
      "Auth-Request-Type": type,
      "User-Name": device,
    });
  const answerTo = async (request: DiameterMessage) => readAnswer(AA, (await segw.request(request, SWM_REALM)).message);
  const authorized = await answerTo(aar("ap-1.example"));
  assert.equal(authorized.outcome.code, ResultCode.LIMITED_SUCCESS);
  assert.deepEqual(authorized.values["Filter-Id"], ["guests"]);
  assert.equal((await answerTo(aar("ap-2.example"))).outcome.code, ResultCode.AUTHORIZATION_REJECTED);
  assert.equal((await answerTo(aar("ap-1.example", 3))).outcome.code, ResultCode.INVALID_AVP_VALUE);

  const party = new HostingParty(world, { variant: AKA_PRIME });
  const { outcome, values } = await authenticateByDiameter(segw, party, "segw.example;1;1", "ap-1.example");
  assert.equal(outcome.code, ResultCode.SUCCESS);
  assert.ok(party.result !== undefined && "msk" in party.result);
  assert.deepEqual(values["EAP-Master-Session-Key"], party.result.msk);
  assert.equal(formatIp(values["Framed-IP-Address"]!), "10.1.2.3");
  assert.deepEqual([values["User-Name"], values["Session-Timeout"], values["Filter-Id"]], [IMSI, 7200, ["guests"]]);

  const account = async (type: number, octets: bigint) => {
    const request = makeRequest(Accounting, Application.baseAccounting, segw.node.newEndToEnd(), {
      "Session-Id": "segw.example;1;1",
      "Origin-Host": "segw.example",
      "Origin-Realm": "example",
      "Destination-Realm": "example",
      "Accounting-Record-Type": type,
      "Accounting-Record-Number": 0,
      "Accounting-Input-Octets": octets,
    });
    const to = { application: Application.baseAccounting, realm: "example" };
    return readAnswer(Accounting, (await segw.request(request, to)).message).outcome.code;
  };
  assert.equal(await account(2, 0n), ResultCode.SUCCESS);
  assert.equal(await account(3, 5_000_000_000n), ResultCode.SUCCESS);

  const terminate = async () => {
    const request = makeRequest(SessionTermination, Application.SWm, segw.node.newEndToEnd(), {
      ...swm("segw.example;1;1"),
      "Termination-Cause": 1,
    });
    return readAnswer(SessionTermination, (await segw.request(request, SWM_REALM)).message).outcome.code;
  };
  assert.equal(await terminate(), ResultCode.SUCCESS);
  assert.equal(await terminate(), ResultCode.UNKNOWN_SESSION_ID);
});

test("Diameter: the server ends a session by ASR and asks for authorization by RAR, as the operator says", async () => {
  await using ends = new AsyncDisposableStack();
  const { running, ask } = await served(ends, { diameter: DIAMETER, policy: { unknownDevices: "allow" } });
  const heard: string[] = [];
  let result: number = ResultCode.UNABLE_TO_COMPLY;
  const segw = await diameterGateway(ends, running.ports.diameter[0]!, {
    onRequest: (message, _peer, answer) => {
      const definition = message.header.command === CommandCode.ReAuth ? ReAuth : AbortSession;
      const request = readRequest(definition, message);
      heard.push(`${definition.requestName} ${request["Session-Id"]} ${request["User-Name"]}`);
      answer(
        makeAnswer(definition, message, {
          "Session-Id": request["Session-Id"],
          "Origin-Host": "segw.example",
          "Origin-Realm": "example",
          "Result-Code": result,
        }),
      );
    },
  });
  const aar = makeRequest(AA, Application.SWm, segw.node.newEndToEnd(), {
    ...swm("segw.example;7;7"),
    "Auth-Request-Type": 2,
    "User-Name": "ap-7.example",
  });
  await segw.request(aar, SWM_REALM);
  const asked = await ask("DELETE", "/sessions/ap-7.example");
  assert.deepEqual(asked.body, { detached: 0, asked: 1 }, "the gateway could not");
  result = ResultCode.SUCCESS;
  assert.deepEqual((await ask("POST", "/sessions/segw.example;7;7")).body, { reauthorized: true });
  assert.deepEqual((await ask("DELETE", "/sessions/segw.example;7;7")).body, { detached: 1, asked: 1 });
  assert.equal((await ask("DELETE", "/sessions/segw.example;7;7")).status, 404);
  assert.deepEqual(heard, [
    "ASR segw.example;7;7 ap-7.example",
    "RAR segw.example;7;7 ap-7.example",
    "ASR segw.example;7;7 ap-7.example",
  ]);
});

test("Diameter: a gateway that restarts loses its sessions at the server too (RFC 6733 8.16)", async () => {
  await using ends = new AsyncDisposableStack();
  const { running } = await served(ends, { diameter: DIAMETER, policy: { unknownDevices: "allow" } });
  const segw = await diameterGateway(ends, running.ports.diameter[0]!);
  const authorize = (session: string, state: number) =>
    segw.request(
      makeRequest(AA, Application.SWm, segw.node.newEndToEnd(), {
        ...swm(session),
        "Auth-Request-Type": 2,
        "User-Name": `${session}.example`,
        "Origin-State-Id": state,
      }),
      SWM_REALM,
    );
  await authorize("a", 5);
  await authorize("b", 5);
  assert.equal(running.server.sessions.size, 2);
  await authorize("c", 6);
  assert.deepEqual(
    [...running.server.sessions.all()].map(({ id }) => id),
    ["c"],
  );
});

test("RADIUS: Call-Check, EAP with the State it gave, keys, accounting by Class, and Disconnect (RFC 5176)", async () => {
  await using ends = new AsyncDisposableStack();
  const told: RadiusPacket[] = [];
  let verdict: { code: number; cause?: number } = { code: Code.DisconnectNak, cause: ErrorCause.ResourcesUnavailable };
  const gatewayPort = await RadiusListener.start({
    ...REAL,
    clients: [{ name: "aaa", by: { kind: "address", block: "127.0.0.1", secret: Buffer.from(SECRET) } }],
    udp: [{ ...LOOPBACK, purpose: "dynamicAuthorization" }],
    radsec: [],
    onRequest: ({ packet }, answer) => {
      told.push(packet);
      const { code, cause } = verdict;
      answer({ code, attributes: cause === undefined ? [] : [attribute("Error-Cause", cause)] });
    },
    onDrop: () => {},
  });
  ends.defer(() => gatewayPort.close());
  const { running, ask } = await served(ends, {
    radius: {
      authentication: [LOOPBACK],
      accounting: [LOOPBACK],
      clients: [
        {
          name: "segw",
          block: "127.0.0.1",
          secretFile: "secret",
          dynamicAuthorization: { address: "127.0.0.1", port: gatewayPort.ports().udp[0] },
        },
      ],
    },
  });
  await ask("POST", "/subscribers", { ...SUBSCRIBER, address: "2001:db8::7" });
  await ask("PUT", "/devices/ap-1.example", { authentication: "combined", filter: "guests", sessionTimeout: 600 });
  await ask("PUT", "/devices/ap-2.example", { authentication: "device-only", location: "192.0.2.0/24" });
  const [authPort, acctPort] = running.ports.radius;
  const to = (port: number): RadiusRequester => {
    const target: RadiusServerTarget = {
      name: "aaa",
      transport: "udp",
      address: "127.0.0.1",
      port,
      secret: Buffer.from(SECRET),
    };
    const requester = new RadiusRequester({ ...REAL, servers: [target], onEvent: () => {} });
    ends.defer(async () => requester.close());
    return requester;
  };
  const [auth, acct] = [to(authPort!), to(acctPort!)];
  const callCheck = async (device: string, from: string) =>
    (
      await auth.request(Code.AccessRequest, [
        attribute("User-Name", device),
        attribute("Calling-Station-Id", device),
        attribute("Service-Type", ServiceType.CallCheck),
        attribute("Tunnel-Client-Endpoint", from),
      ])
    ).packet;
  assert.equal((await callCheck("ap-2.example", "192.0.2.9")).code, Code.AccessAccept);
  assert.equal((await callCheck("ap-2.example", "\u0001192.0.2.9")).code, Code.AccessAccept, "with a tag (RFC 2868)");
  const elsewhere = await callCheck("ap-2.example", "192.0.3.9");
  assert.deepEqual([elsewhere.code, attributeOf(elsewhere, "Reply-Message")], [Code.AccessReject, "WrongLocation"]);
  const follows = await callCheck("ap-1.example", "192.0.2.9");
  assert.equal(follows.code, Code.AccessChallenge);
  assert.equal(eapOf(follows), undefined);

  const party = new HostingParty(world);
  const device = [attribute("Calling-Station-Id", "ap-1.example")];
  const { packet, msk } = await authenticateByRadius(auth, party, device, attributeOf(follows, "State"));
  assert.equal(packet.code, Code.AccessAccept);
  assert.ok(party.result !== undefined && "msk" in party.result && msk?.equals(party.result.msk));
  assert.deepEqual(
    [
      attributeOf(packet, "Framed-IPv6-Address"),
      attributeOf(packet, "Filter-Id"),
      attributeOf(packet, "Session-Timeout"),
    ],
    ["2001:db8::7", "guests", 600],
  );
  const sessionClass = attributeOf(packet, "Class")!;
  assert.deepEqual(sessionClass, attributeOf(follows, "State"), "one session for both rounds");

  const account = (status: number, more: ReturnType<typeof attribute>[] = []) =>
    acct.request(Code.AccountingRequest, [
      attribute("Acct-Status-Type", status),
      attribute("Acct-Session-Id", "0001"),
      attribute("Class", sessionClass),
      ...more,
    ]);
  assert.equal((await account(AcctStatusType.Start)).packet.code, Code.AccountingResponse);
  const counters = [attribute("Acct-Input-Octets", 7), attribute("Acct-Input-Gigawords", 1)];
  assert.equal((await account(AcctStatusType.InterimUpdate, counters)).packet.code, Code.AccountingResponse);

  assert.deepEqual((await ask("DELETE", `/sessions/${IMSI}`)).body, { detached: 0, asked: 1 });
  verdict = { code: Code.DisconnectNak, cause: ErrorCause.SessionContextNotFound };
  assert.deepEqual((await ask("DELETE", `/sessions/${IMSI}`)).body, { detached: 1, asked: 1 });
  const disconnect = told.at(-1)!;
  assert.equal(disconnect.code, Code.DisconnectRequest);
  assert.deepEqual(
    [
      attributeOf(disconnect, "User-Name"),
      attributeOf(disconnect, "Acct-Session-Id"),
      attributeOf(disconnect, "Class"),
    ],
    [IMSI, "0001", sessionClass],
  );
  await account(AcctStatusType.AccountingOn);
  assert.equal(running.server.sessions.size, 0, "Accounting-On: the gateway has restarted");
});

test("RADIUS: EAP with a State that nobody gave begins anew, wrong values and other logins are refused", async () => {
  await using ends = new AsyncDisposableStack();
  const { running, ask } = await served(ends, {
    radius: { authentication: [LOOPBACK], clients: [{ name: "segw", block: "127.0.0.1", secretFile: "secret" }] },
    policy: { unknownDevices: "allow" },
  });
  await ask("POST", "/subscribers", SUBSCRIBER);
  const target: RadiusServerTarget = {
    name: "aaa",
    transport: "udp",
    address: "127.0.0.1",
    port: running.ports.radius[0]!,
    secret: Buffer.from(SECRET),
  };
  const requester = new RadiusRequester({ ...REAL, servers: [target], onEvent: () => {} });
  ends.defer(async () => requester.close());
  const { packet } = await authenticateByRadius(requester, new HostingParty(world), [], Buffer.from("made up"));
  assert.equal(packet.code, Code.AccessAccept);
  assert.notEqual(attributeOf(packet, "Class")?.toString(), "made up");
  const login = await requester.request(Code.AccessRequest, [attribute("User-Name", "x")]);
  assert.equal(login.packet.code, Code.AccessReject);
  const odd = await requester.request(Code.AccessRequest, [{ type: 6, vendor: 0, value: Buffer.from("x") }]);
  assert.equal(odd.packet.code, Code.AccessReject);
  const wrongKey = await authenticateByRadius(requester, new HostingParty(world, { k: Buffer.alloc(16) }), []);
  assert.equal(wrongKey.packet.code, Code.AccessReject);
  assert.equal(eapOf(wrongKey.packet)?.[0], 4, "EAP-Failure");
  assert.equal(attributeOf(wrongKey.packet, "Reply-Message"), undefined, "RFC 3579 2.6.5");
});

test("an AAA server uses another's HSS over SWx: vectors, resynchronization, profile, and RTR ends the session", async () => {
  await using ends = new AsyncDisposableStack();
  const hss = await served(ends, {
    diameter: {
      host: "hss.example",
      realm: "example",
      listen: [LOOPBACK],
      peers: [{ host: "aaa.example", hssClient: true }, { host: "segw.example" }],
    },
    hss: { kind: "local", serve: true },
  });
  await hss.ask("POST", "/subscribers", { ...SUBSCRIBER, address: "10.9.9.9", filter: "guests", sessionTimeout: 500 });
  const connect = { address: "127.0.0.1", port: hss.running.ports.diameter[0] };
  const aaa = await served(ends, {
    diameter: { ...DIAMETER, peers: [{ host: "segw.example" }, { host: "hss.example", connect }] },
    hss: { kind: "swx", realm: "example", host: "hss.example" },
    policy: { unknownDevices: "allow" },
  });
  const aborted: string[] = [];
  let abort = () => {};
  const done = new Promise<void>((resolve) => {
    abort = resolve;
  });
  const segw = await diameterGateway(ends, aaa.running.ports.diameter[0]!, {
    onRequest: (message, _peer, answer) => {
      const request = readRequest(AbortSession, message);
      aborted.push(request["Session-Id"]);
      answer(
        makeAnswer(AbortSession, message, {
          "Session-Id": request["Session-Id"],
          "Origin-Host": "segw.example",
          "Origin-Realm": "example",
          "Result-Code": ResultCode.SUCCESS,
        }),
      );
      if (aborted.length === 2) abort();
    },
  });
  for (const variant of [AKA, AKA_PRIME]) {
    const party = new HostingParty(world, { variant });
    // The card has seen far more than the HSS has given: AUTS brings them together.
    party.card.array = party.card.array.map(() => 5000);
    const { outcome, values } = await authenticateByDiameter(
      segw,
      party,
      `s${variant.type}`,
      `ap-${variant.type}.example`,
    );
    assert.equal(outcome.code, ResultCode.SUCCESS, variant.name);
    assert.deepEqual(
      values["EAP-Master-Session-Key"],
      party.result !== undefined && "msk" in party.result && party.result.msk,
    );
    assert.equal(formatIp(values["Framed-IP-Address"]!), "10.9.9.9");
    assert.deepEqual([values["Session-Timeout"], values["Filter-Id"]], [500, ["guests"]]);
  }
  // A gateway that is a peer of the HSS gets no vectors from it.
  const nosy = await diameterGateway(ends, hss.running.ports.diameter[0]!, { server: "hss.example" });
  const mar = makeRequest(MultimediaAuth, Application.SWx, nosy.node.newEndToEnd(), {
    "Session-Id": "nosy",
    "Vendor-Specific-Application-Id": { "Vendor-Id": 10415, "Auth-Application-Id": Application.SWx },
    "Auth-Session-State": 1,
    "Origin-Host": "segw.example",
    "Origin-Realm": "example",
    "Destination-Realm": "example",
    "User-Name": IMSI,
    "SIP-Number-Auth-Items": 1,
    "SIP-Auth-Data-Item": { "SIP-Authentication-Scheme": "EAP-AKA" },
  });
  const refused = await nosy.request(mar, { application: Application.SWx, realm: "example" });
  assert.equal(readAnswer(MultimediaAuth, refused.message).outcome.code, ResultCode.AUTHORIZATION_REJECTED);
  const unknown = await authenticateByDiameter(
    segw,
    new HostingParty(world, { imsi: "001019999999999" }),
    "u",
    "ap-2.example",
  );
  assert.deepEqual(unknown.outcome, { vendor: 10415, code: 5001 });
  assert.equal((await hss.ask("DELETE", `/subscribers/${IMSI}`)).status, 204);
  await done;
  assert.deepEqual(aborted.sort(), ["s23", "s50"]);
});

test("Diameter over TLS: the gateway's certificate is for the name it uses", async () => {
  await using ends = new AsyncDisposableStack();
  const authority = new TlsAuthority();
  const own = authority.issue("aaa.example");
  const { running } = await served(
    ends,
    {
      diameter: { ...DIAMETER, listen: [{ ...LOOPBACK, tls: true }] },
      tls: { chain: "chain", key: "key", roots: ["roots"] },
      policy: { unknownDevices: "allow" },
    },
    { chain: own.certificates, key: own.key, roots: own.authorities },
  );
  const segw = await diameterGateway(ends, running.ports.diameter[0]!, { tls: authority.issue("segw.example") });
  const aar = makeRequest(AA, Application.SWm, segw.node.newEndToEnd(), {
    ...swm("t"),
    "Auth-Request-Type": 2,
    "User-Name": "ap-1.example",
  });
  assert.equal(readAnswer(AA, (await segw.request(aar, SWM_REALM)).message).outcome.code, ResultCode.SUCCESS);
});

test("provisioning wants the token, says what is wrong with a request, and never gives a key back", async () => {
  await using ends = new AsyncDisposableStack();
  const { running, ask } = await served(ends, { diameter: DIAMETER });
  const stranger = provisioning(running.ports.admin!, "guessed token of some length");
  assert.equal((await stranger("GET", "/subscribers")).status, 401);
  assert.equal((await ask("POST", "/subscribers", SUBSCRIBER)).status, 201);
  assert.match(JSON.stringify(await ask("POST", "/subscribers", SUBSCRIBER)), /400.*there already/);
  assert.match(JSON.stringify(await ask("POST", "/subscribers", { ...SUBSCRIBER, k: "00" })), /400.*16 or 32 octets/);
  assert.match(JSON.stringify(await ask("POST", "/subscribers", { ...SUBSCRIBER, imsi: "12" })), /400.*no IMSI/);
  assert.match(JSON.stringify(await ask("POST", "/subscribers", { ...SUBSCRIBER, color: 1 })), /400.*color/);
  assert.match(JSON.stringify(await ask("PUT", "/devices/a%20b", {})), /400.*no device/);
  assert.match(JSON.stringify(await ask("PUT", "/devices/x", { location: "nowhere" })), /400.*no address block/);
  assert.equal((await ask("GET", "/nothing")).status, 404);
  assert.equal((await ask("POST", "/subscribers", "x".repeat(20_000))).status, 413);
  const listed = await ask("GET", "/subscribers");
  assert.ok(!JSON.stringify(listed).includes(SUBSCRIBER.k) && !JSON.stringify(listed).includes(SUBSCRIBER.opc));
  assert.equal((await ask("POST", "/bindings", { imsi: IMSI, device: "ap-1.example" })).status, 204);
  assert.deepEqual((await ask("GET", "/bindings")).body, [{ imsi: IMSI, device: "ap-1.example" }]);
  assert.equal((await ask("DELETE", `/bindings/${IMSI}/ap-1.example`)).status, 204);
  assert.equal((await ask("PUT", `/subscribers/${IMSI}`, { barred: true })).status, 204);
  assert.equal((await ask("DELETE", `/subscribers/${IMSI}`)).status, 204);
  assert.equal((await ask("DELETE", `/subscribers/${IMSI}`)).status, 404);
  assert.equal((await ask("PUT", "/devices/ap-1.example", { verdict: "deny" })).status, 204);
  assert.equal(((await ask("GET", "/devices")).body as unknown[]).length, 1);
  assert.equal((await ask("DELETE", "/devices/ap-1.example")).status, 204);
});

test("a configuration that cannot work is refused with what to put right", async () => {
  await using ends = new AsyncDisposableStack();
  const place = new Place(ends, {});
  const refused = async (configuration: string, message: RegExp) => {
    writeFileSync(place.file, configuration);
    await assert.rejects(place.serve(ends), message);
  };
  await refused("{}", /serves nobody/);
  await refused("radius: { radsec: [{address: 127.0.0.1, port: 0}] }", /no `tls` section/);
  await refused("radius: { clients: [{name: x, block: 127.0.0.1}] }", /secretFile/);
  await refused("radius: { clients: [{name: x}] }", /one of the two/);
  await refused("{ radius: {}, hss: { kind: swx, realm: x } }", /no `diameter` section/);
  await refused("radius: { clients: [{name: x, block: 127.0.0.1, secretFile: missing}] }", /cannot read .*missing/);
  writeFileSync(join(place.folder, "short"), "guessed");
  await refused("radius: { clients: [{name: x, block: 127.0.0.1, secretFile: short}] }", /less than 16 characters/);
});
