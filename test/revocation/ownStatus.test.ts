import assert from "node:assert/strict";
import test, { after } from "node:test";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { OcspResponder } from "../../src/pki/ocspResponder.ts";
import type { OcspFetched } from "../../src/revocation/ocspTransport.ts";
import { OwnStatus, type OwnStatusOptions } from "../../src/revocation/ownStatus.ts";
import { buildOcspError, parseOcspRequest, parseOcspResponse } from "../../src/x509/ocsp.ts";
import { Credentials, RESPONDER, SEGW, START } from "../e2e/credentials.ts";
import { LEAF_EXTENSIONS, make } from "../x509/made.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const { chain, ownRoots } = credentials.gateway();
/** Milliseconds. */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** How long the responder's answers are good. */
const LIFE = 4 * HOUR;

test("the end entity's response comes first, then that of each CA below the root; of the leaf alone where so configured", async () => {
  const { status } = own();
  const responses = await status.responses();
  assert.deepEqual(
    responses.map(serialOf),
    chain.map(({ serial }) => serial.toString("hex")),
  );
  const { status: leaf } = own({ depth: "leaf" });
  assert.deepEqual((await leaf.responses()).map(serialOf), [chain[0]!.serial.toString("hex")]);
});

test("the responder is the one that each certificate names, or the one that is configured", async () => {
  const { status, asked } = own();
  await status.responses();
  assert.deepEqual(asked, [RESPONDER, RESPONDER]);
  const { status: configured, asked: other } = own({ url: "http://own.example/" });
  await configured.responses();
  assert.deepEqual(other, ["http://own.example/", "http://own.example/"]);
});

test("a response that is kept is there at once, without a promise and without being asked for again", async () => {
  const { status, asked, world } = own();
  const first = await status.responses();
  world.now += 30 * MINUTE;
  const again = status.responses();
  assert.ok(!(again instanceof Promise));
  assert.deepEqual(again, first);
  assert.equal(asked.length, 2);
});

test("however many wait, each certificate is asked about once at a time", async () => {
  const { status, asked, release } = own({ held: true });
  const waiting = Array.from({ length: 50 }, () => status.responses());
  assert.equal(asked.length, 2);
  release();
  for (const responses of await Promise.all(waiting)) assert.equal(responses.length, 2);
  assert.equal(asked.length, 2);
});

test("past refreshAfter, and past half its life, a response still serves while a new one is fetched behind it", async () => {
  for (const [refreshAfter, wait] of [
    [HOUR, HOUR],
    [10 * HOUR, LIFE / 2],
  ] as const) {
    const { status, asked, world } = own({ refreshAfter, depth: "leaf" });
    const [old] = await status.responses();
    world.now += wait - 1;
    status.responses();
    assert.equal(asked.length, 1, "not yet");
    world.now += 1;
    assert.deepEqual(status.responses(), [old]);
    assert.equal(asked.length, 2);
    await settled();
    const fresh = status.responses();
    assert.ok(!(fresh instanceof Promise));
    assert.notDeepEqual(fresh, [old]);
    assert.equal(asked.length, 2);
  }
});

test("a responder that fails or answers nonsense is asked again every half minute, while the older response serves", async () => {
  for (const answer of [REFUSED, async () => ({ ok: true, der: buildOcspError(3) }) as const]) {
    const { status, asked, world, problems, answerWith } = own({ depth: "leaf" });
    const [old] = await status.responses();
    world.now += HOUR;
    answerWith(answer);
    for (let second = 0; second < 60; second++) {
      assert.deepEqual(status.responses(), [old]);
      await settled();
      world.now += 1_000;
    }
    assert.equal(asked.length, 1 + 2);
    assert.equal(problems.length, 2);
    answerWith(undefined);
    status.responses();
    await settled();
    assert.notDeepEqual(status.responses(), [old]);
  }
});

test("a response that is no longer good is not sent; without another one there is none", async () => {
  const { status, world, problems, answerWith } = own({ depth: "leaf", refreshAfter: 100 * HOUR });
  await status.responses();
  world.now += LIFE - 1;
  answerWith(REFUSED);
  assert.equal((await status.responses()).length, 1);
  world.now += 1;
  assert.deepEqual(await status.responses(), []);
  assert.ok(problems.length > 0);
  answerWith(undefined);
  assert.equal((await status.responses()).length, 1);
});

test("what one responder does not give is left out, and the rest is sent", async () => {
  const { status, answerWith } = own();
  answerWith(async (request) => {
    const [id] = parseOcspRequest(request).ids;
    return { ok: true, der: id!.serial.equals(chain[0]!.serial) ? Buffer.from("nonsense") : answer(request) };
  });
  const responses = await status.responses();
  assert.deepEqual(responses.map(serialOf), [chain[1]!.serial.toString("hex")]);
});

test("bad news is passed on to the devices as it is, and told", async () => {
  const issued = credentials.issueGateway();
  credentials.pki.revoke(issued.certificate.serial, "keyCompromise");
  const { status, problems } = own({ chain: issued.chain, depth: "leaf" });
  const [response] = await status.responses();
  assert.equal(parseOcspResponse(response!).basic?.responses[0]?.status.kind, "revoked");
  assert.deepEqual(problems, [
    `${RESPONDER} says that our certificate "O=Operator, CN=segw.operator.example" is revoked`,
  ]);
});

test("a certificate whose issuer is not at hand, or that names no responder, is told at start and left out", async () => {
  const rootless = own({ roots: [] });
  assert.deepEqual(rootless.problems, [
    'the issuer of our certificate "O=Operator, CN=SeGW CA" is not at hand: add it to credentials.roots',
  ]);
  assert.equal((await rootless.status.responses()).length, 1);
  const issuer = make({ name: "CA" });
  const nameless = make({ name: SEGW, issuer, extensions: LEAF_EXTENSIONS });
  const { problems } = own({ chain: [nameless.certificate], roots: [issuer.certificate] });
  assert.deepEqual(problems, [`no OCSP responder for our certificate "O=Femtogate, CN=${SEGW}": set ownStatus.url`]);
});

const REFUSED = async (): Promise<OcspFetched> => ({
  ok: false,
  problem: { reason: "Unreachable", detail: "connection refused" },
});

/** An own status whose responder is the PKI's; `answerWith` puts another in its place, `held` makes it wait. */
function own({ held = false, ...changes }: Partial<OwnStatusOptions> & { held?: boolean } = {}) {
  const world = { now: START };
  const asked: string[] = [];
  const problems: string[] = [];
  let lie: ((request: Bytes) => Promise<OcspFetched>) | undefined;
  const gate = Promise.withResolvers<void>();
  if (!held) gate.resolve();
  const clock = { now: () => world.now };
  const status = new OwnStatus({
    chain,
    roots: ownRoots,
    depth: "path",
    url: undefined,
    tolerance: 0,
    refreshAfter: HOUR,
    allowWeakAlgorithms: false,
    clock,
    transport: {
      async ask(url, request) {
        asked.push(url);
        await gate.promise;
        if (lie !== undefined) return lie(request);
        // A responder of its own each time: one alone would give the response that it has signed before.
        return { ok: true, der: new OcspResponder(credentials.pki, clock, LIFE).answer(request).der };
      },
    },
    onProblem: (message) => void problems.push(message),
    ...changes,
  });
  return {
    status,
    world,
    asked,
    problems,
    release: () => gate.resolve(),
    answerWith(other: ((request: Bytes) => Promise<OcspFetched>) | undefined) {
      lie = other;
    },
  };
}

function answer(request: Bytes): Bytes {
  return new OcspResponder(credentials.pki, { now: () => START }).answer(request).der;
}

function serialOf(response: Bytes): string {
  return parseOcspResponse(response).basic!.responses[0]!.id.serial.toString("hex");
}

/** Whatever was to come by promises alone has come. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
