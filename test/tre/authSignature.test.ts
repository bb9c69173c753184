import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  AuthMethod,
  type AuthProblem,
  AuthSignatureError,
  HashAlgorithm,
  signAuth,
  verifyAuth,
} from "../../src/tre/authSignature.ts";

const { SHA1, SHA2_256, SHA2_384, SHA2_512 } = HashAlgorithm;
const SHA2 = [SHA2_256, SHA2_384, SHA2_512];
const OCTETS = Buffer.from("message, nonce, MACed identity");
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const rsaPss = generateKeyPairSync("rsa-pss", { modulusLength: 2048 });
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
const p521 = generateKeyPairSync("ec", { namedCurve: "P-521" });
const ed25519 = generateKeyPairSync("ed25519");

type Pair = { publicKey: KeyObject; privateKey: KeyObject };
const pairs: [name: string, pair: Pair, hash: number, method: number, other: Pair][] = [
  ["RSA", rsa, SHA2_256, AuthMethod.RSA, generateKeyPairSync("rsa", { modulusLength: 2048 })],
  ["ECDSA P-256", p256, SHA2_256, AuthMethod.ECDSA_256, generateKeyPairSync("ec", { namedCurve: "P-256" })],
  ["ECDSA P-384", p384, SHA2_384, AuthMethod.ECDSA_384, generateKeyPairSync("ec", { namedCurve: "P-384" })],
  ["ECDSA P-521", p521, SHA2_512, AuthMethod.ECDSA_521, generateKeyPairSync("ec", { namedCurve: "P-521" })],
];

for (const [name, { privateKey, publicKey }, hash, oldMethod, other] of pairs) {
  test(`${name}: a peer that announced hashes gets a digital signature with the hash that fits the key (RFC 7427)`, () => {
    const { method, data } = signAuth(privateKey, OCTETS, [SHA1, ...SHA2]);
    assert.equal(method, AuthMethod.DIGITAL_SIGNATURE);
    verifyAuth(publicKey, method, data, OCTETS, [hash]);
    refused("HashNotAccepted", () =>
      verifyAuth(
        publicKey,
        method,
        data,
        OCTETS,
        SHA2.filter((one) => one !== hash),
      ),
    );
  });

  test(`${name}: where the fitting hash was not announced, one that was is used`, () => {
    for (const only of SHA2) {
      const { method, data } = signAuth(privateKey, OCTETS, [only]);
      verifyAuth(publicKey, method, data, OCTETS, [only]);
    }
  });

  test(`${name}: a peer that announced none gets method ${oldMethod}`, () => {
    const { method, data } = signAuth(privateKey, OCTETS, []);
    assert.equal(method, oldMethod);
    verifyAuth(publicKey, method, data, OCTETS, []);
  });

  test(`${name}: other octets, another key and any changed octet of the signature do not verify`, () => {
    for (const announced of [[], SHA2]) {
      const { method, data } = signAuth(privateKey, OCTETS, announced);
      const accepted = SHA2;
      refused("BadSignature", () => verifyAuth(publicKey, method, data, Buffer.concat([OCTETS, OCTETS]), accepted));
      refused("BadSignature", () => verifyAuth(other.publicKey, method, data, OCTETS, accepted));
      for (let at = 0; at < data.length; at += 3) {
        const changed = Buffer.from(data);
        changed[at]! ^= 0x20;
        assert.throws(() => verifyAuth(publicKey, method, changed, OCTETS, accepted), AuthSignatureError);
      }
      assert.throws(() => verifyAuth(publicKey, method, data.subarray(0, -1), OCTETS, accepted), AuthSignatureError);
    }
  });
}

test("RSASSA-PSS is used where asked for or where the key is of that kind, and verifies", () => {
  for (const hash of SHA2) {
    const asked = signAuth(rsa.privateKey, OCTETS, [hash], { pss: true });
    verifyAuth(rsa.publicKey, asked.method, asked.data, OCTETS, [hash]);
    const byKind = signAuth(rsaPss.privateKey, OCTETS, [hash]);
    verifyAuth(rsaPss.publicKey, byKind.method, byKind.data, OCTETS, [hash]);
    assert.equal(asked.data[0], 67);
  }
});

test("an RSASSA-PSS key that is bound to a hash signs and verifies with that one only", () => {
  const bound = generateKeyPairSync("rsa-pss", {
    modulusLength: 2048,
    hashAlgorithm: "sha384",
    mgf1HashAlgorithm: "sha384",
  });
  const signed = signAuth(bound.privateKey, OCTETS, SHA2);
  verifyAuth(bound.publicKey, signed.method, signed.data, OCTETS, [SHA2_384]);
  for (const other of [SHA2_256, SHA2_512]) {
    refused("HashNotAccepted", () => signAuth(bound.privateKey, OCTETS, [other]));
    const { method, data } = signAuth(rsa.privateKey, OCTETS, [other], { pss: true });
    refused("KeyMismatch", () => verifyAuth(bound.publicKey, method, data, OCTETS, SHA2));
  }
  const otherMask = generateKeyPairSync("rsa-pss", {
    modulusLength: 2048,
    hashAlgorithm: "sha256",
    mgf1HashAlgorithm: "sha384",
  });
  refused("HashNotAccepted", () => signAuth(otherMask.privateKey, OCTETS, SHA2));
});

test("an RSASSA-PSS key that is bound to a longer salt than the hash has is refused as such", () => {
  const { publicKey } = generateKeyPairSync("rsa-pss", {
    modulusLength: 2048,
    hashAlgorithm: "sha256",
    mgf1HashAlgorithm: "sha256",
  });
  const spki = publicKey.export({ format: "der", type: "spki" });
  const saltLength = spki.indexOf("a203020120", 0, "hex") + 4;
  assert.equal(spki[saltLength], 32);
  spki[saltLength] = 33;
  const key = createPublicKey({ key: spki, format: "der", type: "spki" });
  const { method, data } = signAuth(rsa.privateKey, OCTETS, [SHA2_256], { pss: true });
  refused("KeyMismatch", () => verifyAuth(key, method, data, OCTETS, SHA2));
});

test("the algorithm identifiers are those of RFC 7427 appendix A", () => {
  const identifier = (key: KeyObject, hash: number, pss = false) => {
    const { data } = signAuth(key, OCTETS, [hash], { pss });
    return data.subarray(1, 1 + data[0]!).toString("hex");
  };
  assert.equal(identifier(rsa.privateKey, SHA2_256), "300d06092a864886f70d01010b0500");
  assert.equal(identifier(rsa.privateKey, SHA2_384), "300d06092a864886f70d01010c0500");
  assert.equal(identifier(rsa.privateKey, SHA2_512), "300d06092a864886f70d01010d0500");
  assert.equal(identifier(p256.privateKey, SHA2_256), "300a06082a8648ce3d040302");
  assert.equal(identifier(p384.privateKey, SHA2_384), "300a06082a8648ce3d040303");
  assert.equal(identifier(p521.privateKey, SHA2_512), "300a06082a8648ce3d040304");
  assert.equal(
    identifier(rsa.privateKey, SHA2_256, true),
    "304106092a864886f70d01010a3034a00f300d06096086480165030402010500" +
      "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120",
  );
});

test("RSASSA-PSS identifiers carry the hash, its mask and a salt of the hash's length", () => {
  for (const [hash, last, salt] of [
    [SHA2_384, "02", "30"],
    [SHA2_512, "03", "40"],
  ] as const) {
    const { data } = signAuth(rsa.privateKey, OCTETS, [hash], { pss: true });
    const sha = `300d06096086480165030402${last}0500`;
    assert.equal(
      data.subarray(0, 68).toString("hex"),
      `43304106092a864886f70d01010a3034a00f${sha}a11c301a06092a864886f70d010108${sha}a2030201${salt}`,
    );
  }
});

test("methods and hashes have the numbers that IANA gave them", () => {
  assert.deepEqual(
    { ...AuthMethod },
    { RSA: 1, SHARED_KEY: 2, ECDSA_256: 9, ECDSA_384: 10, ECDSA_521: 11, NULL: 13, DIGITAL_SIGNATURE: 14 },
  );
  assert.deepEqual({ ...HashAlgorithm }, { SHA1: 1, SHA2_256: 2, SHA2_384: 3, SHA2_512: 4 });
});

test("method RSA verifies with SHA-1, which RFC 7296 3.8 names, and with the larger hashes", () => {
  for (const digest of ["sha1", "sha256", "sha384", "sha512"]) {
    verifyAuth(rsa.publicKey, AuthMethod.RSA, sign(digest, OCTETS, rsa.privateKey), OCTETS, []);
  }
  const md5 = sign("md5", OCTETS, rsa.privateKey);
  refused("BadSignature", () => verifyAuth(rsa.publicKey, AuthMethod.RSA, md5, OCTETS, []));
});

test("SHA-1 in a digital signature is refused unless it was announced", () => {
  for (const [pair, identifier] of [
    [rsa, "300d06092a864886f70d0101050500"],
    [p256, "300906072a8648ce3d0401"],
  ] as const) {
    const der = Buffer.from(identifier, "hex");
    const signature = sign("sha1", OCTETS, pair.privateKey);
    const data = Buffer.concat([Buffer.from([der.length]), der, signature]);
    refused("HashNotAccepted", () => verifyAuth(pair.publicKey, AuthMethod.DIGITAL_SIGNATURE, data, OCTETS, SHA2));
    verifyAuth(pair.publicKey, AuthMethod.DIGITAL_SIGNATURE, data, OCTETS, [SHA1]);
  }
});

test("an ECDSA signature of methods 9 to 11 is r and s of fixed length (RFC 4754 3)", () => {
  assert.equal(signAuth(p256.privateKey, OCTETS, []).data.length, 64);
  assert.equal(signAuth(p384.privateKey, OCTETS, []).data.length, 96);
  assert.equal(signAuth(p521.privateKey, OCTETS, []).data.length, 132);
});

test("a method or an algorithm that does not fit the certificate's key is refused as such", () => {
  const [byRsa, byP256] = [signAuth(rsa.privateKey, OCTETS, SHA2), signAuth(p256.privateKey, OCTETS, SHA2)];
  refused("KeyMismatch", () => verifyAuth(p256.publicKey, byRsa.method, byRsa.data, OCTETS, SHA2));
  refused("KeyMismatch", () => verifyAuth(rsa.publicKey, byP256.method, byP256.data, OCTETS, SHA2));
  refused("KeyMismatch", () => verifyAuth(rsaPss.publicKey, byRsa.method, byRsa.data, OCTETS, SHA2));
  refused("KeyMismatch", () => verifyAuth(p256.publicKey, AuthMethod.RSA, Buffer.alloc(256), OCTETS, SHA2));
  refused("KeyMismatch", () => verifyAuth(p256.publicKey, AuthMethod.ECDSA_384, Buffer.alloc(96), OCTETS, SHA2));
  refused("KeyMismatch", () => verifyAuth(rsa.publicKey, AuthMethod.ECDSA_256, Buffer.alloc(64), OCTETS, SHA2));
  refused("KeyMismatch", () => signAuth(ed25519.privateKey, OCTETS, []));
});

test("methods and algorithms that are not known are refused as such", () => {
  refused("UnsupportedMethod", () => verifyAuth(rsa.publicKey, AuthMethod.SHARED_KEY, Buffer.alloc(32), OCTETS, SHA2));
  refused("UnsupportedMethod", () => verifyAuth(rsa.publicKey, AuthMethod.NULL, Buffer.alloc(32), OCTETS, SHA2));
  const ed = Buffer.concat([Buffer.from("07300506032b6570", "hex"), Buffer.alloc(64)]);
  refused("UnsupportedMethod", () => verifyAuth(rsa.publicKey, AuthMethod.DIGITAL_SIGNATURE, ed, OCTETS, SHA2));
  refused("HashNotAccepted", () => signAuth(rsa.privateKey, OCTETS, [99]));
});

test("a digital signature shorter than its algorithm identifier is malformed", () => {
  const verified = (data: string) => () =>
    verifyAuth(rsa.publicKey, AuthMethod.DIGITAL_SIGNATURE, Buffer.from(data, "hex"), OCTETS, SHA2);
  for (const data of ["", "00", "0f300d", "0000", "0105"]) refused("Malformed", verified(data));
  refused("UnsupportedMethod", verified("010500"));
  assert.throws(verified("0430020500ff"), /unknown here: 30020500$/);
});

test("any AUTH data gives AuthSignatureError and nothing else, also under a key too small for its algorithm", () => {
  const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
  const methods = fc.constantFrom(...Object.values(AuthMethod), 0, 200);
  const known = [
    ...SHA2.map((hash) => signAuth(rsa.privateKey, OCTETS, [hash], { pss: true }).data),
    signAuth(p256.privateKey, OCTETS, SHA2).data,
  ];
  const octets = fc.uint8Array({ maxLength: 300, size: "max" }).map((bytes) => Buffer.from(bytes));
  const data = fc.oneof(
    octets,
    fc
      .tuple(fc.constantFrom(...known), octets)
      .map(([head, tail]) => Buffer.concat([head.subarray(0, 1 + head[0]!), tail])),
  );
  const key = fc.constantFrom(
    rsa.publicKey,
    rsaPss.publicKey,
    p256.publicKey,
    p521.publicKey,
    ed25519.publicKey,
    small,
  );
  fc.assert(
    fc.property(key, methods, data, (publicKey, method, bytes) => {
      assert.throws(() => verifyAuth(publicKey, method, bytes, OCTETS, [SHA1, ...SHA2]), AuthSignatureError);
    }),
    { numRuns: 1000 },
  );
  for (const head of known) {
    assert.throws(
      () =>
        verifyAuth(
          small,
          AuthMethod.DIGITAL_SIGNATURE,
          Buffer.concat([head.subarray(0, 1 + head[0]!), Buffer.alloc(128)]),
          OCTETS,
          SHA2,
        ),
      AuthSignatureError,
    );
  }
});

function refused(reason: AuthProblem, run: () => unknown): void {
  assert.throws(run, (error: unknown) => error instanceof AuthSignatureError && error.reason === reason);
}
