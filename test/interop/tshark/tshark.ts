/** tshark, reading a capture in a temporary folder. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keysDirectory } from "../../../src/observe/captureFile.ts";

export class Tshark implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "femtogate-tshark-"));
  readonly file = join(this.directory, "ike.pcapng");

  /** What tshark prints; throws with what it complains of. `keys` as the header of captureFile.ts shows. */
  read(keys: "with keys" | "without keys", ...args: readonly string[]): string {
    const config = keys === "with keys" ? keysDirectory(this.file) : this.directory;
    const { status, stdout, stderr, error } = spawnSync("tshark", ["-r", this.file, ...args], {
      encoding: "utf8",
      env: { ...process.env, WIRESHARK_CONFIG_DIR: config },
      maxBuffer: 64 * 1024 * 1024,
    });
    if (error !== undefined) throw error;
    const complaints = stderr.replace(/^Running as user .*\n?/m, "").trim();
    if (status !== 0 || complaints !== "") throw new Error(`tshark: ${complaints}`);
    return stdout;
  }

  /** One row a packet, one column a field, all values of a field in it separated by commas. */
  fields(keys: "with keys" | "without keys", ...names: readonly string[]): string[][] {
    const out = this.read(keys, "-T", "fields", ...names.flatMap((name) => ["-e", name]));
    return out
      .split("\n")
      .slice(0, -1)
      .map((line) => line.split("\t"));
  }

  /** What tshark's dissectors complain of, warnings and errors, one line each. */
  complaints(): string[] {
    const filter = '_ws.malformed || _ws.expert.severity >= "Warning" || ip.checksum.status == "Bad"';
    return this.read("with keys", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter, "-V")
      .split("\n")
      .filter((line) => /Expert Info|Malformed Packet/.test(line));
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

/** What tshark 4.0 says of CERT of encoding 14 (RFC 4806), which it takes for a certificate too: an OCSP response begins
 * with an ENUMERATED. */
export const OCSP_AS_CERTIFICATE =
  /Expert Info \(Warning\/Malformed\).* but found class:(UNIVERSAL\(0\) tag:10|CONTEXT\(2\) tag:0)\]$/;
