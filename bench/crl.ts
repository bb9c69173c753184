/**
 * A CRL of a million entries: loading and looking up, beside `openssl crl` and `openssl verify -crl_check`.
 *
 * Each run is a process of its own that begins with the file. OpenSSL's look-up in a loaded list is what one more
 * certificate costs `openssl verify`. All times are CPU time, so that it matters little what else the machine does.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toPem } from "../src/x509/pem.ts";
import { largeCrl } from "../test/revocation/largeCrl.ts";
import { LEAF_EXTENSIONS, make, NOW } from "../test/x509/made.ts";
import { type Bench, BenchUnavailable, median, type Row } from "./bench.ts";
import type { CrlLoadFigures } from "./crlLoad.ts";
import { readUsage } from "./processUsage.ts";

const ENTRIES = 1_000_000;
const RUNS = 3;
/** Certificates checked besides the first, to learn what one costs. */
const MORE_CHECKS = 20;

export const crl: Bench = {
  name: "crl",
  async run(): Promise<Row[]> {
    const openssl = opensslVersion();
    const folder = await mkdtemp(join(tmpdir(), "femtogate-bench-"));
    try {
      const files = await writeFiles(folder);
      const compiled = join(folder, "compiled");
      // Leaves compiled code behind, as whoever started the role before did (bin/femtogate).
      runOurs(files, compiled);
      const ours = await runs(() => runOurs(files, compiled));
      const loads = await runs(() => runOpenssl(["crl", "-inform", "DER", "-in", files.crl, "-noout"]));
      const verify = [
        "verify",
        "-crl_check",
        "-attime",
        String(NOW / 1000),
        "-CAfile",
        files.ca,
        "-CRLfile",
        files.crl,
      ];
      const once = await runs(() => runOpenssl([...verify, files.leaf]));
      const often = await runs(() => runOpenssl([...verify, ...Array(MORE_CHECKS + 1).fill(files.leaf)]));
      // A difference of two runs that each take seconds: what else the machine did would be larger than the check.
      const check = (Math.min(...often.map(cpu)) - Math.min(...once.map(cpu))) / MORE_CHECKS;
      const load = `load a CRL of ${ENTRIES.toLocaleString("en")} entries`;
      const lookUp = `look-ups in a loaded CRL of ${ENTRIES.toLocaleString("en")} entries`;
      const us = "femtogate";
      const of = (figure: (run: CrlLoadFigures) => number) => median(ours.map(figure));
      return [
        row(`${load}, CPU`, `${openssl} crl`, median(loads.map(cpu)), "ms", "signature not verified"),
        { ...row(`${load}, CPU`, `${openssl} verify`, median(once.map(cpu)), "ms"), reference: true },
        row(
          `${load}, CPU`,
          us,
          of(({ cpuMs }) => cpuMs),
          "ms",
          "signature verified, thread started",
        ),
        row(`${load}, memory at most`, `${openssl} crl`, median(loads.map(memory)), "MB"),
        { ...row(`${load}, memory at most`, `${openssl} verify`, median(once.map(memory)), "MB"), reference: true },
        row(
          `${load}, memory at most`,
          us,
          of(({ peakKb }) => peakKb / 1024),
          "MB",
          "beyond the process before",
        ),
        row(
          `${load}, memory afterwards`,
          us,
          of(({ keptKb }) => keptKb / 1024),
          "MB",
        ),
        row(
          `${load}, longest work on the event loop`,
          us,
          of(({ longestPauseMs }) => longestPauseMs),
          "ms",
        ),
        { ...row(lookUp, `${openssl} verify`, 1000 / check, "/s", "a whole check"), reference: true },
        row(
          lookUp,
          `${us}, listed`,
          of(({ hitsPerSecond }) => hitsPerSecond),
          "/s",
        ),
        row(
          lookUp,
          `${us}, not listed`,
          of(({ missesPerSecond }) => missesPerSecond),
          "/s",
        ),
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

interface Files {
  crl: string;
  ca: string;
  caDer: string;
  leaf: string;
}

async function writeFiles(folder: string): Promise<Files> {
  const ca = make({ name: "CA" });
  const leaf = make({ name: "leaf", issuer: ca, extensions: LEAF_EXTENSIONS });
  const write = async (name: string, content: Buffer | string) => {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  };
  return {
    crl: await write("ca.crl", largeCrl(ca, ENTRIES)),
    ca: await write("ca.pem", toPem("CERTIFICATE", ca.certificate.der)),
    caDer: await write("ca.der", ca.certificate.der),
    leaf: await write("leaf.pem", toPem("CERTIFICATE", leaf.certificate.der)),
  };
}

async function runs<T>(run: () => Promise<T> | T): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < RUNS; i++) results.push(await run());
  return results;
}

function runOurs({ crl, caDer }: Files, compiled: string): CrlLoadFigures {
  const args = [join(import.meta.dirname, "crlLoad.ts"), crl, caDer, String(ENTRIES)];
  const env = { ...process.env, NODE_COMPILE_CACHE: compiled };
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8", env }));
}

interface Used {
  cpuMs: number;
  peakKb: number;
}

/** Runs openssl to its end, which must be a good one, looking at what it uses all the while. */
function runOpenssl(args: readonly string[]): Promise<Used> {
  return new Promise((resolve, reject) => {
    const child = spawn("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
    const used: Used = { cpuMs: 0, peakKb: 0 };
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
    });
    const look = setInterval(() => {
      readUsage(child.pid!).then(
        ({ cpuMs, residentKb }) => {
          used.cpuMs = Math.max(used.cpuMs, cpuMs);
          used.peakKb = Math.max(used.peakKb, residentKb);
        },
        () => undefined,
      );
    }, 5);
    child.once("error", reject);
    child.once("exit", (status) => {
      clearInterval(look);
      if (status === 0) resolve(used);
      else reject(new Error(`openssl ${args.join(" ")}: ${said}`));
    });
  });
}

function row(measure: string, subject: string, value: number, unit: string, note?: string): Row {
  return { measure, subject, value, unit, ...(note === undefined ? {} : { note }) };
}

function cpu({ cpuMs }: Used): number {
  return cpuMs;
}

function memory({ peakKb }: Used): number {
  return peakKb / 1024;
}

function opensslVersion(): string {
  try {
    return execFileSync("openssl", ["version"], { encoding: "utf8" }).split(" ").slice(0, 2).join(" ");
  } catch {
    throw new BenchUnavailable("openssl is not installed: apt-get install openssl");
  }
}
