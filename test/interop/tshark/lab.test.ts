import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { OCSP_AS_CERTIFICATE, Tshark } from "./tshark.ts";

const FEMTOGATE = fileURLToPath(new URL("../../../bin/femtogate", import.meta.url));

test("a capture of the lab is dissected and decrypted, and femtogate check finds in it who attached", () => {
  using tshark = new Tshark();
  const args = ["lab", "--once", "--json", "--capture", tshark.file, "--capture-keys"];
  const lab = spawnSync(FEMTOGATE, args, { encoding: "utf8" });
  assert.equal(lab.status, 0, lab.stdout.slice(-2000) + lab.stderr);
  // The gateway's in-band OCSP responses are taken for certificates; nothing else is minded.
  for (const line of tshark.complaints()) assert.match(line, OCSP_AS_CERTIFICATE);
  const shown = tshark.fields("with keys", "isakmp.id.data.fqdn").flatMap(([names]) => names!.split(","));
  for (const name of ["ap-0001.henb.example", "ap-0002.henb.example", "segw.operator.example"])
    assert.ok(shown.includes(name), name);
  const checked = spawnSync(FEMTOGATE, ["check", "--json", tshark.file], { encoding: "utf8" });
  // Undetermined: no root was given.
  assert.equal(checked.status, 3, checked.stderr);
  const { ends } = JSON.parse(checked.stdout);
  assert.deepEqual(ends.map(({ subject }: { subject: string }) => subject.replace(/.*CN=/, "")).sort(), [
    "ap-0001.henb.example",
    "ap-0002.henb.example",
    "segw.operator.example",
  ]);
});
