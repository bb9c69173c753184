import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { DecodeError } from "../../src/bytes/reader.ts";
import { DerError } from "../../src/der/reader.ts";
import * as write from "../../src/der/writer.ts";
import type { Random } from "../../src/sim/environment.ts";
import { seededRandom } from "../../src/sim/random.ts";
import { decodeEntry, endOfUsualEntry, entryRange } from "../../src/trust/crlEntryScan.ts";
import { CrlIndex } from "../../src/trust/crlIndex.ts";
import { halfSipHash, hashKey } from "../../src/trust/halfSipHash.ts";
import { extension } from "../../src/x509/build.ts";
import { type Crl, parseCrl } from "../../src/x509/crl.ts";
import type { Name } from "../../src/x509/name.ts";
import { mutated } from "../ike/codec/arbitrary.ts";
import { DAY, NOW, name } from "../x509/made.ts";

const random = seededRandom("crlIndex");
const issuer = name("CA");
/** ecdsa-with-SHA256 and no signature: what is indexed is not judged. */
const ALGORITHM = write.sequence(write.oid("1.2.840.10045.4.3.2"));
const crlOf = (...entries: readonly Bytes[]): Crl =>
  parseCrl(
    write.sequence(
      write.sequence(
        write.integer(1),
        ALGORITHM,
        issuer.der,
        write.time(NOW - DAY),
        write.time(NOW + DAY),
        ...(entries.length === 0 ? [] : [write.sequence(...entries)]),
      ),
      ALGORITHM,
      write.bitString(Buffer.alloc(8)),
    ),
  );

interface Listed {
  serial: Bytes;
  revokedAt?: number;
  reason?: number;
  invalidityDate?: number;
  issuer?: readonly Name[];
  more?: Bytes;
}
const entryOf = ({ serial, revokedAt = NOW, reason, invalidityDate, issuer, more }: Listed): Bytes => {
  const extensions = [
    ...(reason === undefined
      ? []
      : [extension({ oid: "2.5.29.21", critical: false, value: write.enumerated(reason) })]),
    ...(invalidityDate === undefined
      ? []
      : [extension({ oid: "2.5.29.24", critical: false, value: write.generalizedTime(invalidityDate) })]),
    ...(issuer === undefined
      ? []
      : [
          extension({
            oid: "2.5.29.29",
            critical: true,
            value: write.sequence(...issuer.map((one) => write.explicit(4, one.der))),
          }),
        ]),
    ...(more === undefined ? [] : [more]),
  ];
  return write.sequence(
    write.element(0x02, serial),
    write.time(revokedAt),
    ...(extensions.length === 0 ? [] : [write.sequence(...extensions)]),
  );
};

/** Contents of INTEGERs in their shortest form; half of them of one or two octets, so that some repeat. */
const serials = fc
  .oneof(fc.uint8Array({ minLength: 1, maxLength: 2 }), fc.uint8Array({ minLength: 1, maxLength: 24 }))
  .map((octets) => Buffer.from(octets))
  .filter(
    (octets) => octets.length === 1 || !((octets[0] === 0 || octets[0] === 0xff) && octets[0] >> 7 === octets[1]! >> 7),
  );
const dates = fc.integer({ min: Date.UTC(1950, 0, 1) / 1000, max: Date.UTC(2090, 0, 1) / 1000 }).map((at) => at * 1000);
const recent = fc.integer({ min: 0, max: 1_000_000 }).map((minutes) => NOW + minutes * 60_000);
const listed: fc.Arbitrary<Listed> = fc.record(
  {
    serial: serials,
    revokedAt: dates,
    reason: fc.integer({ min: 0, max: 10 }),
    invalidityDate: dates,
    more: fc.constant(extension({ oid: "1.2.3", critical: false, value: Buffer.alloc(120) })),
  },
  { requiredKeys: ["serial", "revokedAt"] },
);

test("an index finds what the CRL lists, the first of several, and nothing else", () => {
  fc.assert(
    fc.property(fc.array(listed, { maxLength: 80 }), fc.array(serials, { maxLength: 20 }), (entries, others) => {
      const index = CrlIndex.build(crlOf(...entries.map(entryOf)), random);
      const expected = new Map(entries.toReversed().map((entry) => [entry.serial.toString("hex"), entry]));
      assert.equal(index.size, expected.size);
      for (const serial of [...entries.map((entry) => entry.serial), ...others]) {
        const wanted = expected.get(serial.toString("hex"));
        const found = index.lookUp(serial);
        assert.equal(found === undefined, wanted === undefined);
        if (found === undefined) continue;
        assert.deepEqual(
          [found.serial, found.revokedAt, found.reason, found.invalidityDate],
          [wanted?.serial, wanted?.revokedAt, wanted?.reason, wanted?.invalidityDate],
        );
      }
    }),
  );
});

test("the quick check of an entry accepts nothing that the DER reader does not, and ends where it does", () => {
  const usual = fc.record(
    { serial: serials, revokedAt: recent, reason: fc.nat(10), invalidityDate: recent },
    { requiredKeys: ["serial", "revokedAt"] },
  );
  let quick = 0;
  fc.assert(
    fc.property(usual.map(entryOf), fc.nat(), fc.nat(255), (bytes, at, to) => {
      bytes[at % bytes.length] = to;
      const end = endOfUsualEntry(bytes, 0, bytes.length);
      if (end === 0) return;
      quick += 1;
      assert.equal(decodeEntry(bytes, 0, bytes.length).end, end);
    }),
    { numRuns: 5000 },
  );
  assert.ok(quick > 250, `only ${quick} entries went the quick way`);
});

test("entries as CAs write them go the quick way, so that a million of them take no second", () => {
  for (const entry of [
    { serial: Buffer.from("0100", "hex") },
    { serial: Buffer.alloc(20, 0x41), reason: 1 },
    { serial: Buffer.alloc(16, 0x41), reason: 4, invalidityDate: NOW },
    { serial: Buffer.from("00ff", "hex"), revokedAt: Date.UTC(2028, 1, 29) },
  ]) {
    const bytes = entryOf(entry);
    assert.equal(endOfUsualEntry(bytes, 0, bytes.length), bytes.length);
  }
});

test("dates that are none and serial numbers in a longer form than needed are malformed", () => {
  for (const [from, to] of [
    ["260601", "260631"],
    ["260601", "250229"],
    ["260601", "260229"],
    ["260601", "260001"],
    ["000000Z", "240000Z"],
    ["000000Z", "000060Z"],
    ["000000Z", "000000X"],
    ["260601", "2606/1"],
  ] as const) {
    const bytes = Buffer.from(
      entryOf({ serial: Buffer.from([5]) })
        .toString("latin1")
        .replace(from, to),
      "latin1",
    );
    assert.throws(() => CrlIndex.build(crlOf(bytes), random), DerError, to);
  }
  for (const serial of ["0001", "ff80"])
    assert.throws(() => CrlIndex.build(crlOf(entryOf({ serial: Buffer.from(serial, "hex") })), random), DerError);
  assert.throws(() => CrlIndex.build(crlOf(entryOf({ serial: Buffer.alloc(128, 1) })), random), /at most 127/);
});

test("an extension that an entry has twice is malformed", () => {
  const reason = extension({ oid: "2.5.29.21", critical: false, value: write.enumerated(1) });
  assert.throws(
    () => CrlIndex.build(crlOf(entryOf({ serial: Buffer.from([1]), reason: 1, more: reason })), random),
    /twice/,
  );
});

test("in an indirect CRL an entry is of the issuer named last, and only of that", () => {
  const [vendorA, vendorB] = [name("Vendor A"), name("Vendor B")];
  const serial = Buffer.from([7]);
  const crl = crlOf(
    entryOf({ serial, reason: 1 }),
    entryOf({ serial, reason: 2, issuer: [vendorA] }),
    entryOf({ serial: Buffer.from([8]), reason: 3 }),
    entryOf({ serial, reason: 4, issuer: [vendorB] }),
    entryOf({ serial: Buffer.from([9]), reason: 5, issuer: [issuer] }),
    entryOf({ serial: Buffer.from([10]), reason: 6, issuer: [vendorA] }),
  );
  for (const index of [CrlIndex.build(crl, random), copied(crl)]) {
    const reasonOf = (number: number, by?: Name) => index.lookUp(Buffer.from([number]), by)?.reason;
    assert.deepEqual([reasonOf(7), reasonOf(7, issuer), reasonOf(7, vendorA), reasonOf(7, vendorB)], [1, 1, 2, 4]);
    assert.deepEqual([reasonOf(8), reasonOf(8, vendorA), reasonOf(8, vendorB)], [undefined, 3, undefined]);
    assert.deepEqual([reasonOf(9), reasonOf(9, issuer), reasonOf(9, vendorB)], [5, 5, undefined]);
    assert.deepEqual([reasonOf(10), reasonOf(10, vendorA), reasonOf(10, name("vendor  a"))], [undefined, 6, 6]);
    assert.equal(index.size, 6);
    assert.equal(reasonOf(7, name("Vendor C")), undefined);
  }
});

/** The index as another thread would hand it over. */
function copied(crl: Crl): CrlIndex {
  return new CrlIndex(crl, structuredClone(CrlIndex.build(crl, random).table));
}

test("a CRL without entries lists nothing, and one for another issuer's certificate says so", () => {
  const empty = CrlIndex.build(crlOf(), random);
  assert.deepEqual([empty.size, empty.lookUp(Buffer.from([1]))], [0, undefined]);
  const one = CrlIndex.build(crlOf(entryOf({ serial: Buffer.from([1]) })), random);
  assert.equal(one.lookUp(Buffer.from([1]), name("Somebody else")), undefined);
});

test("a critical entry extension that is not processed is told, wherever in the list it stands", () => {
  const critical = extension({ oid: "1.2.3.4", critical: true, value: write.nullValue() });
  const crl = crlOf(entryOf({ serial: Buffer.from([1]) }), entryOf({ serial: Buffer.from([2]), more: critical }));
  assert.equal(CrlIndex.build(crl, random).unknownCritical, "1.2.3.4");
  assert.equal(CrlIndex.build(crlOf(entryOf({ serial: Buffer.from([1]) })), random).unknownCritical, undefined);
});

test("serial numbers made to collide under one key are spread under another, and refused if there is none", () => {
  const known = Buffer.from("0011223344556677", "hex");
  const key = hashKey(known);
  // 600 serial numbers of one slot in the table of 2048 that 600 entries get.
  const colliding: Bytes[] = [];
  for (let number = 0; colliding.length < 600; number++) {
    const serial = Buffer.from([0x10, number >> 16, (number >> 8) & 0xff, number & 0xff]);
    if ((halfSipHash(serial, 0, 4, key) & 2047) === 5) colliding.push(serial);
  }
  const crl = crlOf(...colliding.map((serial) => entryOf({ serial })));
  const keys = [known, Buffer.from("8899aabbccddeeff", "hex")];
  const index = CrlIndex.build(crl, { bytes: () => keys.shift()! });
  assert.ok(colliding.every((serial) => index.lookUp(serial) !== undefined));
  assert.ok(index.table.longestProbe < 50);
  const stuck: Random = { bytes: () => known };
  assert.throws(() => CrlIndex.build(crl, stuck), /collide/);
});

test("damaged CRLs give a DecodeError or an index that can be asked", () => {
  const whole = fc.array(listed, { minLength: 1, maxLength: 8 }).map((entries) => crlOf(...entries.map(entryOf)).der);
  fc.assert(
    fc.property(mutated(whole), serials, (bytes, serial) => {
      try {
        const crl = parseCrl(bytes);
        const { start, end } = entryRange(crl);
        assert.ok(start <= end && end <= bytes.length);
        const index = CrlIndex.build(crl, random);
        const found = index.lookUp(serial);
        if (found !== undefined) assert.deepEqual(found.serial, serial);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});
