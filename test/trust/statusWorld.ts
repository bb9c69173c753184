/** Paths, policies and answers for tests of status checks. */

import type { Method, PeerClass, RevocationPolicy, StatusRule, Trouble } from "../../src/trust/revocationPolicy.ts";
import type { StatusAnswer, StatusEvidence, StatusVerdict } from "../../src/trust/statusAnswer.ts";
import {
  type AskEffect,
  continueCheck,
  type StatusState,
  type StatusStep,
  startCheck,
} from "../../src/trust/statusCheck.ts";
import type { LastGood } from "../../src/trust/statusDecision.ts";
import { authorityInfoAccess, crlDistributionPoint } from "../../src/x509/build.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { DAY, LEAF_EXTENSIONS, make, NOW } from "../x509/made.ts";

const root = make({ name: "Root" });
const ca = make({
  name: "Vendor CA",
  issuer: root,
  more: [crlDistributionPoint("http://crl.vendor.example/root.crl")],
});
const leaf = make({
  name: "ap-1",
  issuer: ca,
  extensions: LEAF_EXTENSIONS,
  more: [
    crlDistributionPoint("http://crl.vendor.example/ca.crl"),
    authorityInfoAccess({ ocsp: "http://ocsp.vendor.example/" }),
  ],
});

export const ROOT = root;
export const CA = ca;
export const LEAF = leaf;
/** End entity, issuing CA, root. */
export const PATH: readonly Certificate[] = [leaf.certificate, ca.certificate, root.certificate];

const REFUSE: StatusRule["tolerances"] = {
  unknown: { kind: "refuse" },
  stale: { kind: "refuse" },
  unreachable: { kind: "refuse" },
  noSource: { kind: "refuse" },
};

export function tolerances(over: Partial<StatusRule["tolerances"]> = {}): StatusRule["tolerances"] {
  return { ...REFUSE, ...over };
}

export function rule(over: Partial<StatusRule> = {}): StatusRule {
  return {
    methods: "crl",
    scope: "leaf",
    origins: ["operator"],
    operator: { crl: [["http://crl.operator.example/"]], ocsp: ["http://ocsp.operator.example/"] },
    manufacturer: { crl: [], ocsp: [] },
    namedHosts: undefined,
    tolerances: REFUSE,
    ...over,
  };
}

/** One rule for everybody. */
export function policyOf(over: Partial<StatusRule> = {}): RevocationPolicy {
  const one = { issuers: [], otherwise: rule(over) };
  return { device: one, gateway: one, managementServer: one };
}

export function evidence(kind: Method, over: Partial<StatusEvidence> = {}): StatusEvidence {
  const times = { thisUpdate: NOW - DAY, nextUpdate: NOW + DAY, obtainedAt: NOW - DAY / 2 };
  return kind === "crl"
    ? ({
        kind,
        url: "http://crl/",
        issuer: "O=Femtogate, CN=Vendor CA",
        number: "17",
        ...times,
        ...over,
      } as StatusEvidence)
    : ({
        kind,
        url: "http://ocsp/",
        responder: "CN=R",
        producedAt: NOW - DAY,
        fresh: false,
        ...times,
        ...over,
      } as StatusEvidence);
}

/** An answer of that status; stale ones ran out an hour ago. */
export function answer(status: "good" | "revoked" | Trouble, method: Method): StatusAnswer {
  const attempts = [{ url: `http://${method}/`, reason: "TimedOut", message: "no answer within 5 s" }];
  switch (status) {
    case "good":
      return { status, evidence: evidence(method) };
    case "revoked":
      return {
        status,
        evidence: evidence(method),
        revokedAt: NOW - 2 * DAY,
        reasonCode: 1,
        invalidityDate: undefined,
      };
    case "unknown":
      return { status, evidence: evidence(method), attempts };
    case "stale":
      return { status, evidence: evidence(method, { nextUpdate: NOW - 3600_000 }), attempts };
    case "unreachable":
      return { status, attempts };
    case "noSource":
      return { status };
  }
}

/** A check under way, and what it asked for. */
export class Check {
  state: StatusState;
  readonly asked: AskEffect[] = [];

  constructor(
    policy: RevocationPolicy,
    more: { path?: readonly Certificate[]; peerClass?: PeerClass; lastGood?: readonly LastGood[] } = {},
  ) {
    const { path = PATH, peerClass = "device", lastGood = [] } = more;
    this.state = this.#take(startCheck({ path, peerClass, policy, lastGood }, NOW));
  }

  get verdict(): StatusVerdict | undefined {
    return this.state.kind === "Decided" ? this.state.verdict : undefined;
  }

  /** "0 crl operator": certificate, method and origin of all questions so far. */
  get questions(): string[] {
    return this.asked.map(({ certificate, method, source }) => `${certificate} ${method} ${source.origin}`);
  }

  give(
    certificate: number,
    method: Method,
    status: Parameters<typeof answer>[0],
    of?: AskEffect["source"]["origin"],
  ): this {
    const asked = this.asked.findLast((one) => one.certificate === certificate && one.method === method);
    const origin = of ?? asked?.source.origin ?? "operator";
    const input = { kind: "answer", certificate, method, origin, answer: answer(status, method) } as const;
    this.state = this.#take(continueCheck(this.state, input, NOW));
    return this;
  }

  deadline(): this {
    this.state = this.#take(continueCheck(this.state, { kind: "deadline" }, NOW));
    return this;
  }

  #take({ state, effects }: StatusStep): StatusState {
    this.asked.push(...effects);
    return state;
  }
}
