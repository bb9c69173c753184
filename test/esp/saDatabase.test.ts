import assert from "node:assert/strict";
import { mock, test } from "node:test";
import fc from "fast-check";
import { cidrRange, parseCidr, parseIp } from "../../src/bytes/ip.ts";
import type { ChildSaId, ChildSaSpec, EspSpi } from "../../src/esp/dataPlane.ts";
import type { Flow } from "../../src/esp/ipPacket.ts";
import { InstalledSa, SaDatabase } from "../../src/esp/saDatabase.ts";
import type { TrafficSelector } from "../../src/esp/selector.ts";
import { GCM, type PairOptions, selector, specPair } from "./specs.ts";

const HERE = [selector("10.1.0.0/24")];
const quiet = () => assert.fail("no event is due");

test("an SA is found by its inbound SPI and by its id, until it is removed", () => {
  const database = new SaDatabase();
  const spec = installed(database, { id: 1 });
  assert.equal(database.byInboundSpi(spec.inbound.spi)?.id, 1);
  assert.equal(database.byInboundSpi(spec.outbound.spi), undefined);
  assert.equal(database.byId(spec.id)?.outboundSpi, spec.outbound.spi);
  database.remove(spec.id);
  assert.equal(database.byInboundSpi(spec.inbound.spi), undefined);
  assert.equal(database.byId(spec.id), undefined);
  assert.equal(database.forOutbound(flow("10.1.0.5", "10.2.0.7")), undefined);
  database.remove(spec.id);
});

test("a packet leaves by an SA that covers both its ends", () => {
  const database = new SaDatabase();
  installed(database, {
    id: 1,
    left: HERE,
    right: [selector("10.2.0.0/24", { protocol: 17, startPort: 53, endPort: 53 })],
  });
  assert.equal(idFor(database, flow("10.1.0.5", "10.2.0.7", { destinationPort: 53 })), 1);
  assert.equal(idFor(database, flow("10.1.1.5", "10.2.0.7", { destinationPort: 53 })), undefined, "source outside");
  assert.equal(
    idFor(database, flow("10.1.0.5", "10.2.1.7", { destinationPort: 53 })),
    undefined,
    "destination outside",
  );
  assert.equal(idFor(database, flow("10.1.0.5", "10.2.0.7", { destinationPort: 54 })), undefined, "other port");
  assert.equal(
    idFor(database, flow("10.1.0.5", "10.2.0.7", { sourcePort: 53, destinationPort: 54 })),
    undefined,
    "the port is the far end's",
  );
});

test("an SA takes in what its peer protects, addressed to what is here", () => {
  const database = new SaDatabase();
  const { id } = installed(database, { left: HERE, right: [selector("10.2.0.0/24")] });
  const sa = database.byId(id)!;
  assert.equal(sa.carriesIn(flow("10.2.0.7", "10.1.0.5")), true);
  assert.equal(sa.carriesIn(flow("10.1.0.5", "10.2.0.7")), false);
  assert.equal(sa.carriesIn(flow("10.2.0.7", "10.1.1.5")), false);
  assert.equal(sa.carriesIn(flow("10.2.1.7", "10.1.0.5")), false);
  assert.equal(sa.carriesOut(flow("10.1.0.5", "10.2.0.7")), true);
  assert.equal(sa.carriesOut(flow("10.2.0.7", "10.1.0.5")), false);
});

test("of several SAs that cover a packet the newest is taken, whether they reach an address or a range", () => {
  const reaching: TrafficSelector[][] = [
    [selector("10.2.0.7/32")],
    [selector("10.2.0.0/24")],
    [selector("10.2.0.7/32"), selector("10.3.0.0/16")],
    [selector("0.0.0.0/0")],
  ];
  for (const first of reaching) {
    for (const second of reaching) {
      const database = new SaDatabase();
      installed(database, { id: 5, left: HERE, right: first });
      installed(database, { id: 4, left: HERE, right: second });
      const packet = flow("10.1.0.5", "10.2.0.7");
      assert.equal(idFor(database, packet), 4);
      database.remove(4 as ChildSaId);
      assert.equal(idFor(database, packet), 5, "the older one is there still");
      installed(database, { id: 6, left: HERE, right: second });
      assert.equal(idFor(database, packet), 6);
    }
  }
});

test("an id or an inbound SPI that is taken is refused, and nothing of the refused SA remains", () => {
  const database = new SaDatabase();
  const spec = installed(database, { id: 1, right: [selector("10.2.0.7/32")] });
  const second = specPair({ id: 2, right: [selector("10.2.0.8/32")] }).left;
  assert.throws(() => database.install({ ...second, id: spec.id }, quiet), /CHILD SA 1 is installed already/);
  assert.throws(
    () => database.install({ ...second, inbound: { ...second.inbound, spi: spec.inbound.spi } }, quiet),
    new RegExp(`inbound SPI ${spec.inbound.spi} is in use`),
  );
  assert.equal(database.byInboundSpi(second.inbound.spi), undefined);
  assert.equal(idFor(database, flow("10.1.0.5", "10.2.0.8")), undefined);
  assert.equal(database.byInboundSpi(spec.inbound.spi)?.id, 1);
});

test("a spec that cannot work is refused, and its id and SPI stay free", () => {
  const database = new SaDatabase();
  const { left } = specPair();
  const badKey = { ...left.inbound, encryptionKey: Buffer.alloc(3) };
  for (const broken of [
    { ...left, inbound: badKey },
    { ...left, outbound: { ...left.outbound, encryptionKey: Buffer.alloc(3) } },
    { ...left, replayWindow: 5 },
  ])
    assert.throws(() => database.install(broken, quiet), RangeError);
  assert.equal(database.byId(left.id), undefined);
  database.install(left, quiet);
  assert.equal(database.byInboundSpi(left.inbound.spi)?.id, left.id);
});

test("the peer's SPI may be one that another peer chose as well", () => {
  const database = new SaDatabase();
  const first = installed(database, { id: 1 });
  const second = specPair({ id: 2 }).left;
  database.install({ ...second, outbound: { ...second.outbound, spi: first.outbound.spi } }, quiet);
  assert.equal(database.byId(second.id)?.outboundSpi, first.outbound.spi);
});

test("sequence numbers go from 1 to the last one without a cycle (RFC 4303 3.3.3)", () => {
  for (const [esn, last] of [
    [false, 0xffff_ffff],
    [true, Number.MAX_SAFE_INTEGER],
  ] as const) {
    const database = new SaDatabase();
    const sa = database.byId(installed(database, { suite: { ...GCM, esn } }).id)!;
    assert.deepEqual([sa.nextSequence(), sa.nextSequence()], [1, 2]);
    sa.sequence = last - 1;
    assert.deepEqual([sa.nextSequence(), sa.nextSequence(), sa.nextSequence()], [last, undefined, undefined]);
  }
});

test("among a thousand devices with an address each, one SA is tried for a packet", () => {
  const database = new SaDatabase();
  for (let id = 1; id <= 1000; id++)
    installed(database, { id, left: [selector("0.0.0.0/0")], right: [selector(`10.2.${id >> 8}.${id & 0xff}/32`)] });
  const tried = mock.method(InstalledSa.prototype, "carriesOut");
  assert.equal(idFor(database, flow("192.0.2.1", "10.2.3.1")), 0x301);
  assert.equal(tried.mock.callCount(), 1);
  assert.equal(idFor(database, flow("192.0.2.1", "10.2.9.1")), undefined);
  assert.equal(tried.mock.callCount(), 1);
  tried.mock.restore();
});

test("after any installs and removals it answers as a plain list would", () => {
  const blocks = ["10.2.0.1/32", "10.2.0.2/32", "10.2.0.0/24", "10.2.0.0/31", "0.0.0.0/0", "2001:db8::1/128", "::/0"];
  const command = fc.record({
    id: fc.integer({ min: 1, max: 6 }),
    remove: fc.boolean(),
    right: fc.uniqueArray(fc.constantFrom(...blocks), { minLength: 1, maxLength: 3 }),
  });
  const destinations = ["10.2.0.1", "10.2.0.2", "10.2.0.3", "10.9.0.1", "2001:db8::1", "2001:db8::2"];
  fc.assert(
    fc.property(fc.array(command, { maxLength: 25 }), (commands) => {
      const database = new SaDatabase();
      let list: { id: number; right: string[] }[] = [];
      for (const { id, remove, right } of commands) {
        if (remove) {
          database.remove(id as ChildSaId);
          list = list.filter((sa) => sa.id !== id);
        } else if (!list.some((sa) => sa.id === id)) {
          const everywhere = [selector("0.0.0.0/0"), selector("::/0")];
          installed(database, { id, left: everywhere, right: right.map((block) => selector(block)) });
          list.push({ id, right });
        }
      }
      for (const destination of destinations) {
        const expected = list.findLast(({ right }) => right.some((block) => isWithin(destination, block)))?.id;
        const source = destination.includes(":") ? "2001:db8:f::1" : "192.0.2.1";
        assert.equal(idFor(database, flow(source, destination)), expected, destination);
      }
      for (let id = 1; id <= 6; id++) {
        const isThere = list.some((sa) => sa.id === id);
        assert.equal(database.byInboundSpi(specPair({ id }).left.inbound.spi as EspSpi)?.id, isThere ? id : undefined);
      }
    }),
    { numRuns: 300 },
  );
});

function installed(database: SaDatabase, options: PairOptions): ChildSaSpec {
  const { left } = specPair(options);
  database.install(left, quiet);
  return left;
}

function idFor(database: SaDatabase, packet: Flow): number | undefined {
  return database.forOutbound(packet)?.id;
}

function flow(source: string, destination: string, over: Partial<Flow> = {}): Flow {
  const [from, to] = [parseIp(source)!, parseIp(destination)!];
  const version = from.length === 4 ? 4 : 6;
  return {
    version,
    length: 60,
    protocol: 17,
    source: from,
    destination: to,
    sourcePort: 1,
    destinationPort: 2,
    ...over,
  };
}

function isWithin(address: string, block: string): boolean {
  const { start, end } = cidrRange(parseCidr(block)!);
  const octets = parseIp(address)!;
  return octets.length === start.length && octets.compare(start) >= 0 && octets.compare(end) <= 0;
}
