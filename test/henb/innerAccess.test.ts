import assert from "node:assert/strict";
import test from "node:test";
import { innerAccess, resolveInside } from "../../src/henb/innerAccess.ts";
import { blockSelector } from "../../src/ipsec/settings.ts";

const SELECTORS = [blockSelector("10.40.0.0/24"), blockSelector("2001:db8:40::/64")];

test("only servers behind the tunnel are asked, and only of a family that the device has an address of", () => {
  const assigned = ["10.40.0.2", "198.51.100.53", "2001:db8:40::2", "2001:db8:41::2"];
  const cases: [string[], string[]][] = [
    [["10.64.0.1"], ["10.40.0.2"]],
    [["2001:db8:64::1"], ["2001:db8:40::2"]],
    [
      ["10.64.0.1", "2001:db8:64::1"],
      ["10.40.0.2", "2001:db8:40::2"],
    ],
    // None was assigned: what the device has must do.
    [[], ["10.40.0.2", "2001:db8:40::2"]],
  ];
  for (const [addresses, expected] of cases)
    assert.deepEqual(innerAccess(SELECTORS, addresses, assigned).dns, expected);
});

test("a tunnel for other ports or protocols than DNS's leads to no server", () => {
  const [selector] = SELECTORS;
  for (const narrow of [{ protocol: 6 }, { startPort: 443, endPort: 443 }])
    assert.deepEqual(innerAccess([{ ...selector!, ...narrow }], ["10.64.0.1"], ["10.40.0.2"]).dns, []);
});

test("the tunnel leads to what its selectors cover, in the families that the device has an address of", () => {
  const { reaches } = innerAccess([...SELECTORS, blockSelector("10.50.0.0/16")], ["10.64.0.1"], []);
  for (const [address, expected] of [
    ["10.40.0.2", true],
    ["10.50.255.1", true],
    ["10.41.0.2", false],
    ["2001:db8:40::2", false],
    ["hems.example", false],
  ] as const)
    assert.equal(reaches(address, 7548), expected, address);
  const onlyTls = innerAccess([{ ...SELECTORS[0]!, startPort: 443, endPort: 443 }], ["10.64.0.1"], []);
  assert.deepEqual([onlyTls.reaches("10.40.0.2", 443), onlyTls.reaches("10.40.0.2", 7548)], [true, false]);
});

test("nobody to ask, and nobody who answers, is no address", async () => {
  assert.deepEqual(await resolveInside("hems.example", { addresses: ["10.64.0.1"], dns: [] }, 1), []);
  // Port 53 of an address where nothing listens; from an address of loopback, so that nothing leaves the machine.
  for (const [own, server] of [
    ["127.0.0.1", "127.0.0.254"],
    ["::1", "::1"],
  ] as const)
    for (const addresses of [[own], []])
      assert.deepEqual(await resolveInside("hems.example", { addresses, dns: [server] }, 50), [], own);
});
