/** The gateway's AAA sessions against our AAA server as it is run, over Diameter and over RADIUS (TS 33.320 7.x, A.2). */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { describe, test } from "node:test";
import type { IkeSaId } from "../../../src/ike/sa/effects.ts";
import type { AaaClient, AaaGrant, DeviceAuthorization, RelayedEap, SessionEnd } from "../../../src/segw/aaa/client.ts";
import { type AaaSection, aaaSection } from "../../../src/segw/aaa/config.ts";
import { openAaaClient } from "../../../src/segw/aaa/open.ts";
import { AaaSessions } from "../../../src/segw/aaa/sessions.ts";
import { systemEnvironment } from "../../../src/sim/system.ts";
import { World } from "../../../src/sim/world.ts";
import { HostingParty, IMSI, K, OPC } from "../../aaa/made.ts";
import { Place, provisioning, REAL } from "../../aaa/served.ts";
import { freePort } from "../../net/freePort.ts";

const LOOPBACK = { address: "127.0.0.1", port: 0 };
/** Milliseconds for what is to be told at the end. */
const LIMIT = 5_000;
const DEVICE = "ap-1.operator.example";
const SA = 7 as IkeSaId;
const world = new World("segw aaa", { loss: 0, duplicate: 0, delay: [1, 1] });

interface Scene {
  sessions: AaaSessions;
  client: AaaClient;
  ends: { sa: IkeSaId; cause: string }[];
  problems: string[];
  /** The next change of what the session is granted, from when it is asked for. */
  nextChange(): Promise<AaaGrant>;
  /** The next end that the server wants. */
  nextEnd(): Promise<string>;
  ask: ReturnType<typeof provisioning>;
  /** Sessions that the server knows. */
  known(): Promise<{ device?: string; subscriber?: string }[]>;
}

async function scene(ends: AsyncDisposableStack, protocol: "diameter" | "radius"): Promise<Scene> {
  const dynamicAuthorization = { address: "127.0.0.1", port: await freePort() };
  const place = new Place(ends, {
    admin: { listen: LOOPBACK, tokenFile: "secret" },
    diameter: {
      host: "aaa.operator.example",
      realm: "operator.example",
      listen: [LOOPBACK],
      peers: [{ host: "segw.operator.example" }],
    },
    radius: {
      authentication: [LOOPBACK],
      accounting: [LOOPBACK],
      clients: [{ name: "segw", block: "127.0.0.1", secretFile: "secret", dynamicAuthorization }],
    },
  });
  const { ports } = await place.serve(ends);
  const ask = provisioning(ports.admin!);
  await ask("POST", "/subscribers", {
    imsi: IMSI,
    k: K.toString("hex"),
    opc: OPC.toString("hex"),
    address: "10.1.2.3",
    sessionTimeout: 3600,
  });
  await ask("PUT", `/devices/${DEVICE}`, { authentication: "combined" });
  const server =
    protocol === "diameter"
      ? {
          protocol,
          host: "segw.operator.example",
          realm: "operator.example",
          peers: [{ host: "aaa.operator.example", address: "127.0.0.1", port: ports.diameter[0] }],
        }
      : {
          protocol,
          dynamicAuthorization,
          servers: [
            {
              name: "aaa",
              address: "127.0.0.1",
              port: ports.radius[0],
              accountingPort: ports.radius[1],
              secretFile: "secret",
            },
          ],
        };
  const section: AaaSection = aaaSection.parse({ server });
  const problems: string[] = [];
  const ended: Scene["ends"] = [];
  const hearing = new EventEmitter();
  const up = Promise.withResolvers<void>();
  const client = await openAaaClient(
    section,
    { name: "segw.operator.example", addresses: ["192.0.2.1"] },
    (path) => `${place.folder}/${path}`,
    REAL,
    {
      onDetach: (name) => sessions.detach(name),
      onReauthorize: (name) => sessions.reauthorize(name),
      sessionOf: (name) => sessions.sessionOf(name),
      onChange: (name, change) => sessions.change(name, change),
      onUp: () => up.resolve(),
      onProblem: (problem) => problems.push(problem),
    },
  );
  ends.defer(() => client.close());
  await up.promise;
  const sessions: AaaSessions = new AaaSessions({
    client,
    name: "segw.operator.example",
    ...systemEnvironment,
    usageOf: () => ({ inboundBytes: 1000, outboundBytes: 2000 }),
    hasFilter: (name) => name !== "unheard of",
    onEnd: (sa, cause) => {
      ended.push({ sa, cause });
      hearing.emit("end", cause);
    },
    onGranted: () => undefined,
    onChanged: (_sa, _device, grant) => void hearing.emit("change", grant),
    onProblem: (problem) => problems.push(problem),
  });
  const nextChange = async () => (await once(hearing, "change"))[0] as AaaGrant;
  const nextEnd = async () => (await once(hearing, "end"))[0] as string;
  const known = async () => (await ask("GET", "/sessions")).body as Awaited<ReturnType<Scene["known"]>>;
  return { sessions, client, ends: ended, problems, nextChange, nextEnd, ask, known };
}

/** The hosting party's whole conversation through the gateway's session; gives how it ended. */
async function converse(sessions: AaaSessions, party: HostingParty) {
  const identity = party.begin();
  const named = { idType: 3, idData: Buffer.from(identity), text: identity };
  let answer = await sessions.relay(SA, named, undefined);
  for (let round = 0; round < 10 && "kind" in answer && answer.kind === "request"; round++) {
    const response = party.receive(answer.packet);
    assert.ok(response !== undefined, "the hosting party answers each request");
    answer = await sessions.relay(SA, named, response);
  }
  return answer;
}

for (const protocol of ["diameter", "radius"] as const) {
  describe(`over ${protocol}`, () => {
    test("a device is authorized, its hosting party authenticated with the same MSK at both ends, and its stay accounted for", async () => {
      await using ends = new AsyncDisposableStack();
      const { sessions, problems, known } = await scene(ends, protocol);
      sessions.begin(SA, DEVICE, "127.0.0.1");
      const authorized = await sessions.authorize(SA);
      assert.ok(authorized.kind === "accepted", JSON.stringify(authorized));
      assert.equal(authorized.secondRound, "required");
      const party = new HostingParty(world);
      const end = await converse(sessions, party);
      assert.ok("kind" in end && end.kind === "success", JSON.stringify(end));
      party.receive(end.packet);
      assert.ok(party.result !== undefined && "msk" in party.result);
      assert.deepEqual(end.msk, party.result.msk);
      assert.deepEqual(sessions.addressesOf(SA), ["10.1.2.3"]);
      sessions.attached(SA, ["10.1.2.3"]);
      assert.equal((await known()).length, 1);
      sessions.gone(SA, "deletedByPeer");
      await sessions.close(LIMIT);
      assert.equal(sessions.size, 0);
      assert.deepEqual(await known(), [], "the server forgets the session");
      assert.deepEqual(
        problems.filter((problem) => !problem.includes("peerDown")),
        [],
      );
    });

    test("a device that the server does not know is refused, and so is a hosting party of another key", async () => {
      await using ends = new AsyncDisposableStack();
      const { sessions } = await scene(ends, protocol);
      sessions.begin(SA, "ap-9.operator.example", "127.0.0.1");
      const authorized = await sessions.authorize(SA);
      assert.ok(authorized.kind === "refused");
      assert.equal(authorized.refusal.reason, "DeviceNotAuthorized");
      sessions.gone(SA, "failed");
      sessions.begin(SA, DEVICE, "127.0.0.1");
      await sessions.authorize(SA);
      const end = await converse(sessions, new HostingParty(world, { k: Buffer.alloc(16, 9) }));
      assert.ok("kind" in end && end.kind === "failure", JSON.stringify(end));
      assert.equal(end.refusal.reason, "HostingPartyRefused");
      sessions.gone(SA, "failed");
      await sessions.close(LIMIT);
    });

    test("the server hears where a device is, and keeps it to its place (7.x-1)", async () => {
      await using ends = new AsyncDisposableStack();
      const { sessions, ask } = await scene(ends, protocol);
      await ask("PUT", `/devices/${DEVICE}`, { authentication: "device-only", location: "192.0.2.0/24 2001:db8::/32" });
      for (const [from, verdict] of [
        ["192.0.2.7", "accepted"],
        ["2001:db8::7", "accepted"],
        ["198.51.100.7", "refused"],
      ] as const) {
        sessions.begin(SA, DEVICE, from);
        const { kind } = await sessions.authorize(SA);
        sessions.gone(SA, "closed");
        assert.equal(kind, verdict, from);
      }
      await sessions.close(LIMIT);
    });

    test("a changed profile reaches a session that stands, and one that is no longer allowed ends (RAR, CoA)", async () => {
      await using ends = new AsyncDisposableStack();
      const { sessions, nextChange, nextEnd, ask, known } = await scene(ends, protocol);
      sessions.begin(SA, DEVICE, "127.0.0.1");
      await sessions.authorize(SA);
      await converse(sessions, new HostingParty(world));
      sessions.attached(SA, ["10.1.2.3"]);
      const [session] = (await known()) as { id?: string }[];
      const reauthorize = async () =>
        (await ask("POST", `/sessions/${encodeURIComponent(session!.id!)}`)).body as { reauthorized: boolean };
      await ask("PUT", `/devices/${DEVICE}`, { authentication: "combined", filter: "guests", sessionTimeout: 60 });
      const changed = nextChange();
      assert.deepEqual(await reauthorize(), { reauthorized: true });
      const { addresses, sessionTimeout, filter } = await changed;
      assert.deepEqual([addresses, sessionTimeout, filter], [["10.1.2.3"], 60, "guests"]);
      assert.equal(sessions.filterOf(SA), "guests");
      await ask("PUT", `/devices/${DEVICE}`, { verdict: "deny" });
      const end = nextEnd();
      assert.deepEqual(await reauthorize(), { reauthorized: true });
      assert.equal(await end, "detachedByAaa");
      sessions.gone(SA, "detachedByAaa");
      await sessions.close(LIMIT);
    });

    test("a filter that the gateway has not is refused, before the device is attached and after", async () => {
      await using ends = new AsyncDisposableStack();
      const { sessions, nextEnd, ask, known } = await scene(ends, protocol);
      await ask("PUT", `/devices/${DEVICE}`, { authentication: "device-only", filter: "unheard of" });
      sessions.begin(SA, DEVICE, "127.0.0.1");
      const authorized = await sessions.authorize(SA);
      assert.ok(authorized.kind === "refused");
      assert.equal(authorized.refusal.reason, "UnknownFilter");
      sessions.gone(SA, "failed");
      await ask("PUT", `/devices/${DEVICE}`, { authentication: "device-only", filter: "guests" });
      sessions.begin(SA, DEVICE, "127.0.0.1");
      assert.equal((await sessions.authorize(SA)).kind, "accepted");
      sessions.attached(SA, []);
      await ask("PUT", `/devices/${DEVICE}`, { authentication: "device-only", filter: "unheard of" });
      const end = protocol === "diameter" ? nextEnd() : undefined;
      const [session] = (await known()) as { id?: string }[];
      const { body } = await ask("POST", `/sessions/${encodeURIComponent(session!.id!)}`);
      // Diameter's RAR only asks; RADIUS's CoA says what is to be, and is refused.
      assert.deepEqual(body, { reauthorized: protocol === "diameter" });
      assert.equal(await end, protocol === "diameter" ? "detachedByAaa" : undefined);
      assert.equal(sessions.filterOf(SA), "guests");
      sessions.gone(SA, "closed");
      await sessions.close(LIMIT);
    });

    test("what comes for an IKE SA that has left changes nothing", async () => {
      await using ends = new AsyncDisposableStack();
      const { sessions } = await scene(ends, protocol);
      const late = await sessions.relay(SA, { idType: 3, idData: Buffer.from("x"), text: "x" }, undefined);
      assert.ok("reason" in late);
      assert.equal(late.reason, "NoAaaSession");
      assert.equal(sessions.detach("nobody"), false);
      sessions.gone(SA, "closed");
      await sessions.close(LIMIT);
    });
  });
}

test("an operator ends a session at the server, and the gateway lets the device go (ASR)", async () => {
  await using ends = new AsyncDisposableStack();
  const { sessions, ends: ended, ask, known } = await scene(ends, "diameter");
  sessions.begin(SA, DEVICE, "127.0.0.1");
  await sessions.authorize(SA);
  await converse(sessions, new HostingParty(world));
  sessions.attached(SA, []);
  const [session] = (await known()) as { id?: string; session?: string }[];
  const name = session?.id ?? session?.session;
  assert.ok(name !== undefined, JSON.stringify(session));
  await ask("DELETE", `/sessions/${encodeURIComponent(name)}`);
  assert.deepEqual(ended, [{ sa: SA, cause: "detachedByAaa" }]);
  sessions.gone(SA, "detachedByAaa");
  await sessions.close(LIMIT);
});

test("a session's time runs out at the gateway, and rekeying does not lengthen it", async () => {
  const timed: string[] = [];
  const clock = new World("timeout");
  const client: AaaClient = {
    authorize: async () => ({ kind: "accepted", secondRound: "allowed", grant: { sessionTimeout: 60 } }),
    eap: async () => assert.fail("no EAP here"),
    started: () => undefined,
    ended: async (_session, { cause, seconds }) => void timed.push(`${cause} ${seconds}`),
    close: async () => undefined,
  };
  const sessions: AaaSessions = new AaaSessions({
    client,
    name: "segw",
    clock,
    random: clock.random,
    timers: clock,
    usageOf: () => ({ inboundBytes: 0, outboundBytes: 0 }),
    hasFilter: () => true,
    onEnd: (sa, cause) => sessions.gone(sa, cause),
    onGranted: () => undefined,
    onChanged: () => undefined,
    onProblem: () => undefined,
  });
  sessions.begin(SA, DEVICE, "192.0.2.1");
  await sessions.authorize(SA);
  sessions.attached(SA, []);
  clock.run(40_000);
  sessions.transfer(SA, 8 as IkeSaId);
  clock.run(19_000);
  assert.deepEqual(timed, []);
  clock.run(2_000);
  assert.deepEqual(timed, ["sessionTimeout 60"]);
});

test("re-authorizations of one session follow each other, and only a word of the server's ends it", async () => {
  const clock = new World("reauthorize");
  const answers: DeviceAuthorization[] = [];
  const waiting: (() => void)[] = [];
  const heard: string[] = [];
  let name = "";
  const client: AaaClient = {
    authorize: ({ id }) => {
      name = id;
      return new Promise((resolve) => waiting.push(() => resolve(answers.shift()!)));
    },
    eap: async () => assert.fail("no EAP here"),
    started: () => undefined,
    ended: async () => undefined,
    close: async () => undefined,
  };
  const sessions = new AaaSessions({
    client,
    name: "segw",
    clock,
    random: clock.random,
    timers: clock,
    usageOf: () => ({ inboundBytes: 0, outboundBytes: 0 }),
    hasFilter: () => true,
    onEnd: (sa, cause) => heard.push(`end ${sa} ${cause}`),
    onGranted: () => undefined,
    onChanged: (sa, _device, { sessionTimeout }) => heard.push(`changed ${sa} ${sessionTimeout}`),
    onProblem: (problem) => heard.push(problem.split(":")[0]!),
  });
  const answer = async (...next: DeviceAuthorization[]) => {
    answers.push(...next);
    waiting.shift()!();
    await new Promise(setImmediate);
  };
  const accepted = (sessionTimeout: number): DeviceAuthorization => ({
    kind: "accepted",
    secondRound: "allowed",
    grant: { sessionTimeout },
  });
  const refused = (reason: string): DeviceAuthorization => ({ kind: "refused", refusal: { reason, message: "no" } });
  sessions.begin(SA, DEVICE, "192.0.2.1");
  const first = sessions.authorize(SA);
  await answer(accepted(60));
  await first;
  assert.equal(sessions.reauthorize(name), false, "not attached yet");
  sessions.attached(SA, []);
  clock.run(50_000);
  assert.ok(sessions.reauthorize(name) && sessions.reauthorize(name) && sessions.reauthorize(name));
  assert.equal(waiting.length, 1, "one at a time");
  sessions.transfer(SA, 8 as IkeSaId);
  await answer(accepted(30));
  assert.equal(waiting.length, 1, "and one more for all that came meanwhile");
  await answer(refused("AaaUnreachable"));
  assert.equal(waiting.length, 0);
  clock.run(29_000);
  assert.deepEqual(heard, ["changed 8 30", `${DEVICE} could not be authorized anew`]);
  clock.run(2_000);
  assert.equal(heard.at(-1), "end 8 sessionTimeout", "the time counts from the re-authorization");
  sessions.reauthorize(name);
  await answer(refused("DeviceNotAuthorized"));
  assert.equal(heard.at(-1), "end 8 detachedByAaa");
  sessions.reauthorize(name);
  await answer({ kind: "accepted", secondRound: "required", grant: {} });
  assert.equal(heard.at(-1), "end 8 detachedByAaa", "a device alone no longer does (A.1-4)");
  sessions.reauthorize(name);
  sessions.gone(8 as IkeSaId, "closed");
  const before = heard.length;
  await answer(accepted(5));
  assert.equal(heard.length, before, "an answer for a session that is over changes nothing");
  assert.equal(sessions.reauthorize(name), false);
});

test("a server that does not want to hear of a session's end holds nobody up for longer than the limit", async () => {
  const clock = new World("mute");
  const never = new Promise<void>(() => undefined);
  const closed: number[] = [];
  const sessions = new AaaSessions({
    client: {
      authorize: async () => ({ kind: "accepted", secondRound: "allowed", grant: {} }),
      eap: async () => assert.fail("no EAP here"),
      started: () => undefined,
      ended: () => never,
      close: async () => void closed.push(clock.now()),
    },
    name: "segw",
    clock,
    random: clock.random,
    timers: clock,
    usageOf: () => ({ inboundBytes: 0, outboundBytes: 0 }),
    hasFilter: () => true,
    onEnd: () => undefined,
    onGranted: () => undefined,
    onChanged: () => undefined,
    onProblem: () => undefined,
  });
  sessions.begin(SA, DEVICE, "192.0.2.1");
  await sessions.authorize(SA);
  sessions.gone(SA, "shutdown");
  const from = clock.now();
  const closing = sessions.close(LIMIT);
  await clock.runUntilSettled(() => closed.length > 0, 2 * LIMIT);
  await closing;
  assert.deepEqual(closed, [from + LIMIT]);
});

test("a server hears of the end of what it has let in, and accounting ends where it has begun", async () => {
  const accepted: DeviceAuthorization = { kind: "accepted", secondRound: "allowed", grant: {} };
  const refused = (reason: string) => ({ kind: "refused", refusal: { reason, message: "" } }) as const;
  const failed = (reason: string): RelayedEap => ({
    answer: { kind: "failure", packet: undefined, refusal: { reason, message: "" } },
    grant: {},
  });
  const succeeded: RelayedEap = {
    answer: { kind: "success", packet: Buffer.alloc(4), msk: Buffer.alloc(64), eap: "eap success" },
    grant: {},
  };
  for (const [authorization, eap, attaches, expected] of [
    [refused("DeviceNotAuthorized"), undefined, false, [false, false]],
    [accepted, undefined, false, [false, true]],
    [accepted, undefined, true, [true, true]],
    [accepted, failed("HostingPartyRefused"), false, [false, false]],
    [accepted, failed("AaaUnreachable"), false, [false, true]],
    [accepted, succeeded, true, [true, true]],
    [refused("AaaUnreachable"), undefined, false, [false, false]],
  ] as const) {
    const clock = new World("ends");
    const ends: SessionEnd[] = [];
    const sessions = new AaaSessions({
      client: {
        authorize: async () => authorization,
        eap: async () => eap ?? assert.fail("no EAP here"),
        started: () => undefined,
        ended: async (_session, end) => void ends.push(end),
        close: async () => undefined,
      },
      name: "segw",
      clock,
      random: clock.random,
      timers: clock,
      usageOf: () => ({ inboundBytes: 0, outboundBytes: 0 }),
      hasFilter: () => true,
      onEnd: () => undefined,
      onGranted: () => undefined,
      onChanged: () => undefined,
      onProblem: () => undefined,
    });
    sessions.begin(SA, DEVICE, "192.0.2.1");
    await sessions.authorize(SA);
    if (eap !== undefined) await sessions.relay(SA, { idType: 3, idData: Buffer.from("x"), text: "x" }, undefined);
    if (attaches) sessions.attached(SA, []);
    sessions.gone(SA, "closed");
    assert.deepEqual(
      ends.map(({ accounted, authorized }) => [accounted, authorized]),
      [expected],
    );
  }
});
