/** What a TUN device and its interface do in trouble, tried in a namespace of its own; prints one JSON object. */
import { execFileSync } from "node:child_process";
import { createTunPlane, type TunPlane, type TunPlaneOptions } from "../../src/esp/planes/tun.ts";
import type { TunUnavailable } from "../../src/esp/planes/tunDevice.ts";
import { systemEnvironment } from "../../src/sim/system.ts";

const lost: string[] = [];
let tellLost: (() => void) | undefined;
const options: TunPlaneOptions = {
  name: "fgprobe",
  host: { sendUdp() {}, onEvent() {} },
  random: systemEnvironment.random,
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

const plane: TunPlane = await createTunPlane(options);
await plane.addAddress("10.1.0.5/32");
await plane.addAddress("10.1.0.5/32");
await plane.addRoute("10.2.9.9/16");
await plane.addRoute("10.2.0.0/16");
const routes = execFileSync("ip", ["route", "show", "dev", "fgprobe"], { encoding: "utf8" });
const report = {
  taken: await refusal(() => createTunPlane(options)),
  noBlock: await refusal(() => plane.addRoute("10.2.0.0/33")),
  noRoute: await refusal(() => plane.removeRoute("10.3.0.0/16")),
  noAddress: await refusal(() => plane.removeAddress("10.1.0.6/32")),
  badAddress: await refusal(() => createTunPlane({ ...options, name: "fgother", addresses: ["ff02::1/128"] })),
  routes: routes.trim(),
  interfaces: interfaces(),
  lost,
  interfacesAfter: [] as string[],
};
await plane.removeRoute("10.2.0.0/16");
await plane.removeAddress("10.1.0.5/32");
const gone = new Promise<void>((resolve) => {
  tellLost = resolve;
});
execFileSync("ip", ["link", "delete", "fgprobe"]);
await gone;
report.interfacesAfter = interfaces();
await plane.close();
await plane.close();
process.stdout.write(`${JSON.stringify(report)}\n`);
