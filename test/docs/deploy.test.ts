/** What deploy/ offers fits this tree: systemd reads the units, and what they start is here. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { ROOT } from "../../scripts/reference/sources.ts";
import { commands } from "../../scripts/reference.ts";

const UNITS = join(ROOT, "deploy/systemd");
const units = readdirSync(UNITS);
const noSystemd = spawnSync("systemd-analyze", ["--version"]).status !== 0 && "systemd-analyze is not installed here";

for (const unit of units) {
  const text = readFileSync(join(UNITS, unit), "utf8");

  test(`${unit} starts a command that there is, and points to a guide that there is`, async () => {
    const name = /^ExecStart=\/opt\/femtogate\/bin\/femtogate (\w+) /m.exec(text)?.[1];
    assert.ok((await commands()).some((command) => command.name === name));
    const guide = /^Documentation=file:\/opt\/femtogate\/(\S+)$/m.exec(text)?.[1];
    assert.ok(existsSync(join(ROOT, guide ?? "is missing")));
  });

  test(`systemd finds nothing to complain about in ${unit}`, { skip: noSystemd }, () => {
    const folder = mkdtempSync(join(tmpdir(), "femtogate-units-"));
    try {
      // Where the unit expects the program there need be none.
      const copy = join(folder, unit);
      writeFileSync(copy, text.replace("/opt/femtogate/bin/femtogate", join(ROOT, "bin/femtogate")));
      const { stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", copy], { encoding: "utf8" });
      // It also complains about units of the machine's own.
      assert.deepEqual(
        stderr.split("\n").filter((line) => line.includes("femtogate")),
        [],
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

test("the image is made of files that there are", () => {
  const text = readFileSync(join(ROOT, "deploy/Containerfile"), "utf8");
  for (const [, sources] of text.matchAll(/^COPY (?!--from)(.+) \S+$/gm))
    for (const source of sources!.split(" ")) assert.ok(existsSync(join(ROOT, source)), source);
});
