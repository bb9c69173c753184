import assert from "node:assert/strict";
import { createCipheriv, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { AesGcm16, createEspCipher, ESP_HEADER, type EspCipher } from "../../src/esp/cipher.ts";
import type { EspEncryption, EspIntegrity, EspSuite } from "../../src/esp/dataPlane.ts";
import { EspError, type EspProblem } from "../../src/esp/error.ts";
import { open } from "../../src/esp/transform.ts";
import { octets } from "../ike/codec/arbitrary.ts";
import { direction, GCM, SUITES } from "./specs.ts";

interface GcmCase {
  name: string;
  alg: string;
  key: string;
  iv: string;
  adata: string;
  plain: string;
  cipher: string;
}

interface PacketCases {
  gcm: { cases: { name: string; key: string; esn: boolean; high: string; plaintext: string; packet: string }[] };
  cbc: { cases: { name: string; key: string; payload: string; nextHeader: number; packetWithoutIcv: string }[] };
}

const gcmCases = (vectors("aes-gcm-esp.json") as { cases: GcmCase[] }).cases;
const packets = vectors("esp-packets.json") as PacketCases;

/** Their ICV is shorter than the 16 octets that are negotiated here; see test/vectors/aes-gcm-esp.md. */
const SHORT_ICV: Record<string, number> = {
  aes_gcm3_1: 8,
  aes_gcm3_2: 12,
  aes_gcm17: 8,
  aes_gcm18: 12,
  aes_gcm19: 8,
  aes_gcm20: 12,
};

describe("AES-GCM for ESP (RFC 4106)", () => {
  test("all 21 published cases are here, and those with a short ICV are the ones named", () => {
    assert.equal(gcmCases.length, 21);
    const short = gcmCases.filter(({ alg }) => alg !== "ENCR_AES_GCM_ICV16").map(({ name }) => name);
    assert.deepEqual(short, Object.keys(SHORT_ICV));
  });

  for (const { name, key, iv, adata, plain, cipher } of gcmCases) {
    const icvLength = SHORT_ICV[name] ?? 16;
    test(`gives what case ${name} says${icvLength === 16 ? "" : `, its ICV cut to ${icvLength} octets`}`, () => {
      const gcm = new AesGcm16(hex(key));
      const made = gcm.encrypt(hex(iv), hex(adata), hex(plain));
      const octets = Buffer.concat([made.ciphertext, made.icv]).subarray(0, plain.length / 2 + icvLength);
      assert.equal(octets.toString("hex"), cipher);
      if (icvLength === 16)
        assert.deepEqual(gcm.decrypt(hex(iv), hex(adata), made.ciphertext, made.icv)?.toString("hex"), plain);
    });
  }

  test("all 14 published packets are here", () => assert.equal(packets.gcm.cases.length, 14));

  for (const { name, key, esn, high, plaintext, packet } of packets.gcm.cases) {
    const keyAndSalt = hex(key);
    if (keyAndSalt.length === 28) {
      test(`the cipher alone gives packet ${name}`, () => {
        const [head, iv] = [hex(packet).subarray(0, 8), hex(packet).subarray(8, 16)];
        const { ciphertext, icv } = new AesGcm16(keyAndSalt).encrypt(iv, head, hex(plaintext));
        assert.equal(Buffer.concat([head, iv, ciphertext, icv]).toString("hex"), packet);
      });
      continue;
    }
    const suite: EspSuite = {
      encryption: keyAndSalt.length === 20 ? "aes-128-gcm" : "aes-256-gcm",
      integrity: "none",
      esn,
    };
    test(`makes and opens packet ${name}`, () => {
      const cipher = createEspCipher(suite, keys(keyAndSalt));
      const made = Buffer.concat([hex(packet).subarray(0, 16), hex(plaintext), Buffer.alloc(16)]);
      const highHalf = Number.parseInt(high, 16);
      cipher.protect(made, highHalf);
      assert.equal(made.toString("hex"), packet);
      assert.equal(cipher.open(hex(packet), highHalf).toString("hex"), plaintext);
      if (esn) refused("IntegrityFailure", () => cipher.open(hex(packet), (highHalf ^ 1) >>> 0));
    });
  }
});

describe("CBC with HMAC for ESP (RFC 3602, RFC 2404, RFC 4868)", () => {
  for (const { name, key, payload, nextHeader, packetWithoutIcv } of packets.cbc.cases) {
    test(`opens packet ${name} of RFC 3602, once an HMAC follows it`, () => {
      const integrityKey = Buffer.alloc(32, 7);
      const suite = { encryption: "aes-128-cbc", integrity: "hmac-sha256-128", esn: false } as const;
      const cipher = createEspCipher(suite, keys(hex(key), integrityKey));
      const front = hex(packetWithoutIcv);
      const icv = createHmac("sha256", integrityKey).update(front).digest().subarray(0, 16);
      const opened = open(cipher, Buffer.concat([front, icv]), 0);
      assert.deepEqual(
        { payload: opened.payload.toString("hex"), nextHeader: opened.nextHeader },
        { payload, nextHeader },
      );
    });
  }

  for (const [integrity, { hash, icvLength }] of Object.entries(HMAC()) as [EspIntegrity, Hmac][]) {
    for (const [encryption, { algorithm, blockLength }] of Object.entries(CBC_CIPHERS()) as [EspEncryption, Cbc][]) {
      test(`${encryption} with ${integrity} is the cipher's output, then ${icvLength} octets of ${hash} over all before`, () => {
        for (const esn of [false, true]) {
          const suite: EspSuite = { encryption, integrity, esn };
          const at = direction(suite, 0x1234);
          const cipher = createEspCipher(suite, at);
          assert.deepEqual([cipher.ivLength, cipher.icvLength, cipher.randomIv], [blockLength, icvLength, true]);
          const plaintext = Buffer.alloc(blockLength * 3, 0x5a);
          const head = hex("0000123480000001");
          const iv = Buffer.alloc(blockLength, 0xa5);
          const packet = Buffer.concat([head, iv, plaintext, Buffer.alloc(icvLength)]);
          const high = 0x0102_0304;
          cipher.protect(packet, high);
          const reference = createCipheriv(algorithm, at.encryptionKey, iv).setAutoPadding(false).update(plaintext);
          const hmac = createHmac(hash, at.integrityKey).update(head).update(iv).update(reference);
          if (esn) hmac.update(hex("01020304"));
          const icv = hmac.digest().subarray(0, icvLength);
          assert.equal(packet.toString("hex"), Buffer.concat([head, iv, reference, icv]).toString("hex"));
          assert.deepEqual(cipher.open(packet, high), plaintext);
        }
      });
    }
  }
});

describe("every suite", () => {
  test("is in the list of the tests: two AEADs, and four CBC ciphers with four HMACs", () => {
    assert.equal(new Set(SUITES.map(nameOf)).size, 2 + 4 * 4);
  });

  for (const suite of SUITES) {
    for (const esn of [false, true]) {
      const cipher = createEspCipher({ ...suite, esn }, direction({ ...suite, esn }, 0x4321));
      const packet = protectedPacket(cipher, 5);

      test(`${nameOf({ ...suite, esn })} notices any changed octet, and a cut or longer packet`, () => {
        for (let at = 0; at < packet.length; at++) {
          const changed = Buffer.from(packet);
          changed[at]! ^= 0x40;
          refused("IntegrityFailure", () => cipher.open(changed, 5));
        }
        assert.throws(() => cipher.open(packet.subarray(0, -1), 5), EspError);
        assert.throws(() => cipher.open(packet.subarray(0, -cipher.alignment), 5), EspError);
        assert.throws(() => cipher.open(Buffer.concat([packet, Buffer.alloc(cipher.alignment)]), 5), EspError);
      });

      test(`${nameOf({ ...suite, esn })} ${esn ? "has" : "does not have"} the high half in its ICV`, () => {
        if (esn) refused("IntegrityFailure", () => cipher.open(packet, 6));
        else assert.deepEqual(cipher.open(packet, 6), cipher.open(packet, 5));
      });
    }

    test(`${nameOf(suite)} refuses a packet with no whole number of blocks before it looks at the ICV`, () => {
      const cipher = createEspCipher({ ...suite, esn: false }, direction({ ...suite, esn: false }, 0x4321));
      const least = ESP_HEADER + cipher.ivLength + cipher.icvLength + Math.max(2, cipher.alignment);
      for (let length = ESP_HEADER; length < least + 2 * cipher.alignment; length++) {
        const isWhole = cipher.randomIv
          ? length >= least && (length - least) % cipher.alignment === 0
          : length >= ESP_HEADER + cipher.ivLength + cipher.icvLength + 2;
        refused(isWhole ? "IntegrityFailure" : "Truncated", () => cipher.open(Buffer.alloc(length), 0));
      }
    });
  }
});

test("keys of a wrong length, and combinations that no suite has, are a mistake of the caller's", () => {
  const at = direction(GCM, 1);
  const short = { ...at, encryptionKey: at.encryptionKey.subarray(1) };
  assert.throws(() => createEspCipher(GCM, short), /aes-128-gcm key has 19 octets instead of 20/);
  for (const suite of SUITES) {
    const whole = direction({ ...suite, esn: false }, 1);
    const longer = { ...whole, encryptionKey: Buffer.concat([whole.encryptionKey, Buffer.alloc(1)]) };
    assert.throws(() => createEspCipher({ ...suite, esn: false }, longer), RangeError);
    const otherIntegrity = { ...whole, integrityKey: Buffer.concat([whole.integrityKey, Buffer.alloc(1)]) };
    assert.throws(() => createEspCipher({ ...suite, esn: false }, otherIntegrity), /key has/);
    const mixed: EspSuite = { ...suite, integrity: suite.integrity === "none" ? "hmac-sha1-96" : "none", esn: false };
    assert.throws(() => createEspCipher(mixed, whole), /cannot go with/);
  }
});

test("random octets are refused as Truncated or IntegrityFailure by every suite", () => {
  const ciphers = SUITES.map((suite) =>
    createEspCipher({ ...suite, esn: true }, direction({ ...suite, esn: true }, 0x4321)),
  );
  fc.assert(
    fc.property(fc.constantFrom(...ciphers), octets(ESP_HEADER, 120), fc.nat(), (cipher, packet, high) => {
      assert.throws(
        () => cipher.open(packet, high),
        (error) => error instanceof EspError && ["Truncated", "IntegrityFailure"].includes(error.problem),
      );
    }),
    { numRuns: 1000 },
  );
});

function protectedPacket(cipher: EspCipher, high: number): Bytes {
  const packet = Buffer.alloc(ESP_HEADER + cipher.ivLength + 48 + cipher.icvLength, 3);
  cipher.protect(packet, high);
  return packet;
}

function keys(encryptionKey: Bytes, integrityKey: Bytes = Buffer.alloc(0)) {
  return { ...direction(GCM, 1), encryptionKey, integrityKey };
}

interface Hmac {
  hash: string;
  icvLength: number;
}

/** RFC 2404 and RFC 4868, written down again rather than taken from what is tested. */
function HMAC(): Record<Exclude<EspIntegrity, "none">, Hmac> {
  return {
    "hmac-sha1-96": { hash: "sha1", icvLength: 12 },
    "hmac-sha256-128": { hash: "sha256", icvLength: 16 },
    "hmac-sha384-192": { hash: "sha384", icvLength: 24 },
    "hmac-sha512-256": { hash: "sha512", icvLength: 32 },
  };
}

interface Cbc {
  algorithm: string;
  blockLength: number;
}

function CBC_CIPHERS(): Record<Exclude<EspEncryption, "aes-128-gcm" | "aes-256-gcm">, Cbc> {
  return {
    "aes-128-cbc": { algorithm: "aes-128-cbc", blockLength: 16 },
    "aes-192-cbc": { algorithm: "aes-192-cbc", blockLength: 16 },
    "aes-256-cbc": { algorithm: "aes-256-cbc", blockLength: 16 },
    "3des-cbc": { algorithm: "des-ede3-cbc", blockLength: 8 },
  };
}

function nameOf({ encryption, integrity, esn }: Omit<EspSuite, "esn"> & { esn?: boolean }): string {
  return `${encryption}${integrity === "none" ? "" : ` with ${integrity}`}${esn === true ? " and ESN" : ""}`;
}

function refused(problem: EspProblem, run: () => unknown): void {
  assert.throws(run, (error) => error instanceof EspError && error.problem === problem);
}

function hex(text: string): Bytes {
  return Buffer.from(text, "hex");
}

function vectors(file: string): unknown {
  return JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), "utf8"));
}
