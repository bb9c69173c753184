import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { deriveOpc, milenage } from "../../src/eap/milenage.ts";

interface MilenageSet {
  k: string;
  rand: string;
  sqn: string;
  amf: string;
  opc: string;
  f1: string;
  f1star: string;
  f2: string;
  f3: string;
  f4: string;
  f5: string;
  f5star: string;
}

const { sets } = JSON.parse(readFileSync(new URL("../vectors/milenage.json", import.meta.url), "utf8")) as {
  sets: MilenageSet[];
};
const hex = (text: string) => Buffer.from(text, "hex");

for (const [index, set] of sets.entries()) {
  test(`Milenage gives what TS 35.207 publishes, set ${index + 1}`, () => {
    const functions = milenage(hex(set.k), hex(set.opc));
    const rand = hex(set.rand);
    const { res, ck, ik, ak } = functions.f2345(rand);
    const mac = functions.f1(rand, hex(set.sqn), hex(set.amf));
    assert.deepEqual(functions.vector(rand, hex(set.sqn), hex(set.amf)), { mac, res, ck, ik, ak });
    assert.deepEqual(
      {
        f1: mac.toString("hex"),
        f1star: functions.f1Star(rand, hex(set.sqn), hex(set.amf)).toString("hex"),
        f2: res.toString("hex"),
        f3: ck.toString("hex"),
        f4: ik.toString("hex"),
        f5: ak.toString("hex"),
        f5star: functions.f5Star(rand).toString("hex"),
      },
      {
        f1: set.f1,
        f1star: set.f1star,
        f2: set.f2,
        f3: set.f3,
        f4: set.f4,
        f5: set.f5,
        f5star: set.f5star,
      },
    );
  });
}

test("OPc follows from OP and K as in TS 35.207's first set", () => {
  const opc = deriveOpc(hex("465b5ce8b199b49faa5f0a2ee238a6bc"), hex("cdc202d5123e20f62b6d676ac72cb318"));
  assert.equal(opc.toString("hex"), "cd63cb71954a9f4e48a5994e37a02baf");
});

test("one subscriber's functions can be asked again and again, in any order", () => {
  const set = sets[0]!;
  const functions = milenage(hex(set.k), hex(set.opc));
  const rand = hex(set.rand);
  const first = functions.f2345(rand);
  functions.f5Star(hex(sets[1]!.rand));
  functions.f1(hex(sets[1]!.rand), hex(set.sqn), hex(set.amf));
  assert.deepEqual(functions.f2345(rand), first);
});

test("a key, RAND, SQN or AMF of the wrong length is told at once", () => {
  assert.throws(() => milenage(Buffer.alloc(15), Buffer.alloc(16)), RangeError);
  assert.throws(() => milenage(Buffer.alloc(16), Buffer.alloc(32)), RangeError);
  const functions = milenage(Buffer.alloc(16), Buffer.alloc(16));
  assert.throws(() => functions.f2345(Buffer.alloc(17)), /RAND has 17 octets/);
  assert.throws(() => functions.f1(Buffer.alloc(16), Buffer.alloc(5), Buffer.alloc(2)), /SQN has 5 octets/);
  assert.throws(() => functions.f1Star(Buffer.alloc(16), Buffer.alloc(6), Buffer.alloc(1)), /AMF has 1 octets/);
});
