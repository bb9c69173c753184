/**
 * strongSwan with strongSwan: shows that the harness and this machine do what the interop tests rely on, so that a
 * failure there is about us.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Hosts, whyNoHosts } from "../../net/namespaces.ts";
import { createAuthority, issueCertificate } from "./certificates.ts";
import { StrongSwan } from "./strongswan.ts";

const GATEWAY = "10.9.0.1";
const INNER = "192.168.77.1";
const OPTIONS = { skip: whyNoHosts() };
const PROPOSALS = { proposals: "aes128gcm16-prfsha256-x25519" };

test(
  "strongSwan attaches to strongSwan, gets a virtual address, pings through, rekeys and deletes",
  OPTIONS,
  async () => {
    await using ends = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), "femtogate-selfcheck-"));
    ends.defer(() => rm(directory, { recursive: true, force: true }));
    const hosts = ends.adopt(Hosts.create("self"), async (made) => made.close());
    hosts.link("segw", `${GATEWAY}/24`, "henb", "10.9.0.2/24");
    hosts.addLoopbackAddress("segw", `${INNER}/32`);

    const root = await createAuthority(directory, "root", "rsa-2048");
    const [own, device] = await Promise.all([
      issueCertificate(directory, "segw", "rsa-2048", root, ["DNS:segw.example"]),
      issueCertificate(directory, "ap-1", "ec-p256", root, ["DNS:ap-1.example"]),
    ]);
    const segw = await StrongSwan.start({
      namespace: hosts.host("segw"),
      directory: join(directory, "segw"),
      credentials: [own],
      authorityCertificates: [root.certificate],
      pools: { devices: { addrs: "10.20.0.0/24" } },
      connections: {
        devices: {
          version: 2,
          pools: "devices",
          ...PROPOSALS,
          local: { auth: "pubkey", id: "segw.example", certs: own.certificate },
          remote: { auth: "pubkey" },
          children: { inner: { local_ts: "0.0.0.0/0", esp_proposals: "aes128gcm16" } },
        },
      },
    });
    ends.defer(() => segw.stop());
    const henb = await StrongSwan.start({
      namespace: hosts.host("henb"),
      directory: join(directory, "henb"),
      credentials: [device],
      authorityCertificates: [root.certificate],
      connections: {
        segw: {
          version: 2,
          remote_addrs: GATEWAY,
          vips: "0.0.0.0",
          ...PROPOSALS,
          local: { auth: "pubkey", id: "ap-1.example", certs: device.certificate },
          remote: { auth: "pubkey", id: "segw.example" },
          children: { inner: { remote_ts: "0.0.0.0/0", esp_proposals: "aes128gcm16" } },
        },
      },
    });
    ends.defer(() => henb.stop());

    await henb.initiate("inner");
    const [sa] = await segw.listSas();
    assert.equal(sa?.remoteId, "ap-1.example");
    assert.deepEqual(sa.remoteVirtualIps, ["10.20.0.1"]);
    assert.deepEqual(sa.children[0]?.remoteSelectors, ["10.20.0.1/32"]);
    await pingInner(hosts);

    await henb.rekey({ child: "inner" });
    await henb.rekey({ ike: "segw" });
    await segw.rekey({ child: "inner" });
    await segw.rekey({ ike: "devices" });
    await pingInner(hosts);
    const [rekeyed] = await segw.listSas();
    assert.notEqual(rekeyed?.initiatorSpi, sa.initiatorSpi);

    const heard = henb.nextEvent("ike-updown", (event) => event.up === undefined);
    await segw.terminate({ ike: "devices" });
    await heard;
    assert.deepEqual(await henb.listSas(), []);
  },
);

async function pingInner(hosts: Hosts): Promise<void> {
  const ping = await hosts.run("henb", "ping", ["-c", "2", "-i", "0.2", "-W", "2", INNER]);
  assert.equal(ping.status, 0, ping.stdout + ping.stderr);
}
