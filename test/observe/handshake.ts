/** A handshake on a simulated network, with certificates that are what they say, and every datagram noted. */
import assert from "node:assert/strict";
import type { Bytes } from "../../src/bytes/bytes.ts";
import type { Connection } from "../../src/ike/sa/connection.ts";
import { CaptureFile } from "../../src/observe/captureFile.ts";
import type { CapturedDatagram } from "../../src/observe/pcapng.ts";
import { World } from "../../src/sim/world.ts";
import { keyIdOf, subjectAltName } from "../../src/x509/build.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { buildOcspResponse, certIdOf } from "../../src/x509/ocsp.ts";
import {
  connection,
  DEVICE,
  deviceConnection,
  GATEWAY,
  type Oracle,
  type Pair,
  Peer,
  trustingOracle,
} from "../ike/sa/pair.ts";
import { DAY, LEAF_EXTENSIONS, make, NOW } from "../x509/made.ts";

/** A device and a gateway at these addresses, with an IKE SA and a CHILD SA. */
export function attach(
  addresses: readonly [string, string],
  overrides: Partial<Connection>,
  seed = 1,
): Pair & { datagrams: CapturedDatagram[] } {
  const world = new World(seed);
  const datagrams = tapped(world);
  const made: Pair = {
    world,
    device: new Peer(world, addresses[0], undefined),
    gateway: new Peer(world, addresses[1], connection(GATEWAY, overrides)),
  };
  made.device.oracle = presenting(CREDENTIALS.device);
  made.gateway.oracle = presenting(CREDENTIALS.gateway);
  made.device.connect(deviceConnection({ askOcsp: undefined, ...overrides }), addresses[1]);
  assert.ok(world.runUntil(() => made.device.children.size > 0 && made.gateway.children.size > 0, 10_000));
  return { ...made, datagrams };
}

/** Certificates and an OCSP response that are what they say, so that tshark may look into them. */
export const CREDENTIALS = (() => {
  const ca = make({ name: "operator CA" });
  const chainOf = (name: string) => {
    const leaf = make({ name, issuer: ca, extensions: LEAF_EXTENSIONS, more: [subjectAltName({ dns: [name] })] });
    return [leaf.certificate, ca.certificate];
  };
  const [gateway] = chainOf(GATEWAY);
  const response = buildOcspResponse({
    responderId: { byKey: keyIdOf(ca.keys.publicKey) },
    producedAt: NOW,
    responses: [
      {
        id: certIdOf(gateway!, ca.certificate),
        status: { kind: "good" },
        thisUpdate: NOW,
        nextUpdate: NOW + DAY,
      },
    ],
    nonce: undefined,
    certificates: [],
    signer: ca.signer,
  });
  return {
    device: { certificates: chainOf(DEVICE), ocsp: [] },
    gateway: { certificates: [gateway!, ca.certificate], ocsp: [response] },
  };
})();

function presenting(credentials: { certificates: Certificate[]; ocsp: Bytes[] }): Oracle {
  return (request) => {
    if (request.ask !== "computeAuth") return trustingOracle(request);
    const certificates = credentials.certificates.map(({ der }) => der);
    const ocspResponses = request.ocspAsked ? credentials.ocsp : [];
    return { ask: "computeAuth", result: { method: 14, data: Buffer.from("auth"), certificates, ocspResponses } };
  };
}

/** Notes every datagram of a simulated network, as a gateway's shell would. */
function tapped(world: World): CapturedDatagram[] {
  const datagrams: CapturedDatagram[] = [];
  world.tap = (packet, from, to) => {
    datagrams.push({ at: world.now(), from, to, payload: Buffer.from(packet), nonEspMarker: to.port === 4500 });
    return packet;
  };
  return datagrams;
}

/** Writes a capture with keys, as a gateway's shell would. */
export async function capture(file: string, fill: (capture: CaptureFile) => void): Promise<void> {
  const capture = await CaptureFile.open(file, {
    application: "femtogate test",
    interfaceName: "simulated",
    withKeys: true,
    onFailure: (message) => {
      throw new Error(message);
    },
  });
  fill(capture);
  await capture.close();
}
