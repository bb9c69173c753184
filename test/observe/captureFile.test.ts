import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { CaptureFile, keysDirectory } from "../../src/observe/captureFile.ts";
import { capturedPacket, captureHeader } from "../../src/observe/pcapng.ts";

test("what was captured stands in the file once it is closed, and keys only where they were asked for", async () => {
  using folder = new Folder();
  const failures: string[] = [];
  const capture = await CaptureFile.open(folder.file, {
    ...DESCRIPTION,
    withKeys: false,
    onFailure: (m) => failures.push(m),
  });
  capture.datagram(DATAGRAM);
  capture.keys(KEYS);
  await capture.close();
  assert.deepEqual(readFileSync(folder.file), Buffer.concat([captureHeader(DESCRIPTION), capturedPacket(DATAGRAM)]));
  assert.equal(existsSync(keysDirectory(folder.file)), false);
  assert.deepEqual(failures, []);
});

test("keys are open to their owner only, even where the file was there and open to all", async () => {
  using folder = new Folder();
  for (let run = 1; run <= 2; run++) {
    const capture = await CaptureFile.open(folder.file, { ...DESCRIPTION, withKeys: true, onFailure: assert.fail });
    capture.keys(KEYS);
    await capture.close();
    const table = join(keysDirectory(folder.file), "ikev2_decryption_table");
    assert.equal(statSync(table).mode & 0o777, 0o600);
    assert.equal(statSync(keysDirectory(folder.file)).mode & 0o777, 0o700);
    assert.equal(readFileSync(table, "latin1").split("\n").length, run + 1);
    chmodSync(table, 0o644);
  }
});

test("a full disk is told once, and what comes after is counted and never throws", async () => {
  const failures: string[] = [];
  const onFailure = (message: string) => failures.push(message);
  // Writing there fails as on a full disk; opening does not.
  const capture = await CaptureFile.open("/dev/full", { ...DESCRIPTION, withKeys: false, onFailure });
  capture.datagram(DATAGRAM);
  // Two writes under way at once: both fail.
  await Promise.all([capture.close(), capture.close()]);
  capture.datagram(DATAGRAM);
  assert.equal(capture.lost, 1);
  assert.equal(failures.length, 1);
  assert.match(failures[0]!, /^the capture ends here: \/dev\/full cannot be written \(ENOSPC/);
});

test("a datagram that IP cannot carry is counted as lost", async () => {
  using folder = new Folder();
  const capture = await CaptureFile.open(folder.file, { ...DESCRIPTION, withKeys: false, onFailure: assert.fail });
  capture.datagram({ ...DATAGRAM, payload: Buffer.alloc(65508) });
  capture.datagram({ ...DATAGRAM, to: { address: "2001:db8::1", port: 500 } });
  assert.equal(capture.lost, 2);
  await capture.close();
  assert.deepEqual(readFileSync(folder.file), captureHeader(DESCRIPTION));
});

class Folder implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "femtogate-capture-"));
  readonly file = join(this.directory, "c.pcapng");

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

const DESCRIPTION = { application: "femtogate", interfaceName: "segw" };
const DATAGRAM = {
  at: Date.UTC(2026, 0, 1) + 0.25,
  from: { address: "192.0.2.1", port: 500 },
  to: { address: "192.0.2.2", port: 500 },
  payload: Buffer.from("ike"),
};
const KEYS = {
  initiatorSpi: "1111111111111111",
  responderSpi: "2222222222222222",
  suite: { encr: { id: 20, keyLength: 128 }, integ: 0 },
  keys: { ei: Buffer.alloc(20, 1), er: Buffer.alloc(20, 2), ai: Buffer.alloc(0), ar: Buffer.alloc(0) },
};
