import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type CrlFacts,
  type HeldCrl,
  REFRESH_SCHEDULE,
  type RefreshEffect,
  type RefreshInput,
  type RefreshState,
  refresh,
  UNUSED,
} from "../../src/revocation/crlRefresh.ts";
import { forSeeds, World } from "../../src/sim/world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A CA that publishes on time, on a server that fails, stalls, and serves what it had before. */
class PublishingCa {
  readonly #world: World;
  readonly life: number;
  /** Milliseconds between two issues. */
  readonly every: number;
  up = true;
  /** Serves the issue before the current one. */
  behind = false;

  constructor(world: World, every: number, life: number) {
    this.#world = world;
    this.every = every;
    this.life = life;
  }

  current(): CrlFacts {
    const number = Math.floor(this.#world.now() / this.every) - (this.behind ? 1 : 0);
    const thisUpdate = number * this.every;
    return { thisUpdate, nextUpdate: thisUpdate + this.life, number: BigInt(number) };
  }
}

/** One source's refresh, carried out in virtual time. */
class Refreshing {
  state: RefreshState = UNUSED;
  held: HeldCrl | undefined;
  /** What would be on disk. */
  disk: HeldCrl | undefined;
  fetches: number[] = [];
  readonly #world: World;
  readonly #ca: PublishingCa;
  #underWay = 0;
  #timer = 0;

  constructor(world: World, ca: PublishingCa) {
    this.#world = world;
    this.#ca = ca;
  }

  give(input: RefreshInput): void {
    const { state, effects } = refresh(
      this.state,
      input,
      this.#world.now(),
      REFRESH_SCHEDULE,
      this.#world.random.below(1000) / 1000,
    );
    this.state = state;
    for (const effect of effects) this.#carryOut(effect);
  }

  /** The program dies; only the disk remains. */
  restart(): void {
    this.state = UNUSED;
    this.held = undefined;
    this.#timer += 1;
    this.#underWay = 0;
  }

  #carryOut(effect: RefreshEffect): void {
    switch (effect.kind) {
      case "restore":
        this.#world.after(5, () =>
          this.give(this.disk === undefined ? { kind: "notRestored" } : { kind: "restored", held: this.disk }),
        );
        // What is restored is in hand at once.
        this.held = this.disk;
        break;
      case "fetch":
        this.#fetch(effect.validators.etag);
        break;
      case "adopt":
      case "confirm":
        assert.ok(
          this.held === undefined || effect.held.thisUpdate >= this.held.thisUpdate,
          "an older CRL was adopted",
        );
        this.held = effect.held;
        this.disk = effect.held;
        break;
      case "arm": {
        assert.ok(effect.at >= this.#world.now());
        const timer = ++this.#timer;
        this.#world.after(effect.at - this.#world.now(), () => {
          if (timer === this.#timer) this.give({ kind: "due" });
        });
        break;
      }
    }
  }

  #fetch(etag: string | undefined): void {
    assert.equal(this.#underWay, 0, "two fetches at a time");
    this.#underWay = 1;
    this.fetches.push(this.#world.now());
    const life = this.#timer;
    this.#world.after(20 + this.#world.random.below(3000), () => {
      if (this.state.kind !== "Fetching" || life > this.#timer) return;
      this.#underWay = 0;
      if (!this.#ca.up) return this.give({ kind: "failed", problem: { reason: "Unreachable", detail: "down" } });
      const facts = this.#ca.current();
      const tag = `"${facts.number}"`;
      this.give(etag === tag ? { kind: "unchanged" } : { kind: "loaded", facts, validators: { etag: tag } });
    });
  }
}

test("through outages, restarts and stale mirrors: never an older CRL, never two fetches, current again soon", () => {
  forSeeds(300, process.env.FEMTOGATE_SEED, (seed) => {
    const world = new World(seed);
    const ca = new PublishingCa(world, 6 * HOUR, 8 * HOUR);
    const source = new Refreshing(world, ca);
    source.give({ kind: "wanted" });
    for (let step = 0; step < 60; step++) {
      if (world.random.chance(0.2)) ca.up = !ca.up;
      ca.behind = world.random.chance(0.2);
      if (world.random.chance(0.05)) {
        source.restart();
        source.give({ kind: "wanted" });
      }
      if (world.random.chance(0.3)) source.give({ kind: "wanted" });
      world.run(world.random.below(4 * HOUR));
    }
    ca.up = true;
    ca.behind = false;
    source.give({ kind: "wanted" });
    // The longest pause after failures, and one fetch.
    world.run(REFRESH_SCHEDULE.longestRetry + MINUTE);
    assert.ok(source.held !== undefined && source.held.nextUpdate > world.now(), "no current CRL after the outage");
    // From then on a server that is up is enough for never being without a current one.
    for (let hour = 0; hour < 48; hour++) {
      world.run(HOUR);
      assert.ok(source.held.nextUpdate > world.now());
      assert.ok(world.now() - source.held.obtainedAt <= REFRESH_SCHEDULE.interval + MINUTE);
    }
  });
});

test("a source in trouble is asked ever more rarely, at most once in the longest pause, however often it is wanted", () => {
  const world = new World("trouble");
  const ca = new PublishingCa(world, DAY, 2 * DAY);
  ca.up = false;
  const source = new Refreshing(world, ca);
  for (let second = 0; second < 6 * 3600; second++) {
    source.give({ kind: "wanted" });
    world.run(1000);
  }
  const pauses = source.fetches.slice(1).map((at, index) => at - source.fetches[index]!);
  assert.ok(source.fetches.length < 45, `${source.fetches.length} fetches in six hours`);
  assert.ok(source.fetches.length > 24, `only ${source.fetches.length} fetches in six hours`);
  assert.ok(pauses[0]! < 2 * REFRESH_SCHEDULE.firstRetry + 3000);
  for (const pause of pauses.slice(10)) assert.ok(pause > 0.7 * REFRESH_SCHEDULE.longestRetry);
});

test("a CRL with a short life is fetched anew well before it runs out", () => {
  const world = new World("short");
  const ca = new PublishingCa(world, 10 * MINUTE, 20 * MINUTE);
  const source = new Refreshing(world, ca);
  source.give({ kind: "wanted" });
  world.run(MINUTE);
  for (let minute = 0; minute < 600; minute++) {
    world.run(MINUTE);
    assert.ok(source.held!.nextUpdate - world.now() > 2 * MINUTE);
  }
});

test("sources that began together drift apart", () => {
  const world = new World("fleet");
  const ca = new PublishingCa(world, DAY, 2 * DAY);
  const fleet = Array.from({ length: 100 }, () => new Refreshing(world, ca));
  for (const source of fleet) source.give({ kind: "wanted" });
  world.run(HOUR + MINUTE);
  const seconds = new Set(fleet.map(({ fetches }) => Math.floor(fetches[1]! / 30_000)));
  assert.ok(seconds.size > 20, `all within ${seconds.size} half minutes`);
});

const NOW = Date.UTC(2026, 5, 1);
const facts = (over: Partial<CrlFacts> = {}): CrlFacts => ({
  thisUpdate: NOW - HOUR,
  nextUpdate: NOW + DAY,
  number: 5n,
  ...over,
});
const held = (over: Partial<HeldCrl> = {}): HeldCrl => ({
  ...facts(),
  obtainedAt: NOW - HOUR,
  validators: {},
  ...over,
});
const fetching = (of?: HeldCrl): RefreshState => ({ kind: "Fetching", held: of, failures: 0 });
const give = (state: RefreshState, input: RefreshInput) => refresh(state, input, NOW, REFRESH_SCHEDULE, 0);
const loaded = (over: Partial<CrlFacts> = {}): RefreshInput => ({ kind: "loaded", facts: facts(over), validators: {} });
const problemOf = ({ state }: { state: RefreshState }) => (state.kind === "Failed" ? state.problem.reason : state.kind);

test("an older list than the one in hand is refused, by number or by time; the same or a newer one is taken", () => {
  const inHand = fetching(held());
  assert.equal(problemOf(give(inHand, loaded({ number: 4n }))), "OlderThanHeld");
  assert.equal(problemOf(give(inHand, loaded({ number: undefined, thisUpdate: NOW - 2 * HOUR }))), "OlderThanHeld");
  assert.equal(problemOf(give(inHand, loaded({ thisUpdate: NOW - 2 * HOUR }))), "OlderThanHeld");
  assert.equal(problemOf(give(inHand, loaded())), "Holding");
  assert.equal(problemOf(give(inHand, loaded({ number: 6n, thisUpdate: NOW }))), "Holding");
});

test("a list from the future is not taken in place of a good one, within the tolerance it is", () => {
  const { tolerance } = REFRESH_SCHEDULE;
  const step = give(fetching(held()), loaded({ number: 6n, thisUpdate: NOW + tolerance + 1 }));
  assert.equal(problemOf(step), "FromTheFuture");
  assert.ok(!step.effects.some(({ kind }) => kind === "adopt"));
  assert.equal(problemOf(give(fetching(), loaded({ thisUpdate: NOW + tolerance }))), "Holding");
});

test("an outdated list is taken where there is no newer, and asked for again after a pause", () => {
  const step = give(fetching(), loaded({ nextUpdate: NOW - 1 }));
  assert.equal(problemOf(step), "Outdated");
  assert.deepEqual(
    step.effects.map(({ kind }) => kind),
    ["adopt", "arm"],
  );
  const unchanged = give(fetching(held({ nextUpdate: NOW - 1 })), { kind: "unchanged" });
  assert.equal(problemOf(unchanged), "Outdated");
});

test("'not modified' without a list in hand is a server's mistake", () => {
  assert.equal(problemOf(give(fetching(), { kind: "unchanged" })), "BadStatus");
});

test("a list restored from disk is used at once if current, else a fetch begins with its validators", () => {
  const validators = { etag: '"x"' };
  assert.equal(give({ kind: "Restoring" }, { kind: "restored", held: held({ validators }) }).state.kind, "Holding");
  const old = give({ kind: "Restoring" }, { kind: "restored", held: held({ validators, nextUpdate: NOW - 1 }) });
  assert.deepEqual(old.effects, [{ kind: "fetch", validators }]);
});

test("the same list again is neither taken nor written, and its validators are kept", () => {
  const validators = { etag: '"new"' };
  const step = give(fetching(held()), { kind: "loaded", facts: facts(), validators });
  assert.deepEqual(
    step.effects.map(({ kind }) => kind),
    ["confirm", "arm"],
  );
  assert.ok(step.state.kind === "Holding");
  assert.deepEqual([step.state.held.validators, step.state.held.obtainedAt], [validators, NOW]);
  const other = give(fetching(held()), loaded({ nextUpdate: NOW + 2 * DAY }));
  assert.equal(other.effects[0]?.kind, "adopt");
});

test("a list that has run out is fetched when it is wanted, though its timer has not gone off", () => {
  const overslept: RefreshState = { kind: "Holding", held: held({ nextUpdate: NOW - 1 }), refreshAt: NOW + DAY };
  assert.equal(give(overslept, { kind: "wanted" }).state.kind, "Fetching");
  const current: RefreshState = { kind: "Holding", held: held(), refreshAt: NOW + DAY };
  assert.equal(give(current, { kind: "wanted" }).state, current);
});

test("inputs that belong to another state change nothing", () => {
  const states: RefreshState[] = [
    UNUSED,
    { kind: "Restoring" },
    { kind: "Holding", held: held(), refreshAt: NOW + 1 },
    { kind: "Failed", held: undefined, failures: 1, problem: { reason: "BadUrl" }, retryAt: NOW + 1 },
  ];
  for (const state of states)
    for (const input of [loaded(), { kind: "unchanged" }, { kind: "failed", problem: { reason: "BadUrl" } }] as const)
      assert.deepEqual(give(state, input), { state, effects: [] });
  assert.deepEqual(give(fetching(), { kind: "due" }).effects, []);
  assert.deepEqual(give(fetching(), { kind: "wanted" }).effects, []);
});

test("a retry is for sources that failed, and does not wait", () => {
  const failed: RefreshState = {
    kind: "Failed",
    held: held(),
    failures: 3,
    problem: { reason: "BadUrl" },
    retryAt: NOW + DAY,
  };
  assert.deepEqual(give(failed, { kind: "wanted" }).effects, []);
  assert.equal(give(failed, { kind: "retry" }).state.kind, "Fetching");
});
