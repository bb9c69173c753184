/** femtogate <role|tool> ...: picks the command, prints help, turns errors into messages and exit statuses. */
import { nearest } from "../config/nearest.ts";
import { END_WITH_STDIN } from "../lab/roleProcess.ts";
import { type Command, type Io, UsageError } from "./command.ts";

const COMMANDS: Record<string, { summary: string; load: () => Promise<{ command: Command }> }> = {
  lab: { summary: "the whole ecosystem on one machine", load: () => import("./commands/lab.ts") },
  segw: { summary: "the security gateway", load: () => import("./commands/segw.ts") },
  henb: { summary: "a home base station", load: () => import("./commands/henb.ts") },
  hems: { summary: "the H(e)NB management system", load: () => import("./commands/hems.ts") },
  load: { summary: "many devices that attach to a gateway", load: () => import("./commands/load.ts") },
  check: { summary: "looks into certificates: profile, path, revocation", load: () => import("./commands/check.ts") },
  aaa: { summary: "AAA server and HSS: Diameter and RADIUS", load: () => import("./commands/aaa.ts") },
  pki: { summary: "CAs, certificates, CRLs and the OCSP responder", load: () => import("./commands/pki.ts") },
};

const VERSION = "0.1.0";
/** Milliseconds in which a command that is done should have let go of everything. */
const LINGER = 5_000;

async function main(argv: readonly string[], io: Io): Promise<number> {
  const [name, ...args] = argv;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    io.print(overview());
    return name === undefined ? 2 : 0;
  }
  if (name === "--version") {
    io.print(`femtogate ${VERSION}`);
    return 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    const meant = nearest(name, Object.keys(COMMANDS));
    io.complain(`femtogate: there is no command "${name}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`);
    io.complain("femtogate --help lists them");
    return 2;
  }
  const { command } = await entry.load();
  if (args.includes("--help") || args.includes("-h")) {
    io.print(command.usage);
    return 0;
  }
  try {
    return await command.run(args, io);
  } catch (error) {
    io.complain(`femtogate ${name}: ${error instanceof Error ? error.message : String(error)}`);
    if (error instanceof UsageError) {
      io.complain(`femtogate ${name} --help shows how to use it`);
      return 2;
    }
    if (process.env.FEMTOGATE_DEBUG !== undefined && error instanceof Error) io.complain(error.stack ?? "");
    return 1;
  }
}

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(6)} ${summary}`);
  return [
    "femtogate: the security system of the H(e)NB path (3GPP TS 33.320)",
    "",
    "Usage: femtogate <command> [options]",
    "",
    ...lines,
    "",
    "femtogate <command> --help tells more. Exit status: 0 done, 1 failed, 2 used wrongly.",
  ].join("\n");
}

const stopped = new Promise<void>((resolve) => {
  process.once("SIGINT", () => resolve());
  process.once("SIGTERM", () => resolve());
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      // Whoever read it has gone, as in `femtogate lab | head`: nobody is left to go on for.
      resolve();
    });
  // For roles that must not outlive who started them, however that one ends.
  // A parent killed with something unread resets the socket instead of ending it: an error, not an end.
  if (process.env[END_WITH_STDIN] !== undefined)
    process.stdin
      .once("end", () => resolve())
      .on("error", () => resolve())
      .resume();
});

process.exitCode = await main(process.argv.slice(2), {
  print: (line) => process.stdout.write(`${line}\n`),
  write: (text) => process.stdout.write(text),
  complain: (line) => process.stderr.write(`${line}\n`),
  env: process.env,
  stopped,
});
// Standard input, listened to, would keep a process that has done its work.
if (process.env[END_WITH_STDIN] !== undefined) process.stdin.destroy();
// What is still open now was forgotten: that is a defect, and to be told, but no reason to stay.
setTimeout(() => {
  const open = process.getActiveResourcesInfo();
  process.stderr.write(`femtogate: ended with ${open.join(", ")} still open\n`);
  process.exit();
}, LINGER).unref();
