/** What a session with the H(e)MS is about: the seam for CWMP (TR-069), or any other protocol on HTTP. */
import type { IncomingHttpHeaders } from "node:http";
import type { Bytes } from "../bytes/bytes.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";

/** A POST to the H(e)MS. */
export interface ConversationRequest {
  headers: Readonly<Record<string, string>>;
  body: Bytes;
}

export interface ConversationAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Bytes;
}

/** One session's worth of requests; whoever throws ends it. */
export interface Conversation {
  begin(): ConversationRequest;
  /** What to send after an answer; undefined ends the session. */
  next(answer: ConversationAnswer): ConversationRequest | undefined;
}

/** Why a session with the H(e)MS did not come about or broke off. */
export class ManagementError extends Error {
  override readonly name = "ManagementError";
  readonly refusal: PeerRefusal;

  constructor(refusal: PeerRefusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

/** Shows itself and has nothing to say: an empty POST, which an H(e)MS with nothing to say answers with 204. */
export const APPEAR: Conversation = {
  begin: () => ({ headers: {}, body: Buffer.alloc(0) }),
  next({ status }) {
    if (status === 204) return undefined;
    throw new ManagementError({
      reason: "HemsUnexpectedAnswer",
      message: `the H(e)MS answers with status ${status} instead of 204`,
    });
  },
};
