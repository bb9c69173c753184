/** Runs `femtogate check` in this process, in a folder of its own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../../src/cli/command.ts";
import { command } from "../../../src/cli/commands/check.ts";
import type { Certificate } from "../../../src/x509/certificate.ts";
import { toPem } from "../../../src/x509/pem.ts";

export interface Ran {
  status: number;
  /** Everything printed. */
  output: string;
  /** What a wrong use or an unreachable host was told. */
  complaint: string;
}

export class CheckFolder implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "femtogate-check-"));

  path(file: string): string {
    return join(this.directory, file);
  }

  write(file: string, content: Buffer | string): string {
    writeFileSync(this.path(file), content);
    return this.path(file);
  }

  writeCertificates(file: string, ...certificates: readonly Certificate[]): string {
    return this.write(file, certificates.map(({ der }) => toPem("CERTIFICATE", der)).join(""));
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

export async function check(...args: readonly string[]): Promise<Ran> {
  const printed: string[] = [];
  const complained: string[] = [];
  const io = {
    print: (line: string) => printed.push(line),
    write: (text: string) => printed.push(text),
    complain: (line: string) => complained.push(line),
    env: {},
    stopped: new Promise<void>(() => undefined),
  };
  const done = (status: number) => ({ status, output: printed.join("\n"), complaint: complained.join("\n") });
  try {
    return done(await command.run(args, io));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    complained.push(error.message);
    return done(2);
  }
}

/** As `check`, with --json: the report as it was printed. */
export async function checkJson(...args: readonly string[]): Promise<{ status: number; report: CheckedJson }> {
  const { status, output, complaint } = await check("--json", ...args);
  if (output === "") throw new Error(complaint);
  return { status, report: JSON.parse(output) };
}

export interface CheckedJson {
  result: string;
  certificates: { subject: string; from: string; profile: string; trusted: boolean; findings: { rule: string }[] }[];
  ends: {
    subject: string;
    result: string;
    reasons: string[];
    path: { subject: string }[] | null;
    statuses: { status: string; evidence: Record<string, string>[] }[];
    roles: { role: string; would: string; reason?: string; message: string; statuses: RoleStatusJson[] }[];
  }[];
  crls: { issuer: string; findings: { rule: string }[] }[];
  problems: string[];
}

export interface RoleStatusJson {
  subject: string;
  decision: { kind: string };
  findings: {
    method: string;
    answer: { status: string; revokedAt?: string; reasonCode?: number; evidence?: Record<string, unknown> };
  }[];
}
