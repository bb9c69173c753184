import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { ChildSaUsage, EspSuite } from "../../src/esp/dataPlane.ts";
import { Hosts, whyNoHosts } from "../net/namespaces.ts";
import { CBC, GCM } from "./specs.ts";
import type { TunPeerConfig } from "./tunPeer.ts";

const LEFT = { outer: "10.99.0.1", inner: "10.1.0.1", inner6: "2001:db8:1::1" };
const RIGHT = { outer: "10.99.0.2", inner: "10.2.0.1", inner6: "2001:db8:2::1" };
const BULK_OCTETS = 24 * 1024 * 1024;

/** A program whose lines of output can be waited for. */
class Program {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #unread: string[] = [];
  readonly ended: Promise<[code: number | null, signal: string | null]>;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface(child.stdout!);
    this.#lines.on("line", (line) => this.#unread.push(line));
    this.ended = once(child, "exit") as Promise<[number | null, string | null]>;
  }

  /** The first line, read or to come, that starts so; fails if the program ends before. */
  async line(start: string): Promise<string> {
    for (;;) {
      const at = this.#unread.findIndex((line) => line.startsWith(start));
      if (at >= 0) return this.#unread.splice(at, 1)[0]!;
      const ended = await Promise.race([
        once(this.#lines, "line").then(() => false),
        once(this.#lines, "close").then(() => true),
      ]);
      if (ended) assert.fail(`ended before saying "${start}", with: ${this.#unread.join("\n")}`);
    }
  }

  say(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  /** Closes its input and returns its exit status. */
  async finish(): Promise<number | null> {
    this.#child.stdin!.end();
    return (await this.ended)[0];
  }

  kill(): void {
    if (this.#child.exitCode === null) this.#child.kill("SIGKILL");
  }
}

class Tunnel {
  readonly hosts = Hosts.create("tun");
  readonly #programs: Program[] = [];
  left!: Program;
  right!: Program;

  static async up(suite: EspSuite): Promise<Tunnel> {
    const tunnel = new Tunnel();
    tunnel.hosts.link("left", `${LEFT.outer}/24`, "right", `${RIGHT.outer}/24`);
    const shared = {
      suite,
      leftOuter: LEFT.outer,
      rightOuter: RIGHT.outer,
      leftBlocks: ["10.1.0.0/24", "2001:db8:1::/64"],
      rightBlocks: ["10.2.0.0/24", "2001:db8:2::/64"],
    };
    const peer = (config: TunPeerConfig) => tunnel.node(config.side, "./tunPeer.ts", JSON.stringify(config));
    tunnel.left = peer({ ...shared, side: "left", addresses: [`${LEFT.inner}/32`, `${LEFT.inner6}/128`] });
    tunnel.right = peer({ ...shared, side: "right", addresses: [`${RIGHT.inner}/32`, `${RIGHT.inner6}/128`] });
    try {
      await Promise.all([tunnel.left.line("ready"), tunnel.right.line("ready")]);
    } catch (error) {
      tunnel.down();
      throw error;
    }
    return tunnel;
  }

  node(host: string, script: string, ...args: string[]): Program {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const child = this.hosts.spawn(host, process.execPath, [path, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    const program = new Program(child);
    this.#programs.push(program);
    return program;
  }

  async transfer(from: "left" | "right", address: string, port: number): Promise<{ sent: string; received: string }> {
    const receiver = this.node(from === "left" ? "right" : "left", "./bulk.ts", "receive", address, String(port));
    await receiver.line("listening");
    const sender = this.node(from, "./bulk.ts", "send", address, String(port), String(BULK_OCTETS));
    const [sent, received] = await Promise.all([sender.line("{"), receiver.line("{")]);
    return { sent, received };
  }

  async usage(program: Program): Promise<{ usage: ChildSaUsage; drops: Record<string, number> }> {
    program.say("usage");
    return JSON.parse(await program.line('{"kind":"usage"'));
  }

  down(): void {
    for (const program of this.#programs) program.kill();
    this.hosts.close();
  }
}

for (const suite of [{ ...GCM, esn: true }, CBC]) {
  describe(`a tunnel of two TUN planes with ${suite.encryption}`, {
    timeout: 120_000,
    skip: whyNoHosts(),
  }, async () => {
    let tunnel: Tunnel | undefined;
    after(() => tunnel?.down());

    test("carries ping over IPv4 and IPv6, and nothing goes beside it", async () => {
      tunnel = await Tunnel.up(suite);
      for (const target of [RIGHT.inner, RIGHT.inner6]) {
        const ping = await tunnel.hosts.run("left", "ping", ["-c", "3", "-i", "0.05", "-W", "5", target]);
        assert.equal(ping.status, 0, ping.stdout + ping.stderr);
        assert.match(ping.stdout, / 0% packet loss/);
      }
      const { usage, drops } = await tunnel.usage(tunnel.right);
      assert.deepEqual(
        { in: usage.inboundPackets, out: usage.outboundPackets, replayed: usage.replayed, drops },
        { in: 6, out: 6, replayed: 0, drops: {} },
      );
      assert.equal(usage.inboundBytes, 3 * 84 + 3 * 104);
      const { stdout } = await tunnel.hosts.run("right", "ip", ["-brief", "-6", "address", "show", "dev", "fgtest0"]);
      assert.match(stdout, /2001:db8:2::1/);
      assert.doesNotMatch(stdout, /fe80/, "a link-local address would solicit routers through the tunnel");
    });

    test("carries ping that has to be fragmented inside", async () => {
      const ping = await tunnel!.hosts.run("left", "ping", [
        "-c",
        "2",
        "-i",
        "0.05",
        "-W",
        "5",
        "-s",
        "4000",
        RIGHT.inner,
      ]);
      assert.equal(ping.status, 0, ping.stdout + ping.stderr);
    });

    test("carries bulk TCP both ways at once without a stall or a changed octet", async () => {
      const [there, back] = await Promise.all([
        tunnel!.transfer("left", RIGHT.inner, 5001),
        tunnel!.transfer("right", LEFT.inner6, 5002),
      ]);
      assert.equal(there.received, there.sent);
      assert.equal(back.received, back.sent);
      assert.match(there.sent, new RegExp(`"total":${BULK_OCTETS},`));
      const { usage } = await tunnel!.usage(tunnel!.left);
      assert.equal(usage.integrityFailures, 0);
      assert.ok(usage.outboundBytes > BULK_OCTETS, "the bulk went through the tunnel");
    });

    test("lets go of its process and of its interface when closed", async () => {
      assert.equal(await tunnel!.left.finish(), 0);
      const { stdout } = await tunnel!.hosts.run("left", "ip", ["-brief", "link"]);
      assert.doesNotMatch(stdout, /fgtest/);
      assert.equal(await tunnel!.right.finish(), 0);
    });
  });
}
