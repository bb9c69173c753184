/** What a process has used so far, from Linux's /proc (proc(5)). */
import { readFile } from "node:fs/promises";

export interface ProcessUsage {
  /** Milliseconds of CPU, user and system, of all threads including those that ended; in steps of 10 ms. */
  cpuMs: number;
  /** Memory that belongs to the process alone or is shared, in kB, as the kernel counts it now. */
  residentKb: number;
}

/** USER_HZ: the unit of /proc's times, 100 on every Linux architecture Node runs on. */
const MS_PER_TICK = 10;

/** Usage of the process with this pid; rejects if there is none. */
export async function readUsage(pid: number): Promise<ProcessUsage> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, "utf8"),
    readFile(`/proc/${pid}/status`, "utf8"),
  ]);
  // The second field is the command's name in parentheses and may hold spaces; count from behind it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  return {
    cpuMs: (userTicks + systemTicks) * MS_PER_TICK,
    residentKb: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0),
  };
}
