/**
 * The watchdog of one open connection (RFC 3539 3.4.1): any message is a sign of life, silence is asked, and a peer that
 * stays silent is first passed over, then cut off.
 *
 * INITIAL and DOWN of the RFC are states without a connection and live in `peer.ts`. One thing is read more mildly: a
 * peer in REOPEN is used if no better one is there, since two peers that restart together would otherwise leave nobody
 * to ask for three watchdog intervals.
 */
import type { Milliseconds } from "../../sim/environment.ts";

export interface Watchdog {
  status: "Okay" | "Suspect" | "Reopen";
  /** A DWR is unanswered. */
  pending: boolean;
  /** DWAs since the connection was opened anew; three make it OKAY. */
  answers: number;
  expires: Milliseconds;
}

export type WatchdogAction = "sendRequest" | "failOver" | "close";

/** For a connection that just opened; `reopened` after an earlier one was lost. */
export function startWatchdog(reopened: boolean, expires: Milliseconds): Watchdog {
  return { status: reopened ? "Reopen" : "Okay", pending: false, answers: 0, expires };
}

/** After any message from the peer; `expires` is the next interval's end. */
export function onMessage(watchdog: Watchdog, isWatchdogAnswer: boolean, expires: Milliseconds): Watchdog {
  const pending = isWatchdogAnswer ? false : watchdog.pending;
  if (watchdog.status !== "Reopen") return { ...watchdog, status: "Okay", pending, expires };
  const answers = watchdog.answers + (isWatchdogAnswer ? 1 : 0);
  // Other messages do not put off the next DWR here: it is what is being counted.
  if (answers < REOPEN_ANSWERS) return { ...watchdog, pending, answers };
  return { status: "Okay", pending: false, answers: 0, expires };
}

/** After its interval passed without a message. */
export function onExpiry(watchdog: Watchdog, expires: Milliseconds): { watchdog: Watchdog; action: WatchdogAction } {
  if (!watchdog.pending) return { watchdog: { ...watchdog, pending: true, expires }, action: "sendRequest" };
  if (watchdog.status === "Okay") return { watchdog: { ...watchdog, status: "Suspect", expires }, action: "failOver" };
  return { watchdog, action: "close" };
}

const REOPEN_ANSWERS = 3;
