import assert from "node:assert/strict";
import test from "node:test";
import type { Connection } from "../../../src/ike/sa/connection.ts";
import { parseIkeProposal } from "../../../src/ike/sa/proposal.ts";
import { DEVICE, GATEWAY } from "../../ike/sa/pair.ts";
import { attach, capture } from "../../observe/handshake.ts";
import { OCSP_AS_CERTIFICATE, Tshark } from "./tshark.ts";

const IKE_AUTH = "35";

test("tshark finds nothing malformed and decrypts IKE_AUTH, IPv4 and IPv6, with and without NAT and fragments", async () => {
  for (const [name, addresses, overrides] of CASES) {
    using tshark = new Tshark();
    const { world, device, gateway, datagrams } = attach(addresses, overrides);
    device.command(device.current, "close");
    world.run(2000);
    await capture(tshark.file, (file) => {
      for (const event of gateway.of("keys")) file.keys(event);
      for (const datagram of datagrams) file.datagram(datagram);
    });
    assert.deepEqual(tshark.complaints(), [], name);
    const rows = tshark.fields(
      "with keys",
      "isakmp.exchangetype",
      "isakmp.id.data.fqdn",
      "udp.dstport",
      "frame.time_epoch",
    );
    assert.equal(rows.length, datagrams.length, name);
    const identities = rows.filter(([type]) => type === IKE_AUTH).flatMap(([, fqdn]) => fqdn!.split(","));
    assert.ok(identities.includes(DEVICE) && identities.includes(GATEWAY), `${name}: ${identities}`);
    assert.deepEqual(
      rows.map(([, , port]) => Number(port)),
      datagrams.map(({ to }) => to.port),
      name,
    );
    assert.deepEqual(
      rows.map(([, , , at]) => Math.round(Number(at) * 1000)),
      datagrams.map(({ at }) => at),
      name,
    );
    assert.doesNotMatch(tshark.read("without keys", "-O", "isakmp"), new RegExp(DEVICE), `${name}, without keys`);
  }
});

test("tshark decrypts every IKE suite with the keys we export, and finds each ICV right", async () => {
  using tshark = new Tshark();
  const runs = SUITES.map((text, index) => {
    const proposals = { ikeProposals: [parseIkeProposal(text, { allowWeak: true })], fragmentSize: 4096 };
    return attach(V4, proposals, index + 1);
  });
  await capture(tshark.file, (file) => {
    for (const { device, datagrams } of runs) {
      for (const event of device.of("keys")) file.keys(event);
      for (const datagram of datagrams) file.datagram(datagram);
    }
  });
  assert.deepEqual(tshark.complaints(), []);
  const rows = tshark.fields("with keys", "isakmp.exchangetype", "isakmp.id.data.fqdn");
  const identities = rows.filter(([type]) => type === IKE_AUTH).map(([, fqdn]) => fqdn);
  assert.deepEqual(
    identities,
    SUITES.flatMap(() => [DEVICE, GATEWAY]),
  );
  const verdicts = tshark.read("with keys", "-O", "isakmp").match(/Integrity Checksum Data: .*/g) ?? [];
  assert.equal(verdicts.filter((verdict) => verdict.endsWith("[correct]")).length, 2 * SUITES.length);
});

test("an in-band OCSP response is decrypted, and all that tshark 4.0 minds is that it is no certificate", async () => {
  using tshark = new Tshark();
  const { device, datagrams } = attach(V4, { askOcsp: { responderHashes: [] }, fragmentSize: 4096 });
  await capture(tshark.file, (file) => {
    for (const event of device.of("keys")) file.keys(event);
    for (const datagram of datagrams) file.datagram(datagram);
  });
  const complaints = tshark.complaints();
  assert.ok(complaints.length > 0 && complaints.every((line) => OCSP_AS_CERTIFICATE.test(line)), complaints.join("\n"));
  const [encodings] = tshark.fields("with keys", "isakmp.cert.encoding").filter(([types]) => types!.includes("14"));
  assert.deepEqual(encodings, ["4,4,14"]);
});

test("a second run continues the capture, and tshark reads and decrypts both sections", async () => {
  using tshark = new Tshark();
  const runs = [1, 2].map((seed) => attach(V4, {}, seed));
  for (const { device, datagrams } of runs) {
    await capture(tshark.file, (file) => {
      for (const event of device.of("keys")) file.keys(event);
      for (const datagram of datagrams) file.datagram({ ...datagram, direction: "sent", comment: `seen by ${DEVICE}` });
    });
  }
  const rows = tshark.fields("with keys", "frame.comment", "isakmp.id.data.fqdn");
  assert.equal(rows.length, runs.flatMap(({ datagrams }) => datagrams).length);
  assert.ok(rows.every(([comment]) => comment === `seen by ${DEVICE}`));
  assert.equal(rows.filter(([, fqdn]) => fqdn!.split(",").includes(DEVICE)).length, 2);
});

const V4 = ["192.0.2.1", "192.0.2.2"] as const;
const V6 = ["2001:db8::1", "2001:db8:0:ffff::2"] as const;
const NAT = { forceUdpEncapsulation: true };
const CASES: [name: string, addresses: readonly [string, string], overrides: Partial<Connection>][] = [
  ["IPv4", V4, { fragmentSize: 4096 }],
  ["IPv6", V6, { fragmentSize: 4096 }],
  ["IPv4, NAT, fragments", V4, { ...NAT, fragmentSize: 576 }],
  ["IPv6, NAT, fragments", V6, { ...NAT, fragmentSize: 1280 }],
];

const SUITES = [
  "aes128gcm16-prfsha256-x25519",
  "aes256gcm16-prfsha384-ecp384",
  ...["3des", "aes128", "aes192", "aes256"].flatMap((cipher) =>
    ["sha1", "sha256", "sha384", "sha512"].map((hash) => `${cipher}-${hash}-x25519`),
  ),
];
