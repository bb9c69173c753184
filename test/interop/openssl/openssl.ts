/** OpenSSL's command line in a folder of its own. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { type Certificate, parseCertificate } from "../../../src/x509/certificate.ts";
import { fromPem, toPem } from "../../../src/x509/pem.ts";

export class OpenSsl implements Disposable {
  readonly #servers = new Set<ChildProcess>();
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

  /** As `try`, while this process goes on: for a client of a server that is in it. */
  ask(...args: readonly string[]): Promise<{ ok: boolean; output: string }> {
    return new Promise((resolve) => {
      execFile("openssl", args, { cwd: this.directory, timeout: 20_000 }, (error, stdout, stderr) =>
        resolve({ ok: error === null, output: `${stdout}${stderr}` }),
      );
    });
  }

  /** Runs `openssl ocsp` as a responder on a port of the system's choice until disposal (it takes no address); gives its URL. */
  async serveOcsp(...args: readonly string[]): Promise<string> {
    const { port } = await this.serveOcspOn([], ...args);
    return `http://127.0.0.1:${port}/`;
  }

  /** As `serveOcsp`, on the host that `prefix` leads to, such as `ip netns exec NAME`; `pid` is the responder's. */
  async serveOcspOn(prefix: readonly string[], ...args: readonly string[]): Promise<{ port: number; pid: number }> {
    const [command, ...rest] = [...prefix, "openssl", "ocsp", "-port", "0", ...args];
    const server = spawn(command!, rest, { cwd: this.directory, stdio: ["ignore", "pipe", "pipe"] });
    this.#servers.add(server);
    const said: string[] = [];
    server.stderr.on("data", (part: Bytes) => said.push(part.toString()));
    for await (const line of createInterface({ input: server.stdout })) {
      const [, port] = /^ACCEPT .*:(\d+) /.exec(line) ?? [];
      if (port !== undefined) return { port: Number(port), pid: server.pid! };
    }
    throw new Error(`openssl ocsp ${args.join(" ")} does not serve\n${said.join("")}`);
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
    return readFileSync(resolve(this.directory, file));
  }

  readCertificate(file: string): Certificate {
    return parseCertificate(fromPem(this.read(file).toString("utf8"), "CERTIFICATE")[0]!);
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers) server.kill("SIGKILL");
    rmSync(this.directory, { recursive: true });
  }
}
