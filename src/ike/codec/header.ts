/** The IKE header's fixed places and SPIs (RFC 7296 3.1). */
import type { Bytes } from "../../bytes/bytes.ts";
import type { IkeHeader, IkeSpi } from "./message.ts";
import { IKE_VERSION } from "./numbers.ts";

/** Octets of the IKE header. */
export const HEADER_LENGTH = 28;
const FLAG_INITIATOR = 0x08;
const FLAG_RESPONSE = 0x20;

/** The SPI whose 8 octets stand at `offset`. */
export function spiFromBytes(bytes: Bytes, offset = 0): IkeSpi {
  return bytes.toString("hex", offset, offset + 8) as IkeSpi;
}

/** The SPI's 8 octets. */
export function spiToBytes(spi: IkeSpi): Bytes {
  return Buffer.from(spi, "hex");
}

/** The header of a datagram, or undefined if it is too short to hold one; checks nothing else and never throws. */
export function peekHeader(bytes: Bytes): IkeHeader | undefined {
  if (bytes.length < HEADER_LENGTH) return undefined;
  const flags = bytes[19]!;
  return {
    initiatorSpi: spiFromBytes(bytes, 0),
    responderSpi: spiFromBytes(bytes, 8),
    exchangeType: bytes[18]!,
    fromInitiator: (flags & FLAG_INITIATOR) !== 0,
    response: (flags & FLAG_RESPONSE) !== 0,
    messageId: bytes.readUInt32BE(20),
  };
}

/** True unless the packet is a fragment other than the first (SKF payload, fragment number at a fixed place). */
export function isFirstFragment(packet: Bytes): boolean {
  return packet[16] !== 53 || packet.length < 34 || packet.readUInt16BE(32) === 1;
}

/** Writes the header at the start of `bytes`. */
export function putHeader(bytes: Bytes, header: IkeHeader, firstPayload: number, length: number): void {
  bytes.write(header.initiatorSpi, 0, 8, "hex");
  bytes.write(header.responderSpi, 8, 8, "hex");
  bytes[16] = firstPayload;
  bytes[17] = IKE_VERSION;
  bytes[18] = header.exchangeType;
  bytes[19] = (header.fromInitiator ? FLAG_INITIATOR : 0) | (header.response ? FLAG_RESPONSE : 0);
  bytes.writeUInt32BE(header.messageId, 20);
  bytes.writeUInt32BE(length, 24);
}
