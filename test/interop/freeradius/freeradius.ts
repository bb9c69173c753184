/** FreeRADIUS in the foreground in a folder of its own, with nothing of /etc; and radclient. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export class FreeRadius implements AsyncDisposable {
  /** All that it has said. */
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(folder: string, prefix: readonly string[]) {
    this.#folder = folder;
    const [command, ...args] = [...prefix, "freeradius", "-f", "-X", "-d", folder, "-n", "radiusd"];
    this.#child = spawn(command!, args, { stdio: ["ignore", "pipe", "pipe"] });
  }

  /**
   * Runs it with what `configure` gives for a folder, where it may put further files; `prefix` goes in front of the
   * command, as `ip netns exec` does. Resolves once it takes requests.
   */
  static async start(configure: (folder: string) => string, prefix: readonly string[] = []): Promise<FreeRadius> {
    const folder = mkdtempSync(join(tmpdir(), "freeradius-"));
    mkdirSync(join(folder, "run"));
    writeFileSync(join(folder, "dictionary"), "");
    writeFileSync(join(folder, "radiusd.conf"), `${common(folder)}\n${configure(folder)}`);
    const server = new FreeRadius(folder, prefix);
    const ready = new Promise<void>((resolve, reject) => {
      for (const stream of [server.#child.stdout!, server.#child.stderr!])
        createInterface({ input: stream }).on("line", (line) => {
          server.lines.push(line);
          if (line.includes("Ready to process requests")) resolve();
        });
      server.#child.once("exit", () => reject(new Error(`freeradius ended:\n${server.lines.slice(-15).join("\n")}`)));
    });
    await ready;
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) {
      this.#child.kill("SIGTERM");
      await once(this.#child, "exit");
    }
    rmSync(this.#folder, { recursive: true });
  }
}

/** What every configuration has: folders of its own, no privileges given up, no core dumps. */
function common(folder: string): string {
  return `prefix = /usr
logdir = ${folder}/run
run_dir = ${folder}/run
libdir = /usr/lib/freeradius
name = radiusd
max_request_time = 30
security {
  user = root
  group = root
  allow_core_dumps = no
}`;
}

/** Sends one request by radclient, up to `tries` times; gives its exit status and what it printed. */
export function radclient(
  command: "acct" | "auth" | "coa" | "disconnect" | "status",
  port: number,
  secret: string,
  attributes: string,
  tries = 3,
): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      "radclient",
      ["-x", "-r", String(tries), "-t", "3", `127.0.0.1:${port}`, command, secret],
      (_error, stdout, stderr) => resolve({ status: child.exitCode ?? 1, output: stdout + stderr }),
    );
    child.stdin!.end(attributes);
  });
}
