/** Logs: one JSON object a line for machines, or one line of text for people (pino underneath). */
import { type Logger, pino } from "pino";
import { z } from "zod";
import type { Clock } from "../sim/environment.ts";

export type { Logger } from "pino";

export const logSection = z
  .strictObject({
    /** `debug` also tells of each datagram that was dropped and each request sent again. */
    level: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
    /** `json`: one object a line; `text`: for people. */
    format: z.enum(["json", "text"]).default("json"),
    /** Logs every IKE, Diameter and RADIUS message with a short description of what is in it. */
    messages: z.boolean().default(false),
  })
  .prefault({});

export type LogSettings = z.output<typeof logSection>;

/** A logger that hands each line to `write`; `role` stands in every line, `at` is in milliseconds since 1970. */
export function createLogger(settings: LogSettings, role: string, clock: Clock, write: (line: string) => void): Logger {
  return pino(
    {
      level: settings.level,
      base: { role },
      messageKey: "text",
      timestamp: () => `,"at":${clock.now()}`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => write(settings.format === "json" ? line : asText(line)) },
  );
}

/** "12:03:44.120 warn  segw: text". */
function asText(line: string): string {
  const { at, level, role, text } = JSON.parse(line) as { at: number; level: string; role: string; text: string };
  return `${new Date(at).toISOString().slice(11, 23)} ${level.padEnd(5)} ${role}: ${text}\n`;
}
