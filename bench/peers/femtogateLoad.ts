/** The load generator under a benchmark's orders: `femtogateLoad.ts CONFIG.yaml`; each line of input is "COUNT CONCURRENCY". */
import { createInterface } from "node:readline";
import { serveLoad } from "../../src/henb/serveLoad.ts";
import { systemEnvironment } from "../../src/sim/system.ts";

const say = (record: object) => process.stdout.write(`${JSON.stringify(record)}\n`);
const { generator } = await serveLoad(process.argv[2]!, systemEnvironment, (what, error) =>
  process.stderr.write(`${what}: ${error}\n`),
);
createInterface({ input: process.stdin }).on("line", async (line) => {
  const [count, concurrency] = line.split(" ").map(Number);
  const { established, failed } = await generator.attach(count!, concurrency!);
  say({ event: "attached", established, failed: Object.fromEntries(failed) });
});
say({ event: "ready" });
