/** A PostgreSQL server in a folder and on a loopback port of its own; nothing of the machine's own cluster. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../net/freePort.ts";

const ROOT = "/usr/lib/postgresql";
/** PostgreSQL refuses to run as root; "nobody" owns nothing else. */
const USER = { uid: 65534, gid: 65534 };

export class PostgresServer implements AsyncDisposable {
  readonly #folder: string;
  readonly #port: number;
  readonly #child: ChildProcess;
  #databases = 0;

  private constructor(folder: string, port: number, child: ChildProcess) {
    this.#folder = folder;
    this.#port = port;
    this.#child = child;
  }

  static async start(): Promise<PostgresServer> {
    const folder = mkdtempSync(join(tmpdir(), "femtogate-pg-"));
    const cluster = join(folder, "cluster");
    mkdirSync(cluster);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) {
      chmodSync(folder, 0o755);
      chownSync(cluster, USER.uid, USER.gid);
    }
    const who = isRoot ? USER : {};
    const options = { ...who, cwd: "/", env: { PATH: process.env.PATH, LC_ALL: "C", HOME: cluster } };
    const programs = programsOf();
    execFileSync(join(programs, "initdb"), ["-D", cluster, "-U", "test", "-A", "trust", "--no-sync"], {
      ...options,
      stdio: "ignore",
    });
    const port = await freePort();
    const listen = ["-h", "127.0.0.1", "-p", String(port), "-c", `unix_socket_directories=${cluster}`];
    const child = spawn(join(programs, "postgres"), ["-D", cluster, ...listen, "-c", "fsync=off"], {
      ...options,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const server = new PostgresServer(folder, port, child);
    const lines: string[] = [];
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stderr! }).on("line", (line) => {
        lines.push(line);
        if (line.includes("ready to accept connections")) resolve();
      });
      child.once("exit", () => reject(new Error(`postgres ended:\n${lines.join("\n")}`)));
    });
    return server;
  }

  /** URL of a database that nobody has used. */
  newDatabase(): string {
    this.#databases += 1;
    const name = `test${this.#databases}`;
    const where = ["-h", "127.0.0.1", "-p", String(this.#port), "-U", "test"];
    execFileSync(join(programsOf(), "createdb"), [...where, name], { stdio: "ignore" });
    return `postgres://test@127.0.0.1:${this.#port}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) {
      // Immediate shutdown: nothing of it is to last.
      this.#child.kill("SIGQUIT");
      await once(this.#child, "exit");
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function programsOf(): string {
  const versions = readdirSync(ROOT).sort((a, b) => Number(b) - Number(a));
  return join(ROOT, versions[0]!, "bin");
}
