/** femtogate lab: the whole ecosystem on one machine. */
import { spawn } from "node:child_process";
import { GATEWAY_NAME } from "../../lab/ecosystem.ts";
import type { Summary } from "../../lab/flow.ts";
import { namespacesWork, UNSHARE, userNamespacesWork } from "../../lab/places.ts";
import { devicesPlan, wholePlan } from "../../lab/plan.ts";
import { jsonReport, textReport } from "../../lab/report.ts";
import { Lab } from "../../lab/run.ts";
import { AAA_NAME, HSS_NAME } from "../../lab/subscribers.ts";
import { KEY_KINDS } from "../../pki/authority.ts";
import { systemEnvironment } from "../../sim/system.ts";
import {
  type Command,
  captureOptions,
  chosenCapture,
  type Io,
  numberOption,
  oneOf,
  parse,
  UsageError,
} from "../command.ts";

const USAGE = `femtogate lab: a PKI, a SeGW and H(e)NBs on one machine, attached over real IKEv2

  femtogate lab [--once] [--json] [--devices N] [--keys ${KEY_KINDS.join("|")}] [--dir FOLDER]
                [--capture FILE.pcapng [--capture-keys]]

Makes CAs, certificates and subscribers, starts every role as a process of its own, and lets devices attach, each in its
turn: two by the call flow of TS 33.320 A.1 (the device alone), two by A.2 (with a hosting party, by EAP-AKA and
EAP-AKA'), and three that must be refused: with a revoked certificate, not authorized, and with a USIM of another key.
Shows the ladder of messages, pings through the tunnel, and stays up until Ctrl-C.

  --devices N  N devices by A.1 instead; the last of several has a revoked certificate
  --once   ends after the flows
  --json   one JSON object a line, the summary last
  --dir    keeps everything made in a new or empty folder

Root gives each role a host of its own (network namespaces). Without root the lab tries a user namespace for that, and
else runs everything on loopback; what it has to leave out it says. Exit status 0 only if every flow ended as expected.`;

export const command: Command = {
  name: "lab",
  summary: "the whole ecosystem on one machine",
  usage: USAGE,
  async run(args, io) {
    const { values, positionals } = parse({
      args: [...args],
      allowPositionals: true,
      options: {
        once: { type: "boolean" },
        json: { type: "boolean" },
        devices: { type: "string" },
        keys: { type: "string" },
        dir: { type: "string" },
        ...captureOptions,
      },
    });
    if (positionals.length > 0) throw new UsageError(`"${positionals[0]}" is no option`);
    const deviceCount =
      values.devices === undefined ? undefined : numberOption("--devices", values.devices, 1, MAX_DEVICES);
    const plan = deviceCount === undefined ? wholePlan() : devicesPlan(deviceCount);
    const keys = oneOf("--keys", values.keys ?? "p-256", KEY_KINDS);
    const capture = chosenCapture(values);
    if (!namespacesWork() && io.env[INNER] === undefined && (await userNamespacesWork()))
      return runInUserNamespace(args, io);
    const report =
      values.json === true ? jsonReport(io.write) : textReport(io.write, { ...terminalStyle(io), inwards: INWARDS });
    const { clock, random } = systemEnvironment;
    const lab = new Lab({ directory: values.dir, plan, keys, capture, clock, random, report });
    const interrupted = io.stopped.then(() => undefined);
    let summary: Summary | undefined;
    try {
      summary = await Promise.race([lab.run(), interrupted]);
      if (summary !== undefined && values.once !== true) {
        report.summary(summary);
        report.notice("Everything stays up; Ctrl-C ends it.");
        await interrupted;
      }
    } finally {
      await lab.stop();
    }
    if (summary === undefined) return 1;
    // The last line of a run that ends by itself, also after the roles have said goodbye.
    if (values.once === true) report.summary(summary);
    return summary.ok ? 0 : 1;
  },
};

/** Runs this command again where it is root of a machine within the machine. */
function runInUserNamespace(args: readonly string[], io: Io): Promise<number> {
  const script = 'mount -t tmpfs none /run && ip link set lo up && exec "$@"';
  const again = [process.execPath, process.argv[1]!, "lab", ...args];
  const child = spawn("unshare", [...UNSHARE, "sh", "-c", script, "lab", ...again], {
    stdio: "inherit",
    env: { ...io.env, [INNER]: "1" },
  });
  // Ctrl-C reaches the child by itself; a signal sent to this process is handed on.
  void io.stopped.then(() => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

function terminalStyle({ env }: Io) {
  const terminal = process.stdout.isTTY === true;
  return {
    width: terminal ? process.stdout.columns : 120,
    unicode: /utf-?8/i.test(env.LC_ALL ?? env.LC_CTYPE ?? env.LANG ?? ""),
    colour: terminal && env.NO_COLOR === undefined,
    start: systemEnvironment.clock.now(),
  };
}

/** Set for the lab that runs within a user namespace, so that it does not look for another one. */
const INNER = "FEMTOGATE_LAB_INNER";
const INWARDS = [GATEWAY_NAME, AAA_NAME, HSS_NAME];
const MAX_DEVICES = 400;
