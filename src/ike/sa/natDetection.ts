/** NAT detection (RFC 7296 2.23): both sides compare a hash of what they see with what the other side sent. */
import { createHash } from "node:crypto";
import { type Bytes, sameBytes } from "../../bytes/bytes.ts";
import { parseIp } from "../../bytes/ip.ts";
import type { UdpAddress } from "../../esp/dataPlane.ts";
import { spiToBytes } from "../codec/header.ts";
import type { IkeSpi, Payload } from "../codec/message.ts";
import { NotifyType } from "../codec/numbers.ts";
import { type IkeSa, notify } from "./ikeSa.ts";

function natDetectionHash(initiatorSpi: IkeSpi, responderSpi: IkeSpi, at: UdpAddress): Bytes {
  const port = Buffer.allocUnsafe(2);
  port.writeUInt16BE(at.port);
  const address = parseIp(at.address) ?? Buffer.alloc(4);
  return createHash("sha1")
    .update(spiToBytes(initiatorSpi))
    .update(spiToBytes(responderSpi))
    .update(address)
    .update(port)
    .digest();
}

/** The two notifies of our IKE_SA_INIT message. A random source hash makes the peer see a NAT where we need one. */
export function natDetectionPayloads(sa: IkeSa): Payload[] {
  const { local, remote } = sa.path;
  const source = sa.connection.forceUdpEncapsulation
    ? sa.host.random.bytes(20)
    : natDetectionHash(sa.initiatorSpi, sa.responderSpi, local);
  const destination = natDetectionHash(sa.initiatorSpi, sa.responderSpi, remote);
  return [
    notify(NotifyType.NAT_DETECTION_SOURCE_IP, source),
    notify(NotifyType.NAT_DETECTION_DESTINATION_IP, destination),
  ];
}

/** Notes from the peer's notifies which side stands behind a NAT; absent notifies mean that the peer knows no NAT-T. */
export function detectNat(sa: IkeSa, payloads: readonly Payload[]): void {
  const sources = payloads.filter((p) => p.kind === "N" && p.type === NotifyType.NAT_DETECTION_SOURCE_IP);
  const destinations = payloads.filter((p) => p.kind === "N" && p.type === NotifyType.NAT_DETECTION_DESTINATION_IP);
  if (sources.length === 0 || destinations.length === 0) return;
  const carries = (list: readonly Payload[], hash: Bytes) =>
    list.some((p) => p.kind === "N" && sameBytes(p.data, hash));
  sa.nat.remote = !carries(sources, natDetectionHash(sa.initiatorSpi, sa.responderSpi, sa.path.remote));
  sa.nat.local =
    sa.connection.forceUdpEncapsulation ||
    !carries(destinations, natDetectionHash(sa.initiatorSpi, sa.responderSpi, sa.path.local));
}
