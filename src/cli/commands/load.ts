/** femtogate load: many devices that attach to a gateway. */
import { setTimeout as delay } from "node:timers/promises";
import type { LoadResult } from "../../henb/load.ts";
import { serveLoad } from "../../henb/serveLoad.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { type Command, numberOption, oneConfiguration, parse } from "../command.ts";

const USAGE = `femtogate load: many devices that attach to a gateway, each with its own certificate

  femtogate load CONFIG.yaml [--count N] [--concurrency N] [--hold SECONDS] [--json]

Attaches N times (1000), the configured devices in turn, with as many attempts under way as --concurrency says (16);
keeps every IKE SA, holds them --hold seconds (0), then deletes them. Certificates, and EAP-AKA after them where
the configuration gives a device a hosting party; no user data. Exit status 1 if an attempt failed.`;

export const command: Command = {
  name: "load",
  summary: "many devices that attach to a gateway",
  usage: USAGE,
  async run(args, io) {
    const { values, positionals } = parse({
      args: [...args],
      allowPositionals: true,
      options: {
        count: { type: "string" },
        concurrency: { type: "string" },
        hold: { type: "string" },
        json: { type: "boolean" },
      },
    });
    const count = numberOption("--count", values.count ?? "1000", 1, 10_000_000);
    const concurrency = numberOption("--concurrency", values.concurrency ?? "16", 1, 100_000);
    const hold = numberOption("--hold", values.hold ?? "0", 0, 86_400);
    const load = await serveLoad(oneConfiguration(positionals), systemEnvironment, (what, error) =>
      io.complain(`${what}: ${error}`),
    );
    const result = await load.generator.attach(count, concurrency);
    io.print(values.json === true ? JSON.stringify({ event: "load", ...figures(result) }) : text(result));
    await Promise.race([delay(hold * 1000, undefined, { ref: false }), io.stopped]);
    await load.stop();
    return result.established === count ? 0 : 1;
  },
};

function figures({ established, failed, latencies, duration }: LoadResult) {
  const sorted = latencies.toSorted((a, b) => a - b);
  const quantile = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return {
    established,
    failed: Object.fromEntries(failed),
    seconds: duration / 1000,
    perSecond: established / (duration / 1000),
    latencyMs: { median: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), most: sorted.at(-1) },
  };
}

function text(result: LoadResult): string {
  const { established, failed, seconds, perSecond, latencyMs } = figures(result);
  const failures = Object.entries(failed).map(([reason, count]) => `\n  failed: ${count} ${reason}`);
  const { median, p90, p99, most } = latencyMs;
  const latency = established === 0 ? "" : `; latency in ms: median ${median}, 90 % ${p90}, 99 % ${p99}, most ${most}`;
  return `${established} established in ${seconds.toFixed(2)} s: ${perSecond.toFixed(0)}/s${latency}${failures.join("")}`;
}
