/** A server program of the system, in a folder and on a port of loopback of its own, for as long as a test needs it. */
import { type ChildProcess, spawn } from "node:child_process";
import { type FSWatcher, mkdirSync, mkdtempSync, rmSync, watch } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface DaemonOptions {
  name: string;
  /** Writes its configuration, which names the port and a file for its pid, and gives command and arguments. */
  prepare(at: { folder: string; port: number; pidFile: string }): { command: string; args: readonly string[] };
}

export class Daemon implements AsyncDisposable {
  readonly folder: string;
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(folder: string, port: number, child: ChildProcess) {
    this.folder = folder;
    this.port = port;
    this.#child = child;
  }

  /** Starts the program and waits until it has written its pid, which it does once it listens. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await start(options, (folder, port, child) => new Daemon(folder, port, child));
      } catch (error) {
        // Between our finding the port free and the program's taking it somebody else may have taken it.
        if (attempt === 3 || !/address already in use/i.test(String(error))) throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function start(
  { name, prepare }: DaemonOptions,
  made: (folder: string, port: number, child: ChildProcess) => Daemon,
): Promise<Daemon> {
  const folder = mkdtempSync(join(tmpdir(), `femtogate-${name}-`));
  const running = join(folder, "run");
  mkdirSync(running);
  const port = await freePort();
  const { command, args } = prepare({ folder, port, pidFile: join(running, "pid") });
  // Watched before it starts: a quick program may write its pid before we come to look.
  const written = Promise.withResolvers<void>();
  const watcher: FSWatcher = watch(running, () => written.resolve());
  const child = spawn(command, args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, PATH: SYSTEM_PATH },
  });
  const said: string[] = [];
  child.stderr!.on("data", (text: Buffer) => said.push(text.toString()));
  child.once("error", written.reject);
  child.once("exit", (status) => written.reject(new Error(`${name} ended with status ${status}: ${said.join("")}`)));
  try {
    await written.promise;
    return made(folder, port, child);
  } catch (error) {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
    throw error;
  } finally {
    watcher.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Debian keeps daemons where an ordinary user's PATH does not look. */
const SYSTEM_PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
