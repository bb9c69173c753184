/** A device asks our own PKI, which lies behind the gateway, about the gateway and the CA above it (7.2.2-5, 7.2.3-5). */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Credentials } from "../e2e/credentials.ts";
import { whyNoHosts } from "../net/namespaces.ts";
import { CORE, event, Site } from "./site.ts";

const folder = mkdtempSync(join(tmpdir(), "femtogate-status-"));
after(() => rmSync(folder, { recursive: true }));

test("good about the whole path, through the tunnel; a revoked CA has the tunnel torn down", {
  skip: whyNoHosts(),
}, async () => {
  for (const revoked of [false, true]) {
    using credentials = new Credentials(1, Date.now());
    const device = credentials.deviceFolder(credentials.issueDevice("ap-1.example"));
    await using site = new Site(credentials, join(folder, String(revoked)));
    if (revoked) credentials.pki.revoke(credentials.pki.ca("segw-ca").serial, "cACompromise");
    const pki = site.start(
      "core",
      "pki",
      "serve",
      credentials.pki.directory,
      "--listen",
      `${CORE}:0`,
      "--control",
      "none",
    );
    const { port } = await event(pki, "listening");
    await site.startGateway();
    const responders = [`http://${CORE}:${port}/ocsp`];
    const henb = site.startDevice(device, {
      inBand: "off",
      ask: ["tunnel"],
      scope: "path",
      responders,
      deadline: "25s",
    });
    if (revoked) {
      const failed = await event(henb, "failed");
      assert.equal(failed.reason, "CertificateRevoked");
      assert.match(String(failed.message), /CN=SeGW CA" was revoked/);
      assert.equal(await henb.ended, 1);
    } else {
      assert.equal((await event(henb, "attached")).ocsp, "tunnel good");
      assert.equal(await site.pings("henb", CORE), 3);
    }
  }
});
