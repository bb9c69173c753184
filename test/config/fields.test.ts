import assert from "node:assert/strict";
import { test } from "node:test";
import { cidr, duration, fqdn, ipAddress, path, port } from "../../src/config/fields.ts";

test("durations are written with their unit and come as milliseconds", () => {
  const written: [unknown, number][] = [
    ["500ms", 500],
    ["30s", 30_000],
    ["5m", 300_000],
    ["4h", 4 * 3600_000],
    ["2d", 2 * 86_400_000],
    ["1.5s", 1500],
    ["0s", 0],
    ["0", 0],
    [0, 0],
    ["3650d", 3650 * 86_400_000],
  ];
  for (const [text, milliseconds] of written) assert.equal(duration.parse(text), milliseconds, String(text));
});

test("durations without a unit, with another one, negative or endless are refused with what to write", () => {
  for (const text of ["30", 30, "", "s", "-5s", "5 s", "5S", "5w", "1h30m", "1e3s", "5.s", ".5s", "5s\n", -1, 0.5, NaN])
    assert.match(duration.safeParse(text).error?.issues[0]?.message ?? "accepted", /is no duration; write it as 500ms/);
  for (const text of [true, null, undefined, [], {}])
    assert.equal(
      duration.safeParse(text).error?.issues[0]?.message,
      "is no duration; write it as 500ms, 30s, 5m, 4h or 2d",
    );
  for (const text of ["3651d", `${"9".repeat(400)}ms`])
    assert.match(duration.safeParse(text).error?.issues[0]?.message ?? "accepted", /is more than ten years/);
});

test("FQDNs have at least two labels of letters, digits and inner hyphens", () => {
  const label = "a".repeat(63);
  for (const name of [
    "segw.operator.example",
    "a.b",
    "AP-1.Example",
    "xn--bcher-kva.example",
    "1.2.x",
    `${label}.example`,
  ])
    assert.ok(fqdn.safeParse(name).success, name);
  const long = `${`${label}.`.repeat(3)}${"a".repeat(62)}`;
  assert.equal(long.length, 254);
  for (const name of [
    "",
    "segw",
    ".example",
    "segw.",
    "segw.example.",
    "a..b",
    "-a.example",
    "a-.example",
    "a_b.example",
    "a b.example",
    "*.example",
    "bücher.example",
    "192.0.2.1",
    "segw.1",
    "::1",
    `a${label}.example`,
    long,
    "segw.example\n",
  ])
    assert.match(fqdn.safeParse(name).error?.issues[0]?.message ?? "accepted", /such as segw\.operator\.example/, name);
  assert.ok(fqdn.safeParse(long.slice(1)).success);
});

test("address blocks and addresses of either family, ports and paths", () => {
  for (const block of ["10.64.0.0/16", "0.0.0.0/0", "2001:db8::/64", "192.0.2.1"])
    assert.ok(cidr.safeParse(block).success);
  for (const block of ["10.64.0.0/33", "10.64.0/16", "2001:db8::/129", "10.0.0.0/", "x", ""])
    assert.match(cidr.safeParse(block).error?.issues[0]?.message ?? "accepted", /such as 10\.64\.0\.0\/16/, block);
  for (const address of ["192.0.2.1", "2001:db8::1", "::"]) assert.ok(ipAddress.safeParse(address).success);
  for (const address of ["192.0.2", "192.0.2.1/32", "segw.example", ""])
    assert.match(ipAddress.safeParse(address).error?.issues[0]?.message ?? "accepted", /no IPv4 or IPv6/, address);
  for (const number of [0, 65535]) assert.ok(port.safeParse(number).success);
  for (const number of [-1, 65536, 1.5, "500"]) assert.ok(!port.safeParse(number).success);
  assert.ok(path.safeParse("./x").success);
  assert.ok(!path.safeParse("").success);
});
