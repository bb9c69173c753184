/** Fetching CRLs by LDAP: a thread for each fetch, ended when its time is over whatever it does. */
import { Worker } from "node:worker_threads";
import type { Fetched, Fetcher, Validators } from "./fetching.ts";
import type { LdapJob, LdapOutcome } from "./ldapThread.ts";
import { parseLdapUrl } from "./ldapUrl.ts";
import type { Reach } from "./reach.ts";

export interface LdapLimits {
  /** Milliseconds for everything. */
  timeMs: number;
  /** Octets of a CRL; it is copied several times on its way through the client. */
  maxBytes: number;
}

export class LdapCrlFetcher implements Fetcher {
  readonly #limits: LdapLimits;

  constructor(limits: LdapLimits) {
    this.#limits = limits;
  }

  /** LDAP knows no "not modified": the CRL comes whole each time. */
  async fetch(text: string, _validators?: Validators, reach?: Reach): Promise<Fetched> {
    const url = parseLdapUrl(text);
    if (url === undefined) return { kind: "failed", problem: { reason: "BadUrl" } };
    const { timeMs, maxBytes } = this.#limits;
    const outcome = await runLdap({ url, reach, timeMs, maxBytes });
    if (!outcome.ok) return { kind: "failed", problem: outcome.problem };
    return { kind: "content", segments: [Buffer.from(outcome.der.buffer)], validators: {} };
  }
}

function runLdap(job: LdapJob): Promise<LdapOutcome> {
  return new Promise((resolve) => {
    const thread = new Worker(new URL("./ldapThread.ts", import.meta.url), {
      name: "ldap",
      workerData: job,
      resourceLimits: LIMITS,
    });
    const settle = (outcome: LdapOutcome) => {
      clearTimeout(overdue);
      void thread.terminate();
      resolve(outcome);
    };
    const fail = (detail: string) => settle({ ok: false, problem: { reason: "Unreachable", detail } });
    const overdue = setTimeout(
      () => settle({ ok: false, problem: { reason: "TimedOut", limitMs: job.timeMs } }),
      job.timeMs,
    );
    thread.once("message", settle);
    thread.once("error", (error) => fail(`the LDAP client failed: ${error}`));
    thread.once("exit", () => fail("the LDAP client ended without an answer"));
  });
}

/** Megabytes of the thread's heap, which ends a client that a server feeds without end. */
const LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 };
