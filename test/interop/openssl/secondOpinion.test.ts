/**
 * OpenSSL as a second opinion on a few thousand chains: good ones, varied ones, and each broken in one way. Verdicts
 * agree, or the difference is in the list.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { seededRandom } from "../../../src/sim/random.ts";
import { type Chain, draftChain, issue } from "./chains/chain.ts";
import { DIFFERENCES } from "./chains/differences.ts";
import { FLAWS } from "./chains/flaws.ts";
import { type Opinion, ourOpinion, theirOpinions } from "./chains/verdicts.ts";
import { OpenSsl } from "./openssl.ts";

/** Chains with each flaw. */
const CHAINS = 25;
const SEED = process.env.SEED ?? "second opinion";

const opinions = judgeAll();

describe(`OpenSSL's verdict on ${opinions.length * CHAINS} chains is ours (seed "${SEED}")`, () => {
  for (const { flaw, ours, theirs } of opinions) {
    const difference = DIFFERENCES.find((one) => one.flaw === flaw);
    const title = difference === undefined ? flaw : `${flaw}, where it differs as listed`;
    test(title, () => {
      let differing = 0;
      for (const [at, our] of ours.entries()) {
        const their = theirs[at]!;
        if (our.valid === their.valid) continue;
        const said = `chain ${at}: ours ${text(our)}, theirs ${text(their)}`;
        assert.deepEqual([word(our), word(their)], [difference?.ours, difference?.theirs], said);
        differing += 1;
      }
      if (difference === undefined) assert.equal(differing, 0);
      else if (difference.sometimes === true)
        assert.ok(differing > 0, "the list tells of a difference that there is not");
      else assert.equal(differing, CHAINS, "the list tells of a difference that there is not in all chains");
    });
  }
});

test("both answers occur often among the chains", () => {
  const all = opinions.flatMap(({ ours }) => ours);
  const valid = all.filter((one) => one.valid).length;
  assert.ok(valid > all.length / 4 && valid < (all.length * 3) / 4, `${valid} of ${all.length} valid`);
});

test("docs/openssl-differences.md shows the list, word for word", () => {
  const shown = readFileSync(join(import.meta.dirname, "../../../docs/openssl-differences.md"), "utf8");
  const rows = DIFFERENCES.map(({ flaw, ours, theirs, why, sometimes }) =>
    [flaw, ours, sometimes === true ? `${theirs}, sometimes` : theirs, why].join(" | "),
  );
  assert.deepEqual(
    shown.split("\n").filter((line) => line.startsWith("| ")),
    ["| Chain | Femtogate | OpenSSL | Why |", ...rows.map((row) => `| ${row} |`)],
  );
  for (const { flaw } of DIFFERENCES) assert.ok(flaw in FLAWS, flaw);
});

function judgeAll(): { flaw: string; ours: Opinion[]; theirs: Opinion[] }[] {
  using openssl = new OpenSsl();
  const chains = Object.keys(FLAWS).flatMap((flaw) => Array.from({ length: CHAINS }, (_, at) => chainWith(flaw, at)));
  const theirs = theirOpinions(openssl, chains);
  return Object.keys(FLAWS).map((flaw, index) => {
    const from = index * CHAINS;
    const own = chains.slice(from, from + CHAINS);
    return { flaw, ours: own.map(ourOpinion), theirs: theirs.slice(from, from + CHAINS) };
  });
}

function chainWith(flaw: string, at: number): Chain {
  const number = Object.keys(FLAWS).indexOf(flaw) * CHAINS + at;
  const draft = draftChain(`${number}`, seededRandom(`${SEED} ${flaw} ${at}`));
  FLAWS[flaw]!(draft);
  return issue(draft);
}

function word({ valid }: Opinion): string {
  return valid ? "valid" : "invalid";
}

function text({ valid, why }: Opinion): string {
  return valid ? "valid" : `invalid (${why})`;
}
