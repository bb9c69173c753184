/** A role of the lab as a process of its own: started, listened to line by line, and ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** One line of a role's log. */
export type RoleRecord = { event?: string; at?: number; level?: string; text?: string } & Record<string, unknown>;

/** A role ended or did not do what was waited for; `message` holds the end of its output. */
export class RoleFailed extends Error {
  override readonly name = "RoleFailed";
}

export interface RoleStart {
  /** For people: "segw", "ap-0001.example". */
  name: string;
  /** Arguments of `femtogate`, or of `program` where one is named. */
  args: readonly string[];
  /** Another TypeScript file to run in place of the command line. */
  program?: string;
  /** Put in front of the command, as `ip netns exec` is. */
  prefix: readonly string[];
  onRecord(record: RoleRecord, role: RoleProcess): void;
}

export class RoleProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<{
    accept: (record: RoleRecord) => boolean;
    resolve: (record: RoleRecord) => void;
    reject: (error: Error) => void;
  }>();
  readonly #lastLines: string[] = [];
  readonly ended: Promise<number | null>;

  private constructor(start: RoleStart) {
    this.name = start.name;
    const [command, ...args] = [...start.prefix, process.execPath, start.program ?? MAIN, ...start.args];
    this.#child = spawn(command!, args, {
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, [END_WITH_STDIN]: "1" },
    });
    createInterface({ input: this.#child.stdout! }).on("line", (line) => this.#onLine(line, start));
    createInterface({ input: this.#child.stderr! }).on("line", (line) => this.#remember(line));
    this.ended = new Promise((resolve) => {
      this.#child.once("error", (error) => this.#onEnd(resolve, null, error.message));
      this.#child.once("close", (code, signal) => this.#onEnd(resolve, code, `status ${code ?? signal}`));
    });
  }

  static start(start: RoleStart): RoleProcess {
    return new RoleProcess(start);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Writes a line to its standard input. */
  say(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  /** Ends it as a crash does: nobody hears. */
  async crash(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  /** The first record from now on that `accept` takes; rejects with RoleFailed if the role ends or `limit` ms pass. */
  waitFor(what: string, accept: (record: RoleRecord) => boolean, limit: number): Promise<RoleRecord> {
    return new Promise((resolve, reject) => {
      const waiting = {
        accept,
        resolve: (record: RoleRecord) => settle(() => resolve(record)),
        reject: (error: Error) => settle(() => reject(error)),
      };
      const timer = setTimeout(() => waiting.reject(this.failed(`no ${what} within ${limit / 1000} s`)), limit);
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        finish();
      };
      if (this.#child.exitCode !== null) return waiting.reject(this.failed("ended before"));
      this.#waiting.add(waiting);
    });
  }

  /** Asks it to end and waits; after `limit` milliseconds it is killed. */
  async stop(limit = 5_000): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), limit);
    await this.ended;
    clearTimeout(timer);
  }

  failed(problem: string): RoleFailed {
    return new RoleFailed(`${this.name}: ${problem}${this.#lastLines.map((line) => `\n  ${line}`).join("")}`);
  }

  #onLine(line: string, start: RoleStart): void {
    let record: RoleRecord;
    try {
      record = JSON.parse(line) as RoleRecord;
    } catch {
      return this.#remember(line);
    }
    if (record.level === "error") this.#remember(String(record.text));
    start.onRecord(record, this);
    for (const waiting of [...this.#waiting]) if (waiting.accept(record)) waiting.resolve(record);
  }

  #remember(line: string): void {
    this.#lastLines.push(line);
    if (this.#lastLines.length > MAX_LINES) this.#lastLines.shift();
  }

  #onEnd(resolve: (code: number | null) => void, code: number | null, how: string): void {
    for (const waiting of [...this.#waiting]) waiting.reject(this.failed(`ended (${how})`));
    resolve(code);
  }
}

/** Set for a role that is to end when its standard input does: at the latest when the process that started it is gone. */
export const END_WITH_STDIN = "FEMTOGATE_END_WITH_STDIN";
const MAIN = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
/** Lines of a role's output that an error shows. */
const MAX_LINES = 10;
