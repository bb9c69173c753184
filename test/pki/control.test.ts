import assert from "node:assert/strict";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Pki } from "../../src/pki/authority.ts";
import { serveControl } from "../../src/pki/control.ts";
import { makePki } from "./folder.ts";

test("certificates are revoked and released over the socket, many at once, all or none", async (t) => {
  const { pki, post } = await started(t);
  const serials = ["a", "b", "c"].map(
    (name) => pki.issue({ profile: "henb", dns: [`${name}.example`] }).certificate.serial,
  );
  const [a, b, c] = serials.map((serial) => serial.toString("hex"));
  assert.deepEqual(await post("revoke", { serials: [a, b], reason: "certificateHold" }), [200, { revoked: 2 }]);
  const kinds = () => serials.map((serial) => pki.status("device-ca", serial).kind);
  assert.deepEqual(kinds(), ["revoked", "revoked", "good"]);
  assert.deepEqual(await post("release", { serial: a }), [200, { released: 1 }]);
  const [status, answer] = await post("revoke", { serials: [c, b, "01"] });
  assert.deepEqual([status, answer.error], [409, "no certificate with serial 01 was issued here"]);
  assert.deepEqual(kinds(), ["good", "revoked", "good"], "nothing of it was done");
});

test("devices are allowed and disallowed over the socket", async (t) => {
  const { pki, post } = await started(t);
  const listing = { ca: "device-ca", identities: ["AP-1.example"], serials: ["004f"] };
  assert.deepEqual(await post("allow", listing), [200, { allowed: 2 }]);
  assert.deepEqual(pki.allowList.list("device-ca"), ["ap-1.example", "serial 4f"]);
  assert.deepEqual(await post("disallow", { ca: "device-ca", serials: ["4f"] }), [200, { disallowed: 1 }]);
  assert.deepEqual(pki.allowList.list("device-ca"), ["ap-1.example"]);
  assert.equal((await post("allow", { ca: "my-ca", serials: ["4f"] }))[0], 409);
});

test("what is no request is refused with the reason, and the socket is its owner's alone", async (t) => {
  const { post, path } = await started(t);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(await post("revoke", "{"), [400, { error: "this is no JSON" }]);
  assert.match((await post("revoke", { serials: ["xyz"] }))[1].error!, /hexadecimal digits/);
  assert.match((await post("revoke", { serials: ["4f"], reason: "bored" }))[1].error!, /keyCompromise/);
  assert.match((await post("revoke", { serials: [] }))[1].error!, /serials/);
  assert.match((await post("revoke", { serial: "4f" }))[1].error!, /serial/);
  for (const action of ["constructor", "", "issue"]) assert.equal((await post(action, {}))[0], 404);
  assert.equal((await post("revoke", `"${"0".repeat(300_000)}"`))[0], 413);
});

test("a socket that a dead process left is taken over, one that is served is not", async (t) => {
  const pki = makePki(t);
  const path = join(pki.directory, "control.sock");
  writeFileSync(path, "");
  const server = await serveControl(pki, path);
  await assert.rejects(serveControl(pki, path), { name: "PkiError", message: /another process serves/ });
  assert.ok(existsSync(path));
  await server.close();
  await (await serveControl(pki, path)).close();
  await assert.rejects(serveControl(pki, `/${"a".repeat(110)}`), { name: "PkiError", message: /too long/ });
});

async function started(t: TestContext): Promise<Started> {
  const pki = makePki(t);
  const path = join(pki.directory, "control.sock");
  const server = await serveControl(pki, path);
  t.after(() => server.close());
  const post = (action: string, content: object | string) =>
    new Promise<[status: number, answer: { error?: string }]>((resolve, reject) => {
      const outgoing = request({ socketPath: path, path: `/${action}`, method: "POST" }, async (incoming) => {
        const parts: Buffer[] = [];
        for await (const part of incoming) parts.push(part);
        resolve([incoming.statusCode!, JSON.parse(Buffer.concat(parts).toString())]);
      });
      outgoing.once("error", reject);
      outgoing.end(typeof content === "string" ? content : JSON.stringify(content));
    });
  return { pki, path, post };
}

interface Started {
  pki: Pki;
  path: string;
  post(action: string, content: object | string): Promise<[status: number, answer: { error?: string }]>;
}
