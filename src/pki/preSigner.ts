/**
 * Signs OCSP responses before anybody asks for them (RFC 5019 2.2.1), so that a fleet that comes back all at once finds
 * them ready.
 *
 * It goes round all certificates in small steps with pauses, signs what has none or an old one, and takes a small part of
 * one core.
 */
import { setImmediate, setTimeout } from "node:timers/promises";
import { buildOcspRequest, certIdOf } from "../x509/ocsp.ts";
import type { Pki } from "./authority.ts";
import type { OcspResponder } from "./ocspResponder.ts";

/** Goes on until `signal` is aborted; never rejects, since every answer can be signed when it is asked for. */
export async function preSign(pki: Pki, responder: OcspResponder, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await preSignOnce(pki, responder, signal).catch(() => 0);
    await setTimeout(ROUND_PAUSE, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** One round; resolves to the number of certificates that it saw. */
export async function preSignOnce(pki: Pki, responder: OcspResponder, signal?: AbortSignal): Promise<number> {
  let seen = 0;
  for (const { kind, name, certificate } of pki.authorities()) {
    if (kind === "foreign") continue;
    for (let after = ""; seen < MOST; ) {
      const serials = pki.serialsAfter(name, after, STEP);
      for (const serial of serials) {
        // What clients of RFC 5019 send: SHA-1, one certificate, no nonce.
        const answer = responder.answerSoon(buildOcspRequest([certIdOf({ serial }, certificate)], undefined));
        if (answer instanceof Promise) await answer;
      }
      seen += serials.length;
      const last = serials.at(-1);
      if (last === undefined) break;
      after = last.toString("hex");
      await (signal === undefined ? setImmediate() : setTimeout(STEP_PAUSE, undefined, { signal, ref: false }));
    }
  }
  return seen;
}

/** Certificates between two pauses: some milliseconds of work. */
const STEP = 50;
/** Milliseconds. */
const STEP_PAUSE = 50;
const ROUND_PAUSE = 60_000;
/** Certificates of a round; the responder keeps no more than twice as many. */
const MOST = 50_000;
