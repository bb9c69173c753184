/**
 * Several hosts on one machine: network namespaces joined by veth pairs, for the lab and for tests.
 *
 * Names carry the process's pid, so that two labs or test files do not meet. Namespaces are removed by `close`; if the
 * owner forgets or dies by an exception, when the process exits; if it was killed, by the next one of the same prefix.
 * Nothing of it touches the machine's own interfaces.
 */
import { type ChildProcess, execFile, execFileSync, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";

export interface CommandResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** This process may not make network namespaces; `message` says what would help. */
export class NamespacesUnavailable extends Error {
  override readonly name = "NamespacesUnavailable";
}

let created = 0;
/** Prefixes whose orphans this process has removed. */
const cleared = new Set<string>();
let obstacleHere: string | false | undefined;

/** Why this process can have no hosts, as `test(name, { skip: whyNoHosts() }, ...)` takes it; false where it can. */
export function whyNoHosts(): string | false {
  // Root of a container may lack the right too, so it is tried.
  obstacleHere ??=
    spawnSync("unshare", ["--net", "--mount", "true"]).status !== 0 &&
    "network namespaces need root's rights: run as root, or under `unshare -Urmn`";
  return obstacleHere;
}

export class Hosts {
  readonly #prefix: string;
  readonly #namespaces = new Map<string, string>();
  readonly #removeAtExit = () => this.#remove();
  #links = 0;

  private constructor(prefix: string) {
    this.#prefix = prefix;
    process.once("exit", this.#removeAtExit);
  }

  /** A fresh set of hosts, none yet; throws `NamespacesUnavailable` without root's rights. */
  static create(prefix: string): Hosts {
    const obstacle = whyNoHosts();
    if (obstacle !== false) throw new NamespacesUnavailable(obstacle);
    if (!cleared.has(prefix)) removeOrphans(prefix);
    cleared.add(prefix);
    created += 1;
    return new Hosts(`${prefix}${process.pid}-${created}`);
  }

  /** The network namespace of the host of that name, made at its first mention; its loopback is up. */
  host(name: string): string {
    const known = this.#namespaces.get(name);
    if (known !== undefined) return known;
    const namespace = `${this.#prefix}-${name}`;
    ip("netns", "add", namespace);
    this.#namespaces.set(name, namespace);
    ip("-n", namespace, "link", "set", "lo", "up");
    return namespace;
  }

  /** Joins two hosts by a veth pair with these addresses ("10.9.0.1/24", several separated by spaces). */
  link(a: string, addressesA: string, b: string, addressesB: string): void {
    const [nsA, nameA, nsB, nameB] = this.#join(a, b);
    this.#configure(nsA, nameA, addressesA);
    this.#configure(nsB, nameB, addressesB);
  }

  /** Joins two hosts by a veth pair on which each has one address and reaches the other's; addresses may repeat. */
  linkPeers(a: string, addressA: string, b: string, addressB: string): void {
    const [nsA, nameA, nsB, nameB] = this.#join(a, b);
    for (const [namespace, device, own, peer] of [
      [nsA, nameA, addressA, addressB],
      [nsB, nameB, addressB, addressA],
    ] as const) {
      ip("-n", namespace, "address", "add", own, "peer", peer, "dev", device);
      ip("-n", namespace, "link", "set", device, "up");
    }
  }

  /** Gives a host an address on its loopback: something to reach behind it. */
  addLoopbackAddress(name: string, address: string): void {
    ip("-n", this.host(name), "address", "add", address, "dev", "lo");
  }

  /** Sends a host's traffic for a block to its neighbour with that address ("10.9.0.1"). */
  route(name: string, block: string, via: string): void {
    ip("-n", this.host(name), "route", "add", block, "via", via);
  }

  /** Lets a host pass packets on between its links, IPv4 and IPv6. */
  forward(name: string): void {
    const settings = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"].map(
      (file) => `echo 1 > /proc/sys/${file}`,
    );
    ip("netns", "exec", this.host(name), "sh", "-c", settings.join(" && "));
  }

  /** Starts a program on a host; the child's pid is the program's. */
  spawn(name: string, command: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    return spawn("ip", ["netns", "exec", this.host(name), command, ...args], options);
  }

  /** Runs a program on a host to its end, whatever its exit status; it is killed after `limitMs`. */
  run(name: string, command: string, args: readonly string[] = [], limitMs = 20_000): Promise<CommandResult> {
    return new Promise((resolve, reject) => {
      const child = execFile(
        "ip",
        ["netns", "exec", this.host(name), command, ...args],
        { timeout: limitMs },
        (_error, stdout, stderr) => resolve({ status: child.exitCode, stdout, stderr }),
      );
      child.once("error", reject);
    });
  }

  /** Removes all hosts and links. Programs still running there keep their namespace alive, so end them first. */
  close(): void {
    process.off("exit", this.#removeAtExit);
    this.#remove();
  }

  #join(a: string, b: string): [nsA: string, nameA: string, nsB: string, nameB: string] {
    this.#links += 1;
    const [nsA, nsB] = [this.host(a), this.host(b)];
    // Interface names are at most 15 characters, and live in their namespace, so a number is enough.
    const [nameA, nameB] = [`veth${this.#links}a`, `veth${this.#links}b`];
    ip("link", "add", nameA, "netns", nsA, "type", "veth", "peer", "name", nameB, "netns", nsB);
    return [nsA, nameA, nsB, nameB];
  }

  #configure(namespace: string, device: string, addresses: string): void {
    for (const address of addresses.split(" ")) {
      // An IPv6 address would be unusable for a second while duplicates are looked for; there are none here.
      const options = address.includes(":") ? ["nodad"] : [];
      ip("-n", namespace, "address", "add", address, "dev", device, ...options);
    }
    ip("-n", namespace, "link", "set", device, "up");
  }

  #remove(): void {
    for (const namespace of this.#namespaces.values()) {
      try {
        ip("netns", "delete", namespace);
      } catch {
        // Removed by someone else: what we wanted.
      }
    }
    this.#namespaces.clear();
  }
}

/** Names of namespaces whose process is no more. Programs that still run in one keep it alive without its name. */
function removeOrphans(prefix: string): void {
  let names: string[];
  try {
    names = readdirSync(NAMED_NAMESPACES);
  } catch {
    // Nobody has made any yet.
    return;
  }
  for (const name of names) {
    const [, owner] = new RegExp(`^${prefix}(\\d+)-\\d+-`).exec(name) ?? [];
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue;
    try {
      ip("netns", "delete", name);
    } catch {
      // Somebody else was faster.
    }
  }
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** Where ip(8) keeps them. */
const NAMED_NAMESPACES = "/run/netns";
