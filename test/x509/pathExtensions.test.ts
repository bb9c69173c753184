/** Extensions that paths and CRLs are judged by: read back as built, and refused where malformed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DerError, DerReader } from "../../src/der/reader.ts";
import * as write from "../../src/der/writer.ts";
import type { NewExtension } from "../../src/x509/build.ts";
import { ALL_REASONS, fullNames, readIssuingDistributionPoint } from "../../src/x509/distributionPoints.ts";
import { Oid } from "../../src/x509/oids.ts";
import { mutated } from "../ike/codec/arbitrary.ts";
import { make, name } from "./made.ts";
import {
  altNames,
  certificatePolicies,
  distributionPoints,
  inhibitAnyPolicy,
  issuingDistributionPoint,
  nameConstraints,
  policyConstraints,
  policyMappings,
} from "./madeExtensions.ts";

const keys = make().keys;
const read = (...more: readonly NewExtension[]) => make({ keys, more }).certificate.extensions;
const withValue = (oid: string, value: Buffer, critical = false) => read({ oid, critical, value });
const refused = (oid: string, value: Buffer, why: RegExp) =>
  assert.throws(
    () => withValue(oid, value),
    (error) => error instanceof DerError && why.test(error.message),
    String(why),
  );
const [P1, P2] = ["1.2.3.1", "1.2.3.2"];

test("policies, mappings and constraints read back, and none of them counts as unknown", () => {
  const extensions = read(
    certificatePolicies(P1, Oid.anyPolicy),
    policyMappings([P1, P2]),
    policyConstraints({ requireExplicit: 3, inhibitMapping: 0 }),
    inhibitAnyPolicy(2),
    nameConstraints([{ dns: "a.example" }]),
  );
  assert.deepEqual(extensions.certificatePolicies, [P1, Oid.anyPolicy]);
  assert.deepEqual(extensions.policyMappings, [{ issuerDomain: P1, subjectDomain: P2 }]);
  assert.deepEqual(extensions.policyConstraints, { requireExplicitPolicy: 3, inhibitPolicyMapping: 0 });
  assert.equal(extensions.inhibitAnyPolicy, 2);
  assert.deepEqual(extensions.unknownCritical, []);
  assert.deepEqual(read(policyConstraints({})).policyConstraints, {
    requireExplicitPolicy: undefined,
    inhibitPolicyMapping: undefined,
  });
});

test("a qualifier of an unknown kind makes critical policies unprocessed, and leaves uncritical ones", () => {
  const withQualifier = (id: string) =>
    write.sequence(write.sequence(write.oid(P1), write.sequence(write.sequence(write.oid(id), write.utf8String("x")))));
  const { certificatePolicies: oid } = Oid;
  assert.deepEqual(withValue(oid, withQualifier("1.2.3.4"), true).unknownCritical, ["1.2.3.4"]);
  assert.deepEqual(withValue(oid, withQualifier("1.2.3.4")).unknownCritical, []);
  assert.deepEqual(withValue(oid, withQualifier(Oid.cpsQualifier), true).unknownCritical, []);
});

test("malformed policy extensions are refused with the name of what is wrong", () => {
  refused(Oid.certificatePolicies, write.sequence(), /names no policy/);
  refused(Oid.certificatePolicies, certificatePolicies(P1, P1).value, /1\.2\.3\.1 twice/);
  const many = Array.from({ length: 257 }, (_, i) => `1.2.3.${i}`);
  refused(Oid.certificatePolicies, certificatePolicies(...many).value, /more than 256/);
  refused(Oid.policyMappings, policyMappings(...many.map((p) => [p, P1] as const)).value, /more than 256/);
  refused(Oid.policyMappings, write.sequence(write.sequence(write.oid(P1))), /subjectDomainPolicy/);
  for (const skip of ["8001ff", "8000", "80020001", "80050100000000"])
    refused(Oid.policyConstraints, write.sequence(Buffer.from(skip, "hex")), /requireExplicitPolicy.*not a number/);
});

test("subtrees read back by form, addresses with their masks, unread forms by their tags", () => {
  const vendor = name("Vendor");
  const constraints = read(
    nameConstraints(
      [{ dns: "a.example" }, { email: ".b.example" }, { uri: "c.example" }, { directory: vendor }],
      [{ ip: Buffer.from("0a000000ff000000", "hex") }, { ip: Buffer.alloc(32) }, { registeredId: "1.2.3" }],
    ),
  ).nameConstraints!;
  const { permitted, excluded } = constraints;
  assert.deepEqual([permitted.dns, permitted.email, permitted.uri], [["a.example"], [".b.example"], ["c.example"]]);
  assert.ok(permitted.directory[0]?.equals(vendor));
  assert.deepEqual(
    excluded.ip.map(({ length }) => length),
    [8, 32],
  );
  assert.deepEqual(excluded.others, [8]);
  assert.deepEqual(permitted.others, []);
});

test("malformed name constraints are refused: lengths of addresses, distances, too many, octets after them", () => {
  const { nameConstraints: oid } = Oid;
  for (const length of [4, 7, 9, 16, 31, 33])
    refused(oid, nameConstraints([{ ip: Buffer.alloc(length) }]).value, /iPAddress of/);
  const subtree = (...distance: readonly Buffer[]) =>
    write.sequence(write.explicit(0, write.sequence(write.implicit(2, Buffer.from("a")), ...distance)));
  assert.ok(withValue(oid, subtree()));
  refused(oid, subtree(write.implicit(0, Buffer.from([1]))), /GeneralSubtree.*too many/);
  refused(oid, subtree(write.implicit(1, Buffer.from([1]))), /GeneralSubtree.*too many/);
  refused(oid, nameConstraints(Array.from({ length: 257 }, () => ({ dns: "a" }))).value, /more than 256/);
  refused(oid, write.sequence(write.explicit(2)), /too many/);
});

test("distribution points read back: full and relative names, reasons, CRL issuers, and their URLs", () => {
  const issuer = name("CRL issuer");
  const { crlDistributionPoints: points, crlUrls } = read(
    distributionPoints(
      { fullName: [{ uri: "http://a.example/" }, { directory: issuer }], reasons: [1, 8] },
      { relativeName: "part 1", crlIssuer: issuer },
      { crlIssuer: issuer },
    ),
  );
  assert.deepEqual(crlUrls, ["http://a.example/"]);
  assert.deepEqual(
    points.map(({ reasons }) => reasons),
    [0x102, undefined, undefined],
  );
  assert.ok(points[2]?.crlIssuer?.directory[0]?.equals(issuer));
  assert.deepEqual(
    points.map(({ name: point }) => point && fullNames(point, issuer).directory.map(String)),
    [["O=Femtogate, CN=CRL issuer"], ["O=Femtogate, CN=CRL issuer, CN=part 1"], undefined],
  );
});

test("an issuing distribution point reads back with every flag, and a flag must be a BOOLEAN", () => {
  const parse = (value: Buffer) => readIssuingDistributionPoint(new DerReader(value));
  for (const only of ["user", "ca", "attribute", undefined] as const) {
    const scope = parse(
      issuingDistributionPoint({ ...(only && { only }), indirect: only === "ca", reasons: [0, 6] }).value,
    );
    assert.deepEqual(
      [scope.onlyContainsUserCerts, scope.onlyContainsCaCerts, scope.onlyContainsAttributeCerts, scope.indirectCrl],
      [only === "user", only === "ca", only === "attribute", only === "ca"],
    );
    assert.equal(scope.onlySomeReasons, 0x40, "the unused bit 0 is no reason");
  }
  assert.throws(() => parse(write.sequence(write.implicit(1, Buffer.from([1])))), /onlyContainsUserCerts.*BOOLEAN/);
  assert.throws(() => parse(write.sequence(write.implicit(3, Buffer.from([8, 0])))), /ReasonFlags/);
  const all = parse(issuingDistributionPoint({ reasons: [1, 2, 3, 4, 5, 6, 7, 8] }).value);
  assert.equal(all.onlySomeReasons, ALL_REASONS);
});

test("extensions with any octets changed, cut or lengthened read or are a DerError", () => {
  const whole = [
    nameConstraints([{ dns: "a.example" }, { directory: name("x") }], [{ ip: Buffer.alloc(8) }]),
    certificatePolicies(P1, P2),
    policyMappings([P1, P2]),
    policyConstraints({ requireExplicit: 1, inhibitMapping: 2 }),
    distributionPoints({ relativeName: "x", reasons: [1], crlIssuer: name("y") }),
    altNames({ directory: name("z") }, { registeredId: "1.2.3" }),
  ];
  fc.assert(
    fc.property(
      fc
        .constantFrom(...whole)
        .chain((extension) => mutated(fc.constant(extension.value)).map((value) => ({ ...extension, value }))),
      (extension) => {
        try {
          const { crlDistributionPoints } = read(extension);
          for (const { name: point } of crlDistributionPoints) if (point !== undefined) fullNames(point, name("y"));
        } catch (error) {
          assert.ok(error instanceof DerError, String(error));
        }
      },
    ),
    { numRuns: 1500 },
  );
});
