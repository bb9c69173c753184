/**
 * AVPs as octets (RFC 6733 4.1): code, flags, vendor and undecoded data, and lists of them.
 *
 * This level knows no dictionary, so that a message can be forwarded, or answered with Failed-AVP, whatever it holds. A
 * grouped AVP stays one octet string here; whoever knows its grammar opens it (`grammar.ts`), and so an unknown AVP
 * nested without end costs nothing.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Reader } from "../../bytes/reader.ts";
import type { Writer } from "../../bytes/writer.ts";
import { DiameterError } from "./error.ts";
import { ResultCode } from "./numbers.ts";

export interface Avp {
  code: number;
  /** 0 for the IETF's own (no Vendor-Id field). */
  vendor: number;
  /** M bit: who does not know this AVP must refuse the message. */
  mandatory: boolean;
  /** Without padding. */
  data: Bytes;
}

/** AVPs of one list, a message's or a group's; more than any grammar asks for. */
export const MAX_AVPS = 256;

/** Reads AVPs up to the end of `reader`; throws DiameterError. Data are views of the input. */
export function readAvps(reader: Reader, owner: string): Avp[] {
  const avps: Avp[] = [];
  while (!reader.atEnd) {
    if (avps.length >= MAX_AVPS)
      throw new DiameterError(
        ResultCode.RESOURCES_EXCEEDED,
        owner,
        reader.base + reader.position,
        `holds more than ${MAX_AVPS} AVPs`,
      );
    avps.push(readAvp(reader, owner));
  }
  return avps;
}

export function writeAvp(writer: Writer, { code, vendor, mandatory, data }: Avp): void {
  const vendorFlag = vendor === 0 ? 0 : FLAG_VENDOR;
  writer.u32(code).u8(vendorFlag | (mandatory ? FLAG_MANDATORY : 0));
  writer.u24((vendor === 0 ? HEADER : HEADER_WITH_VENDOR) + data.length);
  if (vendor !== 0) writer.u32(vendor);
  writer.bytes(data).zeros(padding(data.length));
}

function readAvp(reader: Reader, owner: string): Avp {
  const offset = reader.base + reader.position;
  if (reader.remaining < HEADER)
    throw new DiameterError(
      ResultCode.INVALID_AVP_LENGTH,
      owner,
      offset,
      `${reader.remaining} octets left, less than an AVP header`,
    );
  const code = reader.u32("AVP code");
  const flags = reader.u8("AVP flags");
  const length = reader.u24("AVP length");
  const hasVendor = (flags & FLAG_VENDOR) !== 0;
  const header = hasVendor ? HEADER_WITH_VENDOR : HEADER;
  // RFC 6733 7.1.5 wants the header of the AVP back, and may not get its data, which is what is in doubt.
  const mandatory = (flags & FLAG_MANDATORY) !== 0;
  const refuse = (problem: string, vendor: number): never => {
    const failed = { code, vendor, mandatory, data: Buffer.alloc(0) };
    throw new DiameterError(ResultCode.INVALID_AVP_LENGTH, `${owner}, AVP ${code}`, offset, problem, failed);
  };
  if (length < header) refuse(`length ${length} is less than its own header`, 0);
  if (hasVendor && reader.remaining < 4) refuse("ends before its Vendor-Id", 0);
  const vendor = hasVendor ? reader.u32("AVP vendor") : 0;
  const size = length - header;
  const padded = size + padding(size);
  if (padded > reader.remaining) refuse(`length ${length}, ${reader.remaining + header} octets left`, vendor);
  const data = reader.take(size, "AVP data");
  // Padding has no meaning, so that what it holds is not looked at (RFC 6733 4.1).
  reader.skip(padded - size, "AVP padding");
  return { code, vendor, mandatory, data };
}

function padding(length: number): number {
  return -length & 3;
}

const FLAG_VENDOR = 0x80;
const FLAG_MANDATORY = 0x40;
const HEADER = 8;
const HEADER_WITH_VENDOR = 12;
