/** freeDiameterd as a relay with TLS on all its sides, in a folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../../net/freePort.ts";
import type { Credentials } from "../../net/tlsCredentials.ts";

export interface RelaySettings {
  identity: string;
  realm: string;
  credentials: Credentials;
  /** Nodes it connects to, by identity. */
  servers: Readonly<Record<string, number>>;
  /** Nodes that may connect to it. */
  clients: readonly string[];
}

export class FreeDiameter implements AsyncDisposable {
  /** Where it listens for TLS. */
  readonly port: number;
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
    this.#child = spawn("freeDiameterd", ["-c", join(folder, "freeDiameter.conf")], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      createInterface({ input: stream }).on("line", (line) => this.lines.push(line));
  }

  static async start(settings: RelaySettings): Promise<FreeDiameter> {
    const folder = mkdtempSync(join(tmpdir(), "freediameter-"));
    const [plain, secure] = [await freePort(), await freePort()];
    const { identity, realm, credentials, servers, clients } = settings;
    writeFileSync(join(folder, "cert.pem"), credentials.certificates);
    writeFileSync(join(folder, "key.pem"), credentials.key);
    writeFileSync(join(folder, "ca.pem"), credentials.authorities);
    writeFileSync(join(folder, "clients.conf"), `${clients.join("\n")}\n`);
    writeFileSync(
      join(folder, "freeDiameter.conf"),
      `Identity = "${identity}";
Realm = "${realm}";
Port = ${plain};
SecPort = ${secure};
ListenOn = "127.0.0.1";
No_SCTP;
No_IPv6;
TcTimer = 6;
TwTimer = 6;
TLS_Cred = "${folder}/cert.pem", "${folder}/key.pem";
TLS_CA = "${folder}/ca.pem";
LoadExtension = "dict_nasreq.fdx";
LoadExtension = "dict_eap.fdx";
LoadExtension = "acl_wl.fdx" : "${folder}/clients.conf";
${Object.entries(servers)
  .map(([host, port]) => `ConnectPeer = "${host}" { ConnectTo = "127.0.0.1"; Port = ${port}; };`)
  .join("\n")}
`,
    );
    return new FreeDiameter(folder, secure);
  }

  /** What it complains of; of GnuTLS' "try again" after a session ticket it makes an error of its own. */
  complaints(): string[] {
    return this.lines.filter((line) => /ERROR|invalid|unknown|parse/i.test(line) && !/try again/.test(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) {
      this.#child.kill("SIGTERM");
      await once(this.#child, "exit");
    }
    rmSync(this.#folder, { recursive: true });
  }
}
