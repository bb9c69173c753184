/** A device's session with its H(e)MS (TS 33.320 8.3.2.1): ours, and OpenSSL's server. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test, { type TestContext } from "node:test";
import { APPEAR, ManagementError } from "../../src/henb/management.ts";
import { type ManagementSessionOptions, runManagementSession } from "../../src/henb/managementSession.ts";
import type { Issued, Pki } from "../../src/pki/authority.ts";
import { OcspResponder } from "../../src/pki/ocspResponder.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { SoftwareTlsEnvironment, type TlsPolicy } from "../../src/tre/softwareTlsEnvironment.ts";
import { subjectAltName } from "../../src/x509/build.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { buildOcspRequest, certIdOf } from "../../src/x509/ocsp.ts";
import { toPem } from "../../src/x509/pem.ts";
import { HEMS, ServedHems, ShiftedClock } from "../hems/served.ts";
import { makePki, temporaryFolder } from "../pki/folder.ts";
import { CA_EXTENSIONS, DAY, LEAF_EXTENSIONS, make } from "../x509/made.ts";

const { clock } = systemEnvironment;

for (const minVersion of ["TLSv1.2", "TLSv1.3"] as const)
  test(`${minVersion}: device and H(e)MS authenticate each other, the stapled response is good, and 204 ends the session`, async (t) => {
    const hems = await ServedHems.start(t, (self) => ({ revocation: self.byOcsp, tls: { minVersion } }));
    const tre = treFor(t, hems.pki, hems.pki.issue({ profile: "henb-tls", dns: ["ap-1.henb.example"] }));
    const outcome = await session(tre, hems.port, { status: "stapled" });
    const { ocsp, names, requests, address } = outcome;
    assert.deepEqual(
      { ocsp, names, requests, address },
      { ocsp: "in-band good", names: [HEMS], requests: 1, address: "127.0.0.1" },
    );
    assert.deepEqual(
      { device: hems.of("sessionOpened")[0]?.device, status: hems.of("sessionOpened")[0]?.status },
      { device: "ap-1.henb.example", status: "OCSP good" },
    );
  });

test("the one certificate for IKEv2 and TLS serves where the TrE has no other (8.3.3.1-5)", async (t) => {
  const hems = await ServedHems.start(t);
  const both = hems.pki.issue({ profile: "henb-both", dns: ["ap-2.henb.example"] });
  await session(treFor(t, hems.pki, both, { file: "identity" }), hems.port, { status: "stapled" });
  assert.equal((await hems.event("sessionOpened")).device, "ap-2.henb.example");
});

test("where the H(e)MS ends the connection, the device says that its certificate may have been refused", async (t) => {
  const hems = await ServedHems.start(t);
  const other = makePki(t, { keys: "p-256" });
  const tre = treFor(t, hems.pki, other.issue({ profile: "henb-tls", dns: ["ap-1.henb.example"] }));
  assert.equal(await refusal(session(tre, hems.port, { status: "stapled" })), "HemsConnectionLost");
  assert.equal((await hems.event("refused")).reason, "NoPathToTrustAnchor");
});

for (const version of ["-tls1_2", "-tls1_3"])
  test(`${version}: OpenSSL's server with a stapled response: good is taken, and nothing else is`, async (t) => {
    const pki = makePki(t, { keys: "p-256" });
    const own = pki.issue({ profile: "hems", dns: [HEMS] });
    const revoked = pki.issue({ profile: "hems", dns: [HEMS] });
    const good = statusOf(pki, own);
    const goodOfRevoked = statusOf(pki, revoked);
    pki.revoke(revoked.certificate.serial, "keyCompromise");
    const stranger = makePki(t, { keys: "p-256" });
    const tre = deviceOf(t, pki);
    const rows = [
      [own, good, undefined],
      [own, undefined, "NoValidOcspResponse"],
      [own, goodOfRevoked, "NoValidOcspResponse"],
      [own, statusOf(stranger, stranger.issue({ profile: "hems", dns: [HEMS] })), "NoValidOcspResponse"],
      [revoked, statusOf(pki, revoked), "CertificateRevoked"],
    ] as const;
    for (const [certificate, staple, reason] of rows) {
      const port = await sServer(t, pki, certificate, { staple, version });
      const attempt = session(tre, port, { status: "stapled" });
      if (reason === undefined) assert.equal((await attempt).ocsp, "in-band good");
      else assert.equal(await refusal(attempt), reason);
    }
    // Off: what is stapled is not asked for, and does not count.
    const port = await sServer(t, pki, revoked, { staple: statusOf(pki, revoked), version });
    assert.equal((await session(tre, port, { status: "off" })).ocsp, "not checked");
    const late = treFor(t, pki, pki.issue({ profile: "henb-tls", dns: ["ap-1.henb.example"] }), {
      clock: { now: () => Date.now() + 30 * DAY },
    });
    const stale = await sServer(t, pki, own, { staple: good, version });
    assert.equal(await refusal(session(late, stale, { status: "stapled" })), "NoValidOcspResponse");
  });

test("direct: the responder is asked about the path, and decides; either: only where no valid response is stapled", async (t) => {
  const pki = makePki(t, { keys: "p-256" });
  const own = pki.issue({ profile: "hems", dns: [HEMS] });
  const tre = deviceOf(t, pki);
  const asked: number[] = [];
  const says = (answer: string | { reason: string; message: string }) => ({
    askStatus: async (path: readonly Buffer[]) => {
      asked.push(path.length);
      return answer;
    },
  });
  const bad = { reason: "StatusUnreachable", message: "nobody answers" };
  const bare = await sServer(t, pki, own, {});
  assert.equal((await session(tre, bare, { status: "direct", ...says("OCSP good") })).ocsp, "OCSP good");
  assert.equal(await refusal(session(tre, bare, { status: "direct", ...says(bad) })), "StatusUnreachable");
  assert.equal((await session(tre, bare, { status: "either", ...says("OCSP good") })).ocsp, "OCSP good");
  assert.equal(await refusal(session(tre, bare, { status: "either", ...says(bad) })), "StatusUnreachable");
  // End entity, its CA, the root.
  assert.deepEqual(asked.splice(0), [3, 3, 3, 3]);
  const stapling = await sServer(t, pki, own, { staple: statusOf(pki, own) });
  assert.equal((await session(tre, stapling, { status: "either", ...says(bad) })).ocsp, "in-band good");
  assert.deepEqual(asked, []);
  pki.revoke(own.certificate.serial, "keyCompromise");
  const revoked = await sServer(t, pki, own, { staple: statusOf(pki, own) });
  assert.equal(await refusal(session(tre, revoked, { status: "either", ...says("OCSP good") })), "CertificateRevoked");
  assert.deepEqual(asked, [], "a bad staple is not to be asked away");
});

test("an H(e)MS that is not who was meant, or whose certificate does not hold, is refused before a byte of HTTP", async (t) => {
  const pki = makePki(t, { keys: "p-256" });
  const now = Date.now();
  const issue = (changes: object = {}) => pki.issue({ profile: "hems", dns: [HEMS], ...changes });
  const stranger = makePki(t, { keys: "p-256", operator: "Somebody Else" });
  const validity = { notBefore: now - DAY, notAfter: now + DAY };
  const ca = make({ name: "Lax CA", extensions: CA_EXTENSIONS, ...validity });
  const lax = make({
    ...{ name: "first.example", issuer: ca, extensions: LEAF_EXTENSIONS, more: [subjectAltName({ dns: [HEMS] })] },
    ...validity,
  });
  const laxly = { certificate: lax.certificate, chain: [lax.certificate], key: lax.keys.privateKey };
  const rows: [string, Issued, Partial<TlsPolicy>?][] = [
    ["NameMismatch", issue({ dns: ["other.example"] })],
    ["Expired", issue({ notBefore: now - 10 * DAY, notAfter: now - DAY })],
    ["NotYetValid", issue({ notBefore: now + DAY, notAfter: now + 2 * DAY })],
    ["PathTooLong", issue({ extraCas: 3 })],
    ["NoPathToTrustAnchor", stranger.issue({ profile: "hems", dns: [HEMS] })],
    ["PurposeNotAllowed", pki.issue({ profile: "segw", dns: [HEMS] })],
    // 8.3.3.1-3: the common name is another than those in subjectAltName.
    ["ProfileViolated", laxly, { profile: { certificate: "hems", release: "newest", least: "error" } }],
  ];
  for (const [reason, own, policy] of rows) {
    const server = await sServerOf(t, pki, own, {});
    const tre = deviceOf(t, pki, policy, ca.certificate);
    assert.equal(await refusal(session(tre, server.port, { status: "off" })), reason);
    assert.deepEqual(server.received, [], reason);
  }
});

test("the name is compared as an address where one was connected to, and never falls back", async (t) => {
  const pki = makePki(t, { keys: "p-256" });
  const tre = deviceOf(t, pki);
  const port = await sServer(t, pki, pki.issue({ profile: "hems", dns: [HEMS], ip: ["192.0.2.9"] }), {});
  const at = (host: string) => session(tre, port, { status: "off", url: new URL(`https://${host}:${port}/acs`) });
  await at("192.0.2.9");
  assert.equal(await refusal(at("192.0.2.10")), "NameMismatch");
  assert.equal(await refusal(at("[2001:db8::9]")), "NameMismatch");
  assert.equal(await refusal(at("sub.hems.operator.example")), "NameMismatch");
});

test("addresses are tried in turn, and what is no H(e)MS is told as such", async (t) => {
  const hems = await ServedHems.start(t);
  const tre = treFor(t, hems.pki, hems.pki.issue({ profile: "henb-tls", dns: ["ap-1.henb.example"] }));
  const { address } = await session(tre, hems.port, { status: "off", addresses: ["127.0.0.9", "127.0.0.1"] });
  assert.equal(address, "127.0.0.1");
  assert.equal(await refusal(session(tre, hems.port, { status: "off", addresses: ["127.0.0.9"] })), "HemsUnreachable");
  assert.equal(await refusal(session(tre, hems.port, { status: "off", addresses: [] })), "HemsUnreachable");
  const plain = Number(new URL(hems.ocspUrl).port);
  assert.equal(await refusal(session(tre, plain, { status: "off" })), "TlsHandshakeFailed");
  const cancelled = AbortSignal.abort();
  assert.equal(await refusal(session(tre, hems.port, { status: "off", signal: cancelled })), "HemsCancelled");
});

test("an H(e)MS that answers otherwise, too much, or never, ends the session", async (t) => {
  const pki = makePki(t, { keys: "p-256" });
  const tre = deviceOf(t, pki);
  const clockShift = new ShiftedClock();
  const answering = async (status: number, body: Buffer | undefined, hold = false) => {
    const hems = await ServedHems.start(t, undefined, {
      pki,
      environment: { clock: clockShift },
      handler: {
        handle: () => (hold ? new Promise(() => {}) : { status, ...(body === undefined ? {} : { body }) }),
        ended: () => {},
      },
    });
    return hems.port;
  };
  const attempt = async (port: number, answerWithin = 10_000) =>
    refusal(session(tre, port, { status: "off", answerWithin }));
  assert.equal(await attempt(await answering(200, Buffer.from("<hello/>"))), "HemsUnexpectedAnswer");
  assert.equal(await attempt(await answering(200, Buffer.alloc(5 * 1024 * 1024))), "HemsAnswerTooLong");
  assert.equal(await attempt(await answering(204, undefined, true), 300), "HemsConnectionLost");
  const chatty = await answering(200, undefined);
  const conversation = { begin: APPEAR.begin, next: APPEAR.begin };
  assert.equal(await refusal(session(tre, chatty, { status: "off", conversation })), "HemsNeverEnds");
});

test("further requests never go to another connection than the one that was verified", async (t) => {
  const pki = makePki(t, { keys: "p-256" });
  const hems = await ServedHems.start(t, undefined, {
    pki,
    handler: { handle: () => ({ status: 200, headers: { connection: "close" } }), ended: () => {} },
  });
  const conversation = { begin: APPEAR.begin, next: APPEAR.begin };
  const attempt = session(deviceOf(t, pki), hems.port, { status: "off", conversation });
  assert.equal(await refusal(attempt), "HemsConnectionLost");
  assert.equal(hems.of("sessionOpened").length, 1);
});

function session(tre: SoftwareTlsEnvironment, port: number, changes: Partial<ManagementSessionOptions>) {
  return runManagementSession({
    url: new URL(`https://${HEMS}:${port}/acs`),
    addresses: ["127.0.0.1"],
    localAddress: undefined,
    tre,
    status: "stapled",
    askStatus: () => assert.fail("not to be asked"),
    conversation: APPEAR,
    answerWithin: 10_000,
    signal: new AbortController().signal,
    ...changes,
  });
}

/** The reason for which it failed. */
async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error: unknown = await attempt.then(
    () => assert.fail("the session was not refused"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ManagementError)) throw error;
  return error.refusal.reason;
}

function deviceOf(t: TestContext, pki: Pki, policy: Partial<TlsPolicy> = {}, root?: Certificate) {
  return treFor(t, pki, pki.issue({ profile: "henb-tls", dns: ["ap-1.henb.example"] }), policy, root);
}

/** A TrE folder with that certificate, which trusts the operator's root. */
function treFor(
  t: TestContext,
  pki: Pki,
  own: Issued,
  { file = "tls", ...policy }: Partial<TlsPolicy> & { file?: "tls" | "identity" } = {},
  root?: Certificate,
): SoftwareTlsEnvironment {
  const folder = temporaryFolder(t);
  pki.writeFiles(own, join(folder, file));
  mkdirSync(join(folder, "roots"));
  copyFileSync(pki.caFile("operator-root"), join(folder, "roots", "operator.pem"));
  if (root !== undefined) writeFileSync(join(folder, "roots", "other.pem"), toPem("CERTIFICATE", root.der));
  return new SoftwareTlsEnvironment(folder, {
    clock,
    allowWeakAlgorithms: false,
    minVersion: "TLSv1.2",
    profile: undefined,
    ocspTolerance: 0,
    ocspMaxAge: DAY,
    ocspDelegates: "trust",
    ...policy,
  });
}

function statusOf(pki: Pki, { certificate, chain }: Issued): Buffer {
  return new OcspResponder(pki, clock).answer(buildOcspRequest([certIdOf(certificate, chain[1]!)], undefined)).der;
}

interface ServerChoice {
  staple?: Buffer | undefined;
  version?: string;
}

async function sServer(t: TestContext, pki: Pki, own: Issued, choice: ServerChoice): Promise<number> {
  return (await sServerOf(t, pki, own, choice)).port;
}

/** `openssl s_server`, which answers the first line of a request with 204. */
async function sServerOf(t: TestContext, pki: Pki, own: Issued, { staple, version }: ServerChoice) {
  const folder = temporaryFolder(t);
  const files = pki.writeFiles(own, join(folder, "hems"));
  const args = ["-accept", "127.0.0.1:0", "-cert", files.certificate, "-cert_chain", files.chain, "-key", files.key];
  args.push("-Verify", "4");
  if (version !== undefined) args.push(version);
  if (staple !== undefined) {
    writeFileSync(join(folder, "staple.der"), staple);
    args.push("-status_file", join(folder, "staple.der"));
  }
  const child: ChildProcess = spawn("openssl", ["s_server", ...args]);
  t.after(() => void child.kill("SIGKILL"));
  const received: string[] = [];
  const said: string[] = [];
  child.stderr!.on("data", (part: Buffer) => said.push(part.toString()));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once("exit", () => reject(new Error(`openssl s_server ended: ${said.join("")}`)));
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const [, port] = /^ACCEPT .*:(\d+)$/.exec(line) ?? [];
    if (port !== undefined) return resolve(Number(port));
    if (!line.includes(" HTTP/1.1")) return;
    received.push(line);
    child.stdin!.write("HTTP/1.1 204 No Content\r\n\r\n");
  });
  return { port: await promise, received };
}
