/** What becomes of CRLs as lines of a role's log: which list is in use, and which could not be had. */
import type { Logger } from "../observe/log.ts";
import type { CrlStore } from "./crlStore.ts";
import { describeRefreshProblem } from "./refreshProblem.ts";

/** Logs the store's events until the function it gives is called. A failure that goes on is told once an address. */
export function logCrls(log: Logger, crls: Pick<CrlStore, "subscribe">): () => void {
  const failing = new Map<string, string>();
  return crls.subscribe((event) => {
    const { url } = event;
    switch (event.kind) {
      case "adopted": {
        const { facts, entries } = event;
        failing.delete(url);
        const number = facts.number === undefined ? undefined : String(facts.number);
        const nextUpdate = new Date(facts.nextUpdate).toISOString();
        const what = number === undefined ? "a CRL" : `CRL ${number}`;
        log.info(
          { event: "crlAdopted", url, number, entries, nextUpdate },
          `${what} of ${entries} entries from ${url} is in use`,
        );
        return;
      }
      case "failed": {
        const { reason } = event.problem;
        const again = failing.get(url) === reason;
        failing.set(url, reason);
        const retryAt = new Date(event.retryAt).toISOString();
        const text = `no newer CRL from ${url}: ${describeRefreshProblem(event.problem)}`;
        if (again) log.debug({ event: "crlFailed", url, reason, retryAt }, text);
        else log.warn({ event: "crlFailed", url, reason, retryAt }, text);
        return;
      }
      case "diskFailed":
        log.warn(
          { event: "crlNotKept", url, problem: event.detail },
          `the CRL from ${url} is not kept: ${event.detail}`,
        );
    }
  });
}
