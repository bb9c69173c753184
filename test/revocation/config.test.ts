import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { z } from "zod";
import { ConfigError, loadConfig } from "../../src/config/load.ts";
import {
  deviceRevocationSection,
  managementServerRevocationSection,
  policyOf,
  revocationSection,
} from "../../src/revocation/config.ts";

const schema = z.strictObject({ revocation: revocationSection });
const load = (text: string) => loadConfig(schema, text, "segw.yaml").revocation;

function problemsOf(text: string): readonly string[] {
  try {
    load(text);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  throw new Error("it was accepted");
}

test("nothing is checked unless it is configured, and what is configured is strict (7.2.4-4)", () => {
  const policy = policyOf(load("revocation: {}"));
  for (const { issuers, otherwise } of Object.values(policy)) {
    assert.deepEqual(issuers, []);
    assert.deepEqual([otherwise.methods, otherwise.scope], ["none", "path"]);
    // A server named in a certificate is not asked by default (7.2.2-8).
    assert.deepEqual(otherwise.origins, ["operator", "manufacturer"]);
    for (const tolerance of Object.values(otherwise.tolerances)) assert.deepEqual(tolerance, { kind: "refuse" });
  }
});

test("a role's section has no key for a class that it never meets", () => {
  const cases = [
    [deviceRevocationSection, "gateway"],
    [deviceRevocationSection, "managementServer"],
    [managementServerRevocationSection, "device"],
  ] as const;
  for (const [section, key] of cases)
    assert.throws(
      () => loadConfig(section, `${key}: { methods: crl }`, "x.yaml"),
      new RegExp(`"${key}" is no known key`),
    );
});

test("the example in the documentation is a configuration, and says what the text beside it says", () => {
  const document = readFileSync(new URL("../../docs/revocation-policy.md", import.meta.url), "utf8");
  const [, example] = /```yaml\n([\s\S]*?)```/.exec(document)!;
  const section = load(example!);
  const { device, gateway } = policyOf(section);
  assert.equal(gateway.otherwise.methods, "none");
  const { otherwise, issuers } = device;
  assert.equal(otherwise.methods, "crlFirst");
  assert.deepEqual(otherwise.operator.crl, [
    ["http://crl.operator.example/devices.crl", "ldap://dir.operator.example/cn=Devices,o=Operator"],
    ["http://crl.operator.example/devices-delta.crl"],
  ]);
  assert.deepEqual(otherwise.tolerances.stale, { kind: "grace", lasts: 12 * 3600_000 });
  const [vendor] = issuers;
  assert.deepEqual(vendor?.issuers, [{ name: "O=Vendor, CN=Vendor CA" }]);
  assert.equal(vendor.rule.methods, "ocsp");
  assert.deepEqual(vendor.rule.origins, ["manufacturer", "certificate"]);
  assert.deepEqual(vendor.rule.namedHosts, ["vendor.example"]);
  // What it does not name is its class's.
  assert.deepEqual(vendor.rule.tolerances, otherwise.tolerances);
});

test("each mistake is told with its place and what to write", () => {
  const cases: [string, RegExp][] = [
    ["revocation: { device: { methods: crls } }", /segw\.yaml:1:34: "revocation.device.methods"/],
    ["revocation: { device: { stale: never } }", /none of "refuse", "accept" and a time of grace such as 12h/],
    ["revocation: { device: { operator: { crl: ['ftp://a/'] } } }", /http:\/\/, https:\/\/, ldap:\/\/ or file:\/\/\//],
    ["revocation: { device: { operator: { ocsp: ['ldap://a/x'] } } }", /no address of a kind that is spoken here/],
    ["revocation: { device: { issuers: [{ names: ['Vendor'] }] } }", /no name such as "O=Vendor, CN=Vendor CA"/],
    ["revocation: { device: { issuers: [{ fingerprints: ['abc'] }] } }", /no SHA-256 of 64 hexadecimal digits/],
    [
      "revocation: { device: { namedHosts: ['http://a'] } }",
      /namedHosts.0": is neither a domain name such as vendor.example nor an address/,
    ],
    ["revocation: { ocsp: { nonceLength: 129 } }", /nonceLength/],
    ["revocation: { device: { method: crl } }", /did you mean "methods"\?/],
    ["revocation: { deadline: soon }", /"soon" is no duration/],
  ];
  for (const [text, expected] of cases) assert.match(problemsOf(text).join("\n"), expected, text);
});
