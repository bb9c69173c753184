import assert from "node:assert/strict";
import { BlockList, isIP } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { cidrRange, formatIp, netmask, parseCidr, parseIp } from "../../src/bytes/ip.ts";
import { octets } from "../ike/codec/arbitrary.ts";

const group = fc.oneof(
  fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16)),
  fc.constantFrom("0", "00", "0000", "FFFF", "aB", "12345", "g", ""),
);
const quad = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 256 }).map(String), fc.constantFrom("00", "01", "255", "")), {
    minLength: 3,
    maxLength: 5,
  })
  .map((parts) => parts.join("."));
/** Texts that are addresses or almost. */
const almost = fc.oneof(
  quad,
  fc
    .array(fc.oneof({ weight: 9, arbitrary: group }, { weight: 1, arbitrary: quad }), { maxLength: 9 })
    .map((g) => g.join(":")),
  fc
    .tuple(fc.array(group, { maxLength: 7 }), fc.array(group, { maxLength: 7 }), fc.option(quad))
    .map(
      ([head, tail, embedded]) => `${head.join(":")}::${[...tail, ...(embedded === null ? [] : [embedded])].join(":")}`,
    ),
  fc.tuple(quad, fc.array(group, { maxLength: 3 })).map(([first, rest]) => `${first}::${rest.join(":")}`),
  fc.string({ unit: fc.constantFrom(..."0123456789abcdefF:."), maxLength: 24 }),
  fc.string(),
);

describe("an address", () => {
  test("is read exactly where Node's own judge sees one", () => {
    fc.assert(
      fc.property(almost, (text) => {
        // Node takes an interface after "%" as well; an address on the wire has none.
        if (text.includes("%")) return;
        const address = parseIp(text);
        assert.equal(address === undefined ? 0 : address.length === 4 ? 4 : 6, isIP(text), JSON.stringify(text));
      }),
      { numRuns: 20_000 },
    );
  });

  test("has the octets that its text says", () => {
    const known: Record<string, string> = {
      "0.0.0.0": "00000000",
      "192.0.2.255": "c00002ff",
      "::": "0".repeat(32),
      "::1": "1".padStart(32, "0"),
      "1::": "1".padStart(4, "0").padEnd(32, "0"),
      "2001:db8::a:b": "20010db80000000000000000000a000b",
      "2001:DB8:0:0:8:800:200C:417A": "20010db80000000000080800200c417a",
      "::ffff:192.0.2.1": "00000000000000000000ffffc0000201",
      "1:2:3:4:5:6:1.2.3.4": "00010002000300040005000601020304",
      "1:2:3:4:5:6:7::": "00010002000300040005000600070000",
      "::2:3:4:5:6:7:8": "00000002000300040005000600070008",
    };
    for (const [text, hex] of Object.entries(known)) assert.equal(parseIp(text)?.toString("hex"), hex, text);
  });

  test("has no interface, no IPv4 part but at its end, and one gap that stands for something", () => {
    for (const text of [
      "1:2:3:4:5:6:7:8::9::a",
      "256.1.1.1",
      "1.2.3.256",
      "::1.2.3.256",
      "fe80::1%eth0",
      "1.2.3.4::",
      "1.2.3.4::1",
      "::1.2.3.4:5",
      "1::2::3",
      "1:2:3:4::5:6:7:8",
      ":::",
      ":1",
      "1:",
    ])
      assert.equal(parseIp(text), undefined, text);
  });

  test("comes back from its text, which is the canonical one (RFC 5952)", () => {
    const some = fc.oneof(
      octets(4, 4),
      octets(16, 16),
      fc.array(fc.constantFrom(0, 0, 1, 0x0db8, 0xffff), { minLength: 8, maxLength: 8 }).map((groups) => {
        const address = Buffer.alloc(16);
        for (const [index, value] of groups.entries()) address.writeUInt16BE(value, index * 2);
        return address;
      }),
    );
    fc.assert(
      fc.property(some, (address) => {
        const text = formatIp(address);
        assert.deepEqual(parseIp(text), address);
        // The URL standard writes IPv6 as RFC 5952 does.
        if (address.length === 16) assert.equal(new URL(`http://[${text}]`).hostname, `[${text}]`);
      }),
      { numRuns: 2000 },
    );
  });

  test("is written with its longest run of zero groups left out, the first of equals, and never a single one", () => {
    const texts: Record<string, string> = {
      "1:0:0:2:0:0:0:3": "1:0:0:2::3",
      "1:0:0:2:3:0:0:4": "1::2:3:0:0:4",
      "1:0:2:3:4:5:6:7": "1:0:2:3:4:5:6:7",
      "0:0:0:0:0:0:0:0": "::",
      "0:0:1:1:1:1:1:1": "::1:1:1:1:1:1",
      "1:1:1:1:1:1:0:0": "1:1:1:1:1:1::",
      "00AB:0:0:0:0:0:0:0C": "ab::c",
    };
    for (const [long, short] of Object.entries(texts)) assert.equal(formatIp(parseIp(long)!), short);
  });
});

describe("an address block", () => {
  test("is an address with a prefix, or an address alone", () => {
    assert.deepEqual(parseCidr("10.0.0.0/8"), { address: Buffer.from([10, 0, 0, 0]), prefix: 8 });
    assert.deepEqual(parseCidr("192.0.2.1"), { address: Buffer.from([192, 0, 2, 1]), prefix: 32 });
    assert.equal(parseCidr("2001:db8::")?.prefix, 128);
    for (const [text, prefix] of [
      ["0.0.0.0/0", 0],
      ["0.0.0.0/32", 32],
      ["::/0", 0],
      ["::/128", 128],
    ] as const)
      assert.equal(parseCidr(text)?.prefix, prefix);
    for (const text of [
      "",
      "/8",
      "10.0.0.0/",
      "10.0.0.0/33",
      "::/129",
      "10.0.0.0/8/8",
      "10.0.0.0/-1",
      "10.0.0.0/8x",
      "10.0.0.0/1e1",
      "10.0.0.0/ 8",
      "10.0.0/8",
      "10.0.0.0/0008",
    ])
      assert.equal(parseCidr(text), undefined, text);
  });

  test("reaches from the first to the last address that has its prefix, as Node's block lists have it", () => {
    const family = fc.constantFrom<[4 | 16, "ipv4" | "ipv6"]>([4, "ipv4"], [16, "ipv6"]);
    const blocks = family.chain(([length, name]) =>
      fc.tuple(
        fc.constant(name),
        octets(length, length),
        fc.integer({ min: 0, max: length * 8 }),
        octets(length, length),
      ),
    );
    fc.assert(
      fc.property(blocks, ([name, address, prefix, other]) => {
        const { start, end } = cidrRange({ address, prefix });
        const list = new BlockList();
        list.addSubnet(formatIp(address), prefix, name);
        for (const candidate of [address, start, end, other]) {
          const isWithin = candidate.compare(start) >= 0 && candidate.compare(end) <= 0;
          assert.equal(
            isWithin,
            list.check(formatIp(candidate), name),
            `${formatIp(candidate)} in ${formatIp(address)}/${prefix}`,
          );
        }
        const bits = (BigInt(`0x${end.toString("hex")}`) - BigInt(`0x${start.toString("hex")}`) + 1n).toString(2);
        assert.equal(bits.length - 1, address.length * 8 - prefix, "as many addresses as the prefix leaves free");
        assert.equal(start.length, address.length);
      }),
      { numRuns: 1000 },
    );
  });

  test("leaves the address that it was made from alone", () => {
    const address = Buffer.from([10, 1, 2, 3]);
    cidrRange({ address, prefix: 8 });
    assert.deepEqual([...address], [10, 1, 2, 3]);
  });
});

test("a netmask has as many leading ones as the prefix", () => {
  for (let prefix = 0; prefix <= 32; prefix++) {
    const bits = [...netmask(prefix)].map((octet) => octet.toString(2).padStart(8, "0")).join("");
    assert.equal(bits, "1".repeat(prefix).padEnd(32, "0"));
    assert.ok(Buffer.isBuffer(netmask(prefix)));
  }
});
