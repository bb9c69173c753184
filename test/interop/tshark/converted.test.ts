import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { readCapture } from "../../../src/observe/captureReader.ts";
import { transportPacket } from "../../../src/observe/transportPacket.ts";
import { attach, capture } from "../../observe/handshake.ts";
import { Tshark } from "./tshark.ts";

test("captures that Wireshark's tools write are read: pcapng and pcap, micro- and nanoseconds", async () => {
  using tshark = new Tshark();
  const { datagrams } = attach(["192.0.2.1", "192.0.2.2"], { forceUdpEncapsulation: true });
  await capture(tshark.file, (file) => {
    for (const datagram of datagrams) file.datagram({ ...datagram, at: datagram.at + 0.125 });
  });
  for (const [program, args] of CONVERSIONS) {
    const converted = join(tshark.directory, "converted");
    const { status, stderr } = spawnSync(program, args(tshark.file, converted), { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    const packets = [...readCapture(readFileSync(converted))];
    const name = `${program} ${args("in", "out").join(" ")}`;
    assert.deepEqual(
      packets.map(({ at }) => at),
      datagrams.map(({ at }) => at + 0.125),
      name,
    );
    assert.deepEqual(
      packets.map((packet) => transportPacket(packet)!.payload.toString("hex")),
      datagrams.map(
        ({ payload, nonEspMarker }) => `${nonEspMarker === true ? "00000000" : ""}${payload.toString("hex")}`,
      ),
      name,
    );
  }
});

const CONVERSIONS: [string, (from: string, to: string) => string[]][] = [
  ["editcap", (from, to) => ["-F", "pcapng", from, to]],
  ["editcap", (from, to) => ["-F", "pcap", from, to]],
  ["editcap", (from, to) => ["-F", "nsecpcap", from, to]],
];
