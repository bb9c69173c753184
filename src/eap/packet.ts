/**
 * EAP packets (RFC 3748 4, 5): the header, Identity, Notification, Nak and Expanded types; a method's data stays octets.
 *
 * Nak is told apart from other types because it steers the negotiation; Expanded types are read so that they can be
 * refused in their own form (RFC 3748 5.3.2), and no method is carried in one.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";

/** Types of requests and responses (RFC 3748 5, IANA). */
export const EapType = { IDENTITY: 1, NOTIFICATION: 2, NAK: 3, AKA: 23, AKA_PRIME: 50, EXPANDED: 254 } as const;

export type EapPacket =
  | { kind: "request" | "response"; id: number; content: EapContent }
  | { kind: "success" | "failure"; id: number };

export type EapContent =
  /** In a request the prompt, in a response the identity, as octets of UTF-8. */
  | { kind: "identity"; text: Bytes }
  | { kind: "notification"; text: Bytes }
  /** Methods the peer would rather have; empty for none (response only, RFC 3748 5.3.1). */
  | { kind: "nak"; desired: readonly number[] }
  | { kind: "expandedNak"; desired: readonly ExpandedType[] }
  | { kind: "expanded"; type: ExpandedType; body: Bytes }
  | { kind: "method"; type: number; body: Bytes };

/** Vendor 0 is the IETF, whose vendor types are the EAP types (RFC 3748 5.7). */
export interface ExpandedType {
  vendor: number;
  type: number;
}

/** Octets of code, identifier and length. */
export const EAP_HEADER_LENGTH = 4;

/** Decodes one packet; octets beyond its length field are padding of the layer below (RFC 3748 4.1). */
export function decodeEap(bytes: Bytes): EapPacket {
  const header = new Reader(bytes);
  const code = header.u8("EAP.code");
  const id = header.u8("EAP.identifier");
  const length = header.u16("EAP.length");
  if (length < EAP_HEADER_LENGTH) header.fail("EAP.length", `${length} is less than its own header`);
  const body = header.sub(length - EAP_HEADER_LENGTH, "EAP.data");
  switch (code) {
    case Code.request:
    case Code.response: {
      const kind = code === Code.request ? "request" : "response";
      return { kind, id, content: readContent(kind, body) };
    }
    case Code.success:
    case Code.failure:
      body.end("EAP.data");
      return { kind: code === Code.success ? "success" : "failure", id };
    default:
      return header.fail("EAP.code", `${code} is none of request, response, success and failure`);
  }
}

/** The packet without what lies beyond its length field; only for octets that `decodeEap` took. */
export function trimEap(bytes: Bytes): Bytes {
  return bytes.subarray(0, bytes.readUInt16BE(2));
}

export function encodeEap(packet: EapPacket): Bytes {
  const writer = new Writer(64).u8(Code[packet.kind]).u8(packet.id).u16(0);
  if (packet.kind === "request" || packet.kind === "response") writeContent(writer, packet.content);
  writer.patchU16(2, writer.length);
  return writer.view();
}

function readContent(kind: "request" | "response", body: Reader): EapContent {
  const type = body.u8("EAP.type");
  switch (type) {
    case EapType.IDENTITY:
      return { kind: "identity", text: body.rest() };
    case EapType.NOTIFICATION:
      return { kind: "notification", text: body.rest() };
    case EapType.NAK:
      if (kind === "request") body.fail("EAP.type", "Nak belongs in a response (RFC 3748 5.3)");
      // Type 0 says that there is none (RFC 3748 5.3.1).
      return { kind: "nak", desired: [...body.rest()].filter((desired) => desired !== 0) };
    case EapType.EXPANDED: {
      const expanded = readExpandedType(body);
      if (expanded.vendor !== IETF || expanded.type !== EapType.NAK || kind === "request")
        return { kind: "expanded", type: expanded, body: body.rest() };
      return { kind: "expandedNak", desired: readDesired(body) };
    }
    default:
      if (type === 0) body.fail("EAP.type", "0 is no type");
      return { kind: "method", type, body: body.rest() };
  }
}

function readDesired(body: Reader): ExpandedType[] {
  const desired: ExpandedType[] = [];
  while (!body.atEnd) {
    const type = body.u8("ExpandedNak.type");
    if (type !== EapType.EXPANDED) body.fail("ExpandedNak.type", `${type} is not an expanded type`);
    const expanded = readExpandedType(body);
    if (expanded.vendor !== IETF || expanded.type !== 0) desired.push(expanded);
  }
  return desired;
}

function readExpandedType(reader: Reader): ExpandedType {
  return { vendor: reader.u24("Expanded.vendorId"), type: reader.u32("Expanded.vendorType") };
}

function writeContent(writer: Writer, content: EapContent): void {
  switch (content.kind) {
    case "identity":
      writer.u8(EapType.IDENTITY).bytes(content.text);
      return;
    case "notification":
      writer.u8(EapType.NOTIFICATION).bytes(content.text);
      return;
    case "nak":
      writer.u8(EapType.NAK).bytes(Buffer.from(content.desired.length === 0 ? [0] : content.desired));
      return;
    case "expandedNak": {
      writeExpandedType(writer, { vendor: IETF, type: EapType.NAK });
      const desired = content.desired.length === 0 ? [{ vendor: IETF, type: 0 }] : content.desired;
      for (const type of desired) writeExpandedType(writer, type);
      return;
    }
    case "expanded":
      writeExpandedType(writer, content.type);
      writer.bytes(content.body);
      return;
    case "method":
      writer.u8(content.type).bytes(content.body);
  }
}

function writeExpandedType(writer: Writer, { vendor, type }: ExpandedType): void {
  writer.u8(EapType.EXPANDED).u24(vendor).u32(type);
}

const Code = { request: 1, response: 2, success: 3, failure: 4 } as const;
const IETF = 0;
