import assert from "node:assert/strict";
import { test } from "node:test";
import { AMF_PLAIN, AMF_SEPARATED, makeVector, readAuts } from "../../src/eap/authenticationVector.ts";
import { milenage } from "../../src/eap/milenage.ts";
import { newSqnArray, SQN_DEFAULTS } from "../../src/eap/sqn.ts";
import { tuak } from "../../src/eap/tuak.ts";
import { authenticateUsim } from "../../src/eap/usim.ts";

const RULES = SQN_DEFAULTS;
const K = Buffer.from("465b5ce8b199b49faa5f0a2ee238a6bc", "hex");
const RAND = Buffer.from("23553cbe9637a89d218ae64dae47bf35", "hex");
const algorithms = {
  Milenage: milenage(K, Buffer.from("cd63cb71954a9f4e48a5994e37a02baf", "hex")),
  TUAK: tuak(K, Buffer.alloc(32, 9)),
};

for (const [name, functions] of Object.entries(algorithms)) {
  test(`USIM and HSS that share ${name} agree on RES, CK and IK`, () => {
    const vector = makeVector(functions, RAND, 32, AMF_SEPARATED);
    const { answer, array } = authenticateUsim(functions, newSqnArray(RULES), RULES, RAND, vector.autn);
    assert.deepEqual(answer, { kind: "authenticated", res: vector.xres, ck: vector.ck, ik: vector.ik });
    assert.equal(array[0], 1);
  });

  test(`a SQN that the USIM with ${name} has seen draws an AUTS that the HSS can read`, () => {
    const used = newSqnArray(RULES).with(7, 1000);
    const vector = makeVector(functions, RAND, 999 * 32 + 7, AMF_PLAIN);
    const { answer, array } = authenticateUsim(functions, used, RULES, RAND, vector.autn);
    assert.ok(answer.kind === "syncFailure");
    assert.equal(array, used);
    assert.equal(readAuts(functions, RAND, answer.auts), 1000 * 32 + 7);
  });

  test(`an AUTS with any octet changed, or for another RAND, tells the HSS with ${name} nothing`, () => {
    const vector = makeVector(functions, RAND, 0, AMF_PLAIN);
    const { answer } = authenticateUsim(functions, newSqnArray(RULES), RULES, RAND, vector.autn);
    assert.ok(answer.kind === "syncFailure");
    assert.equal(readAuts(functions, RAND, answer.auts), 0);
    for (let i = 0; i < 14; i++) {
      const damaged: Buffer = Buffer.from(answer.auts);
      damaged[i]! ^= 1;
      assert.equal(readAuts(functions, RAND, damaged), undefined);
    }
    assert.equal(readAuts(functions, Buffer.alloc(16), answer.auts), undefined);
  });

  test(`an AUTN with any octet changed is a MAC failure for the USIM with ${name} and changes nothing`, () => {
    const fresh = newSqnArray(RULES);
    const vector = makeVector(functions, RAND, 32, AMF_PLAIN);
    for (let i = 0; i < 16; i++) {
      const autn = Buffer.from(vector.autn);
      autn[i]! ^= 0x80;
      const { answer, array } = authenticateUsim(functions, fresh, RULES, RAND, autn);
      assert.deepEqual(answer, { kind: "macFailure" });
      assert.equal(array, fresh);
    }
  });
}

test("a wrong MAC is told even where SQN is not fresh, so that an impostor draws no AUTS", () => {
  const functions = algorithms.Milenage;
  const vector = makeVector(functions, RAND, 0, AMF_PLAIN);
  vector.autn[15]! ^= 1;
  const { answer } = authenticateUsim(functions, newSqnArray(RULES), RULES, RAND, vector.autn);
  assert.deepEqual(answer, { kind: "macFailure" });
});

test("AUTN or AUTS of the wrong length is the caller's mistake", () => {
  const functions = algorithms.Milenage;
  assert.throws(
    () => authenticateUsim(functions, newSqnArray(RULES), RULES, RAND, Buffer.alloc(15)),
    /AUTN has 15 octets/,
  );
  assert.throws(() => readAuts(functions, RAND, Buffer.alloc(13)), /AUTS has 13 octets/);
});
