/** The H(e)MS's events as lines of its log. */
import type { Logger } from "../observe/log.ts";
import type { StrangerLog } from "../observe/strangerLog.ts";
import type { ManagementEvent } from "./managementServer.ts";

export function logEvent(log: Logger, strangers: StrangerLog, event: ManagementEvent): void {
  switch (event.kind) {
    case "refused": {
      const { from, resumed, refusal } = event;
      const { reason, message, evidence } = refusal;
      return strangers.say((more, tail) =>
        log.warn(
          { event: "refused", from, resumed, reason, evidence, ...more },
          `${from} is refused: ${message} (${reason})${tail}`,
        ),
      );
    }
    case "opened": {
      const { device, from, tls, resumed, status, path } = event.session;
      return log.info(
        { event: "sessionOpened", device, from, tls, resumed, status, path },
        `${device} connected from ${from}: ${tls}${resumed ? ", resumed" : ""}, ${status}`,
      );
    }
    case "lost": {
      const { session, refusal } = event;
      return log.warn(
        { event: "deviceLost", device: session.device, reason: refusal.reason, evidence: refusal.evidence },
        `${session.device} is sent away: ${refusal.message} (${refusal.reason})`,
      );
    }
    case "ended": {
      const { session, cause, requests, lasted } = event;
      return log.info(
        { event: "sessionEnded", device: session.device, cause, requests, lasted },
        `session with ${session.device} ended: ${cause}, requests: ${requests}`,
      );
    }
  }
}
