import assert from "node:assert/strict";
import { createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { EspSuite } from "../../../src/esp/dataPlane.ts";
import type { IkeSpi } from "../../../src/ike/codec/message.ts";
import { Encr, Group, Integ, Prf } from "../../../src/ike/codec/numbers.ts";
import { deriveChildKeys, deriveIkeKeys, type IkeKeyInputs, type IkeKeys } from "../../../src/ike/crypto/kdf.ts";
import { prf, prfLength, prfPlus } from "../../../src/ike/crypto/prf.ts";
import { describeSuite, type IkeSuite } from "../../../src/ike/crypto/suite.ts";

interface Cavp {
  hashAlg: string;
  nInit: string;
  nResp: string;
  gir: string;
  girNew: string;
  spiInit: string;
  spiResp: string;
  expected: {
    sKeySeed: string;
    derivedKeyingMaterial: string;
    derivedKeyingMaterialChild: string;
    derivedKeyingMaterialDh: string;
    sKeySeedReKey: string;
  };
}

const vectors: {
  full: Cavp[];
  computed_from_acvp_prompts: Cavp[];
  prf: { name: string; prf: string; gir: string; nonces: string; out: string }[];
  prf_plus: { name: string; prf: string; skeyseed: string; seed_ni_nr_spii_spir: string; out: string }[];
} = JSON.parse(readFileSync(new URL("../../vectors/ikev2-kdf.json", import.meta.url), "utf8"));

const PRFS: Record<string, number> = {
  "SHA-1": Prf.HMAC_SHA1,
  "SHA2-256": Prf.HMAC_SHA2_256,
  "SHA2-384": Prf.HMAC_SHA2_384,
  "SHA2-512": Prf.HMAC_SHA2_512,
  HMAC_SHA2_256: Prf.HMAC_SHA2_256,
  HMAC_SHA2_384: Prf.HMAC_SHA2_384,
  HMAC_SHA2_512: Prf.HMAC_SHA2_512,
};
const hex = (text: string) => Buffer.from(text, "hex");
const cavp = [...vectors.full, ...vectors.computed_from_acvp_prompts].filter(({ hashAlg }) => hashAlg in PRFS);

test("the vector file holds what these tests mean to check", () => {
  assert.ok(cavp.length >= 4 && vectors.prf.length >= 6 && vectors.prf_plus.length >= 7);
});

for (const vector of vectors.prf) {
  test(`prf gives the published value: ${vector.name}`, () => {
    const id = PRFS[vector.prf]!;
    assert.equal(prf(id, hex(vector.nonces), hex(vector.gir)).toString("hex"), vector.out);
    const halves = [hex(vector.gir).subarray(0, 50), hex(vector.gir).subarray(50)];
    assert.equal(prf(id, createSecretKey(hex(vector.nonces)), ...halves).toString("hex"), vector.out);
  });
}

for (const vector of vectors.prf_plus) {
  test(`prf+ gives the published octets: ${vector.name}`, () => {
    const out = hex(vector.out);
    const seed = hex(vector.seed_ni_nr_spii_spir);
    for (const length of [out.length, 1, 33]) {
      const made = prfPlus(PRFS[vector.prf]!, hex(vector.skeyseed), seed, length);
      assert.deepEqual(made, out.subarray(0, length));
    }
  });
}

for (const [index, vector] of cavp.entries()) {
  const prfId = PRFS[vector.hashAlg]!;
  const suite: IkeSuite = {
    encr: { id: Encr.AES_CBC, keyLength: 128 },
    integ: Integ.HMAC_SHA1_96,
    prf: prfId,
    group: Group.MODP_2048,
  };
  const inputs: IkeKeyInputs = {
    nonceI: hex(vector.nInit),
    nonceR: hex(vector.nResp),
    sharedSecret: hex(vector.gir),
    spiI: vector.spiInit as IkeSpi,
    spiR: vector.spiResp as IkeSpi,
  };
  const published = hex(vector.expected.derivedKeyingMaterial);

  test(`SK_d to SK_pr are the published octets in RFC 7296 2.14's order: ${vector.hashAlg} ${index}`, () => {
    const made = inOrder(deriveIkeKeys(suite, inputs));
    assert.equal(made.length, 5 * 20 + 32 + 3 * prfLength(prfId) - 60);
    assert.deepEqual(made.subarray(0, published.length), published.subarray(0, made.length));
  });

  test(`a rekeyed IKE SA's keys come from the published SKEYSEED: ${vector.hashAlg} ${index}`, () => {
    const d = deriveIkeKeys(suite, inputs).d;
    // RFC 7296 2.18: the old PRF makes SKEYSEED, the new one the keys.
    const next = { ...suite, prf: Prf.HMAC_SHA2_512 };
    const rekeyed = deriveIkeKeys(next, { ...inputs, sharedSecret: hex(vector.girNew), previous: { prf: prfId, d } });
    const made = inOrder(rekeyed);
    const seed = Buffer.concat([inputs.nonceI, inputs.nonceR, hex(vector.spiInit), hex(vector.spiResp)]);
    assert.deepEqual(made, prfPlus(next.prf, hex(vector.expected.sKeySeedReKey), seed, made.length));
  });

  test(`KEYMAT of a CHILD SA is the published octets, with and without its own exchange: ${vector.hashAlg} ${index}`, () => {
    const d = deriveIkeKeys(suite, inputs).d;
    const esp: EspSuite = { encryption: "aes-128-cbc", integrity: "hmac-sha256-128", esn: false };
    const plain = deriveChildKeys(prfId, d, { nonceI: inputs.nonceI, nonceR: inputs.nonceR, suite: esp });
    const sharedSecret = hex(vector.girNew);
    const fresh = deriveChildKeys(prfId, d, { nonceI: inputs.nonceI, nonceR: inputs.nonceR, sharedSecret, suite: esp });
    for (const [keys, text] of [
      [plain, vector.expected.derivedKeyingMaterialChild],
      [fresh, vector.expected.derivedKeyingMaterialDh],
    ] as const) {
      const { initiator, responder } = keys;
      const parts = [initiator.encryptionKey, initiator.integrityKey, responder.encryptionKey, responder.integrityKey];
      assert.deepEqual(Buffer.concat(parts), hex(text).subarray(0, 96));
    }
  });
}

test("CHILD SA keys have the length that each algorithm wants, an AEAD's with its salt", () => {
  const inputs = { nonceI: Buffer.alloc(32, 1), nonceR: Buffer.alloc(32, 2) };
  const lengths = (encryption: EspSuite["encryption"], integrity: EspSuite["integrity"]) => {
    const suite: EspSuite = { encryption, integrity, esn: false };
    const { initiator, responder } = deriveChildKeys(Prf.HMAC_SHA2_256, Buffer.alloc(32), { ...inputs, suite });
    assert.equal(initiator.encryptionKey.length, responder.encryptionKey.length);
    assert.equal(initiator.integrityKey.length, responder.integrityKey.length);
    assert.notDeepEqual(initiator, responder);
    return [initiator.encryptionKey.length, initiator.integrityKey.length];
  };
  assert.deepEqual(lengths("aes-128-gcm", "none"), [20, 0]);
  assert.deepEqual(lengths("aes-256-gcm", "none"), [36, 0]);
  assert.deepEqual(lengths("aes-192-cbc", "hmac-sha1-96"), [24, 20]);
  assert.deepEqual(lengths("aes-256-cbc", "hmac-sha384-192"), [32, 48]);
  assert.deepEqual(lengths("3des-cbc", "hmac-sha512-256"), [24, 64]);
});

test("prf+ refuses to go above 255 blocks (RFC 7296 2.13)", () => {
  const key = Buffer.alloc(20);
  assert.equal(prfPlus(Prf.HMAC_SHA1, key, key, 255 * 20).length, 5100);
  assert.throws(() => prfPlus(Prf.HMAC_SHA1, key, key, 255 * 20 + 1), RangeError);
});

test("a suite reads like the names of its transforms", () => {
  const gcm = {
    encr: { id: Encr.AES_GCM_16, keyLength: 256 },
    integ: 0,
    prf: Prf.HMAC_SHA2_256,
    group: Group.CURVE25519,
  };
  assert.equal(describeSuite(gcm), "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519");
  const cbc = { encr: { id: Encr.AES_CBC, keyLength: 128 }, integ: Integ.HMAC_SHA1_96, prf: Prf.HMAC_SHA1, group: 14 };
  assert.equal(describeSuite(cbc), "AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_2048");
});

function inOrder({ d, ai, ar, ei, er, pi, pr }: IkeKeys): Buffer {
  return Buffer.concat([d, ai, ar, ei, er, pi, pr]);
}
