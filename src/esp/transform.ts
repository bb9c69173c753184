/**
 * The ESP packet in tunnel mode: SPI, sequence number, IV, payload, padding, next header, ICV (RFC 4303 2).
 *
 * `seal` and `open` know nothing of windows, selectors or limits; see `processor.ts` for the order of the checks.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { Random } from "../sim/environment.ts";
import { ESP_HEADER, type EspCipher } from "./cipher.ts";
import { EspError } from "./error.ts";

/** Values of the next header field in tunnel mode (RFC 4303 2.6); 59 marks a dummy packet. */
export const NextHeader = { IPV4: 4, IPV6: 41, DUMMY: 59 } as const;

/** SPI and the low half of the sequence number; throws EspError `Truncated`. */
export function readEspHeader(packet: Bytes): { spi: number; sequenceLow: number } {
  if (packet.length < ESP_HEADER) throw new EspError("Truncated", "ESP", packet.length, "ends within its header");
  return { spi: packet.readUInt32BE(0), sequenceLow: packet.readUInt32BE(4) };
}

/** One ESP packet around `inner`; `sequence` must be new for this key, since it also makes the counter IV. */
export function seal(
  cipher: EspCipher,
  spi: number,
  sequence: number,
  nextHeader: number,
  inner: Bytes,
  random: Random,
): Bytes {
  const high = Math.floor(sequence / 2 ** 32);
  const low = sequence >>> 0;
  const start = ESP_HEADER + cipher.ivLength;
  const padLength = (cipher.alignment - ((inner.length + 2) % cipher.alignment)) % cipher.alignment;
  const end = start + inner.length + padLength + 2;
  const packet = Buffer.allocUnsafe(end + cipher.icvLength);
  packet.writeUInt32BE(spi, 0);
  packet.writeUInt32BE(low, 4);
  if (cipher.randomIv) {
    packet.set(random.bytes(cipher.ivLength), ESP_HEADER);
  } else {
    packet.writeUInt32BE(high, ESP_HEADER);
    packet.writeUInt32BE(low, ESP_HEADER + 4);
  }
  packet.set(inner, start);
  // 1, 2, 3 ...: the padding every receiver can check (RFC 4303 2.4).
  for (let i = 1; i <= padLength; i++) packet[start + inner.length + i - 1] = i;
  packet[end - 2] = padLength;
  packet[end - 1] = nextHeader;
  cipher.protect(packet, high);
  return packet;
}

/** What a verified packet carries. `payload` may end with padding that hides its length (TFC, RFC 4303 2.7). */
export interface OpenedPacket {
  nextHeader: number;
  payload: Bytes;
}

/** Verifies and decrypts; throws EspError `Truncated`, `IntegrityFailure` or `BadPadding`. */
export function open(cipher: EspCipher, packet: Bytes, sequenceHigh: number): OpenedPacket {
  const plaintext = cipher.open(packet, sequenceHigh);
  const padLength = plaintext[plaintext.length - 2]!;
  const payloadLength = plaintext.length - 2 - padLength;
  if (payloadLength < 0) throw badPadding(packet, `${padLength} octets, but only ${plaintext.length - 2} are there`);
  for (let i = 1; i <= padLength; i++) {
    if (plaintext[payloadLength + i - 1] !== i) throw badPadding(packet, "is not 1, 2, 3 ...");
  }
  return { nextHeader: plaintext[plaintext.length - 1]!, payload: plaintext.subarray(0, payloadLength) };
}

function badPadding(packet: Bytes, detail: string): EspError {
  return new EspError("BadPadding", "ESP.padding", packet.length, detail);
}
