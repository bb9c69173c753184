/** One call flow of TS 33.320 Annex A as the lab runs it: what was expected of a device and what came of it. */
import type { Flow } from "./plan.ts";

export interface FlowResult {
  /** Annex A's clause. */
  flow: Flow;
  device: string;
  expected: "established" | "refused";
  /** Typed reason for which it must be refused; absent where it is to be established. */
  expectedReason?: string;
  result: "established" | "refused" | "failed";
  /** Typed reason of a refusal or failure; empty where established. */
  reason: string;
  /** "in-band good": what the device learnt of the gateway; "device revoked": what the gateway learnt of the device. */
  ocsp: string;
  /** How the hosting party's round ended; absent where there was none. */
  eap?: string;
  /** What the AAA server says of the device (A.1-4): whether a hosting party must follow, and what is granted. */
  profile?: Record<string, unknown>;
  /** Inner addresses, separated by spaces. */
  address: string;
  /** What the device learnt of its H(e)MS, or why there was no session; absent where the machine allows no tunnel to it. */
  management?: { result: "managed" | "failed"; ocsp: string; reason: string };
  /** Pings through the tunnel; absent where the machine allows none. */
  ping?: { target: string; sent: number; received: number };
}

export interface Summary {
  event: "summary";
  flows: readonly FlowResult[];
  /** What this machine did not allow, for people. */
  leftOut: readonly string[];
  ok: boolean;
}

/** A flow is right if it ended as expected, for the right reason, the H(e)MS was content, and every ping came back. */
export function isAsExpected(flow: FlowResult): boolean {
  if (flow.result !== flow.expected || (flow.expectedReason ?? flow.reason) !== flow.reason) return false;
  if (flow.management !== undefined && flow.management.result !== "managed") return false;
  return flow.ping === undefined || flow.ping.received === flow.ping.sent;
}

export function summarize(flows: readonly FlowResult[], leftOut: readonly string[]): Summary {
  return { event: "summary", flows, leftOut, ok: flows.length > 0 && flows.every(isAsExpected) };
}
