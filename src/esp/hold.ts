/**
 * A CHILD SA on hold carries nothing of its users: what they send is dropped and counted, and so is what arrives for them.
 * Only the device's own queries about the status of the gateway's certificate pass (TS 33.320 7.2.3-5).
 *
 * Nothing is kept for later: TCP sends again, and what is old by then helps nobody.
 */
import { type Bytes, sameBytes } from "../bytes/bytes.ts";
import type { Flow } from "./ipPacket.ts";

/** TCP between one inner address of ours and one port of a host behind the gateway. */
export interface TcpFlow {
  /** 4 or 16 octets, as all addresses here. */
  localAddress: Bytes;
  remoteAddress: Bytes;
  remotePort: number;
}

/** What passes nonetheless; with none of them nothing does. */
export type Hold = readonly TcpFlow[];

/** True if an outbound packet may leave despite the hold. */
export function passesOut(hold: Hold, flow: Flow): boolean {
  return hold.some((exception) => passes(exception, flow, flow.source, flow.destination, flow.destinationPort));
}

/** True if a packet that the SA protected may be delivered despite the hold. */
export function passesIn(hold: Hold, flow: Flow): boolean {
  return hold.some((exception) => passes(exception, flow, flow.destination, flow.source, flow.sourcePort));
}

function passes(exception: TcpFlow, { protocol }: Flow, local: Bytes, remote: Bytes, remotePort: number): boolean {
  return (
    protocol === TCP &&
    remotePort === exception.remotePort &&
    sameBytes(remote, exception.remoteAddress) &&
    sameBytes(local, exception.localAddress)
  );
}

const TCP = 6;
