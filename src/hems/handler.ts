/** What is done with devices once they are let in: the seam for CWMP (TR-069), or any other protocol on HTTP. */
import type { IncomingHttpHeaders } from "node:http";
import type { Bytes } from "../bytes/bytes.ts";

/** A connection of an authenticated device; one object for as long as it lasts. */
export interface ManagementSession {
  /** The device's FQDN, from its certificate's common name and in lower case: the only thing it is known by. */
  readonly device: string;
  /** Its address. */
  readonly from: string;
}

export interface ManagementRequest {
  method: string;
  /** As sent, with the query. */
  url: string;
  headers: IncomingHttpHeaders;
  /** At most `limits.bodyBytes` octets. */
  body: Bytes;
}

export interface ManagementAnswer {
  status: number;
  headers?: Readonly<Record<string, string>>;
  body?: Bytes;
}

export interface ManagementHandler {
  /** Answers one request; requests of a session come one after the other. One that rejects is answered with status 500. */
  handle(session: ManagementSession, request: ManagementRequest): ManagementAnswer | Promise<ManagementAnswer>;
  /** The connection has ended, whichever way: no request comes any more, and no answer arrives. */
  ended(session: ManagementSession): void;
}

/** Has nothing to tell any device: 204, as CWMP ends a session (TR-069 3.4). */
export const NOTHING_TO_DO: ManagementHandler = {
  handle: (_session, { method }) => (method === "POST" ? { status: 204 } : { status: 405, headers: { allow: "POST" } }),
  ended: () => undefined,
};
