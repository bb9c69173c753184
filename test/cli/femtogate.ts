/** The command as a person runs it, from bin/. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export interface Ran {
  /** Exit status, or null if a signal ended it. */
  status: number | null;
  out: string;
  err: string;
}

export interface RunOptions {
  /** Put in front, as `setpriv ...` is. */
  prefix?: readonly string[];
  env?: Record<string, string>;
}

export const BIN = fileURLToPath(new URL("../../bin/femtogate", import.meta.url));

/** Runs the command to its end. */
export function femtogate(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return start(args, options).ended;
}

export interface Started {
  child: ChildProcessByStdio<null, Readable, Readable>;
  ended: Promise<Ran>;
  /** The first whole line of standard output that `accept` takes; rejects with all output if it ends before. */
  line(accept: (line: string) => boolean): Promise<string>;
}

export function start(args: readonly string[], { prefix = [], env = {} }: RunOptions = {}): Started {
  const [command, ...rest] = [...prefix, BIN, ...args];
  const child = spawn(command!, rest, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...COMPILED, ...env },
  });
  const ran: Ran = { status: null, out: "", err: "" };
  const waiting = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    ran.out += text;
    for (const look of waiting) look();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    ran.err += text;
  });
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve(Object.assign(ran, { status })));
  });
  const line = (accept: (line: string) => boolean) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = ran.out.split("\n").slice(0, -1).find(accept);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
      void ended.then(() => reject(new Error(`ended before: ${ran.out}${ran.err}`)));
    });
  return { child, ended, line };
}

/** What one run has compiled serves the next, which halves what starting costs. */
const COMPILED = { NODE_COMPILE_CACHE: mkdtempSync(join(tmpdir(), "femtogate-compiled-")) };
process.once("exit", () => rmSync(COMPILED.NODE_COMPILE_CACHE, { recursive: true, force: true }));
