/** Options that several verbs of `femtogate pki` share. */
import { readCertificateFile } from "../../../pki/caFolder.ts";
import type { PkiEnvironment } from "../../../pki/certify.ts";
import { systemEnvironment } from "../../../sim/system.ts";
import { UsageError } from "../../command.ts";

export const environment: PkiEnvironment = systemEnvironment;

export function one(positionals: readonly string[]): string {
  const [directory, ...more] = positionals;
  if (directory === undefined || more.length > 0) throw new UsageError("name one folder that holds the PKI");
  return directory;
}

export function oneOf<T extends string>(option: string, value: string | undefined, known: readonly T[]): T {
  const found = optionally(option, value, known);
  if (found === undefined) throw new UsageError(`${option} is missing: one of ${known.join(", ")}`);
  return found;
}

export function optionally<T extends string>(
  option: string,
  value: string | undefined,
  known: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const found = known.find((candidate) => candidate === value);
  if (found === undefined) throw new UsageError(`${option} is one of ${known.join(", ")}, not "${value}"`);
  return found;
}

export function dateOption(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const at = Date.parse(text);
  if (Number.isNaN(at))
    throw new UsageError(`${option} takes a date such as 2027-01-31 or 2027-01-31T12:00:00Z, not "${text}"`);
  return at;
}

export function serialOf({ serial, cert }: { serial?: string | undefined; cert?: string | undefined }): Buffer {
  if (cert !== undefined && serial !== undefined) throw new UsageError("give --serial or --cert, not both");
  if (cert !== undefined) return readCertificateFile(cert).serial;
  if (serial === undefined) throw new UsageError("say which certificate: --serial HEX or --cert FILE");
  // "4f3e..", or "4F:3E:.." as OpenSSL and browsers show it.
  const digits = serial.replaceAll(":", "");
  if (!/^([0-9a-f]{2})+$/i.test(digits)) throw new UsageError(`--serial takes hexadecimal digits, not "${serial}"`);
  return Buffer.from(digits, "hex");
}

/** The value of an option that must be there. */
export function needed(option: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`${option} is missing`);
  return value;
}
