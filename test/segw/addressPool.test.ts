import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { formatIp, parseCidr, parseIp } from "../../src/bytes/ip.ts";
import type { ConfigAttribute } from "../../src/ike/codec/message.ts";
import { CfgAttribute } from "../../src/ike/codec/numbers.ts";
import type { IkeSaId } from "../../src/ike/sa/effects.ts";
import { AddressPool } from "../../src/segw/addressPool.ts";

const { INTERNAL_IP4_ADDRESS, INTERNAL_IP4_NETMASK, INTERNAL_IP4_DNS, INTERNAL_IP6_ADDRESS, INTERNAL_IP6_DNS } =
  CfgAttribute;

test("what is asked for is answered: address, netmask of one host, DNS servers of that family, and selectors for it", () => {
  const pool = poolOf(["10.64.0.0/24", "2001:db8:64::/64"], { dns: ["10.40.0.53", "2001:db8::53", "10.40.0.54"] });
  const asked = ask(
    INTERNAL_IP4_ADDRESS,
    INTERNAL_IP4_NETMASK,
    INTERNAL_IP4_DNS,
    INTERNAL_IP6_ADDRESS,
    INTERNAL_IP6_DNS,
  );
  const given = pool.assign("ap-1", sa(1), asked);
  assert.ok("attributes" in given);
  assert.deepEqual(
    given.attributes.map(({ type, value }) => [type, value.toString("hex")]),
    [
      [INTERNAL_IP4_ADDRESS, "0a400001"],
      [INTERNAL_IP4_NETMASK, "ffffffff"],
      [INTERNAL_IP4_DNS, "0a280035"],
      [INTERNAL_IP4_DNS, "0a280036"],
      [INTERNAL_IP6_ADDRESS, "20010db800640000000000000000000180"],
      [INTERNAL_IP6_DNS, "20010db8000000000000000000000053"],
    ],
  );
  assert.deepEqual(
    given.selectors.map(({ type, protocol, startPort, endPort, startAddress, endAddress }) => [
      ...[type, protocol, startPort, endPort],
      ...[formatIp(startAddress), formatIp(endAddress)],
    ]),
    [
      [7, 0, 0, 65_535, "10.64.0.1", "10.64.0.1"],
      [8, 0, 0, 65_535, "2001:db8:64::1", "2001:db8:64::1"],
    ],
  );
});

test("nothing is given that was not asked for", () => {
  const pool = poolOf(["10.64.0.0/24", "2001:db8:64::/64"], { dns: ["10.40.0.53"] });
  const given = pool.assign("ap-1", sa(1), ask(INTERNAL_IP4_ADDRESS));
  assert.ok("attributes" in given);
  assert.deepEqual(
    given.attributes.map(({ type }) => type),
    [INTERNAL_IP4_ADDRESS],
  );
  assert.equal(given.selectors.length, 1);
  assert.equal(pool.size, 1);
});

test("of two families asked for, the one that there is is given; of none, the refusal says what to do", () => {
  const pool = poolOf(["10.64.0.9/32"]);
  const given = pool.assign("ap-1", sa(1), ask(INTERNAL_IP4_ADDRESS, INTERNAL_IP6_ADDRESS));
  assert.ok("attributes" in given);
  assert.equal(given.selectors.length, 1);
  assert.deepEqual(pool.assign("ap-2", sa(2), ask(INTERNAL_IP4_ADDRESS)), {
    reason: "NoAddressLeft",
    message: "no inner address is left for ap-2: enlarge pool.blocks, of which 1 addresses are in use",
  });
  const without = pool.assign("ap-2", sa(2), ask(INTERNAL_IP4_DNS));
  assert.equal("reason" in without && without.reason, "NoAddressRequested");
  assert.equal(pool.size, 1);
});

test("the first address of a block and the last of an IPv4 block are nobody's; of the smallest blocks all are used", () => {
  const all: [block: string, addresses: string[]][] = [
    ["10.64.0.0/29", ["10.64.0.1", "10.64.0.2", "10.64.0.3", "10.64.0.4", "10.64.0.5", "10.64.0.6"]],
    ["10.64.0.6/31", ["10.64.0.6", "10.64.0.7"]],
    ["10.64.0.6/32", ["10.64.0.6"]],
    // An address within the block names it as well as its first.
    ["10.64.0.6/30", ["10.64.0.5", "10.64.0.6"]],
    ["2001:db8::/126", ["2001:db8::1", "2001:db8::2", "2001:db8::3"]],
    ["2001:db8::8/128", ["2001:db8::8"]],
  ];
  for (const [block, addresses] of all) {
    const pool = poolOf([block]);
    const type = block.includes(":") ? INTERNAL_IP6_ADDRESS : INTERNAL_IP4_ADDRESS;
    const given = Array.from({ length: addresses.length + 1 }, (_, index) =>
      addressOf(pool, `ap-${index}`, index, type),
    );
    assert.deepEqual(given, [...addresses, undefined], block);
  }
});

test("addresses count on over the octets of a large block", () => {
  const pool = poolOf(["10.64.254.0/22", "2001:db8::ff00/112"]);
  for (let index = 0; index < 600; index++) {
    const expected = `10.64.${252 + ((index + 1) >> 8)}.${(index + 1) & 0xff}`;
    assert.equal(addressOf(pool, `ap-${index}`, index), expected);
  }
  // A huge block is used from its beginning, and costs nothing for its size.
  const huge = poolOf(["2001:db8:ffff:ffff::/0"]);
  assert.equal(addressOf(huge, "ap", 1, INTERNAL_IP6_ADDRESS), "::1");
});

test("a device that comes back gets its address, until another one has needed it", () => {
  const pool = poolOf(["10.64.0.0/30"]);
  assert.equal(addressOf(pool, "a", 1), "10.64.0.1");
  assert.equal(addressOf(pool, "b", 2), "10.64.0.2");
  pool.release(sa(1));
  pool.release(sa(2));
  assert.equal(addressOf(pool, "b", 3), "10.64.0.2");
  assert.equal(addressOf(pool, "c", 4), "10.64.0.1", "the one that has been free for longest");
  assert.equal(addressOf(pool, "a", 5), undefined);
  pool.release(sa(3));
  assert.equal(addressOf(pool, "a", 6), "10.64.0.2");
});

/** What happens to a pool: holders are numbered through, and a release or transfer names one of those so far. */
const steps = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("assign" as const),
        identity: fc.constantFrom("a", "b", "c", "d", "e"),
        families: fc.constantFrom(4 as const, 6 as const, 10 as const),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constantFrom("release" as const, "transfer" as const), of: fc.nat() }),
    },
  ),
  { maxLength: 60 },
);

test("whatever comes and goes, the pool gives what a list of addresses gone through by hand would give", () => {
  fc.assert(
    fc.property(steps, fc.boolean(), (script, sharedByIdentity) => {
      const blocks = ["10.64.0.0/30", "2001:db8::/126", "10.65.0.7/32"];
      const pool = poolOf(blocks, { sharedByIdentity });
      const byHand = new ByHand(
        [["10.64.0.1", "10.64.0.2"], ["2001:db8::1", "2001:db8::2", "2001:db8::3"], ["10.65.0.7"]],
        sharedByIdentity,
      );
      const holders: number[] = [];
      let next = 1;
      for (const step of script) {
        if (step.kind === "assign") {
          const holder = next++;
          const types = [
            ...(step.families === 6 ? [] : [INTERNAL_IP4_ADDRESS]),
            ...(step.families === 4 ? [] : [INTERNAL_IP6_ADDRESS]),
          ];
          const given = pool.assign(step.identity, sa(holder), ask(...types));
          const addresses = "reason" in given ? [] : given.selectors.map(({ startAddress }) => formatIp(startAddress));
          assert.deepEqual(
            addresses,
            byHand.assign(
              step.identity,
              holder,
              types.map((type) => type === INTERNAL_IP6_ADDRESS),
            ),
          );
          holders.push(holder);
        } else if (holders.length > 0) {
          const [holder] = holders.splice(step.of % holders.length, 1);
          if (step.kind === "release") {
            pool.release(sa(holder!));
            byHand.release(holder!);
          } else {
            const to = next++;
            pool.transfer(sa(holder!), sa(to));
            byHand.transfer(holder!, to);
            holders.push(to);
          }
        }
        assert.equal(pool.size, byHand.size);
      }
      for (const holder of holders) pool.release(sa(holder));
      assert.equal(pool.size, 0);
    }),
    { numRuns: 500 },
  );
});

/** The same by looking through a list each time: who has each address, and since when it is free. */
class ByHand {
  readonly #blocks: { address: string; owner: string | undefined; holders: Set<number>; freeSince: number }[][];
  readonly #shared: boolean;
  #now = 0;

  constructor(blocks: string[][], shared: boolean) {
    this.#shared = shared;
    this.#blocks = blocks.map((block) =>
      block.map((address) => ({ address, owner: undefined, holders: new Set(), freeSince: -1 })),
    );
  }

  get size(): number {
    return this.#blocks.flat().filter(({ holders }) => holders.size > 0).length;
  }

  assign(identity: string, holder: number, families: boolean[]): string[] {
    return families.flatMap((isV6) => {
      const owner = this.#shared ? identity : `${identity} ${holder}`;
      const blocks = this.#blocks.filter((block) => block[0]!.address.includes(":") === isV6);
      const own = blocks.flat().find((slot) => slot.owner === owner);
      // Of the first block that has any: those nobody ever had in their order, then the one free for longest.
      const free = blocks.flatMap((block) =>
        block
          .filter(({ holders }) => holders.size === 0)
          .sort((a, b) => a.freeSince - b.freeSince)
          .slice(0, 1),
      )[0];
      const slot = own ?? free;
      if (slot === undefined) return [];
      slot.owner = owner;
      slot.holders.add(holder);
      return [slot.address];
    });
  }

  release(holder: number): void {
    this.#now += 1;
    for (const slot of this.#blocks.flat())
      if (slot.holders.delete(holder) && slot.holders.size === 0) slot.freeSince = this.#now;
  }

  transfer(from: number, to: number): void {
    for (const slot of this.#blocks.flat()) if (slot.holders.delete(from)) slot.holders.add(to);
  }
}

function poolOf(blocks: string[], options: { dns?: string[]; sharedByIdentity?: boolean } = {}): AddressPool {
  return new AddressPool({
    blocks: blocks.map((block) => parseCidr(block)!),
    dns: (options.dns ?? []).map((address) => parseIp(address)!),
    sharedByIdentity: options.sharedByIdentity ?? true,
  });
}

function addressOf(
  pool: AddressPool,
  identity: string,
  holder: number,
  type: number = INTERNAL_IP4_ADDRESS,
): string | undefined {
  const given = pool.assign(identity, sa(holder), ask(type));
  return "reason" in given ? undefined : formatIp(given.selectors[0]!.startAddress);
}

function ask(...types: number[]): ConfigAttribute[] {
  return types.map((type) => ({ type, value: Buffer.alloc(0) }));
}

function sa(id: number): IkeSaId {
  return id as IkeSaId;
}
