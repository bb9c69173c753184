/** Diameter messages as plain records, for logs and for programs that read them; nothing secret is in them. */
import type { Bytes } from "../../bytes/bytes.ts";
import { describeAvps, describeCommand } from "../codec/describe.ts";
import { DiameterError } from "../codec/error.ts";
import { type DiameterMessage, decodeMessage } from "../codec/message.ts";
import type { ConnectionTrace, DiameterServiceOptions } from "./service.ts";

/** One message that passed, with a sentence for people. */
export interface DescribedMessage {
  text: string;
  record: {
    event: "diameterMessage";
    direction: "sent" | "received";
    /** DiameterIdentity, or address and port of who has not said it yet. */
    peer: string;
    /** "DER", "DEA". */
    command: string;
    application: number;
    avps: string[];
    bytes: number;
  };
}

/** What to log of a message; undefined for octets that are no message, of which the node tells by itself. */
function describeMessage(
  direction: "sent" | "received",
  octets: Buffer,
  { peer, remote }: ConnectionTrace,
  eap: ((packet: Bytes) => string) | undefined,
): DescribedMessage | undefined {
  let message: DiameterMessage;
  try {
    message = decodeMessage(octets);
  } catch (error) {
    if (error instanceof DiameterError) return undefined;
    throw error;
  }
  const command = describeCommand(message);
  const who = peer ?? `${remote.address}:${remote.port}`;
  const { application } = message.header;
  const avps = describeAvps(message, eap);
  const text = `${direction} ${command} ${direction === "sent" ? "to" : "from"} ${who}: ${avps.join(" ")}`;
  const bytes = octets.length;
  return { text, record: { event: "diameterMessage", direction, peer: who, command, application, avps, bytes } };
}

/** A service's `trace` that hands each message on as a record; `eap` tells what an EAP packet is. */
export function reportMessages(
  report: (message: DescribedMessage) => void,
  eap?: (packet: Bytes) => string,
): NonNullable<DiameterServiceOptions["trace"]> {
  return (direction, octets, trace) => {
    const described = describeMessage(direction, octets, trace, eap);
    if (described !== undefined) report(described);
  };
}
