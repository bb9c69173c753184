/** femtogate hems: the H(e)NB management system. */
import { serveHems } from "../../hems/serve.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { type Command, oneConfiguration, parse } from "../command.ts";

const USAGE = `femtogate hems: the H(e)NB management system of TS 33.320

  femtogate hems CONFIG.yaml

Serves HTTPS to devices with certificates on the configured addresses until SIGINT or SIGTERM, then ends every session.
Log lines go to standard output. It has nothing to tell the devices yet: every request is answered with 204.`;

export const command: Command = {
  name: "hems",
  summary: "the H(e)NB management system",
  usage: USAGE,
  async run(args, io) {
    const { positionals } = parse({ args: [...args], allowPositionals: true });
    const running = await serveHems(oneConfiguration(positionals), systemEnvironment, { write: io.write });
    await io.stopped;
    await running.stop();
    return 0;
  },
};
