/** Hosts on one machine, and what becomes of them when their owner does not come to clearing up. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { Hosts, whyNoHosts } from "../../src/lab/namespaces.ts";

const MODULE = join(import.meta.dirname, "../../src/lab/namespaces.ts");
/** Of this test alone: another one's orphans are not its business. */
const PREFIX = `fgorphan${process.pid}x`;
const named = () => readdirSync("/run/netns").filter((name) => name.startsWith(PREFIX));

test("hosts of a process that was killed are removed by the next one, those of one that lives are not", {
  skip: whyNoHosts(),
}, () => {
  const script = `
    import { Hosts } from ${JSON.stringify(MODULE)};
    Hosts.create(${JSON.stringify(PREFIX)}).host("a");
    process.kill(process.pid, "SIGKILL");`;
  const { signal, stderr } = spawnSync(process.execPath, ["--input-type=module-typescript", "--eval", script], {
    encoding: "utf8",
  });
  assert.equal(signal, "SIGKILL", stderr);
  const orphans = named();
  assert.equal(orphans.length, 1);
  const hosts = Hosts.create(PREFIX);
  try {
    assert.deepEqual(named(), []);
    const own = hosts.host("b");
    const others = Hosts.create(PREFIX);
    assert.deepEqual(named(), [own]);
    others.close();
  } finally {
    hosts.close();
  }
  assert.deepEqual(named(), []);
});
