/** What a TUN device and its interface do in trouble, tried in a namespace of its own; prints one JSON object. */
import { execFileSync } from "node:child_process";
import { createTunPlane, type TunPlane, type TunPlaneOptions } from "../../src/esp/planes/tun.ts";
import type { TunUnavailable } from "../../src/esp/planes/tunDevice.ts";
import { systemEnvironment } from "../../src/sim/system.ts";

const lost: string[] = [];
const notRestored: string[] = [];
let tellLost: (() => void) | undefined;
const options: TunPlaneOptions = {
  name: "fgprobe",
  host: { sendUdp() {}, onEvent() {} },
  random: systemEnvironment.random,
  onNotRestored: (error) => notRestored.push(error.message),
  onLost(error: TunUnavailable) {
    lost.push(error.message);
    tellLost?.();
  },
};

function interfaces(): string[] {
  const links = execFileSync("ip", ["-brief", "link"], { encoding: "utf8" });
  return [...links.matchAll(/^(fg\S*)/gm)].map(([, name]) => name!);
}

/** Name and message of what it throws. */
async function refusal(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
    return "nothing thrown";
  } catch (error) {
    return String(error);
  }
}

/** The machine's own ways, one to a block that the tunnel takes as well and one of another metric. */
function ownRoutes(): string[] {
  const routes = ["-4", "-6"].flatMap((family) =>
    execFileSync("ip", [family, "route", "show", "dev", "lo", "table", "main"], { encoding: "utf8" }).split("\n"),
  );
  return routes.map((line) => line.trim()).filter((line) => /^(10\.|2001:)/.test(line));
}
const ip = (line: string) => execFileSync("ip", line.split(" "));
ip("link set lo up");
ip("route add 10.5.0.0/16 dev lo src 127.0.0.1");
ip("route add 10.5.0.0/16 dev lo metric 77");
ip("route add 10.6.0.0/16 dev lo");
// It leads through what will be gone by then.
ip("link add own0 type veth peer name own1");
ip("link set own0 up");
ip("route add 10.7.0.0/16 dev own0");
ip("-6 route add 2001:db8:5::/48 dev lo");
const ownBefore = ownRoutes();

const plane: TunPlane = await createTunPlane(options);
await plane.addAddress("10.1.0.5/32");
await plane.addAddress("10.1.0.5/32");
await plane.addRoute("10.2.9.9/16");
await plane.addRoute("10.2.0.0/16");
const routes = execFileSync("ip", ["route", "show", "dev", "fgprobe"], { encoding: "utf8" });
for (const block of ["10.5.0.0/16", "10.6.0.0/16", "10.7.0.0/16", "2001:db8:5::/48"]) await plane.addRoute(block);
await plane.addRoute("10.5.0.0/16");
const ownMeanwhile = ownRoutes();
await plane.removeRoute("10.5.0.0/16");
const report = {
  ownBefore,
  ownMeanwhile,
  ownAfter: [] as string[],
  taken: await refusal(() => createTunPlane(options)),
  noBlock: await refusal(() => plane.addRoute("10.2.0.0/33")),
  noRoute: await refusal(() => plane.removeRoute("10.3.0.0/16")),
  noAddress: await refusal(() => plane.removeAddress("10.1.0.6/32")),
  badAddress: await refusal(() => createTunPlane({ ...options, name: "fgother", addresses: ["ff02::1/128"] })),
  routes: routes.trim(),
  interfaces: interfaces(),
  lost,
  notRestored,
  interfacesAfter: [] as string[],
};
await plane.removeRoute("10.2.0.0/16");
await plane.removeAddress("10.1.0.5/32");
const gone = new Promise<void>((resolve) => {
  tellLost = resolve;
});
ip("link delete own0");
ip("link delete fgprobe");
await gone;
report.interfacesAfter = interfaces();
await plane.close();
await plane.close();
report.ownAfter = ownRoutes();
process.stdout.write(`${JSON.stringify(report)}\n`);
