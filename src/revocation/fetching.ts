/** Fetching from a source, whatever it speaks: what comes back, and every way in which nothing does. */
import type { Bytes } from "../bytes/bytes.ts";
import type { Reach } from "./reach.ts";

/** What a server gave along with a CRL, to be asked later whether it changed (RFC 9110 13.1). */
export interface Validators {
  etag?: string;
  lastModified?: string;
}

/** What came of a fetch; `segments` hold the octets in order, each in a buffer of its own. */
export type Fetched =
  | { kind: "content"; segments: readonly Bytes[]; validators: Validators }
  | { kind: "unchanged" }
  | { kind: "failed"; problem: FetchProblem };

/** Why a source gave nothing that can be used. */
export type FetchProblem =
  | { reason: "BadUrl" }
  | { reason: "Unreachable"; detail: string }
  | { reason: "TimedOut"; limitMs: number }
  | { reason: "TooLarge"; limit: number }
  | { reason: "BadStatus"; status: number }
  | { reason: "BadContentType"; type: string }
  | { reason: "EncodedContent"; encoding: string }
  | { reason: "Truncated"; expected: number; received: number }
  | { reason: "TooManyRedirects"; limit: number }
  | { reason: "RedirectRefused"; to: string }
  | { reason: "AddressRefused"; address: string }
  | { reason: "NoSuchEntry"; detail: string };

/** Fetches what is at an address, within `reach` if a certificate named it; says in its answer what went wrong, and never rejects. */
export interface Fetcher {
  fetch(url: string, validators: Validators, reach?: Reach): Promise<Fetched>;
}

/** One line for a person. */
export function describeFetchProblem(problem: FetchProblem): string {
  switch (problem.reason) {
    case "BadUrl":
      return "this is no address that is spoken here: http, https, ldap or file";
    case "Unreachable":
      return problem.detail;
    case "TimedOut":
      return `no complete answer within ${problem.limitMs} ms`;
    case "TooLarge":
      return `answers more than ${problem.limit} octets`;
    case "BadStatus":
      return `answers with status ${problem.status}`;
    case "BadContentType":
      return `answers ${problem.type || "something without a content type"}, which is nothing that was asked for`;
    case "EncodedContent":
      return `answers in the encoding ${problem.encoding}, which was not asked for`;
    case "Truncated":
      return `the answer ended after ${problem.received} of ${problem.expected} octets`;
    case "TooManyRedirects":
      return `redirects more than ${problem.limit} times`;
    case "RedirectRefused":
      return `redirects to ${problem.to}, which is not followed: only from http to http or https, from https to https, and within namedHosts where a certificate named the address`;
    case "AddressRefused":
      return `leads to ${problem.address}, which no certificate may name unless namedHosts lists it`;
    case "NoSuchEntry":
      return problem.detail;
  }
}
