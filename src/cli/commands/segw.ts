/** femtogate segw: the security gateway. */
import { serveGateway } from "../../segw/serve.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { type Command, captureOptions, chosenCapture, oneConfiguration, parse } from "../command.ts";

const USAGE = `femtogate segw: the security gateway of TS 33.320

  femtogate segw CONFIG.yaml [--capture FILE.pcapng [--capture-keys]]

Serves IKEv2 on the configured addresses until SIGINT or SIGTERM, then deletes every IKE SA and ends. Log lines go to
standard output. --capture writes every datagram of the IKE ports; --capture-keys also writes the keys of all IKE SAs
into FILE.pcapng.keys/, so that Wireshark shows what is encrypted: whoever reads them reads the traffic.`;

export const command: Command = {
  name: "segw",
  summary: "the security gateway",
  usage: USAGE,
  async run(args, io) {
    const { values, positionals } = parse({ args: [...args], allowPositionals: true, options: captureOptions });
    const running = await serveGateway(oneConfiguration(positionals), systemEnvironment, {
      write: io.write,
      capture: chosenCapture(values),
    });
    await io.stopped;
    await running.stop();
    return 0;
  },
};
