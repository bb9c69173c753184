import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Pki } from "../../src/pki/authority.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { temporaryFolder } from "./folder.ts";

const FEMTOGATE = fileURLToPath(new URL("../../bin/femtogate", import.meta.url));
const KILLS = 200;
/** Processes at a time, each with a PKI of its own: starting them is what takes the time. */
const AT_ONCE = 2;

test(`${KILLS} times SIGKILL during revocations loses none that was acknowledged, and leaves a PKI that goes on`, async (t) => {
  const folder = temporaryFolder(t);
  // Half of what starting takes; what is killed leaves no cache, so one that ends in peace fills it.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, "compiled") };
  const worlds = Array.from({ length: AT_ONCE }, (_, index) => join(folder, `pki-${index}`));
  const acknowledged = await Promise.all(
    worlds.map(async (directory) => {
      using pki = Pki.create(directory, systemEnvironment);
      addCertificates(pki, (KILLS / AT_ONCE) * MOST_REVOCATIONS);
      spawnSync(FEMTOGATE, ["pki", "list", directory], { env });
      const serials = pki
        .list()
        .filter(({ ca }) => ca === "device-ca")
        .map(({ serial }) => serial);
      const all: string[] = [];
      for (let kill = 0; kill < KILLS / AT_ONCE; kill++)
        all.push(...(await revokeUntilKilled(t, directory, env, serials.splice(0, MOST_REVOCATIONS))));
      return all;
    }),
  );
  for (const [index, directory] of worlds.entries()) {
    const serials = acknowledged[index]!;
    assert.ok(serials.length > KILLS / AT_ONCE, "some were acknowledged before the kills");
    using again = Pki.open(directory, systemEnvironment);
    const rows = new Map(again.list().map((row) => [row.serial, row.revokedAt]));
    for (const serial of serials) assert.ok(typeof rows.get(serial) === "number", `${serial} is not revoked any more`);
    const crl = new Set([...parseCrl(again.crl("device-ca")).entries()].map(({ serial }) => serial.toString("hex")));
    for (const serial of serials) assert.ok(crl.has(serial), `${serial} is not on the CRL`);
  }
});

/** Serves, has certificates revoked one after the other over three connections, and is killed in the middle of it. */
async function revokeUntilKilled(
  t: TestContext,
  directory: string,
  env: NodeJS.ProcessEnv,
  serials: readonly string[],
): Promise<string[]> {
  const child = spawn(FEMTOGATE, ["pki", "serve", directory, "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "inherit"],
    env,
  });
  t.after(() => child.kill("SIGKILL"));
  const died = new Promise((resolve) => child.once("exit", resolve));
  for await (const line of createInterface({ input: child.stdout })) if (JSON.parse(line).event === "listening") break;
  const acknowledged: string[] = [];
  const agent = new Agent({ keepAlive: true });
  const killAfter = randomInt(1, MOST_REVOCATIONS);
  const waiting = [...serials];
  const revokeNext = async (): Promise<void> => {
    for (let serial = waiting.shift(); serial !== undefined; serial = waiting.shift()) {
      const status = await post(agent, join(directory, "control.sock"), { serials: [serial] });
      if (status !== 200) return;
      acknowledged.push(serial);
      // Others are on their way then.
      if (acknowledged.length === killAfter) child.kill("SIGKILL");
    }
  };
  await Promise.all([revokeNext(), revokeNext(), revokeNext()]);
  child.kill("SIGKILL");
  await died;
  agent.destroy();
  return acknowledged;
}

/** The answer's status, or undefined if there was none. */
function post(agent: Agent, socketPath: string, content: object): Promise<number | undefined> {
  return new Promise((resolve) => {
    const outgoing = request({ agent, socketPath, path: "/revoke", method: "POST" }, (incoming) => {
      incoming.resume();
      incoming.once("error", () => resolve(undefined));
      incoming.once("end", () => resolve(incoming.statusCode));
    });
    outgoing.once("error", () => resolve(undefined));
    outgoing.end(JSON.stringify(content));
  });
}

/** Straight into the database: what is certified does not matter here. */
function addCertificates(pki: Pki, count: number): void {
  using database = new DatabaseSync(join(pki.directory, "pki.sqlite"));
  database
    .prepare(
      `INSERT INTO certificate (ca, serial, identity, subject, notAfter, issuedAt, der)
       WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       SELECT 'device-ca', printf('5%031x', i), '', '', 9e15, 0, x'00' FROM n`,
    )
    .run(count);
}

/** Certificates for each process to revoke. */
const MOST_REVOCATIONS = 20;
