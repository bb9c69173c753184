/** OpenSSL's command line in a folder of its own. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { type Certificate, parseCertificate } from "../../../src/x509/certificate.ts";
import { fromPem, toPem } from "../../../src/x509/pem.ts";

export class OpenSsl implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "femtogate-openssl-"));

  /** Runs `openssl` with these arguments; gives what it printed on both streams, whether or not it was content. */
  try(...args: readonly string[]): { ok: boolean; output: string } {
    const { status, stdout, stderr, error } = spawnSync("openssl", args, { cwd: this.directory, encoding: "utf8" });
    if (error !== undefined) throw error;
    return { ok: status === 0, output: `${stdout}${stderr}` };
  }

  /** As `try`, but throws with what it printed if it was not content. */
  run(...args: readonly string[]): string {
    const { ok, output } = this.try(...args);
    if (!ok) throw new Error(`openssl ${args.join(" ")}\n${output}`);
    return output;
  }

  write(file: string, content: Bytes | string): string {
    writeFileSync(join(this.directory, file), content);
    return file;
  }

  writeCertificates(file: string, ...certificates: readonly Certificate[]): string {
    return this.write(file, certificates.map(({ der }) => toPem("CERTIFICATE", der)).join(""));
  }

  path(file: string): string {
    return join(this.directory, file);
  }

  read(file: string): Bytes {
    return readFileSync(join(this.directory, file));
  }

  readCertificate(file: string): Certificate {
    return parseCertificate(fromPem(this.read(file).toString("utf8"), "CERTIFICATE")[0]!);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
