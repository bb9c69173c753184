import assert from "node:assert/strict";
import { test } from "node:test";
import { AKA, AKA_PRIME } from "../../../src/eap/aka/variant.ts";
import { AcctStatusType, Code, ErrorCause, ServiceType } from "../../../src/radius/codec/numbers.ts";
import { attribute, attributeOf } from "../../../src/radius/codec/packet.ts";
import { RadiusListener } from "../../../src/radius/transport/listener.ts";
import { RadiusRequester } from "../../../src/radius/transport/requester.ts";
import { World } from "../../../src/sim/world.ts";
import { HostingParty, IMSI, K, OPC } from "../../aaa/made.ts";
import { authenticateByRadius, Place, provisioning, REAL, SECRET } from "../../aaa/served.ts";
import { radclient } from "./freeradius.ts";
import { FreeRadiusProxy } from "./proxy.ts";

const LOOPBACK = { address: "127.0.0.1", port: 0 };

async function served(ends: AsyncDisposableStack) {
  const place = new Place(ends, {
    radius: {
      authentication: [LOOPBACK],
      accounting: [LOOPBACK],
      clients: [{ name: "loopback", block: "127.0.0.1", secretFile: "secret" }],
    },
    admin: { listen: LOOPBACK, tokenFile: "secret" },
    policy: { unknownDevices: "allow" },
  });
  const aaa = await place.serve(ends);
  const ask = provisioning(aaa.ports.admin!);
  await ask("POST", "/subscribers", { imsi: IMSI, k: K.toString("hex"), opc: OPC.toString("hex"), filter: "guests" });
  const [authentication, accounting] = aaa.ports.radius;
  return { aaa, ask, home: { authentication: authentication!, accounting: accounting! } };
}

function requester(ends: AsyncDisposableStack, port: number): RadiusRequester {
  const server = { name: "server", transport: "udp", address: "127.0.0.1", port, secret: Buffer.from(SECRET) } as const;
  const made = new RadiusRequester({ ...REAL, servers: [server], onEvent: () => {} });
  ends.defer(async () => made.close());
  return made;
}

test("FreeRADIUS proxies EAP-AKA, EAP-AKA', Call-Check and accounting between gateway and AAA server", async () => {
  await using ends = new AsyncDisposableStack();
  const { aaa, ask, home } = await served(ends);
  await ask("PUT", "/devices/ap-1.example", { authentication: "combined" });
  const proxy = ends.use(await FreeRadiusProxy.start({ secret: SECRET, home }));
  const auth = requester(ends, proxy.ports.authentication);
  const device = [attribute("Calling-Station-Id", "ap-1.example"), attribute("NAS-Identifier", "segw.example")];
  const world = new World("proxy", { loss: 0, duplicate: 0, delay: [1, 1] });
  for (const variant of [AKA, AKA_PRIME]) {
    const party = new HostingParty(world, { variant });
    const called = await auth.request(Code.AccessRequest, [
      attribute("User-Name", "ap-1.example"),
      attribute("Service-Type", ServiceType.CallCheck),
      ...device,
    ]);
    assert.equal(called.packet.code, Code.AccessChallenge);
    const state = attributeOf(called.packet, "State");
    const { packet, msk } = await authenticateByRadius(auth, party, device, state, "identity");
    assert.equal(packet.code, Code.AccessAccept, proxy.lines.slice(-40).join("\n"));
    assert.ok(party.result !== undefined && "msk" in party.result && msk?.equals(party.result.msk));
    assert.equal(attributeOf(packet, "Filter-Id"), "guests");
    const acct = requester(ends, proxy.ports.accounting);
    const stop = await acct.request(Code.AccountingRequest, [
      attribute("Acct-Status-Type", AcctStatusType.Stop),
      attribute("Acct-Session-Id", "1"),
      attribute("Class", attributeOf(packet, "Class")!),
    ]);
    assert.equal(stop.packet.code, Code.AccountingResponse);
    assert.equal(aaa.server.sessions.size, 0);
  }
});

test("radclient's accounting and Status-Server are answered", async () => {
  await using ends = new AsyncDisposableStack();
  const { home } = await served(ends);
  const attributes = "User-Name=x,Acct-Session-Id=1,Acct-Status-Type=Start,NAS-IP-Address=127.0.0.1";
  const acct = await radclient("acct", home.accounting, SECRET, attributes);
  assert.match(acct.output, /Received Accounting-Response/);
  assert.equal(acct.status, 0, acct.output);
  const status = await radclient("status", home.authentication, SECRET, "Message-Authenticator=0x00");
  assert.match(status.output, /Received Access-Accept/);
  const alive = await radclient(
    "status",
    home.accounting,
    SECRET,
    "Message-Authenticator=0x00,Response-Packet-Type=Accounting-Response",
  );
  assert.match(alive.output, /Received Accounting-Response/);
});

test("radclient's password login, which we do not take, is refused", async () => {
  await using ends = new AsyncDisposableStack();
  const { home } = await served(ends);
  const login = await radclient(
    "auth",
    home.authentication,
    SECRET,
    "User-Name=x,User-Password=y,Message-Authenticator=0x00",
  );
  assert.match(login.output, /Received Access-Reject/);
});

test("radclient's Disconnect and CoA reach a gateway's port, and its answers are believed", async () => {
  await using ends = new AsyncDisposableStack();
  const sessions = new Set(["0001"]);
  const gateway = await RadiusListener.start({
    ...REAL,
    clients: [{ name: "aaa", by: { kind: "address", block: "127.0.0.1", secret: Buffer.from(SECRET) } }],
    udp: [{ ...LOOPBACK, purpose: "dynamicAuthorization" }],
    radsec: [],
    onRequest: ({ packet }, answer) => {
      const known = sessions.has(attributeOf(packet, "Acct-Session-Id") ?? "");
      const cause = [attribute("Error-Cause", ErrorCause.SessionContextNotFound)];
      answer({ code: packet.code + (known ? 1 : 2), attributes: known ? [] : cause });
    },
    onDrop: () => {},
  });
  ends.defer(() => gateway.close());
  const [port] = gateway.ports().udp;
  for (const [command, ack, nak] of [
    ["disconnect", "Disconnect-ACK", "Disconnect-NAK"],
    ["coa", "CoA-ACK", "CoA-NAK"],
  ] as const) {
    const known = await radclient(command, port!, SECRET, "Acct-Session-Id=0001,User-Name=x");
    assert.match(known.output, new RegExp(`Received ${ack}`));
    const unknown = await radclient(command, port!, SECRET, "Acct-Session-Id=0002,User-Name=x");
    assert.match(unknown.output, new RegExp(`Received ${nak}[^]*Session-Context-Not-Found`));
  }
});
