import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FolderCrlDisk, type StoredCrl } from "../../src/revocation/crlDisk.ts";

const URL = "http://crl.example/ca.crl";
const stored: StoredCrl = {
  der: Buffer.from("3003020101", "hex"),
  obtainedAt: 1_750_000_000_000,
  validators: { etag: '"abc"', lastModified: "Mon, 01 Jun 2026 00:00:00 GMT" },
};

async function folder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "femtogate-crls-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

test("what is written comes back, in a buffer of its own, and nothing is left lying about", async () => {
  await using at = await folder();
  const disk = new FolderCrlDisk(join(at.path, "made", "on", "demand"));
  assert.deepEqual(await disk.read(URL), { kind: "none" });
  await disk.write(URL, stored);
  const newer = { ...stored, der: Buffer.from("300402020101", "hex"), validators: {} };
  await disk.write(URL, newer);
  const read = await disk.read(URL);
  assert.deepEqual(read, { kind: "stored", stored: newer });
  assert.ok(read.kind === "stored" && read.stored.der.byteLength === read.stored.der.buffer.byteLength);
  const names = await readdir(join(at.path, "made", "on", "demand"));
  assert.equal(names.length, 1);
  assert.match(names[0]!, /^[0-9a-f]{32}\.crl$/);
});

test("a file cut short anywhere, or of another address, is told as corrupt and never taken", async () => {
  await using at = await folder();
  const disk = new FolderCrlDisk(at.path);
  await disk.write(URL, stored);
  const [name] = await readdir(at.path);
  const whole = await readFile(join(at.path, name!));
  for (let length = 0; length < whole.length; length++) {
    await writeFile(join(at.path, name!), whole.subarray(0, length));
    assert.equal((await disk.read(URL)).kind, "corrupt", `${length} octets`);
  }
  await writeFile(join(at.path, name!), Buffer.concat([whole, Buffer.from([0])]));
  assert.equal((await disk.read(URL)).kind, "corrupt");
  const other = "http://crl.example/other.crl";
  await writeFile(join(at.path, `${createHash("sha256").update(other).digest("hex").slice(0, 32)}.crl`), whole);
  assert.equal((await disk.read(other)).kind, "corrupt");
  await writeFile(join(at.path, name!), Buffer.alloc(10_000, 0x20));
  assert.equal((await disk.read(URL)).kind, "corrupt");
});

test("a folder that cannot be written to rejects, and leaves what was there", async () => {
  await using at = await folder();
  await writeFile(join(at.path, "file"), "");
  const disk = new FolderCrlDisk(join(at.path, "file"));
  await assert.rejects(disk.write(URL, stored), /EEXIST|ENOTDIR/);
  assert.equal((await disk.read(URL)).kind, "corrupt");
});

test("of more files than the limit the oldest make room", async () => {
  await using at = await folder();
  const disk = new FolderCrlDisk(at.path);
  for (let index = 0; index < 515; index++) await disk.write(`${URL}?${index}`, stored);
  assert.equal((await readdir(at.path)).length, 512);
  assert.equal((await disk.read(`${URL}?514`)).kind, "stored");
  assert.equal((await disk.read(`${URL}?0`)).kind, "none");
});
