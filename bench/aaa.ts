/**
 * Full authentications by EAP-AKA per CPU-second of an AAA server alone, over RADIUS, beside hostapd doing the same; the
 * memory in use that a session keeps; and combined attachments (see aaaCombined.ts).
 *
 * Hosting parties are another process, and take a core of their own. Our server has its HSS in the same process, with
 * SQN on disk before a vector is used; hostapd gets its vectors from the process of the hosting parties, and
 * keeps nothing on a disk. Neither logs an authentication. Each figure is the median of three runs on a fresh server.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { RoleProcess } from "../src/lab/roleProcess.ts";
import { freePort } from "../test/net/freePort.ts";
import { combinedAttachments } from "./aaaCombined.ts";
import type { AaaLoad } from "./aaaLoad.ts";
import { makeSubscribers, startAaa, writeAaa } from "./aaaServer.ts";
import { type Bench, median, type Row } from "./bench.ts";
import { type ProcessUsage, readUsage } from "./processUsage.ts";

const RUNS = 3;
/** More than run at once, and no more than a pilot has. */
const SUBSCRIBERS = 2_000;
const CONCURRENCY = 128;
const SECRET = "a secret of the benchmark";
const LIMIT_MS = 180_000;

interface Server {
  subject: string;
  reference?: boolean;
  note: string;
  /** Authentications before the measurement and in it, each of a session of its own. */
  counts: readonly [warmUp: number, measured: number];
  /** A second, where the server bears no more; 0: as many as it can. */
  rate: number;
  start(folder: string, subscribers: AaaLoad["subscribers"], ends: AsyncDisposableStack): Promise<Running>;
}

interface Running {
  pid: number;
  port: number;
  vectors?: string;
  /** Octets in use; undefined of a server that keeps no sessions. */
  memory?: () => Promise<number>;
}

interface Figures {
  perCpuSecond: number;
  perSecond: number;
  kbPerSession: number | undefined;
}

export const aaa: Bench = {
  name: "aaa",
  async run(): Promise<Row[]> {
    const rows: Row[] = [];
    for (const server of [hostapd, femtogate]) {
      const runs: Figures[] = [];
      for (let i = 0; i < RUNS; i++) runs.push(await measureOnce(server));
      const { subject, reference = false, note } = server;
      const row = (measure: string, of: (figures: Figures) => number, unit: string): Row => {
        return { measure, subject, reference, note, unit, value: median(runs.map(of)) };
      };
      rows.push(
        row("EAP-AKA full authentications per CPU-second of the AAA server", (it) => it.perCpuSecond, "/s"),
        row("EAP-AKA full authentications on the clock", (it) => it.perSecond, "/s"),
      );
      const memory = runs.flatMap(({ kbPerSession }) => kbPerSession ?? []);
      if (memory.length > 0) rows.push(row("memory in use per AAA session", () => median(memory), "kB"));
    }
    return [...rows, ...(await combinedAttachments())];
  },
};

async function measureOnce(server: Server): Promise<Figures> {
  await using ends = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "femtogate-bench-aaa-"));
  ends.defer(() => rm(folder, { recursive: true, force: true }));
  const subscribers = makeSubscribers(SUBSCRIBERS);
  const { pid, port, vectors, memory } = await server.start(folder, subscribers, ends);
  const { rate } = server;
  const load = await startLoad(folder, rate, { port, secret: SECRET, subscribers, ...(vectors && { vectors }) }, ends);
  const [warmUp, measured] = server.counts;
  await load(warmUp);
  const before = await readUsage(pid);
  const begin = performance.now();
  await load(measured);
  const seconds = (performance.now() - begin) / 1000;
  const after: ProcessUsage = await readUsage(pid);
  // By itself: to be rid of the garbage makes what comes next slower.
  const usedBefore = await memory?.();
  if (memory !== undefined) await load(measured);
  const used = await memory?.();
  return {
    perCpuSecond: (measured * 1000) / (after.cpuMs - before.cpuMs),
    perSecond: measured / seconds,
    kbPerSession: used === undefined || usedBefore === undefined ? undefined : (used - usedBefore) / 1024 / measured,
  };
}

/** Gives what runs so many authentications. */
async function startLoad(
  folder: string,
  rate: number,
  load: AaaLoad,
  ends: AsyncDisposableStack,
): Promise<(count: number) => Promise<void>> {
  const file = join(folder, "load.json");
  writeFileSync(file, JSON.stringify(load));
  const role = RoleProcess.start({
    name: "hosting parties",
    program: join(import.meta.dirname, "./aaaLoad.ts"),
    args: [file],
    prefix: [],
    onRecord: () => undefined,
  });
  ends.defer(() => role.crash());
  await role.waitFor("hosting parties", ({ event }) => event === "ready", LIMIT_MS);
  return async (count) => {
    const done = role.waitFor("authentications", ({ event }) => event === "done", LIMIT_MS);
    role.say(`${count} ${CONCURRENCY} ${rate}`);
    await done;
  };
}

const femtogate: Server = {
  subject: "femtogate aaa",
  // At first more than it keeps answers of, so that these do not count as sessions' memory; and it runs for months, so
  // what a start costs does not count.
  counts: [20_000, 20_000],
  rate: 0,
  note: "HSS in the same process; SQN durable before a vector is used",
  async start(folder, subscribers, ends) {
    writeFileSync(join(folder, "secret"), SECRET);
    const file = await writeAaa(folder, subscribers, {
      radius: {
        authentication: [{ address: "127.0.0.1", port: 0 }],
        clients: [{ name: "segw", block: "127.0.0.1", secretFile: "secret" }],
      },
      policy: { unknownDevices: "allow", hostingPartyBinding: "off" },
    });
    const { pid, radius, memory } = await startAaa(file, ends);
    return { pid, port: radius, memory };
  },
};

const hostapd: Server = {
  subject: "hostapd 2.10",
  reference: true,
  counts: [500, 1_500],
  // It keeps 1000 sessions at most, each for five seconds after its end.
  rate: 170,
  note: "vectors from another process, nothing on disk",
  async start(folder, _subscribers, ends) {
    mkdirSync(join(folder, "hostapd"));
    const port = await freePort();
    const vectors = join(folder, "vectors.sock");
    writeFileSync(join(folder, "users"), '"0"* AKA\n');
    writeFileSync(join(folder, "clients"), `127.0.0.1/32 ${SECRET}\n`);
    writeFileSync(
      join(folder, "hostapd.conf"),
      `interface=none
driver=none
logger_stdout=0
logger_syslog=0
radius_server_clients=${folder}/clients
radius_server_auth_port=${port}
eap_server=1
eap_user_file=${folder}/users
eap_sim_db=unix:${vectors}
eap_sim_id=3
`,
    );
    const child: ChildProcess = spawn("hostapd", [join(folder, "hostapd.conf")], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    ends.defer(async () => void child.kill("SIGKILL"));
    for await (const line of createInterface({ input: child.stdout! })) if (line.includes("AP-ENABLED")) break;
    child.stdout!.resume();
    return { pid: child.pid!, port, vectors };
  },
};
