/** femtogate henb: a home base station. */
import { serveDevice } from "../../henb/serve.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { type Command, captureOptions, chosenCapture, oneConfiguration, parse } from "../command.ts";

const USAGE = `femtogate henb: a home base station of TS 33.320

  femtogate henb CONFIG.yaml [--capture FILE.pcapng [--capture-keys]]

Checks its own integrity, attaches to its gateway and stays attached until SIGINT or SIGTERM, then deletes its IKE SA.
Log lines go to standard output. Exit status 1 if the integrity check fails, in which case nothing is sent, or if a
single attempt was configured (reconnect.initial: 0) and failed.`;

export const command: Command = {
  name: "henb",
  summary: "a home base station",
  usage: USAGE,
  async run(args, io) {
    const { values, positionals } = parse({ args: [...args], allowPositionals: true, options: captureOptions });
    const running = await serveDevice(oneConfiguration(positionals), systemEnvironment, {
      write: io.write,
      capture: chosenCapture(values),
    });
    const end = await Promise.race([running.ended.then(() => "ended" as const), io.stopped]);
    await running.stop();
    return end === "ended" ? 1 : 0;
  },
};
