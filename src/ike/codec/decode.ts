/**
 * From octets to IKE messages and payloads (RFC 7296 3, RFC 7383 2.5, RFC 4739).
 *
 * Octet strings are views of the input. Whatever the input, nothing but DecodeError leaves these functions, and what
 * they allocate stays in proportion to it: every list has a limit.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import { DecodeError, Reader } from "../../bytes/reader.ts";
import type { TrafficSelector } from "../../esp/selector.ts";
import { HEADER_LENGTH, peekHeader } from "./header.ts";
import type { ConfigAttribute, IkeHeader, Payload, Proposal, Transform } from "./message.ts";
import { KEY_LENGTH_ATTRIBUTE, PayloadType } from "./numbers.ts";

/** Limits of one message; more than any peer sends that means well. */
export const LIMITS = {
  payloads: 64,
  certificates: 16,
  proposals: 32,
  transforms: 64,
  attributes: 4,
  selectors: 64,
  configAttributes: 64,
  deletedSpis: 64,
  fragments: 64,
} as const;

/** The still encrypted part of a message: `body` runs from the IV to the end of the integrity check value. */
export type EncryptedPayload =
  | { kind: "SK"; firstInner: number; body: Bytes; bodyOffset: number }
  | {
      kind: "SKF";
      firstInner: number;
      fragmentNumber: number;
      totalFragments: number;
      body: Bytes;
      bodyOffset: number;
    };

export interface DecodedMessage {
  header: IkeHeader;
  /** Payloads outside SK. */
  payloads: Payload[];
  encrypted: EncryptedPayload | undefined;
}

/** A major version above ours (RFC 7296 2.5). */
export class UnsupportedVersionError extends DecodeError {
  override readonly name = "UnsupportedVersionError";
}

/**
 * Decodes a whole datagram without its non-ESP marker. Throws UnsupportedVersionError, for which `peekHeader` gives what
 * an INVALID_MAJOR_VERSION answer needs, and DecodeError for anything else that is wrong.
 */
export function decodeMessage(bytes: Bytes): DecodedMessage {
  const header = peekHeader(bytes);
  if (header === undefined)
    throw new DecodeError("IKE header", 0, `needs ${HEADER_LENGTH} octets, ${bytes.length} there`);
  const major = bytes[17]! >> 4;
  if (major > 2) throw new UnsupportedVersionError("IKE version", 17, `major version ${major}, this is 2`);
  if (major < 2) throw new DecodeError("IKE version", 17, `major version ${major}, this is 2`);
  const length = bytes.readUInt32BE(24);
  if (length !== bytes.length)
    throw new DecodeError("IKE length", 24, `says ${length}, the datagram has ${bytes.length}`);
  const reader = new Reader(bytes.subarray(HEADER_LENGTH), HEADER_LENGTH);
  const payloads: Payload[] = [];
  const encrypted = readChain(reader, bytes[16]!, payloads, true);
  return { header, payloads, encrypted };
}

/** Decodes the payload chain that an SK payload held; throws DecodeError. */
export function decodePayloads(firstType: number, bytes: Bytes): Payload[] {
  const payloads: Payload[] = [];
  readChain(new Reader(bytes), firstType, payloads, false);
  return payloads;
}

function readChain(
  reader: Reader,
  firstType: number,
  payloads: Payload[],
  outer: boolean,
): EncryptedPayload | undefined {
  let certificates = 0;
  for (let type = firstType; type !== PayloadType.none; ) {
    if (payloads.length >= LIMITS.payloads) reader.fail("payloads", `more than ${LIMITS.payloads}`);
    const next = reader.u8("next payload");
    const critical = (reader.u8("critical bit") & 0x80) !== 0;
    const length = reader.u16("payload length");
    if (length < 4) reader.fail("payload length", `${length} is less than its own header`);
    const body = reader.sub(length - 4, "payload body");
    if (type === PayloadType.SK || type === PayloadType.SKF) {
      if (!outer) reader.fail("SK", "encrypted payload within an encrypted payload");
      // It is the last payload, and "next" names the first one inside (RFC 7296 3.14).
      reader.end("message after SK");
      return readEncrypted(type, next, body);
    }
    if (type === PayloadType.CERT && ++certificates > LIMITS.certificates)
      reader.fail("CERT", `more than ${LIMITS.certificates}`);
    payloads.push(readPayload(type, critical, body));
    type = next;
  }
  reader.end("message after last payload");
  return undefined;
}

function readEncrypted(type: number, firstInner: number, body: Reader): EncryptedPayload {
  if (type === PayloadType.SK) return { kind: "SK", firstInner, body: body.rest(), bodyOffset: body.base };
  const fragmentNumber = body.u16("SKF.fragmentNumber");
  const totalFragments = body.u16("SKF.totalFragments");
  if (
    fragmentNumber === 0 ||
    totalFragments === 0 ||
    fragmentNumber > totalFragments ||
    totalFragments > LIMITS.fragments
  ) {
    body.fail("SKF", `fragment ${fragmentNumber} of ${totalFragments}`);
  }
  const bodyOffset = body.base + body.position;
  return { kind: "SKF", firstInner, fragmentNumber, totalFragments, body: body.rest(), bodyOffset };
}

function readPayload(type: number, critical: boolean, body: Reader): Payload {
  switch (type) {
    case PayloadType.SA:
      return { kind: "SA", proposals: readProposals(body) };
    case PayloadType.KE: {
      const group = body.u16("KE.group");
      body.skip(2, "KE.reserved");
      return { kind: "KE", group, data: body.rest() };
    }
    case PayloadType.IDi:
    case PayloadType.IDr: {
      const idType = body.u8("ID.type");
      body.skip(3, "ID.reserved");
      return { kind: type === PayloadType.IDi ? "IDi" : "IDr", idType, data: body.rest() };
    }
    case PayloadType.CERT:
      return { kind: "CERT", encoding: body.u8("CERT.encoding"), data: body.rest() };
    case PayloadType.CERTREQ:
      return { kind: "CERTREQ", encoding: body.u8("CERTREQ.encoding"), data: body.rest() };
    case PayloadType.AUTH: {
      const method = body.u8("AUTH.method");
      body.skip(3, "AUTH.reserved");
      return { kind: "AUTH", method, data: body.rest() };
    }
    case PayloadType.Nonce:
      if (body.remaining < 16 || body.remaining > 256)
        body.fail("Nonce", `${body.remaining} octets, RFC 7296 3.9 allows 16 to 256`);
      return { kind: "Nonce", data: body.rest() };
    case PayloadType.N: {
      const protocol = body.u8("N.protocol");
      const spiSize = body.u8("N.spiSize");
      const notifyType = body.u16("N.type");
      const spi = body.take(spiSize, "N.spi");
      return { kind: "N", protocol, spi, type: notifyType, data: body.rest() };
    }
    case PayloadType.D:
      return readDelete(body);
    case PayloadType.V:
      return { kind: "V", data: body.rest() };
    case PayloadType.TSi:
    case PayloadType.TSr:
      return { kind: type === PayloadType.TSi ? "TSi" : "TSr", selectors: readSelectors(body) };
    case PayloadType.CP:
      return readConfig(body);
    case PayloadType.EAP:
      return { kind: "EAP", data: body.rest() };
    default:
      return { kind: "unknown", type, critical, data: body.rest() };
  }
}

function readProposals(body: Reader): Proposal[] {
  const proposals: Proposal[] = [];
  for (let more = true; more; ) {
    if (proposals.length >= LIMITS.proposals) body.fail("SA", `more than ${LIMITS.proposals} proposals`);
    const last = body.u8("Proposal.last");
    if (last !== 0 && last !== 2) body.fail("Proposal.last", `${last} is neither 0 nor 2`);
    body.skip(1, "Proposal.reserved");
    const length = body.u16("Proposal.length");
    if (length < 8) body.fail("Proposal.length", `${length} is less than its own header`);
    const inner = body.sub(length - 4, "Proposal");
    const number = inner.u8("Proposal.number");
    const protocol = inner.u8("Proposal.protocol");
    const spiSize = inner.u8("Proposal.spiSize");
    const count = inner.u8("Proposal.transforms");
    if (count > LIMITS.transforms) inner.fail("Proposal.transforms", `${count}, more than ${LIMITS.transforms}`);
    const spi = inner.take(spiSize, "Proposal.spi");
    const transforms: Transform[] = [];
    for (let i = 0; i < count; i++) transforms.push(readTransform(inner, i === count - 1));
    inner.end("Proposal");
    proposals.push({ number, protocol, spi, transforms });
    more = last === 2;
  }
  body.end("SA");
  return proposals;
}

function readTransform(reader: Reader, isLast: boolean): Transform {
  const last = reader.u8("Transform.last");
  if (last !== (isLast ? 0 : 3)) reader.fail("Transform.last", `${last} where ${isLast ? 0 : 3} belongs`);
  reader.skip(1, "Transform.reserved");
  const length = reader.u16("Transform.length");
  if (length < 8) reader.fail("Transform.length", `${length} is less than its own header`);
  const inner = reader.sub(length - 4, "Transform");
  const type = inner.u8("Transform.type");
  inner.skip(1, "Transform.reserved");
  const id = inner.u16("Transform.id");
  const transform: Transform = { type, id };
  for (let attributes = 0; !inner.atEnd; attributes++) {
    if (attributes >= LIMITS.attributes) inner.fail("Transform.attributes", `more than ${LIMITS.attributes}`);
    const attribute = inner.u16("Attribute.type");
    // TV format carries its value in place, TLV a length (RFC 7296 3.3.5).
    if ((attribute & 0x8000) === 0) {
      // None is defined: the transform cannot be what it seems, and a key length that fits nothing rules it out.
      inner.skip(inner.u16("Attribute.length"), "Attribute.value");
      transform.keyLength = 0xffff;
    } else {
      const value = inner.u16("Attribute.value");
      transform.keyLength = (attribute & 0x7fff) === KEY_LENGTH_ATTRIBUTE ? value : 0xffff;
    }
  }
  return transform;
}

function readDelete(body: Reader): Payload {
  const protocol = body.u8("D.protocol");
  const spiSize = body.u8("D.spiSize");
  const count = body.u16("D.count");
  if (count > LIMITS.deletedSpis) body.fail("D.count", `${count}, more than ${LIMITS.deletedSpis}`);
  const spis: Bytes[] = [];
  for (let i = 0; i < count; i++) spis.push(body.take(spiSize, "D.spi"));
  body.end("D");
  return { kind: "D", protocol, spis };
}

function readSelectors(body: Reader): TrafficSelector[] {
  const count = body.u8("TS.count");
  if (count > LIMITS.selectors) body.fail("TS.count", `${count}, more than ${LIMITS.selectors}`);
  body.skip(3, "TS.reserved");
  const selectors: TrafficSelector[] = [];
  for (let i = 0; i < count; i++) {
    const type = body.u8("TS.type");
    const protocol = body.u8("TS.protocol");
    const length = body.u16("TS.length");
    if (length < 8) body.fail("TS.length", `${length} is less than its own header`);
    const inner = body.sub(length - 4, "TS");
    if (type !== 7 && type !== 8) continue; // an unknown kind selects nothing here (RFC 7296 3.13.1)
    const size = type === 7 ? 4 : 16;
    const startPort = inner.u16("TS.startPort");
    const endPort = inner.u16("TS.endPort");
    const startAddress = inner.take(size, "TS.startAddress");
    const endAddress = inner.take(size, "TS.endAddress");
    inner.end("TS");
    selectors.push({ type, protocol, startPort, endPort, startAddress, endAddress });
  }
  body.end("TS");
  return selectors;
}

function readConfig(body: Reader): Payload {
  const cfgType = body.u8("CP.type");
  body.skip(3, "CP.reserved");
  const attributes: ConfigAttribute[] = [];
  while (!body.atEnd) {
    if (attributes.length >= LIMITS.configAttributes)
      body.fail("CP", `more than ${LIMITS.configAttributes} attributes`);
    const type = body.u16("CP.attribute") & 0x7fff;
    const length = body.u16("CP.length");
    attributes.push({ type, value: body.take(length, "CP.value") });
  }
  return { kind: "CP", cfgType, attributes };
}
