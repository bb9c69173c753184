import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  freshUsername,
  permanentIdentity,
  readIdentity,
  realmOf,
  textOf,
  usernameOf,
  withRealmOf,
} from "../../../src/eap/aka/identity.ts";
import { AKA, AKA_PRIME } from "../../../src/eap/aka/variant.ts";
import { seededRandom } from "../../../src/sim/random.ts";
import { octets } from "../arbitrary.ts";

test("the first digit says what an identity is, and each variant has its own", () => {
  const kinds = (digit: string) =>
    [AKA, AKA_PRIME].map((variant) => readIdentity(variant, Buffer.from(`${digit}001010123456789@x`)).kind);
  assert.deepEqual(kinds("0"), ["permanent", "unknown"]);
  assert.deepEqual(kinds("2"), ["pseudonym", "unknown"]);
  assert.deepEqual(kinds("4"), ["reauth", "unknown"]);
  assert.deepEqual(kinds("6"), ["unknown", "permanent"]);
  assert.deepEqual(kinds("7"), ["unknown", "pseudonym"]);
  assert.deepEqual(kinds("8"), ["unknown", "reauth"]);
  // EAP-SIM's digits are nobody's here.
  for (const digit of ["1", "3", "5", "9", "a", "@"]) assert.deepEqual(kinds(digit), ["unknown", "unknown"]);
});

test("a permanent identity gives its IMSI, with a realm and without", () => {
  for (const text of ["0001010123456789@a.example", "0001010123456789", "0001010123456789@"])
    assert.deepEqual(readIdentity(AKA, Buffer.from(text)), { kind: "permanent", imsi: "001010123456789" });
  for (const text of ["000101", "00010101234567890", "00010101234567a", "0 01010123456789"])
    assert.equal(readIdentity(AKA, Buffer.from(text)).kind, "unknown");
});

test("a username with control characters, spaces or beyond 253 octets is no key for a store", () => {
  for (const text of ["2\u0000a", "2 a", "2\na", `2${"a".repeat(253)}`, "2\u00e9"])
    assert.equal(readIdentity(AKA, Buffer.from(text)).kind, "unknown");
  assert.equal(readIdentity(AKA, Buffer.from(`2${"a".repeat(252)}`)).kind, "pseudonym");
});

test("any octets are read as some identity", () => {
  fc.assert(
    fc.property(octets(0, 300), (identity) => {
      const read = readIdentity(AKA, identity);
      if (read.kind === "pseudonym" || read.kind === "reauth") assert.ok(textOf(identity).startsWith(read.username));
      assert.deepEqual(Buffer.from(textOf(identity), "latin1"), identity);
    }),
  );
});

test("the realm follows from IMSI and length of the MNC as TS 23.003 has it", () => {
  assert.equal(realmOf("234150999999999", 2), "nai.epc.mnc015.mcc234.3gppnetwork.org");
  assert.equal(realmOf("310150123456789", 3), "nai.epc.mnc150.mcc310.3gppnetwork.org");
});

test("what is no IMSI makes no permanent identity", () => {
  assert.equal(permanentIdentity(AKA_PRIME, "234150999999999", "x"), "6234150999999999@x");
  for (const imsi of ["12345", "1234567890123456", "23415099999999x"])
    assert.throws(() => permanentIdentity(AKA, imsi, "x"), RangeError);
});

test("fresh usernames begin with their digit, differ, and read as what they are", () => {
  const random = seededRandom(1);
  const names = Array.from({ length: 100 }, () => freshUsername(AKA.prefix.pseudonym, random));
  assert.equal(new Set(names).size, 100);
  for (const name of names)
    assert.deepEqual(readIdentity(AKA, Buffer.from(name)), { kind: "pseudonym", username: name });
});

test("a username gets the realm of another identity unless it has one", () => {
  assert.equal(withRealmOf("2abc", "0001@a.example"), "2abc@a.example");
  assert.equal(withRealmOf("2abc@b.example", "0001@a.example"), "2abc@b.example");
  assert.equal(withRealmOf("2abc", "0001"), "2abc");
  assert.equal(usernameOf("2abc@b@c"), "2abc");
});
