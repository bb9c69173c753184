/** bin/femtogate keeps compiled code for the next start, where nobody else can write. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryFolder } from "../pki/folder.ts";
import { BIN } from "./femtogate.ts";

/** Prints the version with this environment alone. */
function version(env: Record<string, string>): Promise<string> {
  const { PATH = "" } = process.env;
  const child = spawn(BIN, ["--version"], { env: { PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
  return new Promise((resolve) => child.once("close", (status) => resolve(`${status} ${out}`)));
}

function homeIn(t: TestContext): { home: string; cache: string } {
  const home = join(temporaryFolder(t), "home");
  mkdirSync(home);
  return { home, cache: join(home, ".cache/femtogate") };
}

/** Everything kept below a folder. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

const EXPECTED = /^0 femtogate \d+\.\d+\.\d+\n$/;

test("the first start makes a folder that is its user's alone, and later ones run what is in it, damaged or not", async (t) => {
  const { home, cache } = homeIn(t);
  assert.match(await version({ HOME: home }), EXPECTED);
  assert.equal(statSync(cache).mode & 0o777, 0o700);
  const files = filesBelow(cache);
  assert.ok(files.length > 0);
  const written = files.map((file) => readFileSync(file));
  assert.match(await version({ HOME: home }), EXPECTED);
  assert.deepEqual(filesBelow(cache), files);
  for (const [index, file] of files.entries()) {
    if (index % 2 === 0) truncateSync(file, Math.floor(written[index]!.length / 2));
    else writeFileSync(file, Buffer.from(written[index]!).fill(0x5a, 40, 400));
  }
  assert.match(await version({ HOME: home }), EXPECTED);
});

test("many first starts at once all run, and leave a cache that works", async (t) => {
  const { home } = homeIn(t);
  const all = await Promise.all(Array.from({ length: 8 }, () => version({ HOME: home })));
  for (const one of [...all, await version({ HOME: home })]) assert.match(one, EXPECTED);
});

test("without a home, or with one that cannot hold it, it runs all the same", async (t) => {
  const { home } = homeIn(t);
  writeFileSync(join(home, "file"), "");
  for (const HOME of [join(home, "file"), join(home, "none"), "/proc", ""])
    assert.match(await version({ HOME }), EXPECTED);
  assert.match(await version({}), EXPECTED);
});

test("a folder that somebody else may have put there is not used", async (t) => {
  const { home, cache } = homeIn(t);
  const elsewhere = temporaryFolder(t);
  mkdirSync(join(home, ".cache"));
  symlinkSync(elsewhere, cache);
  assert.match(await version({ HOME: home }), EXPECTED);
  assert.deepEqual(readdirSync(elsewhere), []);
  const { home: other } = homeIn(t);
  mkdirSync(join(elsewhere, "femtogate"));
  symlinkSync(elsewhere, join(other, ".cache"));
  assert.match(await version({ HOME: other }), EXPECTED);
  assert.deepEqual(readdirSync(join(elsewhere, "femtogate")), []);
});

test("a service uses systemd's folder, and who chooses another one or none is heeded", async (t) => {
  const { home, cache } = homeIn(t);
  const [service, own] = [temporaryFolder(t), temporaryFolder(t)];
  assert.match(await version({ HOME: home, CACHE_DIRECTORY: `${service}:/var/cache/other` }), EXPECTED);
  assert.deepEqual(readdirSync(service), ["compiled"]);
  assert.match(await version({ HOME: home, NODE_COMPILE_CACHE: own }), EXPECTED);
  assert.ok(filesBelow(own).length > 0);
  assert.match(await version({ HOME: home, NODE_DISABLE_COMPILE_CACHE: "1" }), EXPECTED);
  assert.ok(!existsSync(cache));
});
