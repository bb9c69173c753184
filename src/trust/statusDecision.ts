/**
 * What answers of CRL and OCSP come to under a rule: the decision table of docs/revocation-policy.md, as a function.
 *
 * Any `revoked` refuses, whatever else is said. `both` wants good twice, the `First` methods once. Where good is wanted
 * and a method is in trouble, its tolerance decides, and every trouble met must be tolerated: a policy that refuses on
 * `unknown` does so also where the other method is merely out of reach.
 */
import type { Milliseconds } from "../sim/environment.ts";
import type { Method, Methods, StatusRule, Tolerance, Trouble } from "./revocationPolicy.ts";
import type { MethodTrouble } from "./statusAnswer.ts";

/** What a method can answer. */
export type Answered = "good" | "revoked" | Trouble;

/** Answers so far; a method without one has not been asked or has not answered. */
export type Answers = Partial<Record<Method, Answered>>;

/** What the answers so far come to; `ask` names the methods that must still answer. */
export type Combined =
  | { kind: "ask"; methods: readonly Method[] }
  | { kind: "good" }
  | { kind: "revoked"; method: Method }
  | { kind: "troubled"; troubles: readonly MethodTrouble[] };

/** When the last answer of each method that said good runs out, or ran out. */
export type LastGood = Partial<Record<Method, Milliseconds>>;

/** The methods in play, in the order in which they are asked. */
export function methodsOf(methods: Methods): readonly Method[] {
  return methods === "none" ? [] : PLANS[methods].order;
}

/** Combines the answers under `methods`. */
export function combine(methods: Exclude<Methods, "none">, answers: Answers): Combined {
  const { order, wanted } = PLANS[methods];
  const revoked = order.find((method) => answers[method] === "revoked");
  if (revoked !== undefined) return { kind: "revoked", method: revoked };
  const good = order.filter((method) => answers[method] === "good");
  if (good.length >= wanted) return { kind: "good" };
  const unanswered = order.filter((method) => answers[method] === undefined);
  // One at a time where one good answer is enough, all at once where all are needed.
  if (unanswered.length > 0) return { kind: "ask", methods: wanted === 1 ? unanswered.slice(0, 1) : unanswered };
  const troubles = order.flatMap((method): MethodTrouble[] => {
    const answer = answers[method];
    return answer === undefined || answer === "good" || answer === "revoked" ? [] : [{ method, trouble: answer }];
  });
  return { kind: "troubled", troubles };
}

/** Whether troubles are tolerated; `until` is when grace ends, `refusedFor` the first that is not tolerated. */
export type Tolerated =
  | { accepted: true; until: Milliseconds | undefined }
  | { accepted: false; refusedFor: MethodTrouble; graceEnded: Milliseconds | undefined };

/**
 * Applies the tolerances to all troubles. Grace counts from when the method's own last good answer runs out, so that a
 * certificate that it never called good has none, and `both` does not shrink to one method.
 */
export function tolerate(
  troubles: readonly MethodTrouble[],
  tolerances: StatusRule["tolerances"],
  lastGood: LastGood,
  now: Milliseconds,
): Tolerated {
  let until: Milliseconds | undefined;
  for (const refusedFor of troubles) {
    const tolerance = tolerances[refusedFor.trouble];
    const end = graceEnd(tolerance, lastGood[refusedFor.method]);
    if (tolerance.kind === "refuse" || (tolerance.kind === "grace" && (end === undefined || now > end)))
      return { accepted: false, refusedFor, graceEnded: end };
    if (end !== undefined) until = Math.min(until ?? end, end);
  }
  return { accepted: true, until };
}

function graceEnd(tolerance: Tolerance, goodUntil: Milliseconds | undefined): Milliseconds | undefined {
  return tolerance.kind === "grace" && goodUntil !== undefined ? goodUntil + tolerance.lasts : undefined;
}

/** Order of asking, and how many methods must say good. */
const PLANS: Record<Exclude<Methods, "none">, { order: readonly Method[]; wanted: 1 | 2 }> = {
  crl: { order: ["crl"], wanted: 1 },
  ocsp: { order: ["ocsp"], wanted: 1 },
  both: { order: ["crl", "ocsp"], wanted: 2 },
  crlFirst: { order: ["crl", "ocsp"], wanted: 1 },
  ocspFirst: { order: ["ocsp", "crl"], wanted: 1 },
};
