/** What every command has in common: help, complaints and exit statuses. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import type { Command, Io } from "../../src/cli/command.ts";
import { UsageError } from "../../src/cli/command.ts";
import { command as henb } from "../../src/cli/commands/henb.ts";
import { command as lab } from "../../src/cli/commands/lab.ts";
import { command as load } from "../../src/cli/commands/load.ts";
import { command as segw } from "../../src/cli/commands/segw.ts";
import { femtogate } from "./femtogate.ts";

const folder = mkdtempSync(join(tmpdir(), "femtogate-cli-"));
after(() => rmSync(folder, { recursive: true }));

test("without a command the overview is shown, and that is no use of it; asked for, it is", async () => {
  const [bare, asked, short] = await Promise.all([femtogate([]), femtogate(["--help"]), femtogate(["-h"])]);
  assert.deepEqual([bare.status, asked.status, short.status], [2, 0, 0]);
  assert.equal(bare.out, asked.out);
  for (const { name, summary } of COMMANDS) assert.ok(asked.out.includes(`  ${name.padEnd(6)} ${summary}\n`), name);
  assert.match(asked.out, /Exit status: 0 done, 1 failed, 2 used wrongly/);
});

test("the version is that of the package", async () => {
  const { status, out } = await femtogate(["--version"]);
  const { version } = (await import("../../package.json", { with: { type: "json" } })).default;
  assert.deepEqual([status, out], [0, `femtogate ${version}\n`]);
});

test("a command that is not there is refused on standard error, with the one that was meant", async () => {
  const [near, far, inherited] = await Promise.all([
    femtogate(["sewg"]),
    femtogate(["quux"]),
    femtogate(["constructor"]),
  ]);
  assert.deepEqual([near.status, near.out], [2, ""]);
  assert.match(near.err, /there is no command "sewg"; did you mean "segw"\?/);
  assert.match(far.err, /there is no command "quux"\n.*--help lists them/);
  assert.equal(inherited.status, 2);
});

test("each command has help of its own, wherever the option stands, and its first line says what it is", async () => {
  for (const args of [
    ["segw", "--help"],
    ["segw", "config.yaml", "-h"],
  ]) {
    const { status, out } = await femtogate(args);
    assert.deepEqual([status, out], [0, `${segw.usage}\n`]);
  }
  for (const { name, usage } of COMMANDS) {
    assert.ok(usage.startsWith(`femtogate ${name}: `), name);
    assert.match(usage, new RegExp(`^ {2}femtogate ${name}`, "m"));
    for (const line of usage.split("\n")) assert.ok(line.length <= 120, line);
  }
});

test("a command used wrongly ends with status 2 and says how to find out; one that fails, with 1 and no more", async () => {
  const [wrong, missing, bad] = await Promise.all([
    femtogate(["henb"]),
    femtogate(["henb", join(folder, "missing.yaml")]),
    femtogate(["segw", written("bad.yaml", "name: segw.example\nlisten: []\nprots: {}\n")]),
  ]);
  assert.deepEqual([wrong.status, wrong.out], [2, ""]);
  assert.equal(wrong.err, "femtogate henb: name one configuration file\nfemtogate henb --help shows how to use it\n");
  assert.equal(missing.status, 1);
  assert.equal(missing.err, `femtogate henb: ${join(folder, "missing.yaml")} cannot be read (ENOENT)\n`);
  assert.equal(bad.status, 1);
  assert.match(bad.err, /bad\.yaml:2:9: "listen": /);
  assert.match(bad.err, /bad\.yaml:3:1: "prots" is no known key; did you mean "ports"\?/);
  assert.doesNotMatch(bad.err, /\n {4}at /, "no stack");
});

const WRONG: [command: Command, args: string[], message: RegExp][] = [
  [segw, [], /^name one configuration file$/],
  [segw, ["a.yaml", "b.yaml"], /^name one configuration file$/],
  [segw, ["a.yaml", "--nonsense"], /^Unknown option '--nonsense'/],
  [segw, ["a.yaml", "--capture-keys"], /^--capture-keys goes with --capture FILE\.pcapng$/],
  [segw, ["a.yaml", "--capture"], /--capture/],
  [henb, ["a.yaml", "b.yaml"], /^name one configuration file$/],
  [load, ["a.yaml", "--count", "0"], /^--count takes a whole number from 1 to 10000000, not "0"$/],
  [load, ["a.yaml", "--count", "1.5"], /^--count takes a whole number/],
  [load, ["a.yaml", "--concurrency", "many"], /^--concurrency takes a whole number from 1 to 100000, not "many"$/],
  [load, ["a.yaml", "--hold", "1e9"], /^--hold takes a whole number from 0 to 86400/],
  [lab, ["surplus"], /^"surplus" is no option$/],
  [lab, ["--devices", "0"], /^--devices takes a whole number from 1 to 400, not "0"$/],
  [lab, ["--devices", "401"], /^--devices takes/],
  [lab, ["--keys", "rsa-1024"], /^--keys is one of rsa-2048, rsa-3072, p-256, p-384, not "rsa-1024"$/],
  [lab, ["--keys", ""], /^--keys is one of [^"]*$/],
  [lab, ["--capture-keys"], /^--capture-keys goes with --capture/],
];

for (const [command, args, message] of WRONG) {
  test(`femtogate ${command.name} ${args.join(" ")} is refused before anything is done`, async () => {
    await assert.rejects(command.run(args, IO), (error) => error instanceof UsageError && message.test(error.message));
  });
}

function written(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const COMMANDS = [segw, henb, load, lab];

/** Takes no output: there must be none. */
const IO: Io = {
  print: (line) => assert.fail(line),
  write: (text) => assert.fail(text),
  complain: (line) => assert.fail(line),
  env: {},
  stopped: new Promise(() => undefined),
};
