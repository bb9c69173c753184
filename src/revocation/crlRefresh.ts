/**
 * When to fetch a CRL from one source: a state machine (TS 33.320 7.2.2-7).
 *
 * No I/O: time and randomness are passed in, fetches and timers go out as effects. One fetch at a time; the CRL in hand
 * stays in use until a newer one is loaded; refreshing begins well before nextUpdate and a little earlier each time by
 * chance, so that a fleet of gateways does not come all at once; a source in trouble is asked again after growing pauses,
 * and in between whoever wants it hears at once that it is (negative caching).
 */
import type { Milliseconds } from "../sim/environment.ts";
import type { CrlLoadProblem } from "./crlLoading.ts";
import type { FetchProblem, Validators } from "./fetching.ts";

/** What the refresh must know of a CRL. */
export interface CrlFacts {
  thisUpdate: Milliseconds;
  nextUpdate: Milliseconds;
  /** cRLNumber; undefined for a CRL without. */
  number: bigint | undefined;
}

/** The CRL in hand: when it was fetched, or last found to be unchanged. */
export interface HeldCrl extends CrlFacts {
  obtainedAt: Milliseconds;
  validators: Validators;
}

/** Why a source gave no CRL that is taken. */
export type RefreshProblem =
  | FetchProblem
  | CrlLoadProblem
  | { reason: "OlderThanHeld"; thisUpdate: Milliseconds; held: Milliseconds }
  | { reason: "FromTheFuture"; thisUpdate: Milliseconds; time: Milliseconds }
  | { reason: "Outdated"; nextUpdate: Milliseconds; time: Milliseconds };

export type RefreshState =
  | { kind: "Unused" }
  /** What an earlier run of this program left on disk is being read. */
  | { kind: "Restoring" }
  | { kind: "Fetching"; held: HeldCrl | undefined; failures: number }
  | { kind: "Holding"; held: HeldCrl; refreshAt: Milliseconds }
  | { kind: "Failed"; held: HeldCrl | undefined; failures: number; problem: RefreshProblem; retryAt: Milliseconds };

export type RefreshInput =
  /** Somebody needs the CRL now. */
  | { kind: "wanted" }
  | { kind: "restored"; held: HeldCrl }
  | { kind: "notRestored" }
  /** The timer that was armed last has gone off. */
  | { kind: "due" }
  /** A CRL was fetched and loaded. */
  | { kind: "loaded"; facts: CrlFacts; validators: Validators }
  | { kind: "unchanged" }
  | { kind: "failed"; problem: RefreshProblem }
  /** The reason for the last failure has gone; for a CRL whose signer has become known since. */
  | { kind: "retry" };

export type RefreshEffect =
  | { kind: "restore" }
  | { kind: "fetch"; validators: Validators }
  /** Take the CRL just loaded in place of the one in hand, and keep it on disk. */
  | { kind: "adopt"; held: HeldCrl }
  /** The one in hand was found to be current: keep that on disk. */
  | { kind: "confirm"; held: HeldCrl }
  /** Replaces whatever timer was armed before. */
  | { kind: "arm"; at: Milliseconds };

export interface RefreshStep {
  state: RefreshState;
  effects: readonly RefreshEffect[];
}

/** When to do what; all in milliseconds. */
export interface RefreshSchedule {
  /** From one fetch to the next, if nextUpdate is far: how late a revocation may be noticed. */
  interval: Milliseconds;
  /** The least pause between two fetches that go well. */
  leastInterval: Milliseconds;
  /** The first pause after a failure; each further one is twice as long. */
  firstRetry: Milliseconds;
  longestRetry: Milliseconds;
  /** How far the CA's clock and ours may differ. */
  tolerance: Milliseconds;
}

export const REFRESH_SCHEDULE: RefreshSchedule = {
  interval: 3600_000,
  leastInterval: 30_000,
  firstRetry: 5_000,
  longestRetry: 900_000,
  tolerance: 300_000,
};

export const UNUSED: RefreshState = { kind: "Unused" };

/** Takes one input. `chance` is from 0 up to but not including 1, new at each call. */
export function refresh(
  state: RefreshState,
  input: RefreshInput,
  now: Milliseconds,
  schedule: RefreshSchedule,
  chance: number,
): RefreshStep {
  const when: When = { now, schedule, chance };
  switch (input.kind) {
    case "wanted":
      if (state.kind === "Unused") return { state: { kind: "Restoring" }, effects: [{ kind: "restore" }] };
      // A timer that comes late, as after a night in standby, must not leave an outdated CRL in use.
      return isOverdue(state, when) ? fetch(state) : stay(state);
    case "due":
      return isOverdue(state, when) ? fetch(state) : stay(state);
    case "retry":
      return state.kind === "Failed" ? fetch(state) : stay(state);
    case "restored":
      if (state.kind !== "Restoring") return stay(state);
      return now > input.held.nextUpdate
        ? fetch({ kind: "Fetching", held: input.held, failures: 0 })
        : hold(input.held, when);
    case "notRestored":
      return state.kind === "Restoring" ? fetch(state) : stay(state);
    case "loaded":
      return state.kind === "Fetching" ? onLoaded(state, input, when) : stay(state);
    case "unchanged": {
      if (state.kind !== "Fetching") return stay(state);
      // RFC 9110 15.4.5: there is nothing to be unchanged without a validator.
      if (state.held === undefined) return fail(state, { reason: "BadStatus", status: 304 }, when);
      const held = { ...state.held, obtainedAt: now };
      const confirm: RefreshEffect = { kind: "confirm", held };
      const outdated = outdatedBy(held, when);
      if (outdated !== undefined) return withFirst(confirm, fail({ ...state, held }, outdated, when));
      return withFirst(confirm, hold(held, when));
    }
    case "failed":
      return state.kind === "Fetching" ? fail(state, input.problem, when) : stay(state);
  }
}

interface When {
  now: Milliseconds;
  schedule: RefreshSchedule;
  chance: number;
}

type Fetching = Extract<RefreshState, { kind: "Fetching" }>;

function onLoaded(
  state: Fetching,
  { facts, validators }: Extract<RefreshInput, { kind: "loaded" }>,
  when: When,
): RefreshStep {
  const { now, schedule } = when;
  const { held } = state;
  const { thisUpdate } = facts;
  if (thisUpdate > now + schedule.tolerance)
    return fail(state, { reason: "FromTheFuture", thisUpdate, time: now }, when);
  // Whoever can answer in the CA's place could bring back a list from before a revocation.
  if (held !== undefined && isOlder(facts, held))
    return fail(state, { reason: "OlderThanHeld", thisUpdate, held: held.thisUpdate }, when);
  const adopted: HeldCrl = { ...facts, obtainedAt: now, validators };
  // LDAP, and servers without validators, give the same list again and again: nothing need be written or re-checked.
  const again = held !== undefined && isSame(facts, held);
  const adopt: RefreshEffect = { kind: again ? "confirm" : "adopt", held: adopted };
  const outdated = outdatedBy(adopted, when);
  if (outdated !== undefined) return withFirst(adopt, fail({ ...state, held: adopted }, outdated, when));
  return withFirst(adopt, hold(adopted, when));
}

/** By number where both have one (RFC 5280 5.2.3), else by time. */
function isOlder(next: CrlFacts, held: CrlFacts): boolean {
  if (next.number !== undefined && held.number !== undefined && next.number !== held.number)
    return next.number < held.number;
  return next.thisUpdate < held.thisUpdate;
}

function isSame(a: CrlFacts, b: CrlFacts): boolean {
  return a.number === b.number && a.thisUpdate === b.thisUpdate && a.nextUpdate === b.nextUpdate;
}

function outdatedBy({ nextUpdate }: CrlFacts, { now }: When): RefreshProblem | undefined {
  return now > nextUpdate ? { reason: "Outdated", nextUpdate, time: now } : undefined;
}

function isOverdue(state: RefreshState, { now }: When): boolean {
  if (state.kind === "Holding") return now >= state.refreshAt || now > state.held.nextUpdate;
  return state.kind === "Failed" && now >= state.retryAt;
}

function fetch(state: RefreshState): RefreshStep {
  const held = "held" in state ? state.held : undefined;
  const failures = "failures" in state ? state.failures : 0;
  return {
    state: { kind: "Fetching", held, failures },
    effects: [{ kind: "fetch", validators: held?.validators ?? {} }],
  };
}

function hold(held: HeldCrl, { now, schedule, chance }: When): RefreshStep {
  // In the first three quarters of what is left, so that there is time for several retries before nextUpdate.
  const pause = Math.min(held.obtainedAt + schedule.interval - now, (held.nextUpdate - now) * LATEST_REFRESH);
  const refreshAt = now + Math.max(schedule.leastInterval, earlier(pause, chance));
  return { state: { kind: "Holding", held, refreshAt }, effects: [{ kind: "arm", at: refreshAt }] };
}

function fail(state: Fetching, problem: RefreshProblem, { now, schedule, chance }: When): RefreshStep {
  const failures = state.failures + 1;
  const pause = Math.min(schedule.longestRetry, schedule.firstRetry * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
  const retryAt = now + earlier(pause, chance);
  return {
    state: { kind: "Failed", held: state.held, failures, problem, retryAt },
    effects: [{ kind: "arm", at: retryAt }],
  };
}

/** Up to a quarter earlier by chance. */
function earlier(pause: Milliseconds, chance: number): Milliseconds {
  return pause * (1 - JITTER * chance);
}

function stay(state: RefreshState): RefreshStep {
  return { state, effects: [] };
}

function withFirst(effect: RefreshEffect, step: RefreshStep): RefreshStep {
  return { state: step.state, effects: [effect, ...step.effects] };
}

/** Part of the time to nextUpdate after which the next fetch begins at the latest. */
const LATEST_REFRESH = 0.75;
const JITTER = 0.25;
/** 2^20 first pauses are beyond any longest one. */
const MAX_DOUBLINGS = 20;
