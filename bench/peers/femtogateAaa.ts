/**
 * The AAA server as it is run: `femtogateAaa.ts AAA.yaml`. It says where it listens whatever its log's level, and after a
 * line of input how much of its memory is in use once the garbage is gone.
 */
import { createInterface } from "node:readline";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { serveAaa } from "../../src/aaa/serve.ts";
import { systemEnvironment } from "../../src/sim/system.ts";

const say = (line: string) => process.stdout.write(line);
const { ports } = await serveAaa(process.argv[2]!, systemEnvironment, say);
say(`${JSON.stringify({ event: "ready", ...ports })}\n`);
createInterface({ input: process.stdin }).on("line", () => {
  setFlagsFromString("--expose-gc");
  // What one collection only finds out to be unused, the next frees: a finalizer stands in between.
  for (let i = 0; i < 3; i++) (runInNewContext("gc") as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  say(`${JSON.stringify({ event: "memory", octets: heapUsed + external })}\n`);
});
