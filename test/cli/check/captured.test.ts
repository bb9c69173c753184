import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from "node:net";
import test from "node:test";
import { connect, createServer } from "node:tls";
import { readMaterial } from "../../../src/cli/check/readFile.ts";
import { keysDirectory } from "../../../src/observe/captureFile.ts";
import { extendedKeyUsage, keyUsage, subjectAltName } from "../../../src/x509/build.ts";
import { Oid } from "../../../src/x509/oids.ts";
import { toPem } from "../../../src/x509/pem.ts";
import { attach, CREDENTIALS, capture } from "../../observe/handshake.ts";
import { make } from "../../x509/made.ts";
import { CheckFolder } from "./run.ts";

test("certificates and the OCSP response of IKE_AUTH are found in a capture with keys, in fragments and behind a NAT too", async () => {
  for (const overrides of [{ fragmentSize: 4096 }, { fragmentSize: 576, forceUdpEncapsulation: true }]) {
    using folder = new CheckFolder();
    const file = folder.path("ike.pcapng");
    const { gateway, datagrams } = attach(["192.0.2.1", "192.0.2.2"], {
      ...overrides,
      askOcsp: { responderHashes: [] },
    });
    await capture(file, (made) => {
      for (const event of gateway.of("keys")) made.keys(event);
      for (const datagram of [...datagrams, ...datagrams]) made.datagram(datagram);
    });
    const material = readMaterial(file, { password: undefined });
    assert.deepEqual(material.problems, []);
    const expected = [...CREDENTIALS.device.certificates, ...CREDENTIALS.gateway.certificates];
    assert.deepEqual(
      material.certificates.map(({ item }) => item.fingerprint),
      expected.map(({ fingerprint }) => fingerprint),
    );
    assert.deepEqual(
      material.certificates.map(({ suggests }) => suggests),
      ["henb-ikev2", "henb-ikev2", "segw", "segw"],
    );
    assert.match(material.certificates[2]!.origin, /^ike\.pcapng: IKE_AUTH of 192\.0\.2\.2 port (500|4500)$/);
    assert.deepEqual(
      material.ocspResponses.map(({ item }) => item),
      CREDENTIALS.gateway.ocsp,
    );
  }
});

test("without keys it is told what is missing", async () => {
  using folder = new CheckFolder();
  const file = folder.path("ike.pcapng");
  const { datagrams } = attach(["192.0.2.1", "192.0.2.2"], {});
  await capture(file, (made) => {
    for (const datagram of datagrams) made.datagram(datagram);
  });
  rmSync(keysDirectory(file), { recursive: true });
  const material = readMaterial(file, { password: undefined });
  assert.deepEqual(material.certificates, []);
  assert.match(material.problems[0]!, /^ike\.pcapng: \d+ encrypted IKE messages without their keys/);
});

test("certificates of TLS 1.2 are found in captured segments, whatever their sizes and order", async () => {
  const ca = make({ name: "H(e)MS CA" });
  const server = make({
    name: "hems.example",
    issuer: ca,
    extensions: [
      keyUsage("digitalSignature"),
      extendedKeyUsage(Oid.serverAuth),
      subjectAltName({ dns: ["hems.example"] }),
    ],
  });
  const sent = await tlsBytes(server.keys.privateKey.export({ format: "pem", type: "pkcs8" }).toString(), [
    server.certificate.der,
    ca.certificate.der,
  ]);
  // The sequence numbers wrap within the data, and right at its start.
  for (const [size, start] of [
    [100, 0xffff_ff00],
    [1400, 0xffff_ffff],
  ] as const) {
    using folder = new CheckFolder();
    const file = folder.write("tls.pcap", segmented(sent, size, start));
    const material = readMaterial(file, { password: undefined });
    assert.deepEqual(
      material.certificates.map(({ item }) => item.fingerprint),
      [server.certificate.fingerprint, ca.certificate.fingerprint],
    );
    assert.equal(material.certificates[0]!.suggests, "hems");
    assert.equal(material.certificates[0]!.origin, "tls.pcap: TLS of 192.0.2.2 port 443");
  }
});

/** What a TLS 1.2 server sends in a handshake, as it left its socket. */
async function tlsBytes(key: string, chain: readonly Buffer[]): Promise<Buffer> {
  const cert = chain.map((der) => toPem("CERTIFICATE", der)).join("");
  const server = createServer({ key, cert, maxVersion: "TLSv1.2" }, (socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const sent: Buffer[] = [];
  const relay = createTcpServer((near) => {
    const far = connectTcp((server.address() as AddressInfo).port, "127.0.0.1");
    far.on("data", (octets) => sent.push(Buffer.from(octets)));
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const client = connect({ port: (relay.address() as AddressInfo).port, host: "127.0.0.1", rejectUnauthorized: false });
  await new Promise<void>((resolve, reject) => client.on("close", resolve).on("error", reject).resume());
  server.close();
  relay.close();
  return Buffer.concat(sent);
}

/** The server's octets as TCP segments in Ethernet frames, neighbours swapped and some repeated, as pcap. */
function segmented(octets: Buffer, size: number, start: number): Buffer {
  const frames = [frame(start, SYN | ACK, Buffer.alloc(0))];
  for (let at = 0; at < octets.length; at += size)
    frames.push(frame((start + 1 + at) >>> 0, ACK, octets.subarray(at, at + size)));
  for (let at = 1; at + 1 < frames.length; at += 2) [frames[at], frames[at + 1]] = [frames[at + 1]!, frames[at]!];
  const header = Buffer.alloc(24);
  header.writeUInt32BE(0xa1b2c3d4, 0);
  header.writeUInt32BE(65535, 16);
  header.writeUInt32BE(1, 20);
  return Buffer.concat([header, ...frames, frames[1]!]);
}

function frame(sequence: number, flags: number, payload: Buffer): Buffer {
  const packet = Buffer.alloc(16 + 14 + 20 + 20);
  packet.writeUInt32BE(packet.length - 16 + payload.length, 8);
  packet.writeUInt32BE(packet.length - 16 + payload.length, 12);
  packet.writeUInt16BE(0x0800, 16 + 12);
  const ip = packet.subarray(30);
  ip[0] = 0x45;
  ip.writeUInt16BE(40 + payload.length, 2);
  ip[9] = 6;
  Buffer.from([192, 0, 2, 2, 192, 0, 2, 1]).copy(ip, 12);
  const tcp = ip.subarray(20);
  tcp.writeUInt16BE(443, 0);
  tcp.writeUInt16BE(50000, 2);
  tcp.writeUInt32BE(sequence, 4);
  tcp[12] = 0x50;
  tcp[13] = flags;
  return Buffer.concat([packet, payload]);
}

const SYN = 0x02;
const ACK = 0x10;
