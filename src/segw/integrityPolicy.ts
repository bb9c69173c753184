/**
 * What the operator makes of a device's INTEGRITY_INFO (TS 33.320 A.1-6): statistics, a copy to a fraud information
 * gathering system (FIGS), the judgement of a validation entity; and whether a device without a sound one is refused.
 */
import type { Clock, Milliseconds } from "../sim/environment.ts";
import { identityText } from "../tre/identity.ts";
import { type IntegrityVerdict, judgeIntegrityReport } from "../tre/integrityReport.ts";
import type { PeerCredentials, PeerRefusal } from "../tre/trustedEnvironment.ts";
import type { Certificate } from "../x509/certificate.ts";

export interface IntegrityPolicyOptions {
  required: boolean;
  maxAge: Milliseconds;
  fraudCollector?: string | undefined;
  validator?: string | undefined;
  clock: Clock;
  postJson(url: string, body: object): Promise<unknown>;
  onFault(what: string, error: unknown): void;
}

export class IntegrityPolicy {
  readonly #options: IntegrityPolicyOptions;
  readonly #statistics = new Map<string, number>();

  constructor(options: IntegrityPolicyOptions) {
    this.#options = options;
  }

  /** How often each outcome was seen: "trusted", or the problem's name. */
  get statistics(): ReadonlyMap<string, number> {
    return this.#statistics;
  }

  /** The outcome in words for the session's evidence, or a refusal where a sound statement is required. */
  async judge(device: Certificate, credentials: PeerCredentials): Promise<string | PeerRefusal> {
    const verdict = this.#verdict(device, credentials);
    const identity = identityText(credentials.idType, credentials.idData);
    const statement = describe(identity, verdict);
    const { fraudCollector, validator, postJson, onFault, required } = this.#options;
    // Gathering is for later: nobody waits for it.
    if (fraudCollector !== undefined)
      postJson(fraudCollector, statement).catch((error) => onFault("INTEGRITY_INFO was not collected", error));
    let outcome: IntegrityOutcome = verdict.trusted ? TRUSTED : { name: verdict.problem, message: verdict.message };
    if (verdict.trusted && validator !== undefined) outcome = await this.#ask(validator, statement);
    this.#statistics.set(outcome.name, (this.#statistics.get(outcome.name) ?? 0) + 1);
    if (!required || outcome === TRUSTED) return outcome.name;
    return {
      reason: outcome.name,
      message: `${identity}: ${outcome.message} (TS 33.320 A.1)`,
      evidence: { ...statement },
    };
  }

  #verdict(device: Certificate, { integrity }: PeerCredentials): IntegrityVerdict {
    const { clock, maxAge } = this.#options;
    const key = device.publicKey;
    if (integrity === undefined || key === undefined)
      return { trusted: false, problem: "IntegrityMissing", message: "there is no INTEGRITY_INFO to judge" };
    return judgeIntegrityReport(integrity.report, { binding: integrity.binding, key, time: clock.now(), maxAge });
  }

  async #ask(validator: string, statement: object): Promise<IntegrityOutcome> {
    try {
      const answer = await this.#options.postJson(validator, statement);
      const trustworthy =
        typeof answer === "object" && answer !== null && "trustworthy" in answer && answer.trustworthy === true;
      return trustworthy
        ? TRUSTED
        : { name: "IntegrityNotValidated", message: `${validator} does not call the device trustworthy` };
    } catch (error) {
      this.#options.onFault("the validation entity gave no answer", error);
      return { name: "IntegrityNotValidated", message: `${validator} gave no answer` };
    }
  }
}

interface IntegrityOutcome {
  name: string;
  message: string;
}

function describe(identity: string, verdict: IntegrityVerdict): Record<string, unknown> {
  if (!verdict.trusted) return { device: identity, trusted: false, problem: verdict.problem };
  const { measuredAt, manifestDigest, nonce } = verdict.statement;
  return {
    device: identity,
    trusted: true,
    measuredAt,
    manifest: manifestDigest.toString("hex"),
    nonce: nonce.toString("hex"),
  };
}

const TRUSTED: IntegrityOutcome = { name: "trusted", message: "" };
