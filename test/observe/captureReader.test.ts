import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../src/bytes/reader.ts";
import { isCapture, readCapture } from "../../src/observe/captureReader.ts";
import { capturedPacket, captureHeader } from "../../src/observe/pcapng.ts";
import { transportPacket } from "../../src/observe/transportPacket.ts";

test("what is written is read back: addresses, ports, payload, and the time to the nanosecond", () => {
  fc.assert(
    fc.property(
      fc.constantFrom<[string, string]>(["192.0.2.1", "198.51.100.2"], ["2001:db8::1", "fe80::2"]),
      fc.nat(65535),
      fc.uint8Array({ maxLength: 2000 }),
      fc.integer({ min: 0, max: 4_000_000_000_000 }),
      fc.integer({ min: 0, max: 3 }),
      fc.boolean(),
      ([from, to], port, octets, whole, eighths, nonEspMarker) => {
        const at = whole + eighths / 8;
        const payload = Buffer.from(octets);
        const block = capturedPacket({
          at,
          from: { address: from, port },
          to: { address: to, port: 4500 },
          payload,
          nonEspMarker,
          direction: "sent",
          comment: "Grüße",
        });
        const [packet, ...more] = readCapture(Buffer.concat([HEADER, block]));
        assert.equal(more.length, 0);
        assert.equal(packet!.at, at);
        const read = transportPacket(packet!)!;
        assert.deepEqual(read.from, { address: from, port });
        assert.deepEqual(read.to, { address: to, port: 4500 });
        assert.deepEqual(read.payload, nonEspMarker ? Buffer.concat([Buffer.alloc(4), payload]) : payload);
      },
    ),
  );
});

test("a capture that was cut short gives the packets that are whole", () => {
  const whole = Buffer.concat([HEADER, ...Array.from({ length: 3 }, packet)]);
  const lengths = Array.from(
    { length: whole.length },
    (_, length) => [...readCaptureIf(whole.subarray(0, length))].length,
  );
  assert.deepEqual([...new Set(lengths)], [0, 1, 2]);
  assert.equal([...readCapture(whole)].length, 3);
});

test("damage and noise never make anything but a DecodeError, and no packet is longer than the file", () => {
  const captures = [Buffer.concat([HEADER, packet(), packet()]), classic()];
  const damaged = fc
    .tuple(fc.constantFrom(...captures), fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 8 }))
    .map(([bytes, changes]) => {
      const copy = Buffer.from(bytes);
      for (const [at, value] of changes) copy[at % copy.length] = value;
      return copy;
    });
  const noise = fc
    .tuple(fc.constantFrom(...captures), fc.uint8Array({ maxLength: 200 }))
    .map(([bytes, rest]) => Buffer.concat([bytes.subarray(0, 24), rest]));
  fc.assert(
    fc.property(fc.oneof(damaged, noise), (bytes) => {
      try {
        for (const captured of readCapture(bytes)) {
          assert.ok(captured.bytes.length <= bytes.length);
          for (const linkType of [0, 1, 101, 108, 113, 276]) transportPacket({ ...captured, linkType });
        }
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test("a packet that claims more octets than its block is refused", () => {
  const block = packet();
  block.writeUInt32BE(block.length, 20);
  assert.throws(() => [...readCapture(Buffer.concat([HEADER, block]))], /enhanced packet at octet \d+: block of/);
});

test("a datagram of which the end was not captured is left out, rather than taken for a short one", () => {
  const [captured] = readCapture(Buffer.concat([HEADER, packet()]));
  assert.notEqual(transportPacket(captured!), undefined);
  assert.equal(transportPacket({ ...captured!, bytes: captured!.bytes.subarray(0, -1) }), undefined);
});

test("no UDP checksum is written as zero, which would say that there is none (RFC 768)", () => {
  const from = { address: "192.0.2.1", port: 500 };
  let ones = 0;
  for (let content = 0; content <= 0xffff; content++) {
    const payload = Buffer.of(content >> 8, content & 0xff);
    const block = capturedPacket({ at: 0, from, to: { address: "192.0.2.2", port: 500 }, payload });
    const checksum = block.readUInt16BE(BLOCK_AND_IP + 6);
    assert.notEqual(checksum, 0);
    if (checksum === 0xffff) ones += 1;
  }
  // The one content whose sum is zero.
  assert.equal(ones, 1);
});

/** Octets of an enhanced packet block in front of its packet, and of an IPv4 header. */
const BLOCK_AND_IP = 28 + 20;
const HEADER = captureHeader({ application: "femtogate", interfaceName: "segw" });

function packet(): Buffer {
  const from = { address: "192.0.2.1", port: 500 };
  return capturedPacket({ at: 1000, from, to: { address: "192.0.2.2", port: 500 }, payload: Buffer.from("ike") });
}

function* readCaptureIf(bytes: Buffer) {
  if (isCapture(bytes)) yield* readCapture(bytes);
}

function classic(): Buffer {
  const [captured] = readCapture(Buffer.concat([HEADER, packet()]));
  const header = Buffer.alloc(24 + 16);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(101, 20);
  header.writeUInt32LE(captured!.bytes.length, 24 + 8);
  header.writeUInt32LE(captured!.bytes.length, 24 + 12);
  return Buffer.concat([header, captured!.bytes]);
}
