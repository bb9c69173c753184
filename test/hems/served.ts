/** An H(e)MS on 127.0.0.1 as a configuration file describes it, with a PKI whose responder answers, and clients for it. */
import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type RunningHems, type ServeOptions, serveHems } from "../../src/hems/serve.ts";
import type { RoleEnvironment } from "../../src/ipsec/roleShell.ts";
import type { Issued, IssueRequest, Pki } from "../../src/pki/authority.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { toPem } from "../../src/x509/pem.ts";
import { makePki, serve, temporaryFolder } from "../pki/folder.ts";
import { writeConfig } from "../roles/loopback.ts";

export const HEMS = "hems.operator.example";

export interface LogLine {
  event: string;
  level: string;
  text: string;
  [member: string]: unknown;
}

/** The system's clock, set forward. */
export class ShiftedClock {
  shift = 0;

  now(): number {
    return Date.now() + this.shift;
  }
}

/** PEM files of a certificate. */
export interface Files {
  issued: Issued;
  chain: string;
  certificate: string;
  key: string;
}

export interface HemsOptions extends Partial<ServeOptions> {
  environment?: Partial<RoleEnvironment>;
  pki?: Pki;
  /** The H(e)MS's own certificate; by default one of its name. */
  own?: Issued;
  /** Written to root.pem. */
  root?: Certificate;
}

/** A PKI, its responder, and an H(e)MS that uses it; all end with the test. */
export class ServedHems {
  readonly pki: Pki;
  readonly folder: string;
  readonly ocspUrl: string;
  readonly crlUrl: string;
  readonly log: LogLine[] = [];
  readonly own: Files;
  running!: RunningHems;
  #waiting: (() => void)[] = [];
  #issued = 0;

  private constructor(t: TestContext, pki: Pki, url: string, own: Issued | undefined) {
    this.pki = pki;
    this.folder = temporaryFolder(t);
    this.ocspUrl = `${url}/ocsp`;
    this.crlUrl = `${url}/crl`;
    for (const ca of ["operator-root", "manufacturer-root"] as const)
      copyFileSync(pki.caFile(ca), join(this.folder, `${ca}.pem`));
    this.own = this.#write(own ?? pki.issue({ profile: "hems", dns: [HEMS] }), "hems");
  }

  static async start(
    t: TestContext,
    changes: (hems: ServedHems) => Record<string, unknown> = () => ({}),
    options: HemsOptions = {},
  ): Promise<ServedHems> {
    const pki = options.pki ?? makePki(t, { keys: "p-256" });
    const hems = new ServedHems(t, pki, await serve(t, pki), options.own);
    if (options.root !== undefined)
      writeFileSync(join(hems.folder, "root.pem"), toPem("CERTIFICATE", options.root.der));
    const file = writeConfig(join(hems.folder, "hems.yaml"), { ...hems.configuration(), ...changes(hems) });
    hems.running = await serveHems(
      file,
      { ...systemEnvironment, ...options.environment },
      { ...options, write: (line) => hems.#take(JSON.parse(line) as LogLine) },
    );
    t.after(() => hems.running.stop());
    return hems;
  }

  get port(): number {
    return this.running.ports[0]!;
  }

  configuration(): Record<string, unknown> {
    return {
      name: HEMS,
      listen: [{ address: "127.0.0.1", port: 0 }],
      credentials: { chain: "hems.chain.pem", key: "hems.key.pem", roots: ["operator-root.pem"] },
      trust: { roots: ["manufacturer-root.pem"] },
      ownStatus: { url: this.ocspUrl },
      log: { level: "debug" },
    };
  }

  /** The section that has devices checked by the PKI's responder, every time anew. */
  get byOcsp(): Record<string, unknown> {
    return {
      ocsp: { reuse: "0" },
      device: { methods: "ocsp", origins: ["operator"], operator: { ocsp: [this.ocspUrl] } },
    };
  }

  /** A device's certificate, in files. */
  device(name = "ap-1.henb.example", changes: Partial<IssueRequest> = {}): Files {
    return this.files(this.pki.issue({ profile: "henb-tls", dns: [name], ...changes }));
  }

  files(issued: Issued): Files {
    this.#issued += 1;
    return this.#write(issued, `device-${this.#issued}`);
  }

  /** Log lines of an event. */
  of(event: string): LogLine[] {
    return this.log.filter((line) => line.event === event);
  }

  /** The `count`th line of an event, once it is there. */
  async event(event: string, count = 1): Promise<LogLine> {
    while (this.of(event).length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.of(event)[count - 1]!;
  }

  #take(line: LogLine): void {
    this.log.push(line);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #write(issued: Issued, name: string): Files {
    return { issued, ...this.pki.writeFiles(issued, join(this.folder, name)) };
  }
}

const POST = `POST /acs HTTP/1.1\r\nhost: ${HEMS}\r\ncontent-length: 0\r\n`;

/** `openssl s_client`: what it printed, and how the server ended the conversation. */
export class SClient {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  output = "";
  #waiting: (() => void)[] = [];

  constructor(t: TestContext, port: number, credentials: Files | undefined, ...args: readonly string[]) {
    const own =
      credentials === undefined
        ? []
        : ["-cert", credentials.certificate, "-cert_chain", credentials.chain, "-key", credentials.key];
    this.#child = spawn("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-ign_eof", ...own, ...args]);
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.on("data", (part: Buffer) => {
        this.output += part.toString("latin1");
        for (const wake of this.#waiting.splice(0)) wake();
      });
    // It may have ended before all is written.
    this.#child.stdin!.on("error", () => {});
    this.#ended = new Promise((resolve) => this.#child.once("close", () => resolve(this.output)));
    t.after(() => void this.#child.kill("SIGKILL"));
  }

  /** One request, after which the server is to end the conversation; gives all that was printed. */
  static post(t: TestContext, port: number, credentials: Files | undefined, ...args: readonly string[]) {
    return new SClient(t, port, credentials, ...args).send(`${POST}connection: close\r\n\r\n`).ended;
  }

  get ended(): Promise<string> {
    return this.#ended;
  }

  /** One request that leaves the conversation open. */
  post(): this {
    return this.send(`${POST}\r\n`);
  }

  send(text: string): this {
    this.#child.stdin!.write(text);
    return this;
  }

  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.output)) {
      const more = new Promise<"more">((resolve) => this.#waiting.push(() => resolve("more")));
      if ((await Promise.race([more, this.#ended])) !== "more" && !pattern.test(this.output))
        throw new Error(`ended without ${pattern}: ${this.output}`);
    }
  }
}
