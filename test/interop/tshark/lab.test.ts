import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { OCSP_AS_CERTIFICATE, Tshark } from "./tshark.ts";

const FEMTOGATE = fileURLToPath(new URL("../../../bin/femtogate", import.meta.url));
/** Every device of the lab, also those refused later than by their certificate, and the gateway. */
const WITH_CERTIFICATE = [...[1, 2, 3, 4, 5, 6, 7].map((n) => `ap-000${n}.henb.example`), "segw.operator.example"];

test("a capture of the lab is dissected and decrypted, and femtogate check finds in it who attached", () => {
  using tshark = new Tshark();
  const args = ["lab", "--once", "--json", "--capture", tshark.file, "--capture-keys"];
  const lab = spawnSync(FEMTOGATE, args, { encoding: "utf8" });
  assert.equal(lab.status, 0, lab.stdout.slice(-2000) + lab.stderr);
  // The gateway's in-band OCSP responses are taken for certificates; nothing else is minded.
  for (const line of tshark.complaints()) assert.match(line, OCSP_AS_CERTIFICATE);
  const shown = tshark.fields("with keys", "isakmp.id.data.fqdn").flatMap(([names]) => names!.split(","));
  for (const name of WITH_CERTIFICATE) assert.ok(shown.includes(name), name);
  const checked = spawnSync(FEMTOGATE, ["check", "--json", tshark.file], { encoding: "utf8" });
  // Undetermined: no root was given.
  assert.equal(checked.status, 3, checked.stderr);
  const { ends } = JSON.parse(checked.stdout);
  assert.deepEqual(
    ends.map(({ subject }: { subject: string }) => subject.replace(/.*CN=/, "")).sort(),
    WITH_CERTIFICATE,
  );
});
