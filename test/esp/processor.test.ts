import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { createEspCipher } from "../../src/esp/cipher.ts";
import type { ChildSaId, ChildSaSpec, PlaneEvent, UdpAddress } from "../../src/esp/dataPlane.ts";
import { type DropReason, EspProcessor } from "../../src/esp/processor.ts";
import { SaDatabase } from "../../src/esp/saDatabase.ts";
import { NextHeader, open, seal } from "../../src/esp/transform.ts";
import { seededRandom } from "../../src/sim/random.ts";
import { mutated, octets } from "../ike/codec/arbitrary.ts";
import {
  CBC,
  GCM,
  ipv4Packet,
  ipv6Packet,
  LEFT_OUTER,
  type PairOptions,
  RIGHT_OUTER,
  SUITES,
  selector,
  specPair,
  udp,
} from "./specs.ts";

const ELSEWHERE: UdpAddress = { address: "198.51.100.9", port: 4500 };

/** One end, with what it announced. */
class End {
  readonly events: PlaneEvent[] = [];
  readonly database = new SaDatabase();
  readonly processor = new EspProcessor(
    seededRandom("processor"),
    (event) => {
      this.events.push(event);
    },
    this.database,
  );

  drops(): Record<string, number> {
    return Object.fromEntries(this.processor.drops);
  }

  /** How often that was announced. */
  limits(): string[] {
    return this.events.flatMap((event) => (event.kind === "limit" ? [event.level] : []));
  }

  moves(): UdpAddress[] {
    return this.events.flatMap((event) => (event.kind === "remoteMoved" ? [event.remote] : []));
  }
}

/** Two ends of one CHILD SA. */
class Pair {
  readonly left = new End();
  readonly right = new End();
  readonly spec: { left: ChildSaSpec; right: ChildSaSpec };
  readonly id: ChildSaId;

  constructor(options: PairOptions = {}) {
    this.spec = specPair(options);
    this.id = this.spec.left.id;
    this.left.processor.install(this.spec.left);
    this.right.processor.install(this.spec.right);
  }

  /** An ESP packet from left to right. */
  seal(inner: Bytes = ipv4Packet()): Bytes {
    const sealed = this.left.processor.outbound(inner);
    assert.ok(sealed !== undefined, `dropped: ${JSON.stringify(this.left.drops())}`);
    return sealed.packet;
  }

  /** What the right end makes of it. */
  open(packet: Bytes, from: UdpAddress = LEFT_OUTER): Bytes | undefined {
    return this.right.processor.inbound(packet, from);
  }

  /** An authentic packet that the left end's processor would not make. */
  forge(sequence: number, nextHeader: number, inner: Bytes): Bytes {
    const { suite, outbound } = this.spec.left;
    const cipher = createEspCipher(suite, outbound);
    return seal(cipher, outbound.spi, sequence, nextHeader, inner, seededRandom("forge"));
  }

  usage() {
    return this.right.processor.usage(this.id)!;
  }
}

describe("packets between two ends", () => {
  for (const suite of SUITES) {
    for (const esn of [false, true]) {
      const pair = new Pair({ suite: { ...suite, esn } });
      test(`come out as they went in, with ${suite.encryption}, ${suite.integrity}${esn ? " and ESN" : ""}`, () => {
        for (const inner of [ipv4Packet(), ipv6Packet(), ipv4Packet({ upper: udp(1, 2, Buffer.alloc(1400, 0x5a)) })]) {
          assert.deepEqual(pair.open(pair.seal(inner)), inner);
        }
        const back = ipv4Packet({ source: Buffer.from([10, 2, 0, 7]), destination: Buffer.from([10, 1, 0, 5]) });
        const sealed = pair.right.processor.outbound(back)!;
        assert.deepEqual({ from: sealed.from, to: sealed.to }, { from: RIGHT_OUTER, to: LEFT_OUTER });
        assert.deepEqual(pair.left.processor.inbound(sealed.packet, RIGHT_OUTER), back);
        assert.deepEqual([pair.left.events, pair.right.events], [[], []]);
      });
    }
  }

  test("are counted as whole inner packets on both sides", () => {
    const pair = new Pair();
    const [four, six] = [ipv4Packet(), ipv6Packet()];
    for (const inner of [four, six]) pair.open(pair.seal(inner));
    const total = four.length + six.length;
    const none = { inboundBytes: 0, inboundPackets: 0, outboundBytes: 0, outboundPackets: 0 };
    const clean = { replayed: 0, integrityFailures: 0, held: 0 };
    assert.deepEqual(pair.usage(), { ...none, ...clean, inboundBytes: total, inboundPackets: 2 });
    const sender = pair.left.processor.usage(pair.id);
    assert.deepEqual(sender, { ...none, ...clean, outboundBytes: total, outboundPackets: 2 });
  });

  test("are announced by next header 4 or 41 (RFC 4303 2.6)", () => {
    const pair = new Pair();
    const cipher = createEspCipher(pair.spec.right.suite, pair.spec.right.inbound);
    assert.equal(open(cipher, pair.seal(ipv4Packet()), 0).nextHeader, 4);
    assert.equal(open(cipher, pair.seal(ipv6Packet()), 0).nextHeader, 41);
  });

  test("lose the padding that stood behind them, before they are sealed and after (RFC 4303 2.7)", () => {
    const pair = new Pair();
    const inner = ipv4Packet();
    const padded = Buffer.concat([inner, Buffer.alloc(40)]);
    assert.equal(pair.seal(padded).length, pair.seal(inner).length);
    assert.deepEqual(pair.open(pair.forge(100, NextHeader.IPV4, padded)), inner);
    assert.equal(pair.usage().inboundBytes, inner.length);
  });

  test("may come in any order within the window", () => {
    const pair = new Pair({ replayWindow: 32 });
    const packets = Array.from({ length: 33 }, () => pair.seal());
    const last = packets.pop()!;
    for (const packet of packets.toReversed()) assert.ok(pair.open(packet) !== undefined);
    assert.ok(pair.open(last) !== undefined);
    assert.deepEqual(pair.right.drops(), {});
  });

  test("go on over the end of 32 bits with ESN, and not without", () => {
    for (const esn of [true, false]) {
      const pair = new Pair({ suite: { ...GCM, esn } });
      pair.left.database.byId(pair.id)!.sequence = 2 ** 32 - 3;
      pair.right.database.byId(pair.id)!.window.mark(2 ** 32 - 3);
      for (let i = 0; i < 2; i++) assert.ok(pair.open(pair.seal()) !== undefined);
      const beyond = pair.left.processor.outbound(ipv4Packet());
      if (esn) {
        assert.ok(pair.open(beyond!.packet) !== undefined);
        assert.deepEqual(pair.left.limits(), []);
      } else {
        assert.equal(beyond, undefined);
        assert.equal(pair.left.processor.outbound(ipv4Packet()), undefined);
        assert.deepEqual([pair.left.limits(), pair.left.drops()], [["hard"], { Exhausted: 2 }]);
      }
    }
  });
});

/** How each reason comes about; a reason without an entry does not compile. */
const DROPS: Record<DropReason, (pair: Pair) => Bytes | undefined> = {
  Truncated: (pair) => pair.open(pair.seal().subarray(0, 20)),
  Replayed: (pair) => {
    const packet = pair.seal();
    assert.ok(pair.open(packet) !== undefined);
    return pair.open(packet);
  },
  IntegrityFailure: (pair) => pair.open(withChange(pair.seal(), 30)),
  BadPadding: (pair) => {
    const { suite, outbound } = pair.spec.left;
    const cipher = createEspCipher(suite, outbound);
    const packet = Buffer.alloc(8 + cipher.ivLength + 4 + cipher.icvLength);
    packet.writeUInt32BE(outbound.spi, 0);
    packet.writeUInt32BE(1, 4);
    packet.set([0, 0, 9, NextHeader.IPV4], 8 + cipher.ivLength);
    cipher.protect(packet, 0);
    return pair.open(packet);
  },
  BadNextHeader: (pair) => pair.open(pair.forge(1, 17, ipv4Packet())),
  BadIpPacket: (pair) => pair.open(pair.forge(1, NextHeader.IPV4, ipv4Packet().subarray(0, 19))),
  SelectorMismatch: (pair) =>
    pair.open(pair.forge(1, NextHeader.IPV4, ipv4Packet({ source: Buffer.from([10, 9, 0, 5]) }))),
  NoSa: (pair) => outboundOnly(pair, ipv4Packet({ destination: Buffer.from([10, 9, 0, 5]) })),
  Held: (pair) => {
    pair.left.processor.setHold(pair.id, []);
    return outboundOnly(pair, ipv4Packet());
  },
  Exhausted: (pair) => {
    pair.left.database.byId(pair.id)!.meter.exhaust();
    return outboundOnly(pair, ipv4Packet());
  },
  UnknownSpi: (pair) => pair.open(withChange(pair.seal(), 3)),
};

describe("a packet is dropped and counted as", () => {
  for (const [reason, dropped] of Object.entries(DROPS)) {
    test(reason, () => {
      const pair = new Pair();
      assert.equal(dropped(pair), undefined);
      assert.deepEqual({ ...pair.left.drops(), ...pair.right.drops() }, { [reason]: 1 });
      const { inboundPackets, replayed, integrityFailures } = pair.usage();
      assert.equal(inboundPackets, reason === "Replayed" ? 1 : 0, "what is dropped is not counted as received");
      assert.equal(replayed, reason === "Replayed" ? 1 : 0);
      assert.equal(integrityFailures, reason === "IntegrityFailure" ? 1 : 0);
      const { outboundPackets } = pair.left.processor.usage(pair.id)!;
      if (["NoSa", "Held", "Exhausted"].includes(reason)) assert.equal(outboundPackets, 0);
    });
  }

  test("Truncated if it is shorter than an ESP header, whatever its octets", () => {
    const pair = new Pair();
    for (let length = 0; length < 8; length++) assert.equal(pair.open(Buffer.alloc(length)), undefined);
    assert.deepEqual(pair.right.drops(), { Truncated: 8 });
    assert.deepEqual(pair.right.events, []);
  });

  test("BadIpPacket if what is to be sent is no IP packet", () => {
    const pair = new Pair();
    for (const inner of [Buffer.alloc(0), Buffer.alloc(40), ipv4Packet().subarray(0, 10)])
      assert.equal(pair.left.processor.outbound(inner), undefined);
    assert.deepEqual(pair.left.drops(), { BadIpPacket: 3 });
  });

  test("BadNextHeader if it names one IP version and holds the other", () => {
    const pair = new Pair();
    assert.equal(pair.open(pair.forge(1, NextHeader.IPV6, ipv4Packet())), undefined);
    assert.equal(pair.open(pair.forge(2, NextHeader.IPV4, ipv6Packet())), undefined);
    assert.deepEqual(pair.right.drops(), { BadNextHeader: 2 });
    assert.ok(pair.open(pair.forge(3, NextHeader.IPV6, ipv6Packet())) !== undefined);
  });

  test("SelectorMismatch for a wrong address of either end, and for a wrong port or protocol", () => {
    const dns = [selector("10.2.0.0/24", { protocol: 17, startPort: 53, endPort: 53 })];
    const pair = new Pair({ right: dns });
    const right = { destination: Buffer.from([10, 2, 0, 7]) };
    const wrong = [
      ipv4Packet({ ...right, upper: udp(53, 54) }),
      ipv4Packet({ ...right, protocol: 6, upper: udp(9, 53) }),
      ipv4Packet({ ...right, protocol: 50 }),
      ipv4Packet({ upper: udp(9, 53), source: Buffer.from([10, 1, 1, 0]) }),
      ipv4Packet({ upper: udp(9, 53), destination: Buffer.from([10, 2, 1, 0]) }),
      ipv6Packet({ upper: udp(9, 53) }),
    ];
    for (const [index, inner] of wrong.entries()) {
      const nextHeader = inner[0]! >> 4 === 4 ? NextHeader.IPV4 : NextHeader.IPV6;
      assert.equal(pair.open(pair.forge(index + 1, nextHeader, inner)), undefined, String(index));
    }
    assert.deepEqual(pair.right.drops(), { SelectorMismatch: wrong.length });
    assert.ok(pair.open(pair.forge(99, NextHeader.IPV4, ipv4Packet({ upper: udp(9, 53) }))) !== undefined);
  });
});

describe("replay protection", () => {
  test("takes a packet once, also while others come between, and counts the repetitions of its SA", () => {
    const pair = new Pair();
    const packets = [pair.seal(), pair.seal(), pair.seal()];
    for (const packet of packets) assert.ok(pair.open(packet) !== undefined);
    for (const packet of packets) assert.equal(pair.open(packet), undefined);
    assert.equal(pair.usage().replayed, 3);
    assert.deepEqual(pair.right.drops(), { Replayed: 3 });
  });

  test("refuses what is left of the window without computing its ICV", () => {
    const pair = new Pair({ replayWindow: 32 });
    const old = pair.seal();
    for (let i = 0; i < 32; i++) assert.ok(pair.open(pair.seal()) !== undefined);
    assert.equal(pair.open(withChange(old, 40)), undefined);
    assert.deepEqual(pair.right.drops(), { Replayed: 1 });
    assert.equal(pair.usage().integrityFailures, 0);
  });

  test("is not moved by a packet whose ICV does not verify (RFC 4303 3.4.3)", () => {
    const pair = new Pair({ replayWindow: 32 });
    const [first, second] = [pair.seal(), pair.seal()];
    const farAhead = withChange(second, 4);
    assert.equal(pair.open(farAhead), undefined);
    assert.equal(pair.open(withChange(first, 40)), undefined);
    assert.equal(pair.usage().integrityFailures, 2);
    assert.deepEqual(pair.open(first), ipv4Packet());
    assert.deepEqual(pair.open(second), ipv4Packet());
  });

  test("notices a repetition of a dummy packet and of a packet that was not for its SA", () => {
    const pair = new Pair();
    const dummy = pair.forge(1, NextHeader.DUMMY, Buffer.alloc(60, 7));
    const stranger = pair.forge(2, NextHeader.IPV4, ipv4Packet({ source: Buffer.from([10, 9, 9, 9]) }));
    for (const packet of [dummy, stranger, dummy, stranger]) assert.equal(pair.open(packet), undefined);
    assert.deepEqual(pair.right.drops(), { SelectorMismatch: 1, Replayed: 2 });
  });
});

test("a dummy packet is no drop and is not counted (RFC 4303 2.6)", () => {
  const pair = new Pair();
  assert.equal(pair.open(pair.forge(1, 59, Buffer.alloc(0))), undefined);
  assert.deepEqual([pair.right.drops(), pair.usage().inboundPackets], [{}, 0]);
});

test("an ESP packet for no SA is announced with its SPI and where it came from", () => {
  const pair = new Pair();
  const packet = Buffer.alloc(60);
  packet.writeUInt32BE(0xdead_beef, 0);
  pair.open(packet, ELSEWHERE);
  assert.deepEqual(pair.right.events, [{ kind: "unknownSpi", spi: 0xdead_beef, from: ELSEWHERE }]);
});

describe("the peer's address", () => {
  test("is announced as moved by the newest authentic packet, once for each move", () => {
    const pair = new Pair();
    const [first, second, third, fourth] = [pair.seal(), pair.seal(), pair.seal(), pair.seal()];
    pair.open(first);
    pair.open(second, ELSEWHERE);
    pair.open(third, ELSEWHERE);
    assert.deepEqual(pair.right.moves(), [ELSEWHERE]);
    const otherPort = { ...ELSEWHERE, port: 4501 };
    pair.open(fourth, otherPort);
    pair.open(pair.seal(), LEFT_OUTER);
    pair.open(pair.seal(), otherPort);
    assert.deepEqual(pair.right.moves(), [ELSEWHERE, otherPort, otherPort], "back at home in between");
    assert.ok(pair.right.events.every((event) => event.kind === "remoteMoved" && event.id === pair.id));
  });

  test("is not moved by an older packet, a replayed one or a forged one (RFC 7296 2.23)", () => {
    const pair = new Pair();
    const [first, second, third] = [pair.seal(), pair.seal(), pair.seal()];
    pair.open(second);
    assert.ok(pair.open(first, ELSEWHERE) !== undefined, "in the window, but not the newest");
    pair.open(second, ELSEWHERE);
    pair.open(withChange(third, 40), ELSEWHERE);
    pair.open(withChange(third, 4), ELSEWHERE);
    assert.deepEqual(pair.right.moves(), []);
  });

  test("is where packets go only once it has been moved there", () => {
    const pair = new Pair();
    pair.open(pair.seal(), ELSEWHERE);
    const back = ipv4Packet({ source: Buffer.from([10, 2, 0, 7]), destination: Buffer.from([10, 1, 0, 5]) });
    assert.deepEqual(pair.right.processor.outbound(back)!.to, LEFT_OUTER);
    const here = { address: "192.0.2.77", port: 4500 };
    pair.right.processor.move(pair.id, here, ELSEWHERE);
    const { from, to } = pair.right.processor.outbound(back)!;
    assert.deepEqual({ from, to }, { from: here, to: ELSEWHERE });
    pair.open(pair.seal(), ELSEWHERE);
    assert.equal(pair.right.moves().length, 1);
    pair.open(pair.seal(), LEFT_OUTER);
    assert.deepEqual(pair.right.moves().at(-1), LEFT_OUTER);
  });

  test("is announced again if it was moved elsewhere meanwhile", () => {
    const pair = new Pair();
    pair.open(pair.seal(), ELSEWHERE);
    pair.right.processor.move(pair.id, RIGHT_OUTER, { address: "203.0.113.3", port: 4500 });
    pair.open(pair.seal(), ELSEWHERE);
    assert.deepEqual(pair.right.moves(), [ELSEWHERE, ELSEWHERE]);
  });

  test("may be moved from within the announcement", () => {
    const { right } = specPair();
    const processor = new EspProcessor(seededRandom("move"), (event) => {
      if (event.kind === "remoteMoved") processor.move(event.id, RIGHT_OUTER, event.remote);
    });
    processor.install(right);
    const pair = new Pair();
    assert.deepEqual(processor.inbound(pair.seal(), ELSEWHERE), ipv4Packet());
    const back = ipv4Packet({ source: Buffer.from([10, 2, 0, 7]), destination: Buffer.from([10, 1, 0, 5]) });
    assert.deepEqual(processor.outbound(back)!.to, ELSEWHERE);
  });
});

describe("limits", () => {
  test("are announced soft and hard, and after hard nothing goes out but all comes in", () => {
    const pair = new Pair({ limits: { softPackets: 2, hardPackets: 3 } });
    const packets = [pair.seal(), pair.seal()];
    assert.deepEqual(pair.left.limits(), ["soft"]);
    packets.push(pair.seal());
    assert.deepEqual(pair.left.limits(), ["soft", "hard"]);
    for (let i = 0; i < 3; i++) assert.equal(pair.left.processor.outbound(ipv4Packet()), undefined);
    assert.deepEqual([pair.left.limits(), pair.left.drops()], [["soft", "hard"], { Exhausted: 3 }]);
    for (const packet of packets) assert.ok(pair.open(packet) !== undefined);
    assert.deepEqual(pair.right.limits(), ["soft", "hard"]);
  });

  test("of octets are announced by what comes in as well", () => {
    const inner = ipv4Packet();
    const pair = new Pair({ limits: { softBytes: 2 * inner.length } });
    pair.open(pair.seal(inner));
    assert.deepEqual(pair.right.limits(), []);
    pair.open(pair.seal(inner));
    assert.deepEqual([pair.right.limits(), pair.left.limits()], [["soft"], ["soft"]]);
  });

  test("may have the SA removed from within the announcement, and the packet still goes", () => {
    const { left } = specPair({ limits: { hardPackets: 1 } });
    const processor = new EspProcessor(seededRandom("remove"), (event) => {
      if (event.kind === "limit") processor.remove(event.id);
    });
    processor.install(left);
    assert.ok(processor.outbound(ipv4Packet()) !== undefined);
    assert.equal(processor.outbound(ipv4Packet()), undefined);
    assert.deepEqual([...processor.drops], [["NoSa", 1]]);
  });
});

describe("rekeying", () => {
  test("sends by the newest SA and takes what still comes by the old one", () => {
    const pair = new Pair({ id: 1 });
    const late = pair.seal();
    const newer = specPair({ id: 2 });
    for (const [end, spec] of [
      [pair.left, newer.left],
      [pair.right, newer.right],
    ] as const)
      end.processor.install(spec);
    const packet = pair.seal();
    assert.equal(packet.readUInt32BE(0), newer.left.outbound.spi);
    assert.ok(pair.open(packet) !== undefined);
    assert.ok(pair.open(late) !== undefined);
    pair.right.processor.remove(1 as ChildSaId);
    assert.equal(pair.open(late), undefined);
    assert.deepEqual(pair.right.drops(), { UnknownSpi: 1 });
  });

  test("takes an id or SPI only if it is free", () => {
    const pair = new Pair({ id: 1 });
    assert.throws(() => pair.left.processor.install(pair.spec.left), RangeError);
    pair.left.processor.remove(pair.id);
    pair.left.processor.install(pair.spec.left);
  });
});

describe("fragments and packets that show no port", () => {
  const later = ipv4Packet({ fragmentOffset: 100 });
  const laterSix = ipv6Packet({ chain: [[44, fragmentHeader(100)]] });

  test("pass where any port is allowed", () => {
    const pair = new Pair();
    for (const inner of [later, laterSix, ipv4Packet({ protocol: 50 })])
      assert.deepEqual(pair.open(pair.seal(inner)), inner);
  });

  test("pass by an SA for OPAQUE ports, which carries nothing else", () => {
    const opaque = { startPort: 0xffff, endPort: 0 };
    const pair = new Pair({
      left: [selector("10.1.0.0/24", opaque)],
      right: [selector("10.2.0.0/24", opaque)],
    });
    assert.deepEqual(pair.open(pair.seal(later)), later);
    assert.equal(pair.left.processor.outbound(ipv4Packet()), undefined);
    assert.equal(pair.open(pair.forge(50, NextHeader.IPV4, ipv4Packet())), undefined);
    assert.deepEqual([pair.left.drops(), pair.right.drops()], [{ NoSa: 1 }, { SelectorMismatch: 1 }]);
  });

  test("do not pass where a port is asked for, though their first fragment does", () => {
    const pair = new Pair({ right: [selector("10.2.0.0/24", { protocol: 17, startPort: 2000, endPort: 2000 })] });
    const first = ipv4Packet({ fragmentOffset: 0x2000 });
    assert.deepEqual(pair.open(pair.seal(first)), first);
    assert.equal(pair.left.processor.outbound(later), undefined);
    assert.equal(pair.open(pair.forge(50, NextHeader.IPV4, later)), undefined);
    assert.deepEqual([pair.left.drops(), pair.right.drops()], [{ NoSa: 1 }, { SelectorMismatch: 1 }]);
  });

  test("with extension headers are judged by what stands behind those", () => {
    const dns = (block: string) => [selector(block, { protocol: 17, startPort: 2000, endPort: 2000 })];
    const pair = new Pair({ right: dns("2001:db8:2::/64") });
    const chain = [[0, Buffer.from("0000000000000000", "hex")]] as const;
    const inner = ipv6Packet({ chain });
    assert.deepEqual(pair.open(pair.seal(inner)), inner);
    assert.equal(pair.left.processor.outbound(ipv6Packet({ chain, upper: udp(1000, 2001) })), undefined);
  });
});

test("an SA that is not there is no error: its usage is undefined, moving, holding and removing do nothing", () => {
  const { processor } = new End();
  const nobody = 99 as ChildSaId;
  assert.equal(processor.usage(nobody), undefined);
  processor.move(nobody, LEFT_OUTER, RIGHT_OUTER);
  processor.setHold(nobody, []);
  processor.remove(nobody);
});

describe("random and mutated packets", () => {
  for (const suite of [{ ...GCM, esn: true }, CBC]) {
    test(`with ${suite.encryption} are delivered or dropped for one reason, and cost no more memory than their length`, () => {
      const pair = new Pair({ suite, replayWindow: 4096 });
      const { outbound } = pair.spec.left;
      const sealed = fc.constantFrom(ipv4Packet(), ipv6Packet()).map((inner) => pair.seal(inner));
      const header = Buffer.alloc(8);
      header.writeUInt32BE(outbound.spi, 0);
      const packets = fc.oneof(
        octets(0, 200),
        octets(0, 200).map((tail) => Buffer.concat([header, tail])),
        mutated(sealed),
      );
      const allocated = countedAllocations();
      fc.assert(
        fc.property(packets, (packet) => {
          allocated.reset();
          const before = total(pair.right.drops());
          const inner = pair.open(packet);
          assert.equal(total(pair.right.drops()) - before, inner === undefined ? 1 : 0);
          assert.ok(inner === undefined || inner.length < packet.length);
          assert.ok(allocated.octets() <= packet.length + 200, `${allocated.octets()} for ${packet.length}`);
        }),
        { numRuns: 1500 },
      );
      allocated.restore();
    });
  }

  test("whatever plaintext an authentic packet has, it is delivered, a dummy, or dropped for one reason", () => {
    const pair = new Pair({ replayWindow: 4096 });
    let sequence = 0;
    const inner = fc.oneof(octets(0, 100), mutated(fc.constantFrom(ipv4Packet(), ipv6Packet())));
    fc.assert(
      fc.property(inner, fc.constantFrom(4, 41, 59, 17), (plaintext, nextHeader) => {
        const before = total(pair.right.drops());
        sequence += 1;
        const delivered = pair.open(pair.forge(sequence, nextHeader, plaintext));
        const dropped = total(pair.right.drops()) - before;
        assert.equal(dropped, delivered === undefined && nextHeader !== NextHeader.DUMMY ? 1 : 0);
        if (delivered !== undefined) assert.deepEqual(delivered, plaintext.subarray(0, delivered.length));
      }),
      { numRuns: 1000 },
    );
  });

  test("to be sent are sealed or dropped for one reason", () => {
    const pair = new Pair();
    const inner = fc.oneof(octets(0, 100), mutated(fc.constantFrom(ipv4Packet(), ipv6Packet())));
    fc.assert(
      fc.property(inner, (packet) => {
        const before = total(pair.left.drops());
        const sealed = pair.left.processor.outbound(packet);
        assert.equal(total(pair.left.drops()) - before, sealed === undefined ? 1 : 0);
        assert.ok(sealed === undefined || sealed.packet.length <= packet.length + 8 + 8 + 5 + 16);
      }),
      { numRuns: 1000 },
    );
  });
});

/** What Buffer gives out, summed; what OpenSSL's ciphers return is as long as what they take. */
function countedAllocations() {
  let sum = 0;
  const mocks = (["alloc", "allocUnsafe", "allocUnsafeSlow"] as const).map((name) => {
    const original = Buffer[name];
    return mock.method(Buffer, name, (size: number) => {
      sum += size;
      return original(size);
    });
  });
  return {
    reset() {
      sum = 0;
    },
    octets: () => sum,
    restore() {
      for (const { mock } of mocks) mock.restore();
    },
  };
}

function total(drops: Record<string, number>): number {
  return Object.values(drops).reduce((a, b) => a + b, 0);
}

function outboundOnly(pair: Pair, inner: Bytes): Bytes | undefined {
  return pair.left.processor.outbound(inner)?.packet;
}

function withChange(packet: Bytes, at: number): Bytes {
  const copy = Buffer.from(packet);
  copy[at]! ^= 0x10;
  return copy;
}

/** `offset` in units of 8 octets. */
function fragmentHeader(offset: number): Bytes {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(offset << 3, 2);
  return header;
}
