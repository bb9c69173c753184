/** FreeRADIUS as a proxy on loopback, and radclient, each in a folder of its own with nothing of /etc. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../../net/freePort.ts";

export interface ProxySettings {
  secret: string;
  /** Ports of the home server. */
  home: { authentication: number; accounting: number };
}

/** Takes requests from loopback and sends all of them on to one home server. */
export class FreeRadiusProxy implements AsyncDisposable {
  readonly ports: { authentication: number; accounting: number };
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(folder: string, ports: { authentication: number; accounting: number }) {
    this.#folder = folder;
    this.ports = ports;
    this.#child = spawn("freeradius", ["-f", "-X", "-d", folder, "-n", "radiusd"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Resolves once it takes requests. */
  static async start({ secret, home }: ProxySettings): Promise<FreeRadiusProxy> {
    const folder = mkdtempSync(join(tmpdir(), "freeradius-"));
    const ports = { authentication: await freePort(), accounting: await freePort() };
    mkdirSync(join(folder, "run"));
    writeFileSync(join(folder, "dictionary"), "");
    writeFileSync(
      join(folder, "radiusd.conf"),
      `
prefix = /usr
logdir = ${folder}/run
run_dir = ${folder}/run
libdir = /usr/lib/freeradius
name = radiusd
max_request_time = 30
security {
  user = root
  group = root
  allow_core_dumps = no
}
client loopback {
  ipaddr = 127.0.0.1
  secret = "${secret}"
  require_message_authenticator = yes
}
proxy server {
}
home_server authentication {
  type = auth
  ipaddr = 127.0.0.1
  port = ${home.authentication}
  secret = "${secret}"
  require_message_authenticator = yes
  status_check = status-server
  check_interval = 6
  response_window = 6
}
home_server accounting {
  type = acct
  ipaddr = 127.0.0.1
  port = ${home.accounting}
  secret = "${secret}"
  status_check = status-server
  check_interval = 6
  response_window = 6
}
home_server_pool authentication {
  home_server = authentication
}
home_server_pool accounting {
  home_server = accounting
}
realm aaa {
  auth_pool = authentication
  acct_pool = accounting
  nostrip
}
modules {
}
server default {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = ${ports.authentication}
  }
  listen {
    type = acct
    ipaddr = 127.0.0.1
    port = ${ports.accounting}
  }
  authorize {
    update control {
      Proxy-To-Realm := "aaa"
    }
  }
  preacct {
    update control {
      Proxy-To-Realm := "aaa"
    }
  }
}
`,
    );
    const proxy = new FreeRadiusProxy(folder, ports);
    const ready = new Promise<void>((resolve, reject) => {
      for (const stream of [proxy.#child.stdout!, proxy.#child.stderr!])
        createInterface({ input: stream }).on("line", (line) => {
          proxy.lines.push(line);
          if (line.includes("Ready to process requests")) resolve();
        });
      proxy.#child.once("exit", () => reject(new Error(`freeradius ended:\n${proxy.lines.slice(-15).join("\n")}`)));
    });
    await ready;
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) {
      this.#child.kill("SIGTERM");
      await once(this.#child, "exit");
    }
    rmSync(this.#folder, { recursive: true });
  }
}

/** Sends one request by radclient; gives its exit status and what it printed. */
export function radclient(
  command: "acct" | "auth" | "coa" | "disconnect" | "status",
  port: number,
  secret: string,
  attributes: string,
): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      "radclient",
      ["-x", "-r", "3", "-t", "3", `127.0.0.1:${port}`, command, secret],
      (_error, stdout, stderr) => resolve({ status: child.exitCode ?? 1, output: stdout + stderr }),
    );
    child.stdin!.end(attributes);
  });
}
