/** RADIUS packets as plain records, for logs and for programs that read them; nothing secret is in them. */
import type { Bytes } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import { describeAttributes, describeCode } from "../codec/describe.ts";
import { decodePacket, type RadiusPacket } from "../codec/packet.ts";

/** Hears of each packet as it passes; `peer` is a server's name, else a client's address and port or its certified name. */
export type RadiusTrace = (direction: "sent" | "received", packet: Bytes, peer: string) => void;

/** One packet that passed, with a sentence for people. */
export interface DescribedPacket {
  text: string;
  record: {
    event: "radiusMessage";
    direction: "sent" | "received";
    peer: string;
    /** "Access-Request". */
    code: string;
    identifier: number;
    attributes: string[];
    bytes: number;
  };
}

/**
 * A trace that hands each packet on as a record, with what `eap` says of an EAP packet; octets that are no packet are told
 * elsewhere, as dropped.
 */
export function reportPackets(report: (packet: DescribedPacket) => void, eap?: (packet: Bytes) => string): RadiusTrace {
  return (direction, octets, peer) => {
    let packet: RadiusPacket;
    try {
      packet = decodePacket(octets);
    } catch (error) {
      if (error instanceof DecodeError) return;
      throw error;
    }
    const code = describeCode(packet);
    const { identifier } = packet;
    const attributes = describeAttributes(packet, eap);
    const text = `${direction} ${code} ${identifier} ${direction === "sent" ? "to" : "from"} ${peer}: ${attributes.join(" ")}`;
    const bytes = octets.length;
    report({ text, record: { event: "radiusMessage", direction, peer, code, identifier, attributes, bytes } });
  };
}
