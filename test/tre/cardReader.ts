/**
 * A card reader with a virtual USIM in it: pcscd with vsmartcard's reader driver, both in namespaces of their own, so
 * that neither their port nor pcscd's socket meets anything else on the machine.
 *
 *   test ── libpcsclite ── /proc/PID/root/run/pcscd/pcscd.comm ── pcscd ── libifdvpcd ── TCP on lo ── virtualCardProcess.ts
 *                                                                 └───────── mount and network namespace ────────────┘
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CardSettings } from "./virtualCard.ts";

export const READER = "Virtual PCD";

export class CardReader implements AsyncDisposable {
  /** What PCSCLITE_CSOCK_NAME must say for libpcsclite to find this reader. */
  readonly socketName: string;
  readonly #folder: string;
  readonly #daemon: ChildProcess;
  #card: ChildProcess | undefined;

  private constructor(folder: string, daemon: ChildProcess) {
    this.socketName = `/proc/${daemon.pid}/root/run/pcscd/pcscd.comm`;
    this.#folder = folder;
    this.#daemon = daemon;
  }

  /** A reader, empty yet. */
  static async start(): Promise<CardReader> {
    const folder = mkdtempSync(join(tmpdir(), "reader-"));
    writeFileSync(
      join(folder, "vpcd"),
      `FRIENDLYNAME "${READER}"\nDEVICENAME /dev/null:0x${PORT.toString(16)}\nLIBPATH ${DRIVER}\nCHANNELID 0x${PORT.toString(16)}\n`,
    );
    const script = `ip link set lo up && mkdir -p /run/pcscd && mount -t tmpfs tmpfs /run/pcscd && exec pcscd -f -d -c ${folder}`;
    const daemon = spawn("unshare", ["-n", "-m", "sh", "-c", script], { stdio: ["ignore", "pipe", "pipe"] });
    const reader = new CardReader(folder, daemon);
    try {
      await says(daemon, /daemon ready/);
    } catch (error) {
      await reader[Symbol.asyncDispose]();
      throw error;
    }
    return reader;
  }

  /** Puts a card in; returns once pcscd has seen it. */
  async insert(settings: CardSettings): Promise<void> {
    const script = fileURLToPath(new URL("./virtualCardProcess.ts", import.meta.url));
    const target = ["-t", String(this.#daemon.pid), "-n"];
    const card = spawn("nsenter", [...target, process.execPath, script, String(PORT), JSON.stringify(settings)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#card = card;
    await Promise.all([says(card, /powered/), says(this.#daemon, /Card ATR/)]);
  }

  /** Takes the card out; returns once pcscd has seen that. */
  async remove(): Promise<void> {
    const card = this.#card;
    this.#card = undefined;
    if (card === undefined) return;
    // Both at once: if the daemon ends meanwhile, nobody is left waiting for it without hearing.
    await Promise.all([says(this.#daemon, /Card Removed/i), end(card)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#card !== undefined) await end(this.#card);
    await end(this.#daemon);
    rmSync(this.#folder, { recursive: true });
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Resolves when the process prints something like it, rejects when it ends before. */
function says(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = "";
    const listen = (part: Buffer) => {
      output += part;
      if (!pattern.test(output)) return;
      child.stdout?.off("data", listen);
      child.stderr?.off("data", listen);
      child.off("exit", failed);
      child.off("error", failed);
      resolve();
    };
    const failed = () => reject(new Error(`ended before it said ${pattern}: ${output}`));
    child.stdout?.on("data", listen);
    child.stderr?.on("data", listen);
    child.once("exit", failed);
    child.once("error", failed);
  });
}

const PORT = 0x8c7b;
const DRIVER = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
