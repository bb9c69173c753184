/**
 * strongSwan (Debian's 5.9.8) as a peer: one charon in its own network namespace, driven through its control socket.
 *
 * charon is started by us, not by systemd, in a mount namespace with a private /run (its pid file has a fixed place
 * there). ESP is done by kernel-libipsec over a TUN device, because a test machine's kernel need not have ESP; that
 * plugin makes charon claim to be behind a NAT, so that ESP always travels in UDP on port 4500. Nothing polls: a wait
 * ends with a line of charon's log or an event of its control socket.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { Credential } from "./certificates.ts";
import { formatSettings, type Settings } from "./settings.ts";
import { type IkeSaStatus, readIkeSa } from "./status.ts";
import { Vici, ViciError, type ViciMessage } from "./vici.ts";

const run = promisify(execFile);

const CHARON = "/usr/lib/ipsec/charon";

/** What certificate authentication, virtual addresses and kernel-libipsec need; nothing reads other files or caches. */
const PLUGINS = [
  ...["random", "nonce", "openssl", "kdf", "hmac", "pem", "pkcs1", "pkcs8", "x509", "pubkey"],
  ...["constraints", "revocation", "curl", "kernel-libipsec", "kernel-netlink", "socket-default", "vici"],
];

/** charon's own IKE packets get this mark and stay out of the tunnel, even when that carries 0.0.0.0/0. */
const IKE_MARK = "0x42";

/** Milliseconds a start, a command or an event may take before it counts as failed. */
const LIMIT_MS = 15_000;

const MAX_LOG_LINES = 20_000;

const EVENTS = ["ike-updown", "ike-rekey", "ike-update", "child-updown", "child-rekey"] as const;
export type SaEvent = (typeof EVENTS)[number];

export interface StrongSwanOptions {
  /** Name of the network namespace it runs in. */
  namespace: string;
  /** An own, empty or absent folder for its configuration, control socket and log. */
  directory: string;
  /** swanctl.conf(5) `connections`. */
  connections: Settings;
  /** swanctl.conf(5) `pools` for virtual addresses. */
  pools?: Settings;
  /** swanctl.conf(5) `secrets`: passwords of EAP methods. */
  secrets?: Settings;
  /** swanctl.conf(5) `authorities`: where to find CRLs and OCSP responders. */
  authorities?: Settings;
  /** Copied to where charon looks; name them in `local.certs` by file name. */
  credentials: readonly Credential[];
  /** Trusted roots and intermediate CA certificates. */
  authorityCertificates: readonly string[];
  /** Added to, and overriding, the `charon` section of strongswan.conf(5). */
  charon?: Settings;
  /** Loaded beside the usual ones. */
  plugins?: readonly string[];
  /** Levels of the log: 1 by default; { enc: 2 } shows payloads, { default: -1 } silences it. */
  log?: Settings;
}

/** What to act upon, by the names of the connection or of its child, or by their numbers. */
export type SaName = { ike: string } | { child: string } | { "ike-id": string } | { "child-id": string };

export class StrongSwan {
  readonly #process: ChildProcess;
  readonly #vici: Vici;
  readonly #log: Log;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #socketPath: string;

  private constructor(process: ChildProcess, vici: Vici, log: Log, environment: NodeJS.ProcessEnv, socketPath: string) {
    this.#process = process;
    this.#vici = vici;
    this.#log = log;
    this.#environment = environment;
    this.#socketPath = socketPath;
  }

  /** Starts charon, waits until it serves, and loads certificates, pools and connections. */
  static async start(options: StrongSwanOptions): Promise<StrongSwan> {
    const { directory } = options;
    const socketPath = join(directory, "charon.vici");
    const environment = {
      ...process.env,
      STRONGSWAN_CONF: join(directory, "strongswan.conf"),
      SWANCTL_DIR: join(directory, "swanctl"),
    };
    await writeConfiguration(options, socketPath);
    const script = `mount -t tmpfs none /run && exec ${CHARON}`;
    // Every step replaces the one before by exec, so the child's pid is charon's.
    const charon = spawn("ip", ["netns", "exec", options.namespace, "unshare", "--mount", "sh", "-c", script], {
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const log = new Log(charon, join(directory, "charon.log"));
    try {
      await log.waitFor(/spawning \d+ worker threads/, LIMIT_MS);
      const vici = await Vici.connect(socketPath);
      const started = new StrongSwan(charon, vici, log, environment, socketPath);
      for (const event of EVENTS) await vici.subscribe(event);
      await started.swanctl(["--load-all", "--noprompt"]);
      return started;
    } catch (error) {
      charon.kill("SIGKILL");
      throw withLog(error, log);
    }
  }

  /** The charon process, for its CPU time and memory in /proc. */
  get pid(): number {
    return this.#process.pid!;
  }

  /** Another connection to the control socket; commands on it run beside ours. The caller closes it. */
  connect(): Promise<Vici> {
    return Vici.connect(this.#socketPath);
  }

  /** Runs swanctl on this instance and returns what it printed. */
  async swanctl(args: readonly string[]): Promise<string> {
    const { stdout } = await run("swanctl", [...args, "--uri", `unix://${this.#socketPath}`], {
      env: this.#environment,
      timeout: LIMIT_MS,
    });
    return stdout;
  }

  /** Establishes the child (and its IKE SA); resolves once it stands, a `ViciError` with the log's end otherwise. */
  async initiate(child: string, limitMs = LIMIT_MS): Promise<void> {
    await this.#act("initiate", { child, timeout: String(limitMs) });
  }

  /** Deletes an IKE SA or a CHILD SA; resolves once the peer has answered. */
  async terminate(name: SaName, limitMs = LIMIT_MS): Promise<void> {
    await this.#act("terminate", { ...name, timeout: String(limitMs) });
  }

  /** Rekeys an IKE SA or a CHILD SA by CREATE_CHILD_SA; resolves once charon reports the new one. */
  async rekey(name: SaName): Promise<void> {
    const rekeyed = this.nextEvent("ike" in name || "ike-id" in name ? "ike-rekey" : "child-rekey");
    await this.#act("rekey", name);
    await rekeyed;
  }

  /** All IKE SAs with their children; a child that was rekeyed stays five seconds more, as DELETED. */
  async listSas(): Promise<IkeSaStatus[]> {
    return (await this.#vici.stream("list-sas", "list-sa")).map(readIkeSa);
  }

  /** The next event of this name from now on that `accept` takes. Call it before what causes the event. */
  nextEvent(name: SaEvent, accept: (message: ViciMessage) => boolean = () => true): Promise<ViciMessage> {
    const awaited = new Promise<ViciMessage>((resolve, reject) => {
      const timer = setTimeout(() => {
        stop();
        reject(withLog(new Error(`no ${name} within ${LIMIT_MS} ms`), this.#log));
      }, LIMIT_MS);
      const stop = this.#vici.onEvent((event) => {
        if (event.name !== name || !accept(event.message)) return;
        clearTimeout(timer);
        stop();
        resolve(event.message);
      });
    });
    // The caller may fail before it awaits this; that failure is the one to report.
    awaited.catch(() => undefined);
    return awaited;
  }

  /** All of the log so far. */
  log(): string {
    return this.#log.text();
  }

  /** How many lines the log has: where a later `waitForLog` should begin. */
  get logLength(): number {
    return this.#log.length;
  }

  /** The first line from line `from` on (0 by default) that matches, as soon as it is there. */
  waitForLog(pattern: RegExp, from = 0, limitMs = LIMIT_MS): Promise<RegExpExecArray> {
    return this.#log.waitFor(pattern, limitMs, from);
  }

  /** Ends charon: it deletes its SAs at the peer first. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Ends charon as a crash does: the peer hears nothing. */
  async crash(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#vici.close();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => this.#process.once("exit", () => resolve()));
    this.#process.kill(signal);
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), LIMIT_MS);
    await exited;
    clearTimeout(timer);
  }

  async #act(command: string, message: ViciMessage): Promise<void> {
    try {
      await this.#vici.command(command, message);
    } catch (error) {
      throw withLog(error, this.#log);
    }
  }
}

async function writeConfiguration(options: StrongSwanOptions, socketPath: string): Promise<void> {
  const { directory } = options;
  const swanctl = join(directory, "swanctl");
  for (const folder of ["x509", "x509ca", "private"]) await mkdir(join(swanctl, folder), { recursive: true });
  for (const { certificate, key } of options.credentials) {
    await copyFile(certificate, join(swanctl, "x509", basename(certificate)));
    await copyFile(key, join(swanctl, "private", basename(key)));
  }
  for (const path of options.authorityCertificates) await copyFile(path, join(swanctl, "x509ca", basename(path)));
  const charon: Settings = {
    load_modular: false,
    load: [...PLUGINS, ...(options.plugins ?? [])].join(" "),
    // The line that says charon serves is in the job group; it logs nothing else at this level.
    filelog: { stderr: { time_format: "%H:%M:%S", flush_line: true, default: 1, ...options.log, job: 1 } },
    ...options.charon,
    plugins: {
      vici: { socket: `unix://${socketPath}` },
      "kernel-libipsec": { allow_peer_ts: true },
      "kernel-netlink": { fwmark: `!${IKE_MARK}` },
      "socket-default": { fwmark: IKE_MARK },
      ...(options.charon?.plugins as Settings | undefined),
    },
  };
  await writeFile(join(directory, "strongswan.conf"), `${formatSettings({ charon })}\n`);
  const { connections, pools, authorities, secrets } = options;
  await writeFile(join(swanctl, "swanctl.conf"), `${formatSettings({ connections, pools, authorities, secrets })}\n`);
}

/** charon's log, kept for patterns and copied to a file for people. */
class Log {
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();
  #ended: string | undefined;

  constructor(process: ChildProcess, path: string) {
    const file = createWriteStream(path);
    for (const stream of [process.stdout!, process.stderr!]) {
      createInterface({ input: stream }).on("line", (line) => {
        file.write(`${line}\n`);
        if (this.#lines.length < MAX_LOG_LINES) this.#lines.push(line);
        this.#wake();
      });
    }
    const ended = (how: string) => {
      this.#ended = how;
      file.end();
      this.#wake();
    };
    process.once("close", (code, signal) => ended(`charon ended (${signal ?? code})`));
    process.once("error", (error) => ended(`charon did not start: ${error.message}`));
  }

  get length(): number {
    return this.#lines.length;
  }

  text(lines = MAX_LOG_LINES): string {
    return this.#lines.slice(-lines).join("\n");
  }

  waitFor(pattern: RegExp, limitMs: number, from = 0): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      let next = from;
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        finish();
      };
      const look = () => {
        for (; next < this.#lines.length; next++) {
          const found = pattern.exec(this.#lines[next]!);
          if (found !== null) return settle(() => resolve(found));
        }
        const ended = this.#ended;
        if (ended !== undefined) settle(() => reject(withLog(new Error(ended), this)));
      };
      const timer = setTimeout(
        () => settle(() => reject(withLog(new Error(`no ${pattern} within ${limitMs} ms`), this))),
        limitMs,
      );
      this.#waiting.add(look);
      look();
    });
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}

/** The same failure with the end of charon's log, which says why. */
function withLog(error: unknown, log: Log): Error {
  const message = error instanceof Error ? error.message : String(error);
  const Kind = error instanceof ViciError ? ViciError : Error;
  return new Kind(`${message}\n--- charon's log ---\n${log.text(40)}`, { cause: error });
}
