import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { deriveTopc, type TuakOptions, tuak } from "../../src/eap/tuak.ts";

interface TuakSet {
  set: string;
  k: string;
  rand: string;
  sqn: string;
  amf: string;
  top: string;
  iterations: number;
  topc: string;
  f1: string;
  f1star: string;
  f2: string;
  f3: string;
  f4: string;
  f5: string;
  f5star: string;
}

const { sets } = JSON.parse(readFileSync(new URL("../vectors/tuak.json", import.meta.url), "utf8")) as {
  sets: TuakSet[];
};
const hex = (text: string) => Buffer.from(text, "hex");

/** The lengths that a set's outputs have. */
function optionsOf(set: TuakSet): TuakOptions {
  const bits = (text: string) => (text.length / 2) * 8;
  return {
    mac: bits(set.f1) as TuakOptions["mac"],
    res: bits(set.f2) as TuakOptions["res"],
    ck: bits(set.f3) as TuakOptions["ck"],
    ik: bits(set.f4) as TuakOptions["ik"],
    iterations: set.iterations,
  };
}

for (const set of sets) {
  test(`TUAK gives what TS 35.233 publishes, set ${set.set}`, () => {
    assert.equal(deriveTopc(hex(set.k), hex(set.top), set.iterations).toString("hex"), set.topc);
    const functions = tuak(hex(set.k), hex(set.topc), optionsOf(set));
    const rand = hex(set.rand);
    const { res, ck, ik, ak } = functions.f2345(rand);
    const mac = functions.f1(rand, hex(set.sqn), hex(set.amf));
    assert.deepEqual(functions.vector(rand, hex(set.sqn), hex(set.amf)), { mac, res, ck, ik, ak });
    assert.equal(mac.toString("hex"), set.f1);
    assert.equal(functions.f1Star(rand, hex(set.sqn), hex(set.amf)).toString("hex"), set.f1star);
    assert.equal(res.toString("hex"), set.f2);
    assert.equal(ck.toString("hex"), set.f3);
    assert.equal(ik.toString("hex"), set.f4);
    assert.equal(ak.toString("hex"), set.f5);
    assert.equal(functions.f5Star(rand).toString("hex"), set.f5star);
  });
}

test("by default the outputs have the lengths that EAP-AKA carries", () => {
  const functions = tuak(Buffer.alloc(32, 1), Buffer.alloc(32, 2));
  const rand = Buffer.alloc(16, 3);
  const { res, ck, ik, ak } = functions.f2345(rand);
  assert.deepEqual([res.length, ck.length, ik.length, ak.length], [8, 16, 16, 6]);
  assert.equal(functions.f1(rand, Buffer.alloc(6), Buffer.alloc(2)).length, 8);
});

test("a key, TOPc or RAND of the wrong length is told at once", () => {
  assert.throws(() => tuak(Buffer.alloc(24), Buffer.alloc(32)).f5Star(Buffer.alloc(16)), /K has 24 octets/);
  assert.throws(() => tuak(Buffer.alloc(16), Buffer.alloc(16)).f5Star(Buffer.alloc(16)), /TOPc has 16 octets/);
  assert.throws(() => tuak(Buffer.alloc(16), Buffer.alloc(32)).f2345(Buffer.alloc(8)), /RAND has 8 octets/);
});
