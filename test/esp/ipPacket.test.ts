import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { EspError } from "../../src/esp/error.ts";
import { type Flow, OPAQUE_PORT, readFlow } from "../../src/esp/ipPacket.ts";
import { mutated, octets } from "../ike/codec/arbitrary.ts";
import { ipv4Packet, ipv6Packet, udp } from "./specs.ts";

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION = 60;
const ICMP = 1;
const ICMPV6 = 58;
const NO_NEXT_HEADER = 59;
const ESP = 50;

describe("an IPv4 packet", () => {
  test("shows its addresses, protocol and ports", () => {
    const packet = ipv4Packet({ upper: udp(0x1234, 0xfedc) });
    assert.deepEqual(readFlow(packet), {
      version: 4,
      length: packet.length,
      protocol: 17,
      source: Buffer.from([10, 1, 0, 5]),
      destination: Buffer.from([10, 2, 0, 7]),
      sourcePort: 0x1234,
      destinationPort: 0xfedc,
    });
  });

  test("has its ports behind its options", () => {
    const packet = withOptions(ipv4Packet({ upper: udp(1, 2) }), 8);
    assert.deepEqual(ports(readFlow(packet)), [1, 2]);
  });

  test("may be followed by padding that hides its length (RFC 4303 2.7)", () => {
    const packet = ipv4Packet();
    assert.equal(readFlow(Buffer.concat([packet, Buffer.alloc(100)])).length, packet.length);
  });

  test("shows no ports as a later fragment, and does as the first one", () => {
    const later = readFlow(ipv4Packet({ fragmentOffset: 1 }));
    assert.deepEqual([later.protocol, ...ports(later)], [17, OPAQUE_PORT, OPAQUE_PORT]);
    const moreFragments = 0x2000;
    assert.deepEqual(ports(readFlow(ipv4Packet({ fragmentOffset: moreFragments }))), [1000, 2000]);
    assert.deepEqual(ports(readFlow(ipv4Packet({ fragmentOffset: 0x1fff }))), [OPAQUE_PORT, OPAQUE_PORT]);
  });

  test("shows its ports if it ends right behind them, and none if it ends before", () => {
    assert.deepEqual(ports(readFlow(ipv4Packet({ upper: Buffer.from([0, 1, 0, 2]) }))), [1, 2]);
    assert.deepEqual(ports(readFlow(ipv4Packet({ upper: Buffer.alloc(3) }))), [OPAQUE_PORT, OPAQUE_PORT]);
    const empty = readFlow(ipv4Packet({ upper: Buffer.alloc(0) }));
    assert.deepEqual([empty.length, ...ports(empty)], [20, OPAQUE_PORT, OPAQUE_PORT]);
    // Beyond its own length stands padding, not a port.
    const padded = Buffer.concat([ipv4Packet({ upper: Buffer.alloc(3) }), Buffer.alloc(20, 1)]);
    assert.deepEqual(ports(readFlow(padded)), [OPAQUE_PORT, OPAQUE_PORT]);
  });

  test("is refused if it is cut, or its lengths contradict each other", () => {
    const packet = ipv4Packet();
    for (let length = 0; length < packet.length; length++) refused(packet.subarray(0, length));
    refused(packet.subarray(0, 19), /^IPv4 at octet 19: ends within its header$/);
    refused(changed(packet, 0, 0x44), /^IPv4.headerLength at octet 0: 16 octets$/);
    refused(changed(packet, 0, 0x4f), /^IPv4.totalLength at octet 2: 33 octets$/);
    refused(changed(packet, 3, packet.length + 1), /^IPv4.totalLength at octet 2: 34 octets$/);
    refused(changed(packet, 3, 19), /totalLength/);
  });
});

describe("ports", () => {
  test("stand in TCP, UDP, DCCP, SCTP and UDP-Lite, and in nothing else but ICMP", () => {
    for (let protocol = 0; protocol < 256; protocol++) {
      const flow = readFlow(ipv4Packet({ protocol, upper: Buffer.from("0102030405060708", "hex") }));
      const expected = [6, 17, 33, 132, 136].includes(protocol)
        ? [0x0102, 0x0304]
        : protocol === ICMP
          ? [0x0102, 0x0102]
          : [OPAQUE_PORT, OPAQUE_PORT];
      assert.deepEqual([flow.protocol, ...ports(flow)], [protocol, ...expected]);
    }
  });

  test("of ICMP are type and code, for either direction (RFC 7296 3.13.1)", () => {
    const upper = Buffer.from([8, 3, 0, 0]);
    assert.deepEqual(ports(readFlow(ipv4Packet({ protocol: ICMP, upper }))), [0x0803, 0x0803]);
    assert.deepEqual(ports(readFlow(ipv6Packet({ protocol: ICMPV6, upper }))), [0x0803, 0x0803]);
    assert.deepEqual(ports(readFlow(ipv4Packet({ protocol: ICMPV6, upper }))), [OPAQUE_PORT, OPAQUE_PORT]);
    assert.deepEqual(ports(readFlow(ipv6Packet({ protocol: ICMP, upper }))), [OPAQUE_PORT, OPAQUE_PORT]);
    const cut = Buffer.from([8]);
    assert.deepEqual(ports(readFlow(ipv4Packet({ protocol: ICMP, upper: cut }))), [OPAQUE_PORT, OPAQUE_PORT]);
    assert.deepEqual(ports(readFlow(ipv4Packet({ protocol: ICMP, upper: Buffer.from([8, 3]) }))), [0x0803, 0x0803]);
  });
});

describe("an IPv6 packet", () => {
  test("shows its addresses, protocol and ports", () => {
    const packet = ipv6Packet({ upper: udp(5, 6) });
    assert.deepEqual(readFlow(packet), {
      version: 6,
      length: packet.length,
      protocol: 17,
      source: Buffer.from("20010db8000100000000000000000005", "hex"),
      destination: Buffer.from("20010db8000200000000000000000007", "hex"),
      sourcePort: 5,
      destinationPort: 6,
    });
    assert.equal(readFlow(Buffer.concat([packet, Buffer.alloc(9)])).length, packet.length);
  });

  test("has its ports behind every kind of extension header, alone and in a row", () => {
    const long = extension(24);
    const chains: [number, Bytes][][] = [HOP_BY_HOP, ROUTING, DESTINATION, 135, 139, 140].map((kind) => [[kind, long]]);
    chains.push([[AUTHENTICATION, authentication(24)]]);
    chains.push([[AUTHENTICATION, authentication(20)]]);
    chains.push([[FRAGMENT, fragment(0)]]);
    chains.push([
      [HOP_BY_HOP, extension(8)],
      [ROUTING, long],
      [FRAGMENT, fragment(0)],
      [AUTHENTICATION, authentication(16)],
      [DESTINATION, extension(16)],
    ]);
    for (const chain of chains) {
      const flow = readFlow(ipv6Packet({ chain, upper: udp(77, 88) }));
      assert.deepEqual([flow.protocol, ...ports(flow)], [17, 77, 88], `chain ${chain.map(([kind]) => kind).join()}`);
    }
  });

  test("shows the protocol but no ports as a later fragment", () => {
    const plain = { sourcePort: 0, destinationPort: 0, length: 0 };
    for (const offset of [1, 0x1fff]) {
      const flow = readFlow(ipv6Packet({ chain: [[FRAGMENT, fragment(offset)]], upper: udp(77, 88) }));
      assert.deepEqual([flow.protocol, ...ports(flow)], [17, OPAQUE_PORT, OPAQUE_PORT]);
      assert.deepEqual({ ...flow, ...plain }, { ...readFlow(ipv6Packet()), ...plain }, "all else as ever");
    }
    // What follows could look like a header; it is the middle of something.
    const looksLike = ipv6Packet({ chain: [[FRAGMENT, fragment(1)]], protocol: HOP_BY_HOP, upper: Buffer.alloc(4) });
    assert.equal(readFlow(looksLike).protocol, HOP_BY_HOP);
  });

  test("may carry nothing, or something that hides its ports", () => {
    for (const protocol of [NO_NEXT_HEADER, ESP]) {
      const flow = readFlow(ipv6Packet({ protocol, upper: Buffer.alloc(protocol === ESP ? 40 : 0) }));
      assert.deepEqual([flow.protocol, ...ports(flow)], [protocol, OPAQUE_PORT, OPAQUE_PORT]);
    }
    const onlyExtension = ipv6Packet({
      chain: [[DESTINATION, extension(8)]],
      protocol: NO_NEXT_HEADER,
      upper: Buffer.alloc(0),
    });
    assert.equal(readFlow(onlyExtension).protocol, NO_NEXT_HEADER);
  });

  test("is refused if it is cut, or an extension header reaches beyond it", () => {
    const packet = ipv6Packet({ chain: [[HOP_BY_HOP, extension(16)]] });
    for (let length = 0; length < packet.length; length++) refused(packet.subarray(0, length));
    refused(packet.subarray(0, 39), /^IPv6 at octet 39: ends within its header$/);
    refused(packet.subarray(0, 60), /^IPv6.payloadLength at octet 4: 29 octets$/);
    refused(changed(packet, 41, 200), /reach beyond/);
    const cutChain = ipv6Packet({ chain: [[HOP_BY_HOP, extension(8)]], protocol: DESTINATION, upper: Buffer.alloc(7) });
    refused(cutChain, /end within a header/);
    // Padding after the packet is no part of it.
    refused(Buffer.concat([cutChain, Buffer.alloc(50)]), /end within a header/);
    const cutAuthentication = ipv6Packet({ chain: [[AUTHENTICATION, authentication(60)]], upper: Buffer.alloc(0) });
    refused(changed(cutAuthentication, 41, 14), /reach beyond/);
  });

  test("has eight extension headers at most", () => {
    const chain = (count: number) => Array.from({ length: count }, () => [DESTINATION, extension(8)] as const);
    assert.deepEqual(ports(readFlow(ipv6Packet({ chain: chain(8), upper: udp(3, 4) }))), [3, 4]);
    refused(ipv6Packet({ chain: chain(9) }), /more than 8/);
  });
});

test("what is neither IPv4 nor IPv6 is refused", () => {
  refused(Buffer.alloc(0), /^version at octet 0: 0 is neither 4 nor 6$/);
  for (let version = 0; version < 16; version++) {
    if (version !== 4 && version !== 6) refused(Buffer.alloc(60, version << 4), new RegExp(`${version} is neither`));
  }
});

test("of any octets comes a flow within the packet, or BadIpPacket", () => {
  const chain: [number, Bytes][] = [
    [HOP_BY_HOP, extension(16)],
    [FRAGMENT, fragment(0)],
    [AUTHENTICATION, authentication(24)],
  ];
  const bytes = fc.oneof(
    octets(0, 80),
    mutated(fc.constantFrom(ipv4Packet(), withOptions(ipv4Packet(), 12), ipv6Packet(), ipv6Packet({ chain }))),
  );
  fc.assert(
    fc.property(bytes, (packet) => {
      let flow: Flow;
      try {
        flow = readFlow(packet);
      } catch (error) {
        assert.ok(error instanceof EspError && error.problem === "BadIpPacket", String(error));
        return;
      }
      assert.ok(flow.length <= packet.length);
      assert.equal(flow.source.length, flow.version === 4 ? 4 : 16);
      assert.equal(flow.source.buffer, packet.buffer, "the addresses are views");
      for (const port of ports(flow)) assert.ok(port >= OPAQUE_PORT && port <= 0xffff);
    }),
    { numRuns: 3000 },
  );
});

function ports({ sourcePort, destinationPort }: Flow): [number, number] {
  return [sourcePort, destinationPort];
}

/** An extension header of that many octets, a multiple of 8; its first octet is filled in by `ipv6Packet`. */
function extension(length: number): Bytes {
  const octets = Buffer.alloc(length, 0xcc);
  octets[1] = length / 8 - 1;
  return octets;
}

/** An authentication header, whose length counts in units of 4 octets, less 2 (RFC 4302 2.2). */
function authentication(length: number): Bytes {
  const octets = Buffer.alloc(length, 0xcc);
  octets[1] = length / 4 - 2;
  return octets;
}

/** `offset` in units of 8 octets. */
function fragment(offset: number): Bytes {
  const octets = Buffer.alloc(8);
  octets.writeUInt16BE((offset << 3) | 1, 2);
  return octets;
}

function withOptions(packet: Bytes, length: number): Bytes {
  const longer = Buffer.concat([packet.subarray(0, 20), Buffer.alloc(length, 1), packet.subarray(20)]);
  longer[0] = 0x45 + length / 4;
  longer.writeUInt16BE(longer.length, 2);
  return longer;
}

function changed(packet: Bytes, at: number, to: number): Bytes {
  const copy = Buffer.from(packet);
  copy[at] = to;
  return copy;
}

function refused(packet: Bytes, message = /./): void {
  assert.throws(
    () => readFlow(packet),
    (error) => error instanceof EspError && error.problem === "BadIpPacket" && message.test(error.message),
  );
}
