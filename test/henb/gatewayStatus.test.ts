/** Whom the device asks about its gateway, in which order, and what the answers come to; TrE and network are stubs. */
import assert from "node:assert/strict";
import test from "node:test";
import { GatewayStatus, type StatusWay } from "../../src/henb/gatewayStatus.ts";
import { type OcspConfig, ocspSection } from "../../src/henb/ocspConfig.ts";
import type { Ends } from "../../src/revocation/httpExchange.ts";
import type { OcspFetched, OcspMethod } from "../../src/revocation/ocspTransport.ts";
import { World } from "../../src/sim/world.ts";
import type { StatusVerdict, VerifiedPathId } from "../../src/tre/trustedEnvironment.ts";

const PATH = 7 as VerifiedPathId;
const [A, B, C] = ["http://192.0.2.1/", "http://192.0.2.2/", "http://192.0.2.3/"];
const GOOD: StatusVerdict = { status: "good", responder: "R", goodUntil: 1000 };
const bad = (status: "revoked" | "unknown"): StatusVerdict => ({
  status,
  refusal: { reason: status === "revoked" ? "CertificateRevoked" : "CertificateUnknown", message: `it is ${status}` },
});
const [REVOKED, UNKNOWN] = [bad("revoked"), bad("unknown")];
const INVALID: StatusVerdict = { status: "invalid", problem: "it is stale" };
const DIRECT: StatusWay = { name: "direct", endsTo: (remote) => ({ remote }) };

/** What a responder says of the `at`th certificate; nothing if it never answers. */
type Says = (url: string, at: number) => StatusVerdict | undefined;

function asking(says: Says, changes: Partial<OcspConfig> = {}, named: readonly string[] = [C!]) {
  const world = new World(1);
  const asked: { url: string; at: number; method: OcspMethod; ends: Ends }[] = [];
  const config: OcspConfig = { ...ocspSection.parse({ ask: ["direct"], responders: [A, B] }), ...changes };
  const status = new GatewayStatus({
    config,
    timers: world,
    tre: {
      statusRequest: async (_path, at) => ({
        subject: `CN=${at}`,
        request: Buffer.from([at]),
        withNonce: config.nonce !== "off",
        named,
      }),
      judgeStatus: async (_path, at, response) => says(response.toString(), at)!,
    },
    network: {
      resolve: () => Promise.reject(new Error("ENOTFOUND")),
      ask: (url, request, method, ends) => {
        const at = request[0]!;
        asked.push({ url, at, method, ends });
        const never = new Promise<OcspFetched>(() => undefined);
        return says(url, at) === undefined ? never : Promise.resolve({ ok: true, der: Buffer.from(url) });
      },
    },
  });
  return {
    world,
    asked,
    urls: () => asked.map(({ url }) => url),
    check: (certificates = [0], way = DIRECT) => status.check({ path: PATH, certificates }, way),
  };
}

test("the first good answer is enough", async () => {
  const { check, urls } = asking(() => GOOD);
  assert.deepEqual(await check(), { good: true, goodUntil: 1000 });
  assert.deepEqual(urls(), [A]);
});

test("another responder is asked where one has no valid answer or does not know, and its answer counts", async () => {
  for (const first of [INVALID, UNKNOWN]) {
    for (const second of [GOOD, REVOKED]) {
      const { check, urls } = asking((url) => (url === A ? first : second));
      const outcome = await check();
      assert.equal(outcome.good, second === GOOD);
      if (!outcome.good) assert.equal(outcome.refusal.reason, "CertificateRevoked");
      assert.deepEqual(urls(), [A, B]);
    }
  }
});

test("of responders none of which calls it good, one that does not know it says more than none at all", async () => {
  for (const [first, second] of [
    [UNKNOWN, INVALID],
    [INVALID, UNKNOWN],
  ]) {
    const outcome = await asking((url) => (url === A ? first : second)).check();
    assert.ok(!outcome.good);
    assert.equal(outcome.refusal.reason, "CertificateUnknown");
    assert.deepEqual(outcome.left, [0]);
  }
});

test("every address that was tried in vain is told", async () => {
  const { check } = asking(() => INVALID, { responders: [A!, "http://responder.example/"] });
  const outcome = await check();
  assert.ok(!outcome.good);
  assert.deepEqual(outcome.refusal, {
    reason: "NoValidOcspResponse",
    message: `no valid OCSP response for "CN=0" was to be had directly: ${A}: it is stale; http://responder.example/: responder.example is not resolved: ENOTFOUND (TS 33.320 7.2.3)`,
    evidence: {
      certificate: "CN=0",
      way: "direct",
      tried: [
        { url: A, problem: "it is stale" },
        { url: "http://responder.example/", problem: "responder.example is not resolved: ENOTFOUND" },
      ],
    },
  });
});

test("a revoked certificate decides at once, whatever the others wait for", async () => {
  const { check, world } = asking((_url, at) => (at === 1 ? REVOKED : undefined));
  const before = world.now();
  const outcome = await check([0, 1]);
  assert.equal(world.now(), before);
  assert.ok(!outcome.good);
  assert.equal(outcome.refusal.reason, "CertificateRevoked");
});

test("at the deadline what has not been answered is not good, and nobody else is asked", async () => {
  const { check, world, urls } = asking((_url, at) => (at === 0 ? GOOD : undefined), { deadline: 8_000 });
  const pending = check([0, 1]);
  await world.runUntilSettled(() => false, 8_000);
  const outcome = await pending;
  assert.ok(!outcome.good);
  assert.deepEqual([outcome.left, outcome.goodUntil], [[1], 1000]);
  assert.match(outcome.refusal.message, /for "CN=1" .* no valid answer within 8000 ms in all/);
  assert.deepEqual(urls(), [A, A]);
});

test("good lasts as long as the first of the answers", async () => {
  const { check } = asking((_url, at) => ({ ...GOOD, goodUntil: 1000 - at }) as StatusVerdict);
  assert.deepEqual(await check([0, 1, 2]), { good: true, goodUntil: 998 });
});

test("requests with a nonce are posted, others go by the configured method; ports are the scheme's", async () => {
  for (const [nonce, method] of [
    ["off", "get"],
    ["optional", "post"],
  ] as const) {
    const { check, asked } = asking(() => GOOD, { nonce, method: "get" });
    await check();
    assert.equal(asked[0]?.method, method);
  }
  const ports: number[] = [];
  const way: StatusWay = {
    name: "tunnel",
    endsTo: (remote, port) => {
      ports.push(port);
      return remote === "2001:db8::1" ? { remote } : { problem: "no way" };
    },
  };
  const responders = ["http://192.0.2.1/", "https://192.0.2.1/", "http://192.0.2.1:8080/", "http://[2001:db8::1]/"];
  const { check, asked } = asking(() => GOOD, { responders });
  assert.equal((await check([0], way)).good, true);
  assert.deepEqual(ports, [80, 443, 8080, 80]);
  assert.deepEqual(asked[0]?.ends, { remote: "2001:db8::1" });
});

test("a certificate cannot send the device to itself, nor directly to a private network that is not listed", async () => {
  for (const [named, hosts, name, is] of [
    ["http://10.0.0.7/", undefined, "direct", false],
    ["http://10.0.0.7/", undefined, "tunnel", true],
    ["http://10.0.0.7/", ["10.0.0.7"], "direct", true],
    ["http://127.0.0.1/", undefined, "direct", false],
    ["http://127.0.0.1/", undefined, "tunnel", false],
    ["http://198.51.100.7/", undefined, "direct", true],
  ] as const) {
    const { check, urls } = asking(
      () => GOOD,
      { responders: [], origins: ["certificate"], namedHosts: hosts && [...hosts] },
      [named],
    );
    const outcome = await check([0], { ...DIRECT, name });
    assert.equal(outcome.good, is, `${named} ${name}`);
    assert.deepEqual(urls(), is ? [named] : []);
    if (!outcome.good) assert.match(outcome.refusal.message, /10\.0\.0\.7|127\.0\.0\.1/);
  }
  const both = asking(() => GOOD, { responders: ["http://10.0.0.7/"], origins: ["certificate", "operator"] }, [
    "http://10.0.0.7/",
  ]);
  assert.ok((await both.check()).good);
});

test("without anybody to ask there is no good answer", async () => {
  const { check } = asking(() => GOOD, { responders: [], origins: ["certificate"], namedHosts: ["other.example"] });
  const outcome = await check();
  assert.ok(!outcome.good);
  assert.match(outcome.refusal.message, /no responder is configured, or named and allowed/);
});
