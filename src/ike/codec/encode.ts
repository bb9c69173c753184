/** From IKE messages and payloads to octets (RFC 7296 3). */
import type { Bytes } from "../../bytes/bytes.ts";
import { Writer } from "../../bytes/writer.ts";
import { HEADER_LENGTH, putHeader } from "./header.ts";
import type { IkeHeader, Payload, Proposal } from "./message.ts";
import { KEY_LENGTH_ATTRIBUTE, PayloadType } from "./numbers.ts";

/** A whole message without encryption: IKE_SA_INIT. */
export function encodeMessage(header: IkeHeader, payloads: readonly Payload[]): Bytes {
  const writer = new Writer(1024);
  writer.zeros(HEADER_LENGTH);
  const firstType = writePayloads(writer, payloads);
  const bytes = writer.view();
  putHeader(bytes, header, firstType, bytes.length);
  return bytes;
}

/** A payload chain on its own, as an SK payload holds it. */
export function encodePayloads(payloads: readonly Payload[]): { firstType: number; bytes: Bytes } {
  const writer = new Writer(1024);
  const firstType = writePayloads(writer, payloads);
  return { firstType, bytes: writer.view() };
}

function writePayloads(writer: Writer, payloads: readonly Payload[]): number {
  for (const [index, payload] of payloads.entries()) {
    const start = writer.length;
    const next = payloads[index + 1];
    writer.u8(next === undefined ? PayloadType.none : typeOf(next));
    writer.u8(payload.kind === "unknown" && payload.critical ? 0x80 : 0).u16(0);
    writeBody(writer, payload);
    writer.patchU16(start + 2, writer.length - start);
  }
  return payloads.length === 0 ? PayloadType.none : typeOf(payloads[0]!);
}

function typeOf(payload: Payload): number {
  return payload.kind === "unknown" ? payload.type : PayloadType[payload.kind];
}

function writeBody(writer: Writer, payload: Payload): void {
  switch (payload.kind) {
    case "SA":
      for (const [index, proposal] of payload.proposals.entries())
        writeProposal(writer, proposal, index === payload.proposals.length - 1);
      return;
    case "KE":
      writer.u16(payload.group).u16(0).bytes(payload.data);
      return;
    case "IDi":
    case "IDr":
      writer.u8(payload.idType).zeros(3).bytes(payload.data);
      return;
    case "CERT":
    case "CERTREQ":
      writer.u8(payload.encoding).bytes(payload.data);
      return;
    case "AUTH":
      writer.u8(payload.method).zeros(3).bytes(payload.data);
      return;
    case "N":
      writer.u8(payload.protocol).u8(payload.spi.length).u16(payload.type).bytes(payload.spi).bytes(payload.data);
      return;
    case "D":
      writer
        .u8(payload.protocol)
        .u8(payload.spis[0]?.length ?? 0)
        .u16(payload.spis.length);
      for (const spi of payload.spis) writer.bytes(spi);
      return;
    case "TSi":
    case "TSr":
      writer.u8(payload.selectors.length).zeros(3);
      for (const ts of payload.selectors) {
        writer
          .u8(ts.type)
          .u8(ts.protocol)
          .u16(8 + ts.startAddress.length + ts.endAddress.length);
        writer.u16(ts.startPort).u16(ts.endPort).bytes(ts.startAddress).bytes(ts.endAddress);
      }
      return;
    case "CP":
      writer.u8(payload.cfgType).zeros(3);
      for (const { type, value } of payload.attributes)
        writer
          .u16(type & 0x7fff)
          .u16(value.length)
          .bytes(value);
      return;
    case "Nonce":
    case "V":
    case "EAP":
    case "unknown":
      writer.bytes(payload.data);
      return;
  }
}

function writeProposal(writer: Writer, proposal: Proposal, isLast: boolean): void {
  const start = writer.length;
  writer
    .u8(isLast ? 0 : 2)
    .u8(0)
    .u16(0);
  writer
    .u8(proposal.number)
    .u8(proposal.protocol)
    .u8(proposal.spi.length)
    .u8(proposal.transforms.length)
    .bytes(proposal.spi);
  for (const [index, transform] of proposal.transforms.entries()) {
    writer
      .u8(index === proposal.transforms.length - 1 ? 0 : 3)
      .u8(0)
      .u16(transform.keyLength === undefined ? 8 : 12);
    writer.u8(transform.type).u8(0).u16(transform.id);
    if (transform.keyLength !== undefined) writer.u16(0x8000 | KEY_LENGTH_ATTRIBUTE).u16(transform.keyLength);
  }
  writer.patchU16(start + 2, writer.length - start);
}
