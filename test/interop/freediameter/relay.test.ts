import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AA,
  AbortSession,
  makeAnswer,
  makeRequest,
  readAnswer,
  readRequest,
  SessionTermination,
} from "../../../src/diameter/codec/commands.ts";
import { Application, ResultCode } from "../../../src/diameter/codec/numbers.ts";
import { AKA_PRIME } from "../../../src/eap/aka/variant.ts";
import { World } from "../../../src/sim/world.ts";
import { HostingParty, IMSI, K, OPC } from "../../aaa/made.ts";
import { authenticateByDiameter, diameterGateway, Place, provisioning, SWM_REALM, swm } from "../../aaa/served.ts";
import { TlsAuthority } from "../../net/tlsCredentials.ts";
import { FreeDiameter } from "./freediameter.ts";

const LOOPBACK = { address: "127.0.0.1", port: 0 };

test("freeDiameter relays between gateway and AAA server over TLS: AAR, DER rounds, ASR back, STR", async () => {
  await using ends = new AsyncDisposableStack();
  const authority = new TlsAuthority();
  const own = authority.issue("aaa.example");
  let met = () => {};
  const relayMet = new Promise<void>((resolve) => {
    met = resolve;
  });
  const place = new Place(
    ends,
    {
      diameter: {
        host: "aaa.example",
        realm: "example",
        listen: [{ ...LOOPBACK, tls: true }],
        peers: [{ host: "relay.example" }],
      },
      tls: { chain: "chain", key: "key", roots: ["roots"] },
      admin: { listen: LOOPBACK, tokenFile: "secret" },
    },
    { chain: own.certificates, key: own.key, roots: own.authorities },
  );
  const aaa = await place.serve(ends, (line) => line.includes('"event":"peerUp"') && met());
  const ask = provisioning(aaa.ports.admin!);
  await ask("POST", "/subscribers", {
    imsi: IMSI,
    k: K.toString("hex"),
    opc: OPC.toString("hex"),
    address: "10.1.2.3",
  });
  await ask("PUT", "/devices/ap-1.example", { authentication: "combined", filter: "guests" });

  const relay = ends.use(
    await FreeDiameter.start({
      identity: "relay.example",
      realm: "example",
      credentials: authority.issue("relay.example"),
      servers: { "aaa.example": aaa.ports.diameter[0]! },
      clients: ["segw.example"],
    }),
  );
  let aborted = "";
  const segw = await diameterGateway(ends, relay.port, {
    server: "relay.example",
    tls: authority.issue("segw.example"),
    timers: { reconnect: 200 },
    onRequest: (message, peer, answer) => {
      assert.equal(peer, "relay.example");
      const request = readRequest(AbortSession, message);
      aborted = request["Session-Id"];
      answer(
        makeAnswer(AbortSession, message, {
          "Session-Id": request["Session-Id"],
          "Origin-Host": "segw.example",
          "Origin-Realm": "example",
          "Result-Code": ResultCode.SUCCESS,
        }),
      );
    },
  });
  await relayMet;
  // The relay answers UNABLE_TO_DELIVER until it has our CEA, which is on its way.
  const authorize = async () => {
    const request = makeRequest(AA, Application.SWm, segw.node.newEndToEnd(), {
      ...swm("segw.example;1;1"),
      "Auth-Request-Type": 2,
      "User-Name": "ap-1.example",
    });
    return readAnswer(AA, (await segw.request(request, SWM_REALM)).message);
  };
  let authorized = await authorize();
  while (authorized.outcome.code === ResultCode.UNABLE_TO_DELIVER) authorized = await authorize();
  assert.equal(authorized.outcome.code, ResultCode.LIMITED_SUCCESS, relay.lines.join("\n"));
  assert.deepEqual(authorized.values["Filter-Id"], ["guests"]);

  const world = new World("relay", { loss: 0, duplicate: 0, delay: [1, 1] });
  const party = new HostingParty(world, { variant: AKA_PRIME });
  const { outcome, values } = await authenticateByDiameter(segw, party, "segw.example;1;1", "ap-1.example");
  assert.equal(outcome.code, ResultCode.SUCCESS, relay.lines.join("\n"));
  assert.ok(party.result !== undefined && "msk" in party.result);
  assert.deepEqual(values["EAP-Master-Session-Key"], party.result.msk);

  // Back through the relay: the server knows no other way to the gateway.
  assert.deepEqual((await ask("DELETE", "/sessions/ap-1.example")).body, { detached: 1, asked: 1 });
  assert.equal(aborted, "segw.example;1;1");
  const str = makeRequest(SessionTermination, Application.SWm, segw.node.newEndToEnd(), {
    ...swm("segw.example;1;1"),
    "Destination-Host": "aaa.example",
    "Termination-Cause": 1,
  });
  const ended = await segw.request(str, { ...SWM_REALM, host: "aaa.example" });
  assert.equal(readAnswer(SessionTermination, ended.message).outcome.code, ResultCode.UNKNOWN_SESSION_ID);
  assert.deepEqual(relay.complaints(), []);
});
