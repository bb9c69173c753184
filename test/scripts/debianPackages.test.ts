import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const SCRIPT = join(import.meta.dirname, "../../scripts/debian-packages");
const TOOLS = ["bash", "awk", "cat", "grep", "mktemp", "paste", "rm", "sed", "tr"];
const LAB = ["iproute2", "iputils-ping"];

const folder = mkdtempSync(join(tmpdir(), "debian-packages-"));
after(() => rmSync(folder, { recursive: true, force: true }));

let machines = 0;

/** A machine whose PATH holds the tools that the script uses, and these programs of its own. */
class Machine {
  readonly #path: string;

  constructor(programs: Record<string, string>) {
    machines += 1;
    this.#path = join(folder, String(machines));
    mkdirSync(this.#path);
    for (const tool of TOOLS) symlinkSync(whereIs(tool), join(this.#path, tool));
    for (const [name, body] of Object.entries(programs)) {
      writeFileSync(join(this.#path, name), `#!/bin/bash\n${body}\n`);
      chmodSync(join(this.#path, name), 0o755);
    }
  }

  run(role: string): { status: number | null; output: string } {
    const env = { PATH: this.#path, CALLS: join(this.#path, "calls") };
    const { status, stdout, stderr } = spawnSync(SCRIPT, [role], { env, encoding: "utf8" });
    return { status, output: stdout + stderr };
  }

  /** What the programs appended to the file $CALLS. */
  get calls(): string {
    return readFileSync(join(this.#path, "calls"), "utf8");
  }
}

function whereIs(tool: string): string {
  for (const place of process.env.PATH!.split(":")) {
    try {
      accessSync(join(place, tool), constants.X_OK);
      return join(place, tool);
    } catch {
      // Elsewhere.
    }
  }
  throw new Error(`no ${tool} on PATH`);
}

/** dpkg-query of a machine that has these. */
function dpkgQuery(installed: readonly string[]): string {
  return installed.map((name) => `echo installed ${name}`).join("\n");
}

/** An apt-get that notes how it was called. */
const RECORDING_APT_GET = 'echo "$0 $*" >>"$CALLS"; echo "$RUNLEVEL $DEBIAN_FRONTEND" >>"$CALLS"';

test("nothing is said or done when all packages are there", () => {
  const machine = new Machine({ "dpkg-query": dpkgQuery(LAB), "apt-get": "exit 1" });
  assert.deepEqual(machine.run("lab"), { status: 0, output: "" });
});

test("a package that was removed but left its configuration counts as missing", () => {
  const machine = new Machine({
    "dpkg-query": "echo installed iproute2\necho config-files iputils-ping",
    "apt-get": "exit 1",
  });
  assert.match(machine.run("lab").output, /(not installed|could not install): iputils-ping\n/);
});

test("root installs just what is missing, and starts no daemon with it", { skip: notRoot() }, () => {
  const machine = new Machine({
    "dpkg-query": dpkgQuery(["iproute2"]),
    "apt-get": RECORDING_APT_GET,
  });
  assert.deepEqual(machine.run("lab"), { status: 0, output: "debian-packages: installing iputils-ping\n" });
  const [update, , install, environment] = machine.calls.trim().split("\n");
  assert.match(update!, /apt-get update$/);
  assert.match(install!, /apt-get install -y --no-install-recommends .* iputils-ping$/);
  assert.doesNotMatch(install!, /iproute2/);
  assert.equal(environment, "1 noninteractive");
});

test("where it cannot be installed, apt-get's own words come out, the lab goes on and the tests do not", {
  skip: notRoot(),
}, () => {
  const machine = new Machine({
    "dpkg-query": dpkgQuery(["iproute2"]),
    "apt-get": 'echo "E: no network" >&2; exit 100',
  });
  const lab = machine.run("lab");
  assert.equal(lab.status, 0);
  assert.match(lab.output, /E: no network\n[\s\S]*could not install: iputils-ping\n[\s\S]*the lab goes on/);
  const tests = machine.run("test");
  assert.equal(tests.status, 1);
  assert.match(tests.output, /could not install: iputils-ping openssl .*strongswan-charon/);
});

test("without dpkg the programs count, and the package names are a hint", () => {
  const lab = new Machine({ ip: "", ping: "" });
  assert.deepEqual(lab.run("lab"), { status: 0, output: "" });
  const { status, output } = new Machine({ ip: "" }).run("test");
  assert.equal(status, 1);
  assert.match(output, /this is no Debian/);
  assert.match(output, /Debian's packages: iproute2 iputils-ping/);
});

test("an unknown role is refused", () => {
  const { status, output } = new Machine({}).run("labs");
  assert.equal(status, 2);
  assert.match(output, /^usage: /);
});

function notRoot(): string | false {
  return process.getuid?.() !== 0 && "only root installs";
}
