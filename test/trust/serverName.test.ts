import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp } from "../../src/bytes/ip.ts";
import { checkServerName, hasAddress, hasDns } from "../../src/trust/serverName.ts";
import { subjectAltName } from "../../src/x509/build.ts";
import { make } from "../x509/made.ts";

const ips = ["192.0.2.1", "2001:db8::1"].map((text) => parseIp(text)!);
const { certificate } = make({
  name: "cn.example",
  extensions: [subjectAltName({ dns: ["segw.example", "*.wild.example"], ip: ips })],
});

test("the FQDN a device connected to must stand in subjectAltName, in any case, with or without the root's dot (7.2.2-4)", () => {
  for (const fqdn of ["segw.example", "SeGW.Example", "segw.example."])
    assert.equal(checkServerName(certificate, { fqdn }), undefined, fqdn);
});

test("no other name will do: no subdomain, no common name, no wildcard, no address as a name", () => {
  const certified = ["segw.example", "*.wild.example", "192.0.2.1", "2001:db8::1"];
  for (const expected of ["a.segw.example", "example", "cn.example", "a.wild.example", "192.0.2.1", ""])
    assert.deepEqual(checkServerName(certificate, { fqdn: expected }), { reason: "NameMismatch", expected, certified });
});

test("an address must stand there as an address, whichever way it is written (7.2.2-4)", () => {
  for (const address of ["192.0.2.1", "2001:db8::1", "2001:DB8:0:0:0:0:0:1"])
    assert.equal(checkServerName(certificate, { address }), undefined, address);
  for (const address of ["192.0.2.2", "2001:db8::2", "::ffff:192.0.2.1", "segw.example", ""])
    assert.equal(checkServerName(certificate, { address })?.reason, "NameMismatch", address);
});

test("a certificate without subjectAltName is for nobody", () => {
  const { certificate: nameless } = make({ name: "segw.example" });
  assert.equal(hasDns(nameless, "segw.example"), false);
  assert.equal(hasAddress(nameless, parseIp("192.0.2.1")), false);
  const mismatch = checkServerName(nameless, { fqdn: "segw.example" });
  assert.deepEqual(mismatch?.certified, []);
});
