/** `openssl ocsp` as the responder that a device asks about its gateway, through the tunnel and directly (7.2.2-5). */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { Credentials } from "../../e2e/credentials.ts";
import { whyNoHosts } from "../../net/namespaces.ts";
import { CORE, event, GATEWAY, INNER, Site } from "../../roles/site.ts";
import { OpenSsl } from "./openssl.ts";

const NEEDS = { skip: whyNoHosts() };
// Real time: roles and responder live by the machine's clock.
const credentials = new Credentials(1, Date.now());
after(() => credentials[Symbol.dispose]());

/** Patient, since the responder is made to wait. */
const ASKING = { inBand: "off", timeLimit: "25s", deadline: "25s" };

test(
  "while openssl has not answered through the tunnel no user packet passes in either direction, then all do",
  NEEDS,
  async (t) => {
    const { site, responder } = await started(t, "V");
    const { pid, port } = await responder("core");
    // It listens, so that the query gets as far as its socket, and no further for now.
    process.kill(pid, "SIGSTOP");
    await site.startGateway();
    const henb = site.startDevice(deviceFolder(), {
      ...ASKING,
      ask: ["tunnel"],
      responders: [`http://${CORE}:${port}/`],
    });
    // From here on the address and the routes are there.
    await event(henb, "awaitStatus");
    assert.deepEqual([await site.pings("henb", CORE), await site.pings("core", INNER)], [0, 0]);
    const { stdout: route } = await site.hosts.run("henb", "ip", ["route", "get", CORE]);
    assert.match(route, / dev henb0 /, "pings were not lost for want of a route");
    const { stdout: connections } = await site.hosts.run("core", "ss", ["-Htn"]);
    // openssl's socket is one for both families.
    const [connection] = connections.split("\n").filter((line) => line.startsWith("ESTAB"));
    assert.ok(connection?.includes(`:${port} `) && connection.includes(INNER), `the query passes: ${connections}`);
    const attached = event(henb, "attached");
    process.kill(pid, "SIGCONT");
    assert.equal((await attached).ocsp, "tunnel good");
    assert.deepEqual([await site.pings("henb", CORE), await site.pings("core", INNER)], [3, 3]);
    const events = site.records(henb).map(({ event: name }) => name);
    assert.ok(events.indexOf("gatewayStatus") < events.indexOf("attached"));
  },
);

test("what openssl calls revoked has the tunnel torn down, and nothing has passed", NEEDS, async (t) => {
  const { site, responder } = await started(t, "R");
  const { port } = await responder("core");
  const segw = await site.startGateway();
  const closed = event(segw, "closed");
  const henb = site.startDevice(deviceFolder(), {
    ...ASKING,
    ask: ["tunnel"],
    responders: [`http://${CORE}:${port}/`],
  });
  const failed = await event(henb, "failed");
  assert.deepEqual([failed.reason, failed.by], ["CertificateRevoked", "us"]);
  assert.equal((await closed).cause, "deletedByPeer");
  assert.equal(await henb.ended, 1);
  const records = site.records(henb);
  assert.equal(records.find(({ event: name }) => name === "closed")?.cause, "certificateRevoked");
  assert.ok(!records.some(({ event: name }) => name === "attached"));
  const { stdout: links } = await site.hosts.run("henb", "ip", ["-brief", "link"]);
  assert.doesNotMatch(links, /henb0/);
});

test(
  "directly, before there is a tunnel, openssl's good lets it come up and its revoked does not",
  NEEDS,
  async (t) => {
    for (const flag of ["V", "R"] as const) {
      const { site, responder } = await started(t, flag);
      const { port } = await responder("segw");
      await site.startGateway();
      const ocsp = { ...ASKING, ask: ["direct"], responders: [`http://${GATEWAY}:${port}/`] };
      const henb = site.startDevice(deviceFolder(), ocsp);
      if (flag === "V") {
        assert.equal((await event(henb, "attached")).ocsp, "direct good");
        assert.equal(await site.pings("henb", CORE), 3);
      } else {
        assert.equal((await event(henb, "failed")).reason, "CertificateRevoked");
        assert.equal(await henb.ended, 1);
        assert.ok(!site.records(henb).some(({ event: name }) => name === "childInstalled"));
      }
    }
  },
);

test("a responder that nobody serves ends IKEv2 directly, and the tunnel through it (7.2.3-4)", NEEDS, async (t) => {
  const { site } = await started(t, "V");
  await site.startGateway();
  for (const [ask, at] of [
    ["direct", GATEWAY],
    ["tunnel", CORE],
  ]) {
    const henb = site.startDevice(deviceFolder(), { ...ASKING, ask: [ask], responders: [`http://${at}:9/`] });
    const failed = await event(henb, "failed");
    assert.equal(failed.reason, "NoValidOcspResponse");
    assert.match(String(failed.message), /ECONNREFUSED/);
    assert.equal(await henb.ended, 1);
  }
});

/** A site whose gateway openssl's index calls valid or revoked; `responder` serves on a host. */
async function started(t: TestContext, flag: "V" | "R") {
  const openssl = new OpenSsl();
  t.after(() => openssl[Symbol.dispose]());
  const folder = mkdtempSync(join(tmpdir(), "femtogate-site-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const site = new Site(credentials, folder);
  t.after(() => site[Symbol.asyncDispose]());
  const { serialText, subject } = site.certificate;
  const revokedAt = flag === "R" ? "260102030405Z,keyCompromise" : "";
  openssl.write(
    "index.txt",
    `${flag}\t361231235959Z\t${revokedAt}\t${serialText.toUpperCase()}\tunknown\t/CN=${subject.commonName}\n`,
  );
  const ca = (file: string) => join(credentials.pki.directory, "ca", file);
  const signing = ["-rsigner", ca("segw-ca-ocsp.crt.pem"), "-rkey", ca("segw-ca-ocsp.key.pem")];
  const args = ["-index", "index.txt", "-nmin", "10", "-CA", ca("segw-ca.crt.pem"), ...signing];
  return {
    site,
    responder: (host: string) => openssl.serveOcspOn(["ip", "netns", "exec", site.hosts.host(host)], ...args),
  };
}

function deviceFolder(): string {
  return credentials.deviceFolder(credentials.issueDevice("ap-1.example"));
}
