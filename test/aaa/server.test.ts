import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hss } from "../../src/aaa/hss/hss.ts";
import type { Decision } from "../../src/aaa/server.ts";
import { AKA_PRIME } from "../../src/eap/aka/variant.ts";
import { sql, text } from "../../src/store/sql.ts";
import { SqliteDatabase } from "../../src/store/sqlite.ts";
import { authenticate, HostingParty, IMSI, operator, RecordingGateway } from "./made.ts";

const SEGW = new RecordingGateway("segw.example");
const query = (session: string, device: string, from?: string) => {
  return { session, gateway: SEGW, device, from, accountingId: undefined };
};
const reasonOf = (decision: Decision) => (decision.kind === "reject" ? decision.reason : decision.kind);

test("a device is let in or kept out by the entry closest to its name (7.x-1)", async () => {
  const { aaa, devices } = await operator({ unknownDevices: "deny" });
  const entry = { verdict: "allow", authentication: "either" } as const;
  await devices.put({ identity: "*.factory.example", ...entry });
  await devices.put({ identity: "bad.factory.example", ...entry, verdict: "deny" });
  await devices.put({ identity: "*.lot7.factory.example", ...entry, verdict: "deny" });
  await devices.put({ identity: "Good.Lot7.factory.example", ...entry });
  const verdictOn = async (device: string) => reasonOf(await aaa.authorizeDevice(query(device, device)));
  assert.equal(await verdictOn("ap-1.factory.example"), "accept");
  assert.equal(await verdictOn("AP-1.Factory.Example"), "accept");
  assert.equal(await verdictOn("bad.factory.example"), "DeniedDevice");
  assert.equal(await verdictOn("ap-1.lot7.factory.example"), "DeniedDevice");
  assert.equal(await verdictOn("good.lot7.factory.example"), "accept");
  assert.equal(await verdictOn("factory.example"), "UnknownDevice", "a domain is not below itself");
  assert.equal(await verdictOn("ap-1.other.example"), "UnknownDevice");
  assert.equal(
    await verdictOn(`${"a.".repeat(120)}factory.example`),
    "UnknownDevice",
    "as deep as names are looked at",
  );
  await devices.put({ identity: "*", ...entry });
  assert.equal(await verdictOn("ap-1.other.example"), "accept");
  assert.ok(await devices.remove("*"));
  assert.equal(await verdictOn("ap-1.other.example"), "UnknownDevice");
});

test("a device that is bound to a place is refused from elsewhere, and where the gateway does not say", async () => {
  const { aaa, devices } = await operator();
  const location = "192.0.2.0/24 2001:db8::/32";
  await devices.put({ identity: "ap-1.example", verdict: "allow", authentication: "either", location });
  const verdictFrom = async (from?: string) => reasonOf(await aaa.authorizeDevice(query("s", "ap-1.example", from)));
  assert.equal(await verdictFrom("192.0.2.77"), "accept");
  assert.equal(await verdictFrom("2001:db8::7"), "accept");
  assert.equal(await verdictFrom("192.0.3.1"), "WrongLocation");
  assert.equal(await verdictFrom("no address"), "WrongLocation");
  assert.equal(await verdictFrom(undefined), "WrongLocation");
});

test("an entry that makes no sense is refused", async () => {
  const { devices } = await operator();
  const entry = { verdict: "allow", authentication: "either" } as const;
  await assert.rejects(devices.put({ identity: "a b", ...entry }), /no device/);
  await assert.rejects(devices.put({ identity: "*x", ...entry }), /no device/);
  await assert.rejects(devices.put({ identity: "a", ...entry, location: "somewhere" }), /no address block/);
});

test("a profile that demands combined authentication lets the device in only once a hosting party follows (A.1-4)", async () => {
  const { aaa, devices, world, events } = await operator();
  await devices.put({ identity: "ap-1.example", verdict: "allow", authentication: "combined", sessionTimeout: 600 });
  const first = await aaa.authorizeDevice(query("s1", "ap-1.example"));
  assert.ok(first.kind === "hostingPartyFollows" && first.grant.profile.sessionTimeout === 600);
  assert.deepEqual(events, [], "nobody is accepted yet");
  const party = new HostingParty(world);
  const second = await authenticate(aaa, party, { session: "s1", gateway: SEGW, device: undefined });
  assert.ok(second.kind === "accept");
  const session = aaa.sessions.get("s1")!;
  assert.deepEqual([session.device, session.subscriber], ["ap-1.example", IMSI]);
  assert.equal(second.grant.profile.sessionTimeout, 600, "the device of the first round counts in the second");
});

test("a device whose profile is device-only brings no hosting party, and a denied one none either", async () => {
  const { aaa, devices, world } = await operator();
  await devices.put({ identity: "ap-1.example", verdict: "allow", authentication: "device-only" });
  await devices.put({ identity: "ap-2.example", verdict: "deny", authentication: "either" });
  const party = new HostingParty(world);
  const on = (device: string) => authenticate(aaa, party, { session: "s", gateway: SEGW, device });
  assert.equal(reasonOf(await on("ap-1.example")), "NotForHostingParties");
  assert.equal(reasonOf(await on("ap-2.example")), "DeniedDevice");
  assert.equal(aaa.sessions.size, 0);
});

for (const variant of [undefined, AKA_PRIME]) {
  test(`${variant?.name ?? "EAP-AKA"}: empty payload and identity in, MSK and profile out (A.2-3, A.2-4, A.2-6)`, async () => {
    const { aaa, database, devices, world } = await operator();
    await database.change(
      sql`UPDATE subscriber SET filter = ${"guests"}, address = ${"10.1.2.3"}, session_timeout = ${7200}`,
    );
    await devices.put({
      identity: "ap-1.example",
      verdict: "allow",
      authentication: "either",
      sessionTimeout: 900,
      filter: "x",
    });
    const party = new HostingParty(world, variant === undefined ? {} : { variant });
    const decision = await authenticate(aaa, party, { session: "s1", gateway: SEGW });
    assert.ok(decision.kind === "accept" && decision.eap !== undefined);
    assert.ok(party.result !== undefined && "msk" in party.result);
    assert.deepEqual(decision.eap.msk, party.result.msk);
    assert.deepEqual(decision.grant, {
      profile: { address: "10.1.2.3", filter: "guests", sessionTimeout: 900 },
      subscriber: IMSI,
    });
    assert.equal(aaa.conversations, 0);
  });
}

test("pseudonyms lead to their subscriber after a restart; contexts of fast re-authentication do not", async () => {
  const database = new SqliteDatabase(":memory:");
  const first = await operator({}, { database });
  const party = new HostingParty(first.world);
  await authenticate(first.aaa, party, { session: "s1", gateway: SEGW });
  assert.match(party.begin(), /^4/, "an identity for fast re-authentication");
  await authenticate(first.aaa, party, { session: "s2", gateway: SEGW });
  assert.ok(party.result !== undefined && "msk" in party.result && party.result.reauthentication);
  const second = await operator({}, { database });
  const decision = await authenticate(second.aaa, party, { session: "s3", gateway: SEGW });
  assert.equal(decision.kind, "accept");
  assert.ok(party.result !== undefined && "msk" in party.result && !party.result.reauthentication);
  assert.match(party.result.identity, /^2/, "the pseudonym");
});

test("a wrong key, an unknown and a barred subscriber are refused, each with its reason, and leave nothing behind", async () => {
  const { aaa, subscribers, world, events } = await operator();
  const wrongKey = new HostingParty(world, { k: Buffer.alloc(16) });
  assert.equal(reasonOf(await authenticate(aaa, wrongKey, { session: "a", gateway: SEGW })), "AuthenticationFailed");
  const unknown = new HostingParty(world, { imsi: "001019999999999" });
  assert.equal(reasonOf(await authenticate(aaa, unknown, { session: "b", gateway: SEGW })), "UnknownSubscriber");
  await subscribers.setBarred(IMSI, true);
  const barred = new HostingParty(world);
  assert.equal(reasonOf(await authenticate(aaa, barred, { session: "c", gateway: SEGW })), "UnknownSubscriber");
  assert.deepEqual([aaa.sessions.size, aaa.conversations], [0, 0]);
  assert.deepEqual(
    events.map((event) => event.kind),
    ["refused", "refused", "refused"],
  );
});

test("a subscriber is on the devices it is bound to, and on no other (7.x-1)", async () => {
  for (const [hostingPartyBinding, bound, here, expected] of [
    ["off", "ap-9.example", "ap-1.example", "accept"],
    ["listed", undefined, "ap-1.example", "accept"],
    ["listed", "AP-1.example", "ap-1.Example", "accept"],
    ["listed", "ap-9.example", "ap-1.example", "HostingPartyNotBound"],
    ["listed", "ap-9.example", undefined, "HostingPartyNotBound"],
    ["required", undefined, "ap-1.example", "HostingPartyNotBound"],
    ["required", "ap-1.example", "ap-1.example", "accept"],
  ] as const) {
    const { aaa, devices, world } = await operator({ hostingPartyBinding });
    if (bound !== undefined) await devices.bind(IMSI, bound);
    const party = new HostingParty(world);
    const decision = await authenticate(aaa, party, { session: "s", gateway: SEGW, device: here });
    assert.equal(reasonOf(decision), expected, `${hostingPartyBinding} ${bound} ${here}`);
    // The USIM is told that it is authentic and not authorized, protected (RFC 4187 10.19).
    if (expected !== "accept") assert.ok(party.result !== undefined && "reason" in party.result);
  }
});

test("a binding that is taken back no longer counts, and goes with its subscriber", async () => {
  const { devices, subscribers } = await operator({ hostingPartyBinding: "required" });
  await devices.bind(IMSI, "ap-1.example");
  await devices.bind(IMSI, "ap-1.example");
  await devices.bind(IMSI, "ap-2.example");
  assert.equal(await devices.mayCarry("ap-1.example", IMSI), true);
  assert.equal(await devices.unbind(IMSI, "ap-1.example"), true);
  assert.equal(await devices.unbind(IMSI, "ap-1.example"), false);
  assert.equal(await devices.mayCarry("ap-1.example", IMSI), false);
  assert.equal((await devices.bindings()).length, 1);
  await subscribers.remove(IMSI);
  assert.deepEqual(await devices.bindings(), []);
});

test("a gateway cannot touch another's session or authentication by naming it", async () => {
  const { aaa, world } = await operator();
  const other = new RecordingGateway("other.example");
  const party = new HostingParty(world);
  const begun = await aaa.eap({ ...query("s1", "ap-1.example"), user: party.begin(), payload: Buffer.alloc(0) });
  assert.ok(begun.kind === "challenge");
  const response = party.receive(begun.packet)!;
  const foreign = { ...query("s1", "ap-1.example"), gateway: other, user: undefined, payload: response };
  assert.equal(reasonOf(await aaa.eap(foreign)), "UnknownSession");
  assert.equal(aaa.end("s1", "x", other), false);
  assert.equal(aaa.knows("s1", other), false);
  const done = await aaa.eap({ ...query("s1", "ap-1.example"), user: undefined, payload: response });
  assert.equal(done.kind, "accept", "the true gateway goes on undisturbed");
  assert.equal(
    reasonOf(await aaa.authorizeDevice({ ...query("s1", "ap-1.example"), gateway: other })),
    "UnknownSession",
  );
  assert.equal(aaa.end("s1", "x", other), false);
  await aaa.account(report("stop", "s1"), other);
  assert.ok(aaa.sessions.get("s1") !== undefined);
  assert.equal(aaa.end("s1", "x", SEGW), true);
  assert.equal(aaa.end("s1", "x", SEGW), false);
});

test("an answer for another session, for none, or a second time authenticates nobody", async () => {
  const { aaa, world, subscribers } = await operator();
  await subscribers.add({
    imsi: "001010000000002",
    algorithm: "milenage",
    k: Buffer.alloc(16, 2),
    opc: Buffer.alloc(16, 3),
  });
  const parties = [
    new HostingParty(world),
    new HostingParty(world, { imsi: "001010000000002", k: Buffer.alloc(16, 2), opc: Buffer.alloc(16, 3) }),
  ];
  const responses: Buffer[] = [];
  for (const [index, party] of parties.entries()) {
    const begun = await aaa.eap({
      ...query(`s${index}`, `ap-${index}.example`),
      user: party.begin(),
      payload: Buffer.alloc(0),
    });
    assert.ok(begun.kind === "challenge");
    responses.push(party.receive(begun.packet)!);
  }
  // Crossed: the EAP identifiers may even agree, AT_MAC does not.
  const crossed = await aaa.eap({ ...query("s0", "ap-0.example"), user: undefined, payload: responses[1]! });
  assert.ok(crossed.kind === "challenge" || crossed.kind === "reject");
  const none = await aaa.eap({ ...query("s9", "ap-0.example"), user: undefined, payload: responses[0]! });
  assert.equal(reasonOf(none), "UnknownSession");
  const right = await aaa.eap({ ...query("s1", "ap-1.example"), user: undefined, payload: responses[1]! });
  assert.equal(right.kind, "accept");
  const again = await aaa.eap({ ...query("s1", "ap-1.example"), user: undefined, payload: responses[1]! });
  assert.equal(reasonOf(again), "UnknownSession", "its conversation is over");
  assert.ok(aaa.sessions.get("s1") !== undefined, "and its session stays");
  assert.equal(aaa.sessions.get("s0"), undefined);
});

test("a packet that comes while the HSS is asked is not lost to a race, and one that is no EAP gets the last request again", async () => {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = (local: Hss): Hss => ({
    profile: (imsi) => local.profile(imsi),
    vector: async (request) => {
      await gate;
      return local.vector(request);
    },
  });
  const { aaa, world } = await operator({}, { replaceHss: slow });
  const party = new HostingParty(world);
  const start = { ...query("s1", "ap-1.example"), user: party.begin(), payload: Buffer.alloc(0) };
  const first = aaa.eap(start);
  while (aaa.conversations === 0) await new Promise(setImmediate);
  assert.equal((await aaa.eap(start)).kind, "busy");
  release();
  const begun = await first;
  assert.ok(begun.kind === "challenge");
  const odd = await aaa.eap({ ...start, payload: Buffer.from("no EAP") });
  assert.deepEqual(odd, begun);
});

test("an HSS that fails ends the authentication with a reason, and the next one may succeed", async () => {
  let failing = true;
  const flaky = (local: Hss): Hss => ({
    profile: async (imsi) => {
      if (failing) throw new Error("the HSS does not answer");
      return local.profile(imsi);
    },
    vector: (request) => local.vector(request),
  });
  const { aaa, world } = await operator({}, { replaceHss: flaky });
  const party = new HostingParty(world);
  assert.equal(reasonOf(await authenticate(aaa, party, { session: "s1", gateway: SEGW })), "Unavailable");
  failing = false;
  assert.equal((await authenticate(aaa, party, { session: "s2", gateway: SEGW })).kind, "accept");
});

test("authentications at once are bounded, and those that nobody goes on with end by themselves", async () => {
  const { aaa, world } = await operator({}, { limits: { sessions: 10, conversations: 3 } });
  const begin = async (session: string) => {
    const party = new HostingParty(world);
    return reasonOf(
      await aaa.eap({ ...query(session, "ap-1.example"), user: party.begin(), payload: Buffer.alloc(0) }),
    );
  };
  assert.deepEqual(await Promise.all(["a", "b", "c"].map(begin)), ["challenge", "challenge", "challenge"]);
  assert.equal(await begin("d"), "Unavailable");
  world.run(60_001);
  assert.equal(await begin("d"), "challenge");
  assert.equal(aaa.conversations, 1);
});

test("sessions are bounded, end by their timeout, and all at once when their gateway restarts", async () => {
  const { aaa, world, events } = await operator({}, { limits: { sessions: 3, conversations: 3 } });
  const other = new RecordingGateway("other.example");
  for (const device of ["a", "b"]) await aaa.authorizeDevice(query(device, device));
  await aaa.authorizeDevice({ ...query("c", "c"), gateway: other });
  assert.equal(reasonOf(await aaa.authorizeDevice(query("d", "d"))), "TooManySessions");
  aaa.gatewayRestarted(SEGW.name);
  assert.deepEqual(
    [...aaa.sessions.all()].map(({ id }) => id),
    ["c"],
  );
  world.run(3600_000 + 59_000);
  aaa.sweep();
  assert.equal(aaa.sessions.size, 1);
  world.run(2_000);
  aaa.sweep();
  assert.equal(aaa.sessions.size, 0);
  const causes = events.flatMap((event) => (event.kind === "ended" ? [event.cause] : []));
  assert.deepEqual(causes, ["gatewayRestarted", "gatewayRestarted", "sessionTimeout"]);
});

test("a newer session of a device ends the older one, on whichever gateway it is (A.2-8)", async () => {
  const { aaa } = await operator();
  const [one, two] = [new RecordingGateway("one"), new RecordingGateway("two")];
  await aaa.authorizeDevice({ ...query("s1", "ap-1.example"), gateway: one });
  await aaa.authorizeDevice({ ...query("s1", "ap-1.example"), gateway: one });
  assert.deepEqual(one.told, [], "the same session again is no newer one");
  await aaa.authorizeDevice({ ...query("s2", "AP-1.example"), gateway: two });
  await new Promise(setImmediate);
  assert.deepEqual(one.told, ["abort s1"]);
  assert.deepEqual(
    [...aaa.sessions.all()].map(({ id }) => id),
    ["s2"],
  );
  aaa.end("s2", "logout");
  await aaa.authorizeDevice({ ...query("s3", "ap-1.example"), gateway: one });
  assert.deepEqual(two.told, [], "one that ended need not be ended");
});

test("a gateway that cannot tell a device's older session from its newer one is not told to end it", async () => {
  const { aaa } = await operator();
  const gateway = new RecordingGateway("segw");
  gateway.tells = false;
  await aaa.authorizeDevice({ ...query("s1", "ap-1.example"), gateway });
  await aaa.authorizeDevice({ ...query("s2", "ap-1.example"), gateway });
  await new Promise(setImmediate);
  assert.deepEqual(gateway.told, []);
  assert.deepEqual(
    [...aaa.sessions.all()].map(({ id }) => id),
    ["s2"],
  );
});

test("a forced detach counts only when the gateway has done it", async () => {
  const { aaa } = await operator();
  const gateway = new RecordingGateway("segw");
  await aaa.authorizeDevice({ ...query("s1", "ap-1.example"), gateway });
  gateway.obeys = false;
  assert.equal(await aaa.detach(aaa.sessions.get("s1")!, "administrative"), false);
  assert.equal(aaa.sessions.size, 1);
  gateway.obeys = true;
  assert.equal(await aaa.detach(aaa.sessions.get("s1")!, "administrative"), true);
  assert.equal(aaa.sessions.size, 0);
});

test("accounting keeps one row a session whatever order its reports come in, and how often", async () => {
  const { aaa, database } = await operator();
  await aaa.authorizeDevice(query("s1", "ap-1.example"));
  await aaa.account(report("interim", "s1", 60, 5_000_000_000), SEGW);
  await aaa.account(report("start", "s1", 0, 0), SEGW);
  await aaa.account(report("interim", "s1", 30, 1000), SEGW);
  await aaa.account(report("stop", "s1", 90, 6_000_000_000), SEGW);
  await aaa.account(report("stop", "s1", 90, 6_000_000_000), SEGW);
  assert.equal(aaa.sessions.size, 1, "accounting ends no session: STR does, and a Stop over RADIUS, which has none");
  const rows = await database.rows(sql`SELECT * FROM accounting`);
  assert.equal(rows.length, 1);
  const { seconds, input_octets, cause } = rows[0]!;
  assert.deepEqual([text(rows[0]!, "device"), seconds, input_octets, cause], ["ap-1.example", 90, 6_000_000_000, 1]);
});

function report(kind: "start" | "interim" | "stop", session: string, seconds?: number, inputOctets?: number) {
  return {
    kind,
    session,
    device: "said by the gateway",
    subscriber: undefined,
    seconds,
    inputOctets,
    outputOctets: undefined,
    cause: kind === "stop" ? 1 : undefined,
  };
}
