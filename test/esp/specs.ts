/** CHILD SAs for tests: a pair of mirror-image specs with keys from a seed. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import { cidrRange, parseCidr } from "../../src/bytes/ip.ts";
import type { ChildSaId, ChildSaSpec, EspDirection, EspSpi, EspSuite, UdpAddress } from "../../src/esp/dataPlane.ts";
import type { Hold } from "../../src/esp/hold.ts";
import type { TrafficSelector } from "../../src/esp/selector.ts";
import { seededRandom } from "../../src/sim/random.ts";

/** Every suite that IKE can negotiate, without ESN. */
export const SUITES: readonly Omit<EspSuite, "esn">[] = [
  { encryption: "aes-128-gcm", integrity: "none" },
  { encryption: "aes-256-gcm", integrity: "none" },
  ...(["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "3des-cbc"] as const).flatMap((encryption) =>
    (["hmac-sha1-96", "hmac-sha256-128", "hmac-sha384-192", "hmac-sha512-256"] as const).map((integrity) => ({
      encryption,
      integrity,
    })),
  ),
];

export const GCM: EspSuite = { encryption: "aes-128-gcm", integrity: "none", esn: false };
export const CBC: EspSuite = { encryption: "aes-256-cbc", integrity: "hmac-sha256-128", esn: false };

const KEY_OCTETS = {
  "aes-128-gcm": 20,
  "aes-256-gcm": 36,
  "aes-128-cbc": 16,
  "aes-192-cbc": 24,
  "aes-256-cbc": 32,
  "3des-cbc": 24,
  none: 0,
  "hmac-sha1-96": 20,
  "hmac-sha256-128": 32,
  "hmac-sha384-192": 48,
  "hmac-sha512-256": 64,
} as const;

export function direction(suite: EspSuite, spi: number): EspDirection {
  const random = seededRandom(`${suite.encryption} ${suite.integrity} ${spi}`);
  return {
    spi: spi as EspSpi,
    encryptionKey: random.bytes(KEY_OCTETS[suite.encryption]),
    integrityKey: random.bytes(KEY_OCTETS[suite.integrity]),
  };
}

/** Everything between two blocks, for any protocol and port unless said otherwise. */
export function selector(block: string, only: Partial<TrafficSelector> = {}): TrafficSelector {
  const { start, end } = cidrRange(parseCidr(block)!);
  const type = start.length === 4 ? 7 : 8;
  return { type, protocol: 0, startPort: 0, endPort: 0xffff, startAddress: start, endAddress: end, ...only };
}

export interface PairOptions {
  id?: number;
  suite?: EspSuite;
  /** What the left side protects, and the right side. */
  left?: TrafficSelector[];
  right?: TrafficSelector[];
  leftOuter?: UdpAddress;
  rightOuter?: UdpAddress;
  replayWindow?: number;
  limits?: NonNullable<ChildSaSpec["limits"]>;
  hold?: Hold;
}

export const LEFT_OUTER: UdpAddress = { address: "192.0.2.1", port: 4500 };
export const RIGHT_OUTER: UdpAddress = { address: "192.0.2.2", port: 4500 };

/** The same CHILD SA as its two ends install it. */
export function specPair(options: PairOptions = {}): { left: ChildSaSpec; right: ChildSaSpec } {
  const { id = 1, suite = GCM, leftOuter = LEFT_OUTER, rightOuter = RIGHT_OUTER, replayWindow = 64 } = options;
  const leftSelectors = options.left ?? [selector("10.1.0.0/24"), selector("2001:db8:1::/64")];
  const rightSelectors = options.right ?? [selector("10.2.0.0/24"), selector("2001:db8:2::/64")];
  const toLeft = direction(suite, 0x1000 + id);
  const toRight = direction(suite, 0x2000 + id);
  const shared = {
    id: id as ChildSaId,
    suite,
    udpEncapsulated: true,
    replayWindow,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.hold === undefined ? {} : { hold: options.hold }),
  };
  return {
    left: {
      ...shared,
      inbound: toLeft,
      outbound: toRight,
      localSelectors: leftSelectors,
      remoteSelectors: rightSelectors,
      local: leftOuter,
      remote: rightOuter,
    },
    right: {
      ...shared,
      inbound: toRight,
      outbound: toLeft,
      localSelectors: rightSelectors,
      remoteSelectors: leftSelectors,
      local: rightOuter,
      remote: leftOuter,
    },
  };
}

export interface PacketOptions {
  source?: Bytes;
  destination?: Bytes;
  protocol?: number;
  /** What follows the IP header. */
  upper?: Bytes;
  /** In units of 8 octets. */
  fragmentOffset?: number;
}

/** An IPv4 packet without checksum; UDP from port 1000 to port 2000 unless said otherwise. */
export function ipv4Packet(options: PacketOptions = {}): Bytes {
  const upper = options.upper ?? udp(1000, 2000);
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + upper.length, 2);
  header.writeUInt16BE(options.fragmentOffset ?? 0, 6);
  header[8] = 64;
  header[9] = options.protocol ?? 17;
  header.set(options.source ?? [10, 1, 0, 5], 12);
  header.set(options.destination ?? [10, 2, 0, 7], 16);
  return Buffer.concat([header, upper]);
}

export function udp(sourcePort: number, destinationPort: number, payload: Uint8Array = Buffer.from("hello")): Bytes {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(destinationPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** An IPv6 packet; `chain` are extension headers as [their own number, octets], each padded to 8 octets by the caller. */
export function ipv6Packet(
  options: PacketOptions & { chain?: readonly (readonly [kind: number, octets: Bytes])[] } = {},
): Bytes {
  const upper = options.upper ?? udp(1000, 2000);
  const chain = options.chain ?? [];
  const kinds = [...chain.map(([kind]) => kind), options.protocol ?? 17];
  const extensions = chain.map(([, octets], index) => {
    const copy = Buffer.from(octets);
    copy[0] = kinds[index + 1]!;
    return copy;
  });
  const body = Buffer.concat([...extensions, upper]);
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(body.length, 4);
  header[6] = kinds[0]!;
  header[7] = 64;
  header.set(options.source ?? Buffer.from("20010db8000100000000000000000005", "hex"), 8);
  header.set(options.destination ?? Buffer.from("20010db8000200000000000000000007", "hex"), 24);
  return Buffer.concat([header, body]);
}
