/**
 * Loads one CRL in a process of its own and looks serial numbers up in it; prints what that took, as JSON.
 *
 *   node bench/crlLoad.ts CRL CERTIFICATE COUNT
 *
 * COUNT serial numbers of test/revocation/largeCrl.ts are on the list, and as many more are not.
 */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { FileCrlFetcher } from "../src/revocation/crlFetchers.ts";
import { ThreadedCrlLoader } from "../src/revocation/crlLoader.ts";
import { systemEnvironment } from "../src/sim/system.ts";
import type { CrlIndex } from "../src/trust/crlIndex.ts";
import { parseCertificate } from "../src/x509/certificate.ts";
import { largeSerial } from "../test/revocation/largeCrl.ts";

export interface CrlLoadFigures {
  /** User and system, all threads, from the file to the first possible look-up. */
  cpuMs: number;
  /** The most memory used while loading beyond what the process used before. */
  peakKb: number;
  /** What stays of it. */
  keptKb: number;
  /** The longest that the event loop stood still for work of ours. */
  longestPauseMs: number;
  hitsPerSecond: number;
  missesPerSecond: number;
}

const LOOK_UPS = 200_000;

async function measure(crlFile: string, certificateFile: string, count: number): Promise<CrlLoadFigures> {
  const { subject, spki } = parseCertificate(readFileSync(certificateFile));
  const pauses = watchPauses();
  const before = { rss: process.memoryUsage.rss() / 1024, cpu: process.cpuUsage() };
  const fetched = await new FileCrlFetcher(256 * 1024 * 1024).fetch(pathToFileURL(crlFile).href, {});
  if (fetched.kind !== "content") throw new Error(`the CRL could not be read: ${JSON.stringify(fetched)}`);
  await using loader = new ThreadedCrlLoader(systemEnvironment.random);
  const load = await loader.load(fetched.segments, [{ name: subject.der, spki }]);
  if (!load.ok) throw new Error(`the CRL could not be loaded: ${load.problem.reason}`);
  const { user, system } = process.cpuUsage(before.cpu);
  const longestPauseMs = pauses();
  const peakKb = process.resourceUsage().maxRSS - before.rss;
  const keptKb = process.memoryUsage.rss() / 1024 - before.rss;
  const { index } = load.loaded;
  if (index.size !== count) throw new Error(`${index.size} entries of ${count}`);
  const hits = Array.from({ length: LOOK_UPS }, (_, index) => largeSerial((index * 7919) % count));
  const misses = Array.from({ length: LOOK_UPS }, (_, index) => largeSerial(count + index));
  const [hitsPerSecond, missesPerSecond] = [perSecond(index, hits, true), perSecond(index, misses, false)];
  return { cpuMs: (user + system) / 1000, peakKb, keptKb, longestPauseMs, hitsPerSecond, missesPerSecond };
}

/** Looks all up once to warm up, then once to measure its CPU time; every answer is checked. */
function perSecond(index: CrlIndex, serials: readonly Buffer[], listed: boolean): number {
  let seconds = 0;
  for (let round = 0; round < 2; round++) {
    const began = process.threadCpuUsage();
    let found = 0;
    for (const serial of serials) if (index.lookUp(serial) !== undefined) found += 1;
    const { user, system } = process.threadCpuUsage(began);
    seconds = (user + system) / 1e6;
    if (found !== (listed ? serials.length : 0)) throw new Error(`${found} of ${serials.length} found`);
  }
  return serials.length / seconds;
}

/**
 * Begins to watch the event loop; the function it gives ends that and tells the longest stretch of work in milliseconds.
 * By the main thread's own CPU time: on the clock it would tell what else the machine does.
 */
function watchPauses(): () => number {
  let longest = 0;
  let last = 0;
  const turn = () => {
    const { user, system } = process.threadCpuUsage();
    const now = (user + system) / 1000;
    if (last > 0) longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(turn, 1);
  return () => {
    turn();
    clearInterval(timer);
    return longest;
  };
}

const [crlFile, certificateFile, count] = process.argv.slice(2);
console.log(JSON.stringify(await measure(crlFile!, certificateFile!, Number(count))));
