/**
 * One end of a tunnel as a process of its own: a TUN plane with fixed keys and a UDP socket on port 4500. Says "ready"
 * with the interface's name, answers "usage" on its standard input, and ends with that.
 */
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import { createTunPlane } from "../../src/esp/planes/tun.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { type PairOptions, selector, specPair } from "./specs.ts";

export interface TunPeerConfig {
  side: "left" | "right";
  suite: NonNullable<PairOptions["suite"]>;
  leftOuter: string;
  rightOuter: string;
  /** Inner blocks of both sides, IPv4 and IPv6. */
  leftBlocks: string[];
  rightBlocks: string[];
  addresses: string[];
}

const config = JSON.parse(process.argv[2]!) as TunPeerConfig;
const outer = { left: { address: config.leftOuter, port: 4500 }, right: { address: config.rightOuter, port: 4500 } };
const spec = specPair({
  suite: config.suite,
  left: config.leftBlocks.map((block) => selector(block)),
  right: config.rightBlocks.map((block) => selector(block)),
  leftOuter: outer.left,
  rightOuter: outer.right,
  replayWindow: 1024,
})[config.side];

const socket = createSocket({ type: "udp4", recvBufferSize: 4 * 1024 * 1024 });
const plane = await createTunPlane({
  name: "fgtest%d",
  routes: config.side === "left" ? config.rightBlocks : config.leftBlocks,
  host: {
    sendUdp: (packet, from, to) => socket.send(packet, to.port, to.address, () => from),
    onEvent: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
  },
  random: systemEnvironment.random,
});
for (const address of config.addresses) await plane.addAddress(address);
plane.install(spec);

socket.on("message", (packet, { address, port }) => plane.receive(packet, { address, port }));
socket.bind(4500, outer[config.side].address, () => {
  process.stdout.write(`ready ${plane.interfaceName}\n`);
});

createInterface(process.stdin)
  .on("line", () => {
    const usage = plane.usage(spec.id);
    process.stdout.write(`${JSON.stringify({ kind: "usage", usage, drops: Object.fromEntries(plane.drops) })}\n`);
  })
  .on("close", async () => {
    // Nothing else holds the process: it ends by itself exactly if the plane and the socket let go of it.
    await plane.close();
    socket.close();
  });
