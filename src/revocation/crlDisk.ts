/**
 * CRLs on disk, so that a restarted gateway can refuse a revoked device before its first fetch.
 *
 * One file per address: a line of JSON, then the DER. It is written beside and renamed, so that it is whole or not there.
 * Nothing in it is trusted: the CRL is verified anew when it is loaded, and a file that is damaged is fetched anew.
 */
import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Bytes } from "../bytes/bytes.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { Validators } from "./fetching.ts";

/** A CRL as it was kept. */
export interface StoredCrl {
  der: Bytes;
  obtainedAt: Milliseconds;
  validators: Validators;
}

export type Restored = { kind: "stored"; stored: StoredCrl } | { kind: "none" } | { kind: "corrupt"; detail: string };

/** Where CRLs outlive the process. */
export interface CrlDisk {
  /** What is kept for this address; never rejects. */
  read(url: string): Promise<Restored>;
  /** Keeps a CRL in place of the one before; rejects if it cannot. */
  write(url: string, stored: StoredCrl): Promise<void>;
}

/** Keeps nothing. */
export const NO_DISK: CrlDisk = {
  read: async () => ({ kind: "none" }),
  write: async () => undefined,
};

export class FolderCrlDisk implements CrlDisk {
  readonly #folder: string;
  #writes = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(url: string): Promise<Restored> {
    try {
      await using file = await open(this.#pathOf(url));
      const { size } = await file.stat();
      if (size > MAX_FILE) return { kind: "corrupt", detail: `${size} octets` };
      const start = await readAt(file, 0, Math.min(size, MAX_HEADER));
      const line = start.indexOf(NEWLINE);
      if (line < 0) return { kind: "corrupt", detail: "no header" };
      const header = HEADER.safeParse(jsonOf(start.toString("utf8", 0, line)));
      if (!header.success) return { kind: "corrupt", detail: "a header that is none" };
      const { url: of, obtainedAt, octets, etag, lastModified } = header.data;
      if (of !== url || octets !== size - line - 1)
        return { kind: "corrupt", detail: "a header that belongs to something else" };
      const validators: Validators = {};
      if (etag !== undefined) validators.etag = etag;
      if (lastModified !== undefined) validators.lastModified = lastModified;
      return { kind: "stored", stored: { der: await readAt(file, line + 1, octets), obtainedAt, validators } };
    } catch (error) {
      if (isAbsent(error)) return { kind: "none" };
      return { kind: "corrupt", detail: error instanceof Error ? error.message : String(error) };
    }
  }

  async write(url: string, { der, obtainedAt, validators }: StoredCrl): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const path = this.#pathOf(url);
    const beside = `${path}.${process.pid}-${++this.#writes}.new`;
    try {
      await using file = await open(beside, "w");
      await file.writev([
        Buffer.from(`${JSON.stringify({ url, obtainedAt, octets: der.length, ...validators })}\n`),
        der,
      ]);
      await file.sync();
      await rename(beside, path);
    } catch (error) {
      await rm(beside, { force: true });
      throw error;
    }
    await this.#prune();
  }

  /** Certificates can name any number of addresses over the years; the files written longest ago make room. */
  async #prune(): Promise<void> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith(".crl"));
    if (names.length <= MAX_FILES) return;
    const files = await Promise.all(
      names.map(async (name) => ({ name, at: (await stat(join(this.#folder, name))).mtimeMs })),
    );
    files.sort((a, b) => a.at - b.at);
    for (const { name } of files.slice(0, files.length - MAX_FILES))
      await rm(join(this.#folder, name), { force: true });
  }

  #pathOf(url: string): string {
    return join(this.#folder, `${createHash("sha256").update(url).digest("hex").slice(0, 32)}.crl`);
  }
}

/** A buffer of its own with `length` octets of the file from `position` on. */
async function readAt(file: FileHandle, position: number, length: number): Promise<Bytes> {
  const read = Buffer.allocUnsafeSlow(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(read, done, length - done, position + done);
    if (bytesRead === 0) throw new Error(`ends after ${position + done} octets`);
    done += bytesRead;
  }
  return read;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

const HEADER = z.object({
  url: z.string(),
  obtainedAt: z.number(),
  octets: z.number().int().nonnegative(),
  etag: z.string().optional(),
  lastModified: z.string().optional(),
});
const NEWLINE = 0x0a;
/** Octets within which the header must end. */
const MAX_HEADER = 4096;
/** Octets of a file; no CRL is larger. */
const MAX_FILE = 256 * 1024 * 1024;
/** Files kept. */
const MAX_FILES = 512;
