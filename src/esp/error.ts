/** Why an ESP packet, or the IP packet in it, was refused; the packet is dropped and nothing is told to the peer. */
import { DecodeError } from "../bytes/reader.ts";

export type EspProblem =
  /** Too short to hold what ESP or IP requires, or of a length the cipher cannot have made. */
  | "Truncated"
  /** Seen before, or left of the replay window (RFC 4303 3.4.3). */
  | "Replayed"
  | "IntegrityFailure"
  | "BadPadding"
  /** Neither IPv4, IPv6 nor a dummy packet: all that tunnel mode carries (RFC 4303 2.6). */
  | "BadNextHeader"
  | "BadIpPacket"
  /** The inner packet is not what this SA was negotiated for (RFC 4301 5.2). */
  | "SelectorMismatch";

export class EspError extends DecodeError {
  override readonly name = "EspError";
  readonly problem: EspProblem;

  constructor(problem: EspProblem, field: string, offset: number, detail: string) {
    super(field, offset, detail);
    this.problem = problem;
  }
}
