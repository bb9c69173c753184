import assert from "node:assert/strict";
import { test } from "node:test";
import { type PathRefusal, type PathRequest, validatePath } from "../../src/trust/path.ts";
import type { NewExtension } from "../../src/x509/build.ts";
import { makeName, type Name } from "../../src/x509/name.ts";
import type { NameConstraints } from "../../src/x509/nameConstraintsExtension.ts";
import { Oid } from "../../src/x509/oids.ts";
import { LEAF_EXTENSIONS, type Made, make, NOW } from "../x509/made.ts";
import { altNames, type NewGeneralName, nameConstraints } from "../x509/madeExtensions.ts";

const keys = make().keys;
const root = make({ name: "Root", keys });
const caWith = (...more: readonly NewExtension[]) => make({ name: "CA", keys, issuer: root, more });
const named = (...values: readonly string[]) =>
  makeName(values.map((value) => ({ type: Oid.organizationalUnit, value })));
const address = (text: string) => Buffer.from(text.split(".").map(Number));
const subtree = (text: string, mask: string) => ({ ip: Buffer.concat([address(text), address(mask)]) });

/** Constraint, then names within it and names without. */
const FORMS: readonly (readonly [
  what: string,
  base: NewGeneralName,
  within: NewGeneralName[],
  without: NewGeneralName[],
])[] = [
  [
    "a DNS name holds for the host and everything below it",
    { dns: "vendor.example" },
    [
      { dns: "vendor.example" },
      { dns: "AP-1.Vendor.EXAMPLE" },
      { dns: "a.b.vendor.example" },
      { dns: "x.vendor.example." },
    ],
    [{ dns: "notvendor.example" }, { dns: "example" }, { dns: "vendor.example.evil" }, { dns: "vendor.example.." }],
  ],
  [
    "a DNS name with a dot ahead holds for what is below it only",
    { dns: ".vendor.example" },
    [{ dns: "ap-1.vendor.example" }],
    [{ dns: "vendor.example" }, { dns: "notvendor.example" }],
  ],
  ["an empty DNS name holds for every DNS name", { dns: "" }, [{ dns: "a" }, { dns: "b.example" }], []],
  [
    "a mailbox holds for itself, its local part by case",
    { email: "Root@vendor.example" },
    [{ email: "Root@VENDOR.example" }, { email: "Root@vendor.example." }],
    [{ email: "root@vendor.example" }, { email: "Root@a.vendor.example" }, { email: "xRoot@vendor.example" }],
  ],
  [
    "a host holds for its mailboxes and not for those of hosts below it",
    { email: "vendor.example" },
    [{ email: "a@vendor.example" }, { email: '"x@y"@Vendor.example' }],
    [{ email: "a@b.vendor.example" }, { email: "vendor.example@evil.example" }],
  ],
  [
    "a domain holds for the mailboxes of hosts below it",
    { email: ".vendor.example" },
    [{ email: "a@b.vendor.example" }],
    [{ email: "a@vendor.example" }, { email: "a@notvendor.example" }],
  ],
  [
    "a host holds for URIs at it, whatever user, port and path they have",
    { uri: "vendor.example" },
    [
      { uri: "http://vendor.example" },
      { uri: "https://u:p@Vendor.example:8443/a@b?c#d" },
      { uri: "ldap://vendor.example./o=x" },
    ],
    [
      { uri: "http://a.vendor.example/" },
      { uri: "http://evil.example/vendor.example" },
      { uri: "http://evil.example#@vendor.example" },
    ],
  ],
  [
    "a domain holds for URIs at hosts below it",
    { uri: ".vendor.example" },
    [{ uri: "http://a.vendor.example/" }],
    [{ uri: "http://vendor.example/" }, { uri: "http://avendor.example/" }],
  ],
  [
    "a block of IPv4 addresses holds for those in it and for no IPv6 address",
    subtree("10.1.0.0", "255.255.0.0"),
    [{ ip: address("10.1.0.0") }, { ip: address("10.1.255.255") }],
    [{ ip: address("10.2.0.0") }, { ip: address("11.1.0.0") }, { ip: Buffer.alloc(16) }],
  ],
  [
    "a block of IPv6 addresses holds for those in it",
    { ip: Buffer.from(`20010db8${"0".repeat(24)}ffffffff${"0".repeat(24)}`, "hex") },
    [{ ip: Buffer.from(`20010db8${"f".repeat(24)}`, "hex") }],
    [{ ip: Buffer.from(`20010db9${"0".repeat(24)}`, "hex") }, { ip: Buffer.from("20010db8", "hex") }],
  ],
  [
    "a directory name holds for itself and what is below it, without regard to case",
    { directory: named("Vendor", "Femto") },
    [{ directory: named("VENDOR", "femto") }, { directory: named("Vendor", "Femto", "AP") }],
    [{ directory: named("Vendor") }, { directory: named("Vendor", "Femto2") }, { directory: named("Femto", "Vendor") }],
  ],
];

for (const [what, base, within, without] of FORMS) {
  test(`${what}, permitted or excluded`, () => {
    const subject = named();
    for (const [names, isWithin] of [[within, true] as const, [without, false] as const]) {
      for (const name of names) {
        const said = JSON.stringify(name);
        assert.equal(
          reasonOf(leafWith({ subject, names: [name] }, caWith(nameConstraints([base])))),
          isWithin ? "valid" : "NameNotPermitted",
          said,
        );
        assert.equal(
          reasonOf(leafWith({ subject, names: [name] }, caWith(nameConstraints([], [base])))),
          isWithin ? "NameNotPermitted" : "valid",
          said,
        );
      }
    }
  });
}

test("every name must be permitted, by every CA above, and names of other forms are free", () => {
  const wide = make({ name: "Wide", keys, issuer: root, more: [nameConstraints([{ dns: "example" }])] });
  const narrow = make({
    name: "CA",
    keys,
    issuer: wide,
    more: [nameConstraints([{ dns: "a.example" }, { dns: "test" }])],
  });
  const reason = (...names: readonly NewGeneralName[]) =>
    reasonOf(leafWith({ names }, narrow), { cas: [narrow, wide] });
  assert.equal(reason({ dns: "x.a.example" }, { email: "a@b" }, { ip: address("10.0.0.1") }), "valid");
  assert.equal(reason({ dns: "x.b.example" }), "NameNotPermitted", "the lower CA does not permit it");
  assert.equal(reason({ dns: "x.test" }), "NameNotPermitted", "the upper CA does not permit it");
  assert.equal(reason({ dns: "x.a.example" }, { dns: "b.example" }), "NameNotPermitted");
  const both = caWith(nameConstraints([{ dns: "example" }], [{ dns: "b.example" }]));
  assert.equal(reasonOf(leafWith({ names: [{ dns: "b.example" }] }, both)), "NameNotPermitted", "excluded wins");
});

test("the refusal says which name, which certificate, and why", () => {
  const leaf = leafWith({ names: [{ dns: "b.example" }] }, caWith(nameConstraints([{ dns: "a.example" }])));
  assert.deepEqual(refusalOf(leaf), {
    reason: "NameNotPermitted",
    subject: "O=Femtogate, CN=leaf",
    name: "b.example",
    because: "not within a permitted subtree",
  });
});

test("the subject counts as a directory name, an e-mail address in it as one, a common name of an end entity as DNS", () => {
  const inVendor = caWith(nameConstraints([{ directory: named("Vendor") }]));
  assert.equal(reasonOf(leafWith({ subject: named("Vendor", "x") }, inVendor)), "valid");
  assert.equal(reasonOf(leafWith({ subject: named("Other", "x") }, inVendor)), "NameNotPermitted");
  const mail = (value: string) => makeName([{ type: Oid.emailAddress, value }]);
  const noMail = caWith(nameConstraints([], [{ email: "b.example" }]));
  assert.equal(reasonOf(leafWith({ subject: mail("x@b.example") }, noMail)), "NameNotPermitted");
  assert.equal(reasonOf(leafWith({ subject: mail("x@c.example") }, noMail)), "valid");
  // TS 33.320 8.3.3.1-2: a device's identity may stand in the common name alone.
  const commonName = (value: string) => makeName([{ type: Oid.commonName, value }]);
  const devices = caWith(nameConstraints([{ dns: "a.example" }]));
  assert.equal(reasonOf(leafWith({ subject: commonName("ap-1.a.example") }, devices)), "valid");
  assert.equal(reasonOf(leafWith({ subject: commonName("ap-1.b.example") }, devices)), "NameNotPermitted");
  assert.equal(reasonOf(leafWith({ subject: commonName("A person") }, devices)), "valid");
  const withSan = { subject: commonName("ap-1.b.example"), names: [{ dns: "ap-1.a.example" }] };
  assert.equal(reasonOf(leafWith(withSan, devices)), "valid", "the common name does not count beside a dNSName");
});

test("a common name of a CA is no DNS name", () => {
  const subject = makeName([{ type: Oid.commonName, value: "ca.b.example" }]);
  const above = caWith(nameConstraints([{ dns: "a.example" }]));
  const below = make({ subject, keys, issuer: above });
  const leaf = leafWith({ names: [{ dns: "a.example" }] }, below);
  assert.equal(reasonOf(leaf, { cas: [below, above] }), "valid");
});

test("self-issued CAs are exempt, a self-issued end entity is not", () => {
  const constrained = make({
    name: "CA",
    keys,
    issuer: root,
    more: [nameConstraints([{ directory: named("Vendor") }])],
  });
  const rolledOver = make({ name: "CA", issuer: constrained });
  const below = leafWith({ subject: named("Vendor", "x") }, rolledOver);
  assert.equal(reasonOf(below, { cas: [rolledOver, constrained] }), "valid");
  const self = make({ name: "CA", issuer: constrained, extensions: LEAF_EXTENSIONS });
  assert.equal(reasonOf({ leaf: self, issuer: constrained }), "NameNotPermitted");
});

test("constraints of the root, and of the caller, hold for all below", () => {
  const strict = make({ name: "Root", keys, more: [nameConstraints([{ dns: "a.example" }])] });
  const leaf = leafWith({ names: [{ dns: "b.example" }] }, strict);
  assert.equal(reasonOf(leaf, { anchors: [strict.certificate] }), "NameNotPermitted");
  const vendor = caWith(nameConstraints([{ dns: "a.example" }])).certificate.extensions.nameConstraints;
  const free = leafWith({ names: [{ dns: "b.example" }] }, root);
  assert.equal(reasonOf(free), "valid");
  assert.equal(reasonOf(free, { nameConstraints: vendor! }), "NameNotPermitted");
});

test("names that cannot be held against a constraint of their form are refused, others are not", () => {
  const cases: readonly (readonly [NewGeneralName, NewGeneralName])[] = [
    [{ registeredId: "1.2.3" }, { registeredId: "1.2.4" }],
    [{ uri: "vendor.example" }, { uri: "urn:uuid:0" }],
    [{ uri: "vendor.example" }, { uri: "http://192.0.2.1/" }],
    [{ uri: "vendor.example" }, { uri: "http://[2001:db8::1]/" }],
    [{ email: "vendor.example" }, { email: "vendor.example" }],
  ];
  for (const [base, name] of cases) {
    for (const constraints of [nameConstraints([base]), nameConstraints([], [base])]) {
      const refusal = refusalOf(leafWith({ names: [name] }, caWith(constraints)));
      assert.equal(refusal.reason, "NameConstraintUnprocessable", JSON.stringify(name));
    }
    assert.equal(reasonOf(leafWith({ names: [name] }, caWith(nameConstraints([{ dns: "x" }])))), "valid");
  }
});

test("more names and subtrees than are held against each other are refused", () => {
  const many = (count: number, kind: "names" | "subtrees") =>
    Array.from({ length: count }, (_, i) => ({ dns: kind === "names" ? `${i}.example` : `${i}.test` }));
  const base = caWith(nameConstraints([{ dns: "example" }, ...many(200, "subtrees")], many(200, "subtrees")));
  assert.equal(reasonOf(leafWith({ names: many(100, "names") }, base)), "valid");
  assert.equal(reasonOf(leafWith({ names: many(200, "names") }, base)), "NameConstraintUnprocessable");
});

interface Leaf {
  leaf: Made;
  issuer: Made;
}

function leafWith({ subject, names = [] }: { subject?: Name; names?: readonly NewGeneralName[] }, issuer: Made): Leaf {
  const more = names.length === 0 ? [] : [altNames(...names)];
  const named = subject === undefined ? { name: "leaf" } : { subject };
  return { leaf: make({ keys, issuer, extensions: LEAF_EXTENSIONS, more, ...named }), issuer };
}

interface Over {
  cas?: readonly Made[];
  anchors?: PathRequest["anchors"];
  nameConstraints?: NameConstraints;
}

function validate({ leaf, issuer }: Leaf, { cas = [issuer], ...over }: Over) {
  return validatePath({
    leaf: leaf.certificate,
    intermediates: cas.map(({ certificate }) => certificate),
    anchors: [root.certificate],
    time: NOW,
    purpose: "any",
    maxPath: 4,
    allowWeakAlgorithms: false,
    ...over,
  });
}

function reasonOf(leaf: Leaf, over: Over = {}): string {
  const verdict = validate(leaf, over);
  return verdict.valid ? "valid" : verdict.refusal.reason;
}

function refusalOf(leaf: Leaf): PathRefusal {
  const verdict = validate(leaf, {});
  assert.ok(!verdict.valid);
  return verdict.refusal;
}
