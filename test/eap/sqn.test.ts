import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  checkSqn,
  newSqnArray,
  nextSqn,
  resynchronized,
  SQN_DEFAULTS,
  type SqnArray,
  type SqnCounter,
  type SqnRules,
  splitSqn,
  sqnFromBytes,
  sqnToBytes,
} from "../../src/eap/sqn.ts";

const RULES: SqnRules = { indBits: 2, delta: 1000, ageLimit: 10 };
const at = (seq: number, ind: number) => seq * 4 + ind;
const MAX_SQN = 2 ** 48 - 1;

function accepted(array: SqnArray, sqn: number, rules = RULES): SqnArray {
  const verdict = checkSqn(array, sqn, rules);
  assert.ok(verdict.accepted);
  return verdict.array;
}

function refusal(array: SqnArray, sqn: number, rules = RULES): [string, number] {
  const verdict = checkSqn(array, sqn, rules);
  assert.ok(!verdict.accepted);
  return [verdict.reason, verdict.highest];
}

test("a SQN is accepted once", () => {
  const array = accepted(newSqnArray(RULES), at(1, 0));
  assert.deepEqual(refusal(array, at(1, 0)), ["NotFresh", at(1, 0)]);
});

test("SQN 0 is never accepted: a fresh USIM has seen SEQ 0", () => {
  assert.deepEqual(refusal(newSqnArray(RULES), 0), ["NotFresh", 0]);
});

test("SQNs out of order are accepted as long as each has its own IND", () => {
  let array = newSqnArray(RULES);
  for (const [seq, ind] of [
    [3, 3],
    [1, 1],
    [2, 2],
    [4, 0],
  ] as const)
    array = accepted(array, at(seq, ind));
  assert.deepEqual(array, [4, 1, 2, 3]);
  // IND 1 was last used with SEQ 1, so SEQ 2 is fresh there and old at IND 2.
  assert.deepEqual(accepted(array, at(2, 1)), [4, 2, 2, 3]);
  assert.deepEqual(refusal(array, at(2, 2)), ["NotFresh", at(4, 0)]);
});

test("a jump of delta is accepted, one more is not", () => {
  const array = accepted(newSqnArray(RULES), at(5, 1));
  accepted(array, at(1005, 2));
  assert.deepEqual(refusal(array, at(1006, 2)), ["TooFarAhead", at(5, 1)]);
});

test("a SEQ is too old at the age limit, and one younger is not", () => {
  const array = accepted(newSqnArray(RULES), at(20, 1));
  accepted(array, at(11, 2));
  assert.deepEqual(refusal(array, at(10, 2)), ["TooOld", at(20, 1)]);
  accepted(array, at(10, 2), { ...RULES, ageLimit: undefined });
});

test("what the HSS generates in order, the USIM accepts in order", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 40 }), fc.integer({ min: 1, max: 100 }), (seq, count) => {
      let counter: SqnCounter = { seq, ind: 0 };
      let array: SqnArray = newSqnArray(SQN_DEFAULTS).map(() => seq);
      for (let i = 0; i < count; i++) {
        const next = nextSqn(counter, SQN_DEFAULTS);
        counter = next.counter;
        array = accepted(array, next.sqn, SQN_DEFAULTS);
      }
    }),
  );
});

test("vectors of one batch are accepted in any order while no IND comes twice", () => {
  const batch = fc.array(fc.integer({ min: 0, max: 31 }), { minLength: 1, maxLength: 32 });
  fc.assert(
    fc.property(batch, (order) => {
      let counter: SqnCounter = { seq: 0, ind: 31 };
      const sqns: number[] = [];
      for (let i = 0; i < 32; i++) {
        const next = nextSqn(counter, SQN_DEFAULTS);
        counter = next.counter;
        sqns.push(next.sqn);
      }
      let array = newSqnArray(SQN_DEFAULTS);
      for (const index of new Set(order)) array = accepted(array, sqns[index]!, SQN_DEFAULTS);
    }),
  );
});

test("no sequence of verdicts accepts a SQN twice", () => {
  const sqn = fc.integer({ min: 0, max: 200 });
  fc.assert(
    fc.property(fc.array(sqn, { maxLength: 100, size: "max" }), (sqns) => {
      let array = newSqnArray(RULES);
      const seen = new Set<number>();
      for (const one of sqns) {
        const verdict = checkSqn(array, one, RULES);
        if (!verdict.accepted) continue;
        assert.ok(!seen.has(one));
        seen.add(one);
        array = verdict.array;
      }
    }),
  );
});

test("IND can be pinned to one kind of requester", () => {
  const next = nextSqn({ seq: 7, ind: 0 }, RULES, 3);
  assert.deepEqual(next, { sqn: at(8, 3), counter: { seq: 8, ind: 3 } });
});

test("after a resynchronization the next SQN is accepted, whatever both sides believed before", () => {
  const seq = fc.integer({ min: 0, max: 2 ** 42 });
  fc.assert(
    fc.property(seq, seq, fc.integer({ min: 0, max: 31 }), (hss, usim, ind) => {
      const array = newSqnArray(SQN_DEFAULTS).with(ind, usim);
      const counter = resynchronized({ seq: hss, ind: 0 }, usim * 32 + ind, SQN_DEFAULTS);
      accepted(array, nextSqn(counter, SQN_DEFAULTS).sqn, SQN_DEFAULTS);
    }),
  );
});

test("a resynchronization that is not needed leaves the HSS's counter alone", () => {
  const counter = { seq: 50, ind: 1 };
  assert.equal(resynchronized(counter, at(50, 3), RULES), counter);
  assert.equal(resynchronized(counter, at(49, 3), RULES), counter);
  assert.deepEqual(resynchronized(counter, at(51, 3), RULES), { seq: 51, ind: 3 });
  assert.deepEqual(resynchronized({ seq: 2000, ind: 1 }, at(50, 3), RULES), { seq: 50, ind: 3 });
});

test("a used-up SEQ is told instead of wrapping round", () => {
  const last = { seq: 2 ** 43 - 2, ind: 30 };
  assert.equal(nextSqn(last, SQN_DEFAULTS).sqn, MAX_SQN);
  assert.throws(() => nextSqn({ seq: 2 ** 43 - 1, ind: 31 }, SQN_DEFAULTS), /SEQ is used up/);
});

test("SQN goes to 6 octets and back, and splits at IND", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger().map(Math.abs), (value) => {
      const sqn = value % 2 ** 48;
      assert.equal(sqnFromBytes(sqnToBytes(sqn)), sqn);
      const { seq, ind } = splitSqn(sqn, SQN_DEFAULTS);
      assert.equal(seq * 32 + ind, sqn);
      assert.ok(ind >= 0 && ind < 32);
    }),
  );
  assert.equal(sqnToBytes(MAX_SQN).toString("hex"), "ffffffffffff");
});
