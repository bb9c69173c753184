import assert from "node:assert/strict";
import { createECDH, createPublicKey, diffieHellman, generateKeyPairSync, getDiffieHellman } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { Group } from "../../../src/ike/codec/numbers.ts";
import { BadKeyExchangeError, generateKeyExchange } from "../../../src/ike/crypto/dh.ts";

/** Octets of public value and shared secret (RFC 7296 3.4, RFC 5903 7, RFC 8031 2). */
const GROUPS: [name: string, group: number, publicValue: number, shared: number][] = [
  ["MODP_1024", Group.MODP_1024, 128, 128],
  ["MODP_1536", Group.MODP_1536, 192, 192],
  ["MODP_2048", Group.MODP_2048, 256, 256],
  ["MODP_3072", Group.MODP_3072, 384, 384],
  ["MODP_4096", Group.MODP_4096, 512, 512],
  ["MODP_6144", Group.MODP_6144, 768, 768],
  ["MODP_8192", Group.MODP_8192, 1024, 1024],
  ["ECP_256", Group.ECP_256, 64, 32],
  ["ECP_384", Group.ECP_384, 96, 48],
  ["ECP_521", Group.ECP_521, 132, 66],
  ["CURVE25519", Group.CURVE25519, 32, 32],
];

for (const [name, group, publicLength, sharedLength] of GROUPS) {
  test(`${name}: both sides come to the same secret, of the standard's lengths`, () => {
    const initiator = generateKeyExchange(group);
    const responder = generateKeyExchange(group);
    assert.equal(initiator.group, group);
    assert.equal(initiator.publicValue.length, publicLength);
    const shared = initiator.computeShared(responder.publicValue);
    assert.equal(shared.length, sharedLength);
    assert.deepEqual(responder.computeShared(initiator.publicValue), shared);
    assert.notDeepEqual(initiator.publicValue, responder.publicValue);
  });

  test(`${name}: a public value of another length is refused`, () => {
    const exchange = generateKeyExchange(group);
    const peer = generateKeyExchange(group).publicValue;
    bad(() => exchange.computeShared(peer.subarray(1)));
    bad(() => exchange.computeShared(Buffer.concat([Buffer.alloc(1), peer])));
    bad(() => exchange.computeShared(Buffer.alloc(0)));
  });
}

const MODP = ["modp2", "modp5", "modp14", "modp15", "modp16", "modp17", "modp18"];
for (const [index, node] of MODP.entries()) {
  const [name, group] = GROUPS[index]!;

  test(`${name}: agrees with a plain Diffie-Hellman over ${node}`, () => {
    const ours = generateKeyExchange(group);
    const peer = getDiffieHellman(node);
    const shared = ours.computeShared(padded(peer.generateKeys(), ours.publicValue.length));
    assert.deepEqual(shared, padded(peer.computeSecret(ours.publicValue), shared.length));
  });

  test(`${name}: 0, 1, p-1, p and more are refused (RFC 6989 2.1)`, () => {
    const exchange = generateKeyExchange(group);
    const prime = getDiffieHellman(node).getPrime();
    const size = prime.length;
    const lessOne = Buffer.from(prime);
    lessOne[size - 1]! -= 1;
    const one = Buffer.alloc(size);
    one[size - 1] = 1;
    for (const weak of [Buffer.alloc(size), one, lessOne, prime, Buffer.alloc(size, 0xff)]) {
      bad(() => exchange.computeShared(weak));
    }
  });
}

test("a MODP secret that begins with a zero octet keeps the modulus' length (RFC 7296 2.14)", () => {
  const exchange = generateKeyExchange(Group.MODP_1024);
  const value = Buffer.alloc(128);
  let first = 1;
  // One secret in 256 is such; squares are elements of the prime-order subgroup.
  for (let root = 2; first !== 0 && root < 10_000; root++) {
    value.writeUInt32BE(root * root, 124);
    const shared = exchange.computeShared(value);
    assert.equal(shared.length, 128);
    first = shared[0]!;
  }
  assert.equal(first, 0);
});

for (const [name, group, node, size] of [
  ["ECP_256", Group.ECP_256, "prime256v1", 32],
  ["ECP_384", Group.ECP_384, "secp384r1", 48],
  ["ECP_521", Group.ECP_521, "secp521r1", 66],
] as const) {
  test(`${name}: agrees with ECDH over ${node}; the secret is x alone, a value x and y without form octet`, () => {
    const ours = generateKeyExchange(group);
    const peer = createECDH(node);
    const point = peer.generateKeys();
    assert.equal(point[0], 4);
    const shared = ours.computeShared(point.subarray(1));
    assert.deepEqual(shared, peer.computeSecret(Buffer.concat([Buffer.from([4]), ours.publicValue])));
  });

  test(`${name}: what is no point of the curve is refused (RFC 6989 2.3)`, () => {
    const exchange = generateKeyExchange(group);
    const offCurve = Buffer.from(generateKeyExchange(group).publicValue);
    offCurve[2 * size - 1]! ^= 1;
    bad(() => exchange.computeShared(offCurve));
    bad(() => exchange.computeShared(Buffer.alloc(2 * size)));
    bad(() => exchange.computeShared(Buffer.alloc(2 * size, 0xff)));
  });
}

test("CURVE25519: agrees with X25519", () => {
  const ours = generateKeyExchange(Group.CURVE25519);
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x!, "base64url");
  const peerKeyDer = Buffer.concat([
    publicKey.export({ type: "spki", format: "der" }).subarray(0, 12),
    ours.publicValue,
  ]);
  const peerView = diffieHellman({
    privateKey,
    publicKey: createPublicKey({ key: peerKeyDer, format: "der", type: "spki" }),
  });
  assert.deepEqual(ours.computeShared(raw), peerView);
});

test("CURVE25519: points of small order, which make the secret zero, are refused (RFC 7748 6.1)", () => {
  const exchange = generateKeyExchange(Group.CURVE25519);
  for (const point of [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  ]) {
    bad(() => exchange.computeShared(Buffer.from(point, "hex")));
  }
});

test("any octets from a peer give a secret or BadKeyExchangeError", () => {
  for (const [, group, publicLength, sharedLength] of GROUPS) {
    if (publicLength > 256) continue; // the large groups differ in cost only
    const exchange = generateKeyExchange(group);
    const value = fc.uint8Array({ minLength: publicLength, maxLength: publicLength, size: "max" });
    fc.assert(
      fc.property(fc.oneof(value, fc.uint8Array({ maxLength: 300, size: "max" })), (octets) => {
        try {
          assert.equal(exchange.computeShared(Buffer.from(octets)).length, sharedLength);
        } catch (error) {
          assert.ok(error instanceof BadKeyExchangeError, `${error}`);
        }
      }),
      { numRuns: 50 },
    );
  }
});

test("a group that is not known is a fault of the caller", () => {
  assert.throws(() => generateKeyExchange(1), RangeError);
});

function bad(compute: () => unknown): void {
  assert.throws(compute, BadKeyExchangeError);
}

function padded(value: Buffer, size: number): Buffer {
  return Buffer.concat([Buffer.alloc(size - value.length), value]);
}
