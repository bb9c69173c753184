/**
 * A role as a process for tests: `driver.ts segw|henb CONFIG.yaml`. It logs as the command does; each line on its standard
 * input is a command for every IKE SA it has ("rekeyIke", "close", ...), and "stop" ends it as SIGTERM would.
 */
import { createInterface } from "node:readline";
import { serveDevice } from "../../src/henb/serve.ts";
import type { Command } from "../../src/ike/endpoint.ts";
import type { IkeSaId } from "../../src/ike/sa/effects.ts";
import type { IkeService } from "../../src/ipsec/ikeService.ts";
import { serveGateway } from "../../src/segw/serve.ts";
import { systemEnvironment } from "../../src/sim/system.ts";

const [role, file] = process.argv.slice(2);
const options = { write: (line: string) => void process.stdout.write(line), capture: undefined };

async function start(): Promise<{ service: IkeService; stop(): Promise<void> }> {
  if (role === "segw") {
    const running = await serveGateway(file!, systemEnvironment, options);
    return { service: running.gateway.service, stop: () => running.stop() };
  }
  const running = await serveDevice(file!, systemEnvironment, options);
  return { service: running.device.service, stop: () => running.stop() };
}

const { service, stop } = await start();
const end = () => void stop().then(() => process.exit());
process.once("SIGTERM", end);
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "stop") return end();
  // Ids count up from 1; those that are gone are passed over.
  for (let id = 1; id <= MAX_ID; id++) service.command(id as IkeSaId, line as Command);
});

/** More IKE SAs than any test makes. */
const MAX_ID = 64;
