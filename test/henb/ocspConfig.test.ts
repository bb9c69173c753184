import assert from "node:assert/strict";
import test from "node:test";
import { deviceConfig } from "../../src/henb/config.ts";
import { ocspPolicy } from "../../src/henb/ocspConfig.ts";

const DEVICE = { tre: { directory: "tre", files: "files" }, gateway: { name: "segw.operator.example" } };
const RESPONDERS = { responders: ["http://10.40.0.80/"] };

for (const [what, changes, path, message] of [
  ["asking without anybody to ask", { ocsp: { ask: ["direct"] } }, "ocsp.responders", /names nobody to ask/],
  [
    "asking responders whose origin is not listed",
    { ocsp: { ask: ["direct"], ...RESPONDERS, origins: ["certificate"], namedHosts: ["x"] } },
    "ocsp.namedHosts.0",
    /neither a domain name/,
  ],
  ["a deadline of nothing", { ocsp: { deadline: 0 } }, "ocsp.deadline", /not within/],
  ["a deadline beyond what IKE waits for", { ocsp: { deadline: "26s" } }, "ocsp.deadline", /not within 1ms and 25s/],
  [
    "asking through a tunnel that carries nothing",
    { ocsp: { ask: ["tunnel"], ...RESPONDERS }, dataPlane: { kind: "none" } },
    "ocsp.ask",
    /dataPlane\.kind is none/,
  ],
] as const) {
  test(`a device's configuration is refused for ${what}`, () => {
    const { error } = deviceConfig.safeParse({ ...DEVICE, ...changes });
    assert.deepEqual(
      error?.issues.map((issue) => issue.path.join(".")),
      [path],
    );
    assert.match(error!.issues[0]!.message, message);
  });
}

test("what the TrE judges responses by is what the section says", () => {
  const ocsp = { inBand: "path", ask: ["direct"], ...RESPONDERS, tolerance: "1m", maxAge: "1d", delegates: "refuse" };
  assert.deepEqual(ocspPolicy(deviceConfig.parse({ ...DEVICE, ocsp }).ocsp), {
    inBandOcsp: "path",
    askedOcsp: "leaf",
    asking: { nonce: "optional", hash: "sha1" },
    ocspTolerance: 60_000,
    ocspMaxAge: 24 * 3600_000,
    ocspDelegates: "refuse",
  });
});

test("by default the gateway's own response is demanded, and nobody is asked", () => {
  const { ocsp } = deviceConfig.parse(DEVICE);
  assert.deepEqual([ocsp.inBand, ocsp.ask, ocsp.origins], ["leaf", [], ["operator"]]);
  assert.doesNotThrow(() => deviceConfig.parse({ ...DEVICE, ocsp: { ask: ["direct"], origins: ["certificate"] } }));
});
