/** What a Diameter decoder throws: a DecodeError that knows which answer RFC 6733 7.1 wants for it. */
import { DecodeError } from "../../bytes/reader.ts";
import type { Avp } from "./avp.ts";

/** A message that is not what RFC 6733 or its command's grammar says. */
export class DiameterError extends DecodeError {
  override readonly name = "DiameterError";
  /** Result-Code of the answer that tells the peer. */
  readonly resultCode: number;
  /** What goes into Failed-AVP (RFC 6733 7.5). */
  readonly failedAvp: Avp | undefined;

  constructor(resultCode: number, field: string, offset: number, problem: string, failedAvp?: Avp) {
    super(field, offset, problem);
    this.resultCode = resultCode;
    this.failedAvp = failedAvp;
  }
}
