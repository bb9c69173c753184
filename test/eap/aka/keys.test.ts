import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fips186Prf } from "../../../src/eap/aka/fips186.ts";
import {
  akaKeys,
  akaPrimeKeys,
  akaPrimeReauthKeys,
  akaReauthKeys,
  deriveCkIkPrime,
} from "../../../src/eap/aka/keys.ts";

interface PrimeCase {
  case: number;
  identity: string;
  network_name: string;
  autn: string;
  ck: string;
  ik: string;
  ck_prime: string;
  ik_prime: string;
  k_encr: string;
  k_aut: string;
  k_re: string;
  msk: string;
  emsk: string;
}

const { cases } = JSON.parse(readFileSync(new URL("../../vectors/eap-aka-prime.json", import.meta.url), "utf8")) as {
  cases: PrimeCase[];
};
const sim = JSON.parse(readFileSync(new URL("../../vectors/fips186-prf.json", import.meta.url), "utf8")) as {
  dss: { xkey: string; output: string };
  full: { mk: string; k_encr: string; k_aut: string; msk: string; emsk: string };
  reauth: { identity: string; counter: number; nonce_s: string; msk: string; emsk: string };
};
const hex = (text: string) => Buffer.from(text, "hex");

for (const one of cases) {
  test(`EAP-AKA' derives what RFC 9048 Appendix D lists, case ${one.case}`, () => {
    const name = Buffer.from(one.network_name, "ascii");
    const prime = deriveCkIkPrime(hex(one.ck), hex(one.ik), name, hex(one.autn));
    assert.equal(prime.ck.toString("hex"), one.ck_prime);
    assert.equal(prime.ik.toString("hex"), one.ik_prime);
    const keys = akaPrimeKeys(Buffer.from(one.identity, "ascii"), prime.ck, prime.ik);
    assert.equal(keys.kEncr.toString("hex"), one.k_encr);
    assert.equal(keys.kAut.toString("hex"), one.k_aut);
    assert.equal(keys.reauthSecret.toString("hex"), one.k_re);
    assert.equal(keys.msk.toString("hex"), one.msk);
    assert.equal(keys.emsk.toString("hex"), one.emsk);
  });
}

test("the generator of FIPS 186-2 gives NIST's example", () => {
  assert.equal(fips186Prf(hex(sim.dss.xkey), 40).toString("hex"), sim.dss.output);
});

test("the generator carries through all words of XKEY", () => {
  // With XKEY all ones, 1 + XKEY + w is w, so the second block is G(w) and the stream of key w begins with it.
  const ones = fips186Prf(Buffer.alloc(20, 0xff), 40);
  assert.deepEqual(ones.subarray(20), fips186Prf(ones.subarray(0, 20), 20));
});

test("EAP-AKA expands MK as RFC 4186's example, which shares the generator and the layout", () => {
  const stream = fips186Prf(hex(sim.full.mk), 160);
  const expected = sim.full.k_encr + sim.full.k_aut + sim.full.msk + sim.full.emsk;
  assert.equal(stream.toString("hex"), expected);
});

test("EAP-AKA's MK is SHA-1 over identity, IK and CK in this order", () => {
  const [identity, ck, ik] = [Buffer.from("0001010000000001@x"), Buffer.alloc(16, 1), Buffer.alloc(16, 2)];
  const keys = akaKeys(identity, ck, ik);
  const mk = createHash("sha1")
    .update(Buffer.concat([identity, ik, ck]))
    .digest();
  assert.deepEqual(keys.reauthSecret, mk);
  const stream = fips186Prf(mk, 160);
  assert.deepEqual(Buffer.concat([keys.kEncr, keys.kAut, keys.msk, keys.emsk]), stream);
});

test("EAP-AKA's fast re-authentication derives what RFC 4186's example lists", () => {
  const { identity, counter, nonce_s, msk, emsk } = sim.reauth;
  const keys = akaReauthKeys(hex(sim.full.mk), Buffer.from(identity, "ascii"), counter, hex(nonce_s));
  assert.equal(keys.msk.toString("hex"), msk);
  assert.equal(keys.emsk.toString("hex"), emsk);
});

test("EAP-AKA''s fast re-authentication depends on K_re, identity, counter and NONCE_S", () => {
  const [kRe, identity, nonceS] = [Buffer.alloc(32, 1), Buffer.from("8abc"), Buffer.alloc(16, 2)];
  const keys = [
    akaPrimeReauthKeys(kRe, identity, 1, nonceS),
    akaPrimeReauthKeys(Buffer.alloc(32, 9), identity, 1, nonceS),
    akaPrimeReauthKeys(kRe, Buffer.from("8abd"), 1, nonceS),
    akaPrimeReauthKeys(kRe, identity, 256, nonceS),
    akaPrimeReauthKeys(kRe, identity, 1, Buffer.alloc(16, 3)),
  ];
  assert.equal(new Set(keys.flatMap(({ msk, emsk }) => [msk.toString("hex"), emsk.toString("hex")])).size, 10);
  assert.deepEqual([keys[0]!.msk.length, keys[0]!.emsk.length], [64, 64]);
});
