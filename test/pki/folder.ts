/** Folders, PKIs and servers for tests, gone when the test is over. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Pki } from "../../src/pki/authority.ts";
import type { PkiOptions } from "../../src/pki/options.ts";
import { servePki } from "../../src/pki/server.ts";
import type { Clock } from "../../src/sim/environment.ts";
import { systemEnvironment } from "../../src/sim/system.ts";

/** A clock that stands until it is moved. */
export class StandingClock implements Clock {
  at: number;

  constructor(at: number = Date.UTC(2026, 10, 24)) {
    this.at = at;
  }

  now(): number {
    return this.at;
  }
}

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "femtogate-pki-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function makePki(t: TestContext, options: PkiOptions = {}, clock: Clock = systemEnvironment.clock): Pki {
  const pki = Pki.create(join(temporaryFolder(t), "pki"), { ...systemEnvironment, clock }, options);
  t.after(() => pki.close());
  return pki;
}

/** Serves a PKI on a port of the system's choice; gives the base URL. */
export async function serve(t: TestContext, pki: Pki, clock: Clock = systemEnvironment.clock): Promise<string> {
  const server = await servePki(pki, { address: "127.0.0.1", port: 0 }, clock);
  t.after(() => server.close());
  return `http://127.0.0.1:${server.port}`;
}
