/** What a subcommand is, and how it says that it was used wrongly. */
import { type ParseArgsConfig, parseArgs } from "node:util";

export interface Io {
  /** Standard output, one call a line. */
  print(line: string): void;
  /** Standard output as it is, with line feeds of its own. */
  write(text: string): void;
  /** Standard error, one call a line. */
  complain(line: string): void;
  env: Record<string, string | undefined>;
  /** Resolves when a person or systemd asks the process to end. */
  stopped: Promise<void>;
}

export interface Command {
  name: string;
  summary: string;
  usage: string;
  /** Exit status: 0 done, 1 failed, 2 used wrongly. */
  run(args: readonly string[], io: Io): Promise<number>;
}

/** Arguments that cannot be used; the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** `parseArgs` whose complaints are UsageErrors. */
export function parse<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message.split(". To specify")[0]! : String(error));
  }
}

/** A whole number within bounds, or a UsageError that names the option. */
export function numberOption(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most)
    throw new UsageError(`${option} takes a whole number from ${least} to ${most}, not "${text}"`);
  return value;
}

/** One of the words an option takes, or a UsageError that lists them. */
export function oneOf<T extends string>(option: string, value: string, known: readonly T[]): T {
  const found = known.find((candidate) => candidate === value);
  if (found === undefined)
    throw new UsageError(`${option} is one of ${known.join(", ")}${value === "" ? "" : `, not "${value}"`}`);
  return found;
}

/** Options of every command that can write a capture. */
export const captureOptions = { capture: { type: "string" }, "capture-keys": { type: "boolean" } } as const;

/** What `captureOptions` say; keys are never written without a capture to read with them. */
export function chosenCapture(values: {
  capture?: string | undefined;
  "capture-keys"?: boolean | undefined;
}): { file: string; withKeys: boolean } | undefined {
  const withKeys = values["capture-keys"] ?? false;
  if (values.capture === undefined) {
    if (withKeys) throw new UsageError("--capture-keys goes with --capture FILE.pcapng");
    return undefined;
  }
  return { file: values.capture, withKeys };
}

/** The one configuration file that a role is started with. */
export function oneConfiguration(positionals: readonly string[]): string {
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new UsageError("name one configuration file");
  return file;
}
