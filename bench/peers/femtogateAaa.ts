/** The AAA server as it is run, saying where it listens whatever its log's level: `femtogateAaa.ts AAA.yaml`. */
import { serveAaa } from "../../src/aaa/serve.ts";
import { systemEnvironment } from "../../src/sim/system.ts";

const say = (line: string) => process.stdout.write(line);
const { ports } = await serveAaa(process.argv[2]!, systemEnvironment, say);
say(`${JSON.stringify({ event: "ready", ...ports })}\n`);
